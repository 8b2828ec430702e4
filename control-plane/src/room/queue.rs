//! Write, then speak: what is said waits for what was written before, in order, without holding up the room.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::room::effect::Say;

/// The effects of steps that are not through yet, oldest first. `S` is what becomes of a write, and of what is kept of it.
pub struct Queue<S, W> {
    entries: VecDeque<Entry<S, W>>,
}

/// One step's effects.
pub struct Entry<S, W> {
    /// Absent: nothing to wait for, once it is the first.
    submission: Option<S>,
    /// What was written: refusals name commands by position.
    pub writes: W,
    pub says: Vec<Say>,
}

impl<S: Future + Unpin, W> Queue<S, W> {
    #[must_use]
    pub fn new() -> Self {
        Self { entries: VecDeque::new() }
    }

    pub fn push(&mut self, submission: Option<S>, writes: W, says: Vec<Say>) {
        self.entries.push_back(Entry { submission, writes, says });
    }

    /// What may be said now: of the entries at the front that wait for nothing.
    pub fn sayable(&mut self) -> Vec<Say> {
        let mut says = Vec::new();
        while self.entries.front().is_some_and(|entry| entry.submission.is_none()) {
            says.extend(self.entries.pop_front().map(|entry| entry.says).unwrap_or_default());
        }
        says
    }

    /// Waits for the oldest write. Its entry stays where it is, and waits for nothing any more.
    pub async fn outcome(&mut self) -> S::Output {
        poll_fn(|context| self.poll_outcome(context)).await
    }

    /// The oldest entry.
    pub fn front_mut(&mut self) -> Option<&mut Entry<S, W>> {
        self.entries.front_mut()
    }

    /// What is not through is given up. Gives what waited for it: hardly anything of it is true any more.
    pub fn abandon(&mut self) -> Vec<Say> {
        self.entries.drain(..).flat_map(|entry| entry.says).collect()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn poll_outcome(&mut self, context: &mut Context<'_>) -> Poll<S::Output> {
        let Some(entry) = self.entries.front_mut() else { return Poll::Pending };
        let Some(submission) = &mut entry.submission else { return Poll::Pending };
        let outcome = std::task::ready!(Pin::new(submission).poll(context));
        entry.submission = None;
        Poll::Ready(outcome)
    }
}

impl<S, W> fmt::Debug for Queue<S, W> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Queue").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

impl<S, W> fmt::Debug for Entry<S, W> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Entry").field("says", &self.says).finish_non_exhaustive()
    }
}

impl<S: Future + Unpin, W> Default for Queue<S, W> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::Queue;
    use crate::room::effect::{ConnectionId, Say};

    fn close(connection: u64) -> Say {
        Say::Close { connection: ConnectionId(connection) }
    }

    #[test]
    fn nothing_is_said_before_the_writes_before_it_are_through() {
        let mut queue = Queue::new();
        let (first, first_done) = oneshot::channel::<()>();
        let (second, second_done) = oneshot::channel::<()>();
        queue.push(None, (), vec![close(0)]);
        queue.push(Some(first_done), (), vec![close(1)]);
        queue.push(None, (), vec![close(2)]);
        queue.push(Some(second_done), (), vec![close(3)]);
        assert_eq!(queue.sayable(), [close(0)]);
        second.send(()).unwrap();
        assert!(queue.outcome().now_or_never().is_none(), "the first write is not through");
        assert_eq!(queue.sayable(), []);
        first.send(()).unwrap();
        assert!(queue.outcome().now_or_never().is_some());
        assert_eq!(queue.sayable(), [close(1), close(2)]);
        assert!(queue.outcome().now_or_never().is_some());
        assert_eq!(queue.sayable(), [close(3)]);
        assert!(queue.is_empty());
    }
}

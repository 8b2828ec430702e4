//! Submissions that the media plane has not answered yet, in the order in which they were sent.

use std::collections::VecDeque;

use proto::key::Key;
use proto::media::v1::{self, RefusalReason, command};
use tokio::sync::oneshot;

use crate::media::plane::PlaneLost;

/// A command of a submission that was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Index of the command within its submission.
    pub command: usize,
    pub reason: RefusalReason,
    pub detail: String,
}

pub type Answer = Result<Vec<Refusal>, PlaneLost>;

#[derive(Debug, Default)]
pub struct InFlight {
    submissions: VecDeque<Submission>,
    commands: usize,
}

#[derive(Debug)]
struct Submission {
    /// In order of revision; empty if it had none.
    commands: Vec<Sent>,
    refusals: Vec<Refusal>,
    answer: oneshot::Sender<Answer>,
}

#[derive(Debug)]
struct Sent {
    revision: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Upsert(Key),
    Delete,
    /// Done once, and not part of any state.
    Deed(Box<command::Command>),
}

/// What became of an upsert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    pub key: Key,
    pub revision: u64,
    pub refused: bool,
}

impl InFlight {
    pub fn push(&mut self, commands: &[v1::Command], answer: oneshot::Sender<Answer>) {
        let commands: Vec<Sent> = commands
            .iter()
            .map(|command| Sent { revision: command.revision, what: what(command.command.as_ref()) })
            .collect();
        self.commands += commands.len();
        self.submissions.push_back(Submission { commands, refusals: Vec::new(), answer });
        self.answer_front(0);
    }

    /// Everything up to `revision` is answered. Tells what became of upserts.
    pub fn acknowledged(&mut self, revision: u64, refusals: Vec<v1::Refusal>) -> Vec<Settled> {
        let mut settled = Vec::new();
        for submission in &self.submissions {
            let answered = submission.commands.iter().filter(|sent| sent.revision <= revision);
            for sent in answered {
                if let What::Upsert(key) = sent.what {
                    let refused = refusals.iter().any(|refusal| refusal.revision == sent.revision);
                    settled.push(Settled { key, revision: sent.revision, refused });
                }
            }
            if submission.commands.last().is_some_and(|last| last.revision > revision) {
                break;
            }
        }
        for refusal in refusals {
            self.refuse(refusal);
        }
        self.answer_front(revision);
        settled
    }

    /// After a new attachment said everything again: all is answered, with what of it was refused now.
    /// Gives the deeds that the media plane had not heard of (`revision_max`), to be done still.
    pub fn said_again(
        &mut self,
        revision_max: u64,
        refused: impl Fn(Key) -> Option<(RefusalReason, String)>,
    ) -> Vec<command::Command> {
        let mut deeds = Vec::new();
        for mut submission in self.submissions.drain(..) {
            for (index, sent) in submission.commands.into_iter().enumerate() {
                match sent.what {
                    What::Upsert(key) => {
                        submission.refusals.extend(refused(key).map(|(reason, detail)| Refusal {
                            command: index,
                            reason,
                            detail,
                        }))
                    }
                    What::Deed(command) if sent.revision > revision_max => deeds.push(*command),
                    What::Deed(_) | What::Delete => {}
                }
            }
            // Nobody may be waiting any more, here and below.
            let _ = submission.answer.send(Ok(submission.refusals));
        }
        self.commands = 0;
        deeds
    }

    pub fn lose(&mut self) {
        for submission in self.submissions.drain(..) {
            let _ = submission.answer.send(Err(PlaneLost));
        }
        self.commands = 0;
    }

    /// Commands that are not answered.
    #[must_use]
    pub const fn commands(&self) -> usize {
        self.commands
    }

    fn refuse(&mut self, refusal: v1::Refusal) {
        let place = self.submissions.iter_mut().find_map(|submission| {
            let index = submission.commands.iter().position(|sent| sent.revision == refusal.revision)?;
            Some((submission, index))
        });
        if let Some((submission, command)) = place {
            let reason = refusal.reason();
            submission.refusals.push(Refusal { command, reason, detail: refusal.detail });
        }
    }

    fn answer_front(&mut self, revision: u64) {
        while let Some(first) = self.submissions.front() {
            if first.commands.last().is_some_and(|last| last.revision > revision) {
                return;
            }
            let Some(first) = self.submissions.pop_front() else { return };
            self.commands -= first.commands.len();
            let _ = first.answer.send(Ok(first.refusals));
        }
    }
}

fn what(command: Option<&command::Command>) -> What {
    match command {
        Some(command::Command::Upsert(resource)) => {
            resource.spec.as_ref().map_or(What::Delete, |spec| What::Upsert(Key::of(spec)))
        }
        Some(command::Command::Delete(_)) | None => What::Delete,
        Some(deed) => What::Deed(Box::new(deed.clone())),
    }
}

#[cfg(test)]
mod tests {
    use proto::media::v1::resource::Spec;
    use proto::media::v1::{RequestKeyFrame, Resource, Room};

    use super::*;

    fn upsert(revision: u64, id: u64) -> v1::Command {
        let spec = Some(Spec::Room(Room { id, ..Room::default() }));
        let resource = Resource { spec, ..Resource::default() };
        v1::Command { revision, command: Some(command::Command::Upsert(resource)) }
    }

    const fn deed(publication: u64) -> command::Command {
        command::Command::RequestKeyFrame(RequestKeyFrame { publication })
    }

    fn refused(revision: u64) -> v1::Refusal {
        v1::Refusal { revision, reason: RefusalReason::Limit.into(), detail: String::new() }
    }

    fn refusal(command: usize) -> Refusal {
        Refusal { command, reason: RefusalReason::Limit, detail: String::new() }
    }

    fn push(in_flight: &mut InFlight, commands: &[v1::Command]) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        in_flight.push(commands, answer);
        answered
    }

    #[test]
    fn answers_come_in_order_with_their_own_refusals() {
        let mut in_flight = InFlight::default();
        let mut first = push(&mut in_flight, &[upsert(1, 1), upsert(2, 2)]);
        let mut empty = push(&mut in_flight, &[]);
        let mut second = push(&mut in_flight, &[upsert(3, 3)]);
        assert!(empty.try_recv().is_err(), "not before the first");
        in_flight.acknowledged(1, vec![]);
        assert!(first.try_recv().is_err(), "only the first part of it");
        in_flight.acknowledged(2, vec![refused(2)]);
        assert_eq!(first.try_recv(), Ok(Ok(vec![refusal(1)])));
        assert_eq!(empty.try_recv(), Ok(Ok(vec![])));
        assert!(second.try_recv().is_err());
        let settled = in_flight.acknowledged(3, vec![refused(3)]);
        assert_eq!(settled, [Settled { key: Key::Room(3), revision: 3, refused: true }]);
        assert_eq!(second.try_recv(), Ok(Ok(vec![refusal(0)])));
        assert_eq!(in_flight.commands(), 0);
        assert_eq!(push(&mut in_flight, &[]).try_recv(), Ok(Ok(vec![])), "nothing to wait for");
    }

    #[test]
    fn deeds_that_were_not_heard_are_done_after_a_break() {
        let mut in_flight = InFlight::default();
        let numbered = |revision| v1::Command { revision, command: Some(deed(revision)) };
        let mut answer = push(&mut in_flight, &[upsert(1, 1), numbered(2), numbered(3)]);
        let deeds = in_flight
            .said_again(2, |key| (key == Key::Room(1)).then(|| (RefusalReason::Limit, String::new())));
        assert_eq!(deeds, [deed(3)]);
        assert_eq!(answer.try_recv(), Ok(Ok(vec![refusal(0)])));
    }

    #[test]
    fn loss_answers_everybody() {
        let mut in_flight = InFlight::default();
        let mut answer = push(&mut in_flight, &[upsert(1, 1)]);
        in_flight.lose();
        assert_eq!(answer.try_recv(), Ok(Err(PlaneLost)));
    }
}

//! One attached control plane: what it is owed.

use std::collections::VecDeque;

use proto::media::v1::{Acknowledgement, Event, MediaMessage, Refusal, media_message};
use tokio::sync::mpsc;
use tonic::Status;

/// Messages that may wait for a control plane. One that lets more pile up is cut off and attaches again.
pub const OUTGOING: usize = 8192;

#[derive(Debug)]
pub struct Attachment {
    outgoing: mpsc::Sender<Result<MediaMessage, Status>>,
    /// Set by `Hello`.
    lease_epoch: Option<u64>,
    revision_last: u64,
    /// Batches that are not acknowledged yet, in order.
    batches: VecDeque<Batch>,
    /// Number of the first of `batches`.
    first_batch: u64,
    cut_off: bool,
}

#[derive(Debug)]
struct Batch {
    revision: u64,
    unsettled: usize,
    refusals: Vec<Refusal>,
}

impl Attachment {
    #[must_use]
    pub const fn new(outgoing: mpsc::Sender<Result<MediaMessage, Status>>, revision_max: u64) -> Self {
        Self {
            outgoing,
            lease_epoch: None,
            revision_last: revision_max,
            batches: VecDeque::new(),
            first_batch: 0,
            cut_off: false,
        }
    }

    pub const fn begin(&mut self, lease_epoch: u64) {
        self.lease_epoch = Some(lease_epoch);
    }

    /// Opens a batch of commands with these revisions; gives its number.
    ///
    /// # Errors
    /// When revisions do not increase.
    pub fn open_batch(&mut self, revisions: impl Iterator<Item = u64>) -> Result<u64, Status> {
        let mut count = 0;
        let mut last = self.revision_last;
        for revision in revisions {
            if revision <= last {
                return Err(Status::failed_precondition(format!(
                    "revision {revision} does not follow {last}"
                )));
            }
            last = revision;
            count += 1;
        }
        self.revision_last = last;
        self.batches.push_back(Batch { revision: last, unsettled: count, refusals: Vec::new() });
        let number = self.first_batch + self.batches.len() as u64 - 1;
        self.acknowledge();
        Ok(number)
    }

    /// One command of a batch is applied or refused.
    pub fn settle(&mut self, batch: u64, refusal: Option<Refusal>) {
        let index = batch.checked_sub(self.first_batch).and_then(|index| usize::try_from(index).ok());
        let Some(batch) = index.and_then(|index| self.batches.get_mut(index)) else {
            debug_assert!(false, "settled after its acknowledgement");
            return;
        };
        batch.unsettled = batch.unsettled.saturating_sub(1);
        batch.refusals.extend(refusal);
        self.acknowledge();
    }

    pub fn tell(&mut self, event: Event) {
        self.send(Ok(media_message::Message::Event(event)));
    }

    pub fn send(&mut self, message: Result<media_message::Message, Status>) {
        let message = message.map(|message| MediaMessage { message: Some(message) });
        let last = message.is_err();
        if self.outgoing.try_send(message).is_err() || last {
            self.cut_off = true;
        }
    }

    #[must_use]
    pub const fn lease_epoch(&self) -> Option<u64> {
        self.lease_epoch
    }

    #[must_use]
    pub const fn revision_last(&self) -> u64 {
        self.revision_last
    }

    /// It does not read, or was told why it must end.
    #[must_use]
    pub const fn cut_off(&self) -> bool {
        self.cut_off
    }

    fn acknowledge(&mut self) {
        while self.batches.front().is_some_and(|batch| batch.unsettled == 0) {
            let Some(mut batch) = self.batches.pop_front() else { return };
            self.first_batch += 1;
            batch.refusals.sort_by_key(|refusal| refusal.revision);
            let acknowledgement = Acknowledgement { revision: batch.revision, refusals: batch.refusals };
            self.send(Ok(media_message::Message::Acknowledgement(acknowledgement)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_keep_the_order_of_batches() {
        let (outgoing, mut told) = mpsc::channel(8);
        let mut attachment = Attachment::new(outgoing, 10);
        let first = attachment.open_batch([11, 12].into_iter()).unwrap();
        let second = attachment.open_batch([15].into_iter()).unwrap();
        let refusal = Refusal { revision: 15, ..Refusal::default() };
        attachment.settle(second, Some(refusal.clone()));
        attachment.settle(first, None);
        assert!(told.try_recv().is_err(), "the first batch is not settled");
        attachment.settle(first, None);
        for (revision, refusals) in [(12, vec![]), (15, vec![refusal])] {
            let message = told.try_recv().unwrap().unwrap().message;
            let expected = Acknowledgement { revision, refusals };
            assert_eq!(message, Some(media_message::Message::Acknowledgement(expected)));
        }
        let third = attachment.open_batch(std::iter::empty()).unwrap();
        assert_eq!(third, 2);
        assert!(told.try_recv().is_ok(), "an empty batch is settled at once");
    }

    #[test]
    fn revisions_must_increase() {
        let (outgoing, _told) = mpsc::channel(8);
        let mut attachment = Attachment::new(outgoing, 10);
        for (name, revisions) in
            [("not above revision_max", vec![10]), ("twice", vec![11, 11]), ("backwards", vec![13, 12])]
        {
            assert!(attachment.open_batch(revisions.into_iter()).is_err(), "{name}");
        }
        assert!(attachment.open_batch([11, 12].into_iter()).is_ok());
        assert!(attachment.open_batch([12].into_iter()).is_err(), "across batches");
    }

    #[test]
    fn a_control_plane_that_does_not_read_is_cut_off() {
        let (outgoing, _told) = mpsc::channel(2);
        let mut attachment = Attachment::new(outgoing, 0);
        for sequence in 1..=2 {
            attachment.tell(Event { sequence, ..Event::default() });
            assert!(!attachment.cut_off());
        }
        attachment.tell(Event { sequence: 3, ..Event::default() });
        assert!(attachment.cut_off());
    }
}

//! Commands that concern several workers: answered once all of them have.

use std::collections::BTreeMap;

use crate::grpc::links::Ticket;
use crate::resource::refusal::Refused;

/// By attachment and revision; a command for one worker is not among them.
#[derive(Debug, Default)]
pub struct Shares(BTreeMap<(u64, u64), Share>);

#[derive(Debug)]
struct Share {
    unanswered: usize,
    refused: Option<Refused>,
}

impl Shares {
    /// So many answers will come.
    pub fn begin(&mut self, ticket: Ticket, answers: usize) {
        if answers > 1 {
            let share = Share { unanswered: answers, refused: None };
            self.0.insert((ticket.attachment, ticket.revision), share);
        }
    }

    /// One answer; with the last one, what came of the whole: the first refusal counts.
    pub fn answered(&mut self, ticket: Ticket, refused: Option<Refused>) -> Option<Option<Refused>> {
        let key = (ticket.attachment, ticket.revision);
        let Some(share) = self.0.get_mut(&key) else { return Some(refused) };
        share.unanswered -= 1;
        share.refused = share.refused.take().or(refused);
        if share.unanswered > 0 {
            return None;
        }
        self.0.remove(&key).map(|share| share.refused)
    }
}

#[cfg(test)]
mod tests {
    use proto::media::v1::RefusalReason;

    use super::*;

    #[test]
    fn the_last_of_the_workers_answers_for_all() {
        let ticket = Ticket { attachment: 1, batch: 1, revision: 7, key: None };
        let refused = |detail: &str| Some(Refused::new(RefusalReason::Limit, detail.into()));
        for (name, answers, expected) in [
            ("one worker", vec![None], None),
            ("all applied it", vec![None, None, None], None),
            ("one refused it", vec![None, refused("a"), None], refused("a")),
            ("two refused it", vec![refused("a"), refused("b")], refused("a")),
        ] {
            let mut shares = Shares::default();
            shares.begin(ticket, answers.len());
            let last = answers.len() - 1;
            for (index, answer) in answers.into_iter().enumerate() {
                let outcome = shares.answered(ticket, answer);
                assert_eq!(outcome, (index == last).then(|| expected.clone()), "{name}: {index}");
            }
            assert!(shares.0.is_empty(), "{name}");
        }
    }
}

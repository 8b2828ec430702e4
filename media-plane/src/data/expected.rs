//! Answers that the server side expects of participants: they are told to it, and go to nobody else.

use indexmap::IndexMap;
use units::handle::RouteId;

/// Answers that are waited for in one room; the oldest are forgotten for more.
const COUNT_MAX: usize = 1024;
/// An acknowledgement and a response.
const ANSWERS: u8 = 2;

#[derive(Debug, Default)]
pub struct Expected {
    /// By the identity that is answered; in the order in which they were asked for.
    answers: IndexMap<Box<str>, Answer>,
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    /// Who may answer.
    route: RouteId,
    left: u8,
}

impl Expected {
    pub fn expect(&mut self, identity: &str, route: RouteId) {
        if self.answers.len() >= COUNT_MAX {
            self.answers.shift_remove_index(0);
        }
        self.answers.insert(identity.into(), Answer { route, left: ANSWERS });
    }

    /// Whether a packet of `route` to these is an answer. Each is taken once.
    pub fn take(&mut self, route: RouteId, destinations: &[&str]) -> bool {
        if self.answers.is_empty() {
            return false;
        }
        let mut found = destinations.iter().filter_map(|one| Some((*one, self.answers.get(*one).copied()?)));
        let Some((identity, answer)) = found.find(|(_, answer)| answer.route == route) else { return false };
        if answer.left <= 1 {
            self.answers.shift_remove(identity);
        } else if let Some(answer) = self.answers.get_mut(identity) {
            answer.left -= 1;
        }
        true
    }

    /// The participant is gone.
    pub fn forget(&mut self, route: RouteId) {
        self.answers.retain(|_, answer| answer.route != route);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_answers_are_taken_from_who_was_asked() {
        let mut expected = Expected::default();
        let (asked, other) = (RouteId(1), RouteId(2));
        assert!(!expected.take(asked, &["call"]));
        expected.expect("call", asked);
        assert!(!expected.take(other, &["call"]), "somebody else");
        assert!(!expected.take(asked, &["bob"]), "to somebody else");
        assert!(!expected.take(asked, &[]));
        assert!(expected.take(asked, &["bob", "call"]));
        assert!(expected.take(asked, &["call"]));
        assert!(!expected.take(asked, &["call"]), "a third");
        expected.expect("call", asked);
        expected.forget(other);
        assert!(expected.take(asked, &["call"]));
        expected.forget(asked);
        assert!(!expected.take(asked, &["call"]));
    }

    #[test]
    fn expectations_are_bounded() {
        let mut expected = Expected::default();
        for call in 0..1030 {
            expected.expect(&call.to_string(), RouteId(1));
        }
        assert_eq!(expected.answers.len(), COUNT_MAX);
        assert!(!expected.take(RouteId(1), &["5"]) && expected.take(RouteId(1), &["6"]));
    }
}

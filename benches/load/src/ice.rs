//! The client's side of ICE over one connected socket: checks towards the server's candidates, answers to its own.
//!
//! A server is either lite (then we control) or a full agent that controls the peer connection it offers; its
//! candidates are tried one after the other, and the first that answers is kept (RFC 8445 §6.1.1, §7).

use std::net::SocketAddr;
use std::time::Duration;

use rand::Rng;
use units::time::Instant;
use wire::stun::write::{BindingRequest, request, success};
use wire::stun::{Kind, Message, Role, Transaction};

/// A username fragment and its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub ufrag: String,
    pub password: String,
}

impl Credentials {
    #[must_use]
    pub fn random() -> Self {
        Self { ufrag: random_word(8), password: random_word(24) }
    }
}

fn random_word(len: usize) -> String {
    rand::rng().sample_iter(rand::distr::Alphanumeric).take(len).map(char::from).collect()
}

#[derive(Debug)]
pub struct Agent {
    local: Credentials,
    remote: Option<Remote>,
    candidates: Vec<SocketAddr>,
    /// Which of the candidates is tried, or was kept.
    current: usize,
    tries: u32,
    state: State,
    transaction: Transaction,
    tie_breaker: u64,
    next_check: Instant,
}

#[derive(Debug)]
struct Remote {
    credentials: Credentials,
    controls: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Checking,
    Connected,
}

/// What a datagram came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// So many bytes of the buffer are to be sent back.
    Answer(usize),
    /// The first check was answered: the path carries data.
    Connected,
    Nothing,
}

impl Agent {
    #[must_use]
    pub fn new(local: Credentials) -> Self {
        Self {
            local,
            remote: None,
            candidates: Vec::new(),
            current: 0,
            tries: 0,
            state: State::Checking,
            transaction: Transaction([0; 12]),
            tie_breaker: rand::rng().random(),
            next_check: NEVER,
        }
    }

    /// What the server's description says of it. Repeating it changes nothing.
    pub fn set_remote(&mut self, now: Instant, credentials: Credentials, controls: bool) {
        if self.remote.as_ref().is_none_or(|remote| remote.credentials != credentials) {
            self.remote = Some(Remote { credentials, controls });
            self.state = State::Checking;
            self.next_check = now;
        }
    }

    /// The better ones first.
    pub fn add_candidates(&mut self, now: Instant, candidates: &[SocketAddr]) {
        for candidate in candidates {
            if !self.candidates.contains(candidate) && self.candidates.len() < CANDIDATES_MAX {
                self.candidates.push(*candidate);
                self.next_check = self.next_check.min(now);
            }
        }
    }

    /// Writes the check that is due, and says how long it is and where it goes.
    pub fn check(&mut self, now: Instant, out: &mut [u8]) -> Option<(usize, SocketAddr)> {
        if now < self.next_check {
            return None;
        }
        // Until both are known there is nothing to do; whichever comes last brings the check about.
        self.next_check = NEVER;
        let remote = self.remote.as_ref()?;
        if self.candidates.is_empty() {
            return None;
        }
        if self.state == State::Checking {
            if self.tries > 0 && self.tries.is_multiple_of(TRIES) {
                self.current = (self.current + 1) % self.candidates.len();
            }
            self.tries += 1;
        }
        self.next_check =
            Instant(now.0 + nanoseconds(if self.state == State::Checking { PACE } else { CONSENT }));
        self.transaction = Transaction(rand::rng().random());
        let username = format!("{}:{}", remote.credentials.ufrag, self.local.ufrag);
        let role = if remote.controls { Role::Controlled } else { Role::Controlling };
        let check = BindingRequest {
            transaction: self.transaction,
            username: username.as_bytes(),
            priority: PRIORITY,
            role: role(self.tie_breaker),
            use_candidate: !remote.controls,
        };
        let len = request(out, &check, remote.credentials.password.as_bytes()).ok()?;
        Some((len, *self.candidates.get(self.current)?))
    }

    pub fn receive(&mut self, datagram: &[u8], out: &mut [u8]) -> Outcome {
        let Ok(message) = Message::parse(datagram) else { return Outcome::Nothing };
        match message.kind {
            Kind::Request => self.answer(&message, out).map_or(Outcome::Nothing, Outcome::Answer),
            Kind::Success => self.answered(&message),
            // A role conflict would be one: we go by the description, and so do servers.
            Kind::Error | Kind::Indication => Outcome::Nothing,
        }
    }

    /// When [`Agent::check`] has something to write.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.next_check
    }

    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.state == State::Connected
    }

    fn answer(&self, message: &Message<'_>, out: &mut [u8]) -> Option<usize> {
        let password = self.local.password.as_bytes();
        if message.local_ufrag() != Some(self.local.ufrag.as_bytes()) || !message.verify(password) {
            return None;
        }
        let source = self.candidates.get(self.current)?;
        success(out, message.transaction, *source, password).ok()
    }

    fn answered(&mut self, message: &Message<'_>) -> Outcome {
        let Some(remote) = &self.remote else { return Outcome::Nothing };
        let valid =
            message.transaction == self.transaction && message.verify(remote.credentials.password.as_bytes());
        if !valid || self.state == State::Connected {
            return Outcome::Nothing;
        }
        self.state = State::Connected;
        self.next_check = Instant(self.next_check.0 + nanoseconds(CONSENT));
        Outcome::Connected
    }
}

const NEVER: Instant = Instant(u64::MAX);
const CANDIDATES_MAX: usize = 32;
/// Between two checks until one is answered.
const PACE: Duration = Duration::from_millis(100);
/// Checks to one candidate before the next is tried.
const TRIES: u32 = 5;
/// RFC 7675 §5.1 asks for 4 to 6 s; browsers check more often.
const CONSENT: Duration = Duration::from_millis(2_500);
/// Of a host candidate (RFC 8445 §5.1.2.1).
const PRIORITY: u32 = 126 << 24 | 65_535 << 8 | 255;

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant(1_000_000_000);

    fn server() -> Credentials {
        Credentials { ufrag: "server".to_owned(), password: "password of the server".to_owned() }
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn agent(controls: bool) -> Agent {
        let mut agent = Agent::new(Credentials::random());
        agent.set_remote(START, server(), controls);
        agent.add_candidates(START, &[address(1), address(2)]);
        agent
    }

    #[test]
    fn check_nominates_towards_a_lite_server_only_and_its_answer_connects() {
        for (controls, nominates) in [(false, true), (true, false)] {
            let mut agent = agent(controls);
            let (mut out, mut answer) = ([0; 256], [0; 256]);
            let (len, to) = agent.check(START, &mut out).unwrap();
            assert_eq!(to, address(1));
            let check = Message::parse(&out[..len]).unwrap();
            assert_eq!(check.use_candidate, nominates);
            assert_eq!(check.local_ufrag(), Some(&b"server"[..]));
            assert!(check.verify(server().password.as_bytes()));

            let len = success(&mut answer, check.transaction, to, b"another password").unwrap();
            assert_eq!(agent.receive(&answer[..len], &mut [0; 256]), Outcome::Nothing);
            let len = success(&mut answer, check.transaction, to, server().password.as_bytes()).unwrap();
            assert_eq!(agent.receive(&answer[..len], &mut [0; 256]), Outcome::Connected);
            assert!(agent.is_connected());
            assert_eq!(agent.receive(&answer[..len], &mut [0; 256]), Outcome::Nothing, "once");
            assert!(agent.deadline() < Instant(START.0 + 6_000_000_000), "consent goes on");
        }
    }

    #[test]
    fn description_and_candidates_may_come_in_any_order() {
        for candidates_first in [true, false] {
            let mut agent = Agent::new(Credentials::random());
            assert_eq!(agent.deadline(), NEVER);
            for step in 0..2 {
                if (step == 0) == candidates_first {
                    agent.add_candidates(START, &[address(1)]);
                } else {
                    agent.set_remote(START, server(), false);
                }
                assert_eq!(agent.deadline(), START);
                assert_eq!(agent.check(START, &mut [0; 256]).is_some(), step == 1);
                assert!(agent.deadline() > START, "nothing is due twice");
            }
        }
    }

    #[test]
    fn candidate_that_does_not_answer_makes_way_for_the_next() {
        let mut agent = agent(false);
        let mut tried = Vec::new();
        for _ in 0..12 {
            let due = agent.deadline();
            let (_, to) = agent.check(due, &mut [0; 256]).unwrap();
            assert_eq!(agent.check(due, &mut [0; 256]), None, "one at a time");
            tried.push(to.port());
        }
        assert_eq!(tried, [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 1, 1]);
    }

    #[test]
    fn request_of_the_server_is_answered_if_it_knows_our_password() {
        let mut agent = agent(true);
        let username = format!("{}:server", agent.local.ufrag);
        for (password, answered) in [(agent.local.password.clone(), true), ("guess".to_owned(), false)] {
            let check = BindingRequest {
                transaction: Transaction([3; 12]),
                username: username.as_bytes(),
                priority: 1,
                role: Role::Controlling(1),
                use_candidate: true,
            };
            let mut datagram = [0; 256];
            let len = request(&mut datagram, &check, password.as_bytes()).unwrap();
            let mut out = [0; 256];
            match agent.receive(&datagram[..len], &mut out) {
                Outcome::Answer(len) => {
                    assert!(answered);
                    let answer = Message::parse(&out[..len]).unwrap();
                    assert_eq!(answer.transaction, Transaction([3; 12]));
                    assert!(answer.verify(agent.local.password.as_bytes()));
                }
                outcome => assert!(!answered, "{outcome:?}"),
            }
        }
    }
}

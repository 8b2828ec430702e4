//! Connectivity checks of a full ICE agent that nominates at once, and repeats them as consent (RFC 8445 §7, RFC 7675).

use std::time::Duration;

use units::time::Instant;
use wire::stun::write::{BindingRequest, request};
use wire::stun::{Kind, Message, Role, Transaction};

use crate::client::Outgoing;
use crate::random::Random;

#[derive(Debug)]
pub struct Checks {
    /// The engine's ufrag, a colon, ours.
    username: String,
    /// The engine's.
    password: String,
    random: Random,
    next_at: Instant,
    pub answered: u64,
}

impl Checks {
    #[must_use]
    pub fn new(local_ufrag: &str, remote_ufrag: &str, remote_password: &str, random: Random) -> Self {
        Self {
            username: format!("{remote_ufrag}:{local_ufrag}"),
            password: remote_password.into(),
            random,
            next_at: Instant(0),
            answered: 0,
        }
    }

    pub fn tick(&mut self, now: Instant, out: &mut Outgoing) {
        if now < self.next_at {
            return;
        }
        self.next_at = now + if self.answered == 0 { FIRST_INTERVAL } else { CONSENT_INTERVAL };
        let password = self.password.clone();
        out.extend(self.check(password.as_bytes()));
    }

    /// A check that is authenticated with `password`.
    pub fn check(&mut self, password: &[u8]) -> Option<Vec<u8>> {
        let mut transaction = [0; 12];
        self.random.fill(&mut transaction);
        let check = BindingRequest {
            transaction: Transaction(transaction),
            username: self.username.as_bytes(),
            priority: 100,
            role: Role::Controlling(1),
            use_candidate: true,
        };
        let mut bytes = vec![0; 256];
        let len = request(&mut bytes, &check, password).ok()?;
        bytes.truncate(len);
        Some(bytes)
    }

    /// Takes an answer; `None` if it is none.
    pub fn answer(&mut self, datagram: &[u8]) -> Option<()> {
        let message = Message::parse(datagram).ok()?;
        let is_answer = message.kind == Kind::Success && message.verify(self.password.as_bytes());
        self.answered += u64::from(is_answer);
        is_answer.then_some(())
    }

    #[must_use]
    pub fn next_at(&self) -> Instant {
        self.next_at
    }
}

const FIRST_INTERVAL: Duration = Duration::from_millis(50);
const CONSENT_INTERVAL: Duration = Duration::from_millis(2_500);

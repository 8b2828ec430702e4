//! The DTLS of one peer: handshakes that may run side by side until one of them wins.
//!
//! A ClientHello is not authenticated: whoever can spoof the client's address can send one before the client does, or
//! in the midst of its handshake. So each ClientHello random gets a handshake of its own, up to a limit; what else
//! arrives goes to all of them, and the first whose Finished is right is the association. What fails in between fails
//! alone. Only the handshake that heard its ClientHello last may speak, so that the client is not confused by ours.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::dtls::fingerprint::Fingerprint;
use crate::dtls::{Association, End, Failure, HANDSHAKE_TIME, Library, Output, Role, record};

/// Handshakes side by side.
const IN_FLIGHT: usize = 4;
/// Handshakes that one session may start at all.
const STARTS: u32 = 16;
/// A client whose handshake breaks down starts another one after this.
const AGAIN: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub struct Session {
    role: Role,
    fingerprints: Arc<[Fingerprint]>,
    state: State,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum State {
    Idle,
    Handshaking(Handshaking),
    Connected(Box<dyn Association>),
    Ended,
}

#[derive(Debug)]
struct Handshaking {
    until: Instant,
    /// The one that may speak is last.
    candidates: Vec<Candidate>,
    starts: u32,
    /// When a client tries once more.
    again: Option<Instant>,
}

#[derive(Debug)]
struct Candidate {
    /// Of the ClientHello; ours does not matter.
    random: Option<[u8; 32]>,
    association: Box<dyn Association>,
}

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discard {
    /// No handshake is under way and this starts none, or all is over.
    NoAssociation,
    /// One more handshake than allowed.
    Limit,
}

impl Session {
    #[must_use]
    pub const fn new(role: Role, fingerprints: Arc<[Fingerprint]>) -> Self {
        Self { role, fingerprints, state: State::Idle, outputs: VecDeque::new() }
    }

    /// The path is there: a client speaks. Once is enough; returns whether this was it.
    pub fn start(&mut self, now: Instant, library: &Library) -> bool {
        let starts = self.role == Role::Client && matches!(self.state, State::Idle);
        if starts {
            let mut handshaking = Handshaking::new(now);
            handshaking.begin(None, library.start(now, self.role, &self.fingerprints));
            self.state = State::Handshaking(handshaking);
            self.settle(now);
        }
        starts
    }

    /// `admit` is asked before a handshake is started.
    ///
    /// # Errors
    /// If the datagram was dropped; the reason is for the counters.
    pub fn receive(
        &mut self,
        now: Instant,
        datagram: &[u8],
        library: &Library,
        admit: impl FnOnce() -> bool,
    ) -> Result<(), Discard> {
        let datagram = record::without_plain_alerts(datagram);
        if datagram.is_empty() {
            return Ok(());
        }
        if self.role == Role::Server
            && let Some(hello) = record::hello(&datagram)
        {
            self.hear(now, hello, library, admit)?;
        }
        match &mut self.state {
            State::Idle | State::Ended => return Err(Discard::NoAssociation),
            State::Connected(association) => association.receive(now, &datagram),
            State::Handshaking(handshaking) => {
                for candidate in &mut handshaking.candidates {
                    candidate.association.receive(now, &datagram);
                }
            }
        }
        self.settle(now);
        Ok(())
    }

    pub fn timeout(&mut self, now: Instant, library: &Library) {
        match &mut self.state {
            State::Idle | State::Ended => return,
            State::Connected(association) => association.timeout(now),
            State::Handshaking(handshaking) => {
                if now >= handshaking.until {
                    return self.end(End::Failed(Failure::Timeout));
                }
                for candidate in &mut handshaking.candidates {
                    candidate.association.timeout(now);
                }
                if handshaking.again.is_some_and(|again| now >= again) {
                    handshaking.again = None;
                    handshaking.begin(None, library.start(now, self.role, &self.fingerprints));
                }
            }
        }
        self.settle(now);
    }

    /// Sends application data; nothing happens without keys.
    pub fn send(&mut self, now: Instant, data: &[u8]) {
        if let State::Connected(association) = &mut self.state {
            association.send(now, data);
            self.settle(now);
        }
    }

    pub fn close(&mut self, now: Instant) {
        if let State::Connected(association) = &mut self.state {
            association.close(now);
            self.settle(now);
        }
        self.state = State::Ended;
    }

    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Idle | State::Ended => None,
            State::Connected(association) => association.deadline(),
            State::Handshaking(handshaking) => {
                let candidates = handshaking.candidates.iter().filter_map(|one| one.association.deadline());
                candidates.chain(handshaking.again).chain([handshaking.until]).min()
            }
        }
    }

    #[must_use]
    pub const fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected(_))
    }

    /// A ClientHello: of a handshake that is under way, or the start of one.
    fn hear(
        &mut self,
        now: Instant,
        hello: record::Hello,
        library: &Library,
        admit: impl FnOnce() -> bool,
    ) -> Result<(), Discard> {
        let handshaking = match &mut self.state {
            State::Connected(_) | State::Ended => return Ok(()),
            State::Idle => None,
            State::Handshaking(handshaking) => Some(handshaking),
        };
        let known = handshaking.as_ref().and_then(|handshaking| {
            handshaking.candidates.iter().position(|one| one.random == Some(hello.random))
        });
        if let (Some(handshaking), Some(index)) = (handshaking, known) {
            let heard = handshaking.candidates.remove(index);
            handshaking.candidates.push(heard);
            return Ok(());
        }
        if !hello.first {
            return Err(Discard::NoAssociation);
        }
        let room = match &self.state {
            State::Handshaking(handshaking) => {
                handshaking.candidates.len() < IN_FLIGHT && handshaking.starts < STARTS
            }
            _ => true,
        };
        if !room || !admit() {
            return Err(Discard::Limit);
        }
        let association = library.start(now, self.role, &self.fingerprints);
        if let State::Idle = self.state {
            self.state = State::Handshaking(Handshaking::new(now));
        }
        if let State::Handshaking(handshaking) = &mut self.state {
            handshaking.begin(Some(hello.random), association);
        }
        Ok(())
    }

    /// Takes what the associations have to say, and the winner out of the handshakes.
    fn settle(&mut self, now: Instant) {
        match &mut self.state {
            State::Idle | State::Ended => {}
            State::Connected(association) => {
                while let Some(output) = association.poll() {
                    if let Output::Ended(end) = output {
                        return self.end(end);
                    }
                    self.outputs.push_back(output);
                }
            }
            State::Handshaking(handshaking) => {
                if let Some(winner) = handshaking.settle(now, &mut self.outputs) {
                    self.state = State::Connected(winner);
                    return self.settle(now);
                }
                // Whoever answers as a client has nothing to wait for once its attempts are used up.
                if self.role == Role::Client
                    && handshaking.candidates.is_empty()
                    && handshaking.again.is_none()
                {
                    self.end(End::Failed(Failure::Protocol));
                }
            }
        }
    }

    fn end(&mut self, end: End) {
        self.state = State::Ended;
        self.outputs.push_back(Output::Ended(end));
    }
}

impl Handshaking {
    fn new(now: Instant) -> Self {
        Self { until: now + HANDSHAKE_TIME, candidates: Vec::new(), starts: 0, again: None }
    }

    fn begin(&mut self, random: Option<[u8; 32]>, association: Box<dyn Association>) {
        self.starts += 1;
        self.candidates.push(Candidate { random, association });
    }

    /// Returns the winner.
    fn settle(&mut self, now: Instant, outputs: &mut VecDeque<Output>) -> Option<Box<dyn Association>> {
        let mut index = 0;
        while index < self.candidates.len() {
            let may_speak = index + 1 == self.candidates.len();
            let candidate = self.candidates.get_mut(index)?;
            match candidate.advance(may_speak, outputs) {
                Progress::Waiting => index += 1,
                Progress::Won => return Some(self.candidates.swap_remove(index).association),
                Progress::Failed(failure) => {
                    tracing::debug!(?failure, "a DTLS handshake failed");
                    let ours = self.candidates.remove(index).random.is_none();
                    if ours && self.starts < u32::try_from(IN_FLIGHT).unwrap_or(u32::MAX) {
                        self.again = Some(now + AGAIN);
                    }
                }
            }
        }
        None
    }
}

enum Progress {
    Waiting,
    Won,
    Failed(Failure),
}

impl Candidate {
    fn advance(&mut self, may_speak: bool, outputs: &mut VecDeque<Output>) -> Progress {
        while let Some(output) = self.association.poll() {
            match output {
                Output::Connected(_) => {
                    outputs.push_back(output);
                    return Progress::Won;
                }
                Output::Datagram(_) if may_speak => outputs.push_back(output),
                // Nobody may send data before Finished.
                Output::Datagram(_) | Output::Data(_) => {}
                Output::Ended(End::Failed(failure)) => return Progress::Failed(failure),
                Output::Ended(End::ClosedByPeer) => return Progress::Failed(Failure::Protocol),
            }
        }
        Progress::Waiting
    }
}

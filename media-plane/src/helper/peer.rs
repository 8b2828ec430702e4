//! One peer on the helper: its DTLS session, and the SCTP association inside it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use srtp::keys::Keys;

use crate::data::association::{Association, Output as DataOutput, Received, SendError};
use crate::dtls::session::{Discard, Session};
use crate::dtls::{End, Library, Output as DtlsOutput};
use crate::helper::input::PeerSpec;

/// Deadlines further off than this are none: one library says "in ten years" when it waits for nothing.
const HORIZON: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) spec: PeerSpec,
    session: Session,
    sctp: Option<Association>,
    /// The path is validated; remembered for a session that starts over.
    path_valid: bool,
}

/// What came of an update.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Updated {
    /// The association starts over, because the client is another one.
    pub(crate) another: bool,
    /// We began a handshake.
    pub(crate) spoke: bool,
}

/// What the helper has to see to.
#[derive(Debug)]
pub(crate) enum Event {
    Secured {
        keys: Box<Keys>,
        version: &'static str,
    },
    Datagram(Vec<u8>),
    Ended {
        failed: bool,
    },
    SctpEstablished,
    SctpClosed,
    /// `reliable`: the channel for reliable packets is among those that are open.
    ChannelOpened {
        reliable: bool,
    },
    ChannelRefused,
    Message(Received),
}

impl Peer {
    pub(crate) fn new(spec: PeerSpec) -> Self {
        let session = Session::new(spec.role, Arc::from(spec.fingerprints.as_slice()));
        Self { spec, session, sctp: None, path_valid: false }
    }

    pub(crate) fn update(
        &mut self,
        now: Instant,
        spec: PeerSpec,
        library: &Library,
        events: &mut Vec<Event>,
    ) -> Updated {
        let mut spoke = false;
        let another = self.spec.role != spec.role || self.spec.fingerprints != spec.fingerprints;
        self.spec = spec;
        if another {
            self.session.close(now);
            self.drain(now, events);
            self.session = Session::new(self.spec.role, Arc::from(self.spec.fingerprints.as_slice()));
            self.sctp = None;
            if self.path_valid {
                spoke = self.path_valid(now, library, events);
            }
        } else if self.session.is_connected() && self.sctp.is_none() {
            self.start_sctp(now);
        }
        Updated { another, spoke }
    }

    /// Returns whether we spoke.
    pub(crate) fn path_valid(&mut self, now: Instant, library: &Library, events: &mut Vec<Event>) -> bool {
        self.path_valid = true;
        if !self.knows_whom_to_trust() {
            return false;
        }
        let started = self.session.start(now, library);
        self.drain(now, events);
        started
    }

    pub(crate) fn receive(
        &mut self,
        now: Instant,
        datagram: &[u8],
        library: &Library,
        admit: impl FnOnce() -> bool,
        events: &mut Vec<Event>,
    ) -> Result<(), Discard> {
        let outcome = self.session.receive(now, datagram, library, admit);
        self.drain(now, events);
        outcome
    }

    pub(crate) fn timeout(&mut self, now: Instant, library: &Library, events: &mut Vec<Event>) {
        if self.session.deadline().is_some_and(|deadline| now >= deadline) {
            self.session.timeout(now, library);
        }
        if let Some(sctp) = &mut self.sctp
            && sctp.deadline().is_some_and(|deadline| now >= deadline)
        {
            sctp.timeout(now);
        }
        self.drain(now, events);
    }

    /// Queues a message on the channel of that label; `flush` sends it.
    pub(crate) fn send(&mut self, label: &str, text: bool, bytes: &Bytes) -> Result<(), SendError> {
        let sctp = self.sctp.as_mut().ok_or(SendError::NoChannel)?;
        let stream = sctp.channel(label).ok_or(SendError::NoChannel)?.stream;
        sctp.send(stream, text, bytes)
    }

    /// Sends what SCTP has to say.
    pub(crate) fn flush(&mut self, now: Instant, events: &mut Vec<Event>) {
        if let Some(sctp) = &mut self.sctp {
            sctp.flush(now);
        }
        self.drain(now, events);
    }

    pub(crate) fn close(&mut self, now: Instant, events: &mut Vec<Event>) {
        self.session.close(now);
        self.drain(now, events);
    }

    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let sctp = self.sctp.as_ref().and_then(Association::deadline);
        let next = self.session.deadline().into_iter().chain(sctp).min();
        next.filter(|next| next.saturating_duration_since(now) < HORIZON)
    }

    /// The client's fingerprints have been signalled; without them no handshake can succeed.
    pub(crate) const fn knows_whom_to_trust(&self) -> bool {
        !self.spec.fingerprints.is_empty()
    }

    pub(crate) const fn is_connected(&self) -> bool {
        self.session.is_connected()
    }

    pub(crate) fn is_established(&self) -> bool {
        self.sctp.as_ref().is_some_and(Association::is_established)
    }

    pub(crate) fn has_channel(&self, label: &str) -> bool {
        self.sctp.as_ref().is_some_and(|sctp| sctp.channel(label).is_some())
    }

    fn start_sctp(&mut self, now: Instant) {
        self.sctp = self.spec.sctp.as_ref().map(|spec| Association::new(now, self.spec.role, spec));
    }

    /// Carries data between the two until neither has more to say.
    fn drain(&mut self, now: Instant, events: &mut Vec<Event>) {
        loop {
            while let Some(output) = self.session.poll() {
                match output {
                    DtlsOutput::Connected(connected) => {
                        let event =
                            Event::Secured { keys: Box::new(connected.keys), version: connected.version };
                        events.push(event);
                        self.start_sctp(now);
                    }
                    DtlsOutput::Datagram(bytes) => events.push(Event::Datagram(bytes)),
                    DtlsOutput::Data(bytes) => {
                        if let Some(sctp) = &mut self.sctp {
                            sctp.receive(now, &bytes);
                        }
                    }
                    DtlsOutput::Ended(end) => {
                        if self.sctp.take().is_some() {
                            events.push(Event::SctpClosed);
                        }
                        events.push(Event::Ended { failed: matches!(end, End::Failed(_)) });
                    }
                }
            }
            let Some(output) = self.sctp.as_mut().and_then(Association::poll) else {
                return;
            };
            match output {
                DataOutput::Packet(packet) => self.session.send(now, &packet),
                DataOutput::Established => events.push(Event::SctpEstablished),
                DataOutput::Opened { .. } => {
                    let reliable = self.has_channel("_reliable");
                    events.push(Event::ChannelOpened { reliable });
                }
                DataOutput::Message(message) => events.push(Event::Message(message)),
                DataOutput::Refused => events.push(Event::ChannelRefused),
                DataOutput::Closed => {
                    self.sctp = None;
                    events.push(Event::SctpClosed);
                }
            }
        }
    }
}

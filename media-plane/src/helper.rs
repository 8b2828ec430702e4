//! The helper thread: DTLS, SCTP and data routing, off the packet cores.
//!
//! `Helper` is a state machine without clock and thread; `thread::spawn` runs it. Orders and datagrams go in, `Sink`
//! takes what comes out. Whatever one peer's input makes the libraries do stays with that peer: a panic ends its
//! association and is counted.

pub mod counters;
pub mod input;
pub mod output;
mod peer;
pub mod queue;
pub mod thread;
mod waiting;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use bytes::Bytes;
use indexmap::{IndexMap, IndexSet};
use units::handle::{PeerId, RoomId};

use crate::data::association::{Received, SendError};
use crate::data::rate::Bucket;
use crate::data::router::{Delivery, Discard as DataDiscard, Reply, Router};
use crate::dtls::certificate::Certificate;
use crate::dtls::session::Discard as DtlsDiscard;
use crate::dtls::{Implementation, Library, SetupError};
use crate::helper::counters::Counters;
use crate::helper::input::{Input, PeerSpec, ReplayData, SendData};
use crate::helper::output::{Output, Sink};
use crate::helper::peer::{Event, Peer, Updated};
use crate::helper::queue::Datagram;
use crate::helper::waiting::Waiting;

/// DTLS handshakes that may be started per second, and at once: each costs some 0.2 ms of this thread.
const HANDSHAKES_PER_SECOND: u64 = 200;
const HANDSHAKES_BURST: u64 = 400;
/// How often what waits for unknown peers is looked at.
const SWEEP: Duration = Duration::from_millis(500);

#[derive(Clone, Debug)]
pub struct Config {
    pub dtls: Implementation,
    pub certificate: Certificate,
}

#[derive(Debug)]
pub struct Helper {
    library: Library,
    peers: IndexMap<PeerId, Scheduled>,
    router: Router,
    waiting: Waiting,
    handshakes: Bucket,
    /// Peers whose SCTP may have something to send.
    unflushed: IndexSet<PeerId>,
    /// Peers that panicked while a message was queued for them.
    broken: Vec<PeerId>,
    deadlines: BTreeSet<(Instant, PeerId)>,
    swept: Instant,
    counters: Counters,
}

#[derive(Debug)]
struct Scheduled {
    peer: Peer,
    /// As it stands in `deadlines`.
    deadline: Option<Instant>,
}

impl Helper {
    /// # Errors
    /// If the DTLS library can't be set up.
    pub fn new(now: Instant, config: &Config) -> Result<Self, SetupError> {
        Ok(Self {
            library: Library::new(config.dtls, &config.certificate)?,
            peers: IndexMap::new(),
            router: Router::default(),
            waiting: Waiting::default(),
            handshakes: Bucket::new(now, HANDSHAKES_PER_SECOND, HANDSHAKES_BURST),
            unflushed: IndexSet::new(),
            broken: Vec::new(),
            deadlines: BTreeSet::new(),
            swept: now,
            counters: Counters::default(),
        })
    }

    pub fn order(&mut self, now: Instant, order: Input, sink: &mut impl Sink) {
        match order {
            Input::UpsertPeer(spec) => self.upsert_peer(now, *spec, sink),
            Input::DeletePeer(id) => self.delete_peer(now, id, sink),
            Input::PathValid(id) => {
                let mut started = false;
                self.with_peer(now, id, sink, |peer, library, events| {
                    started = peer.path_valid(now, library, events);
                });
                self.counters.dtls_handshakes_started += u64::from(started);
            }
            Input::UpsertRoute(spec) => {
                let peer = spec.send_peer;
                self.router.upsert(now, *spec);
                if self.peers.get(&peer).is_some_and(|scheduled| scheduled.peer.has_channel("_reliable")) {
                    self.data_ready(now, peer, sink);
                }
            }
            Input::DeleteRoute(id) => self.router.delete(id),
            Input::DeleteRoom(id) => self.delete_room(now, id, sink),
            Input::SendData(data) => self.send_data(now, &data),
            Input::ReplayData(replay) => self.replay_data(now, &replay),
            // Whoever asked may have gone.
            Input::Progress { route, reply } => drop(reply.send(self.router.last_sequence(route))),
            Input::Counters { reply } => drop(reply.send(Box::new(self.counters()))),
            Input::Stop => {
                for id in self.peers.keys().copied().collect::<Vec<_>>() {
                    self.delete_peer(now, id, sink);
                }
            }
        }
    }

    pub fn datagram(&mut self, now: Instant, datagram: Datagram, sink: &mut impl Sink) {
        self.counters.dtls_datagrams_received += 1;
        let Datagram { peer, bytes } = datagram;
        // A client may speak before its answer, and so its fingerprint, has come: nobody could vouch for it yet.
        if self.peers.get(&peer).is_some_and(|scheduled| scheduled.peer.knows_whom_to_trust()) {
            self.receive(now, peer, &bytes, sink);
        } else if !self.waiting.push(now, peer, bytes) {
            self.counters.dropped_unknown_peer += 1;
        }
    }

    /// Timers, and whatever waits to be sent.
    pub fn tick(&mut self, now: Instant, sink: &mut impl Sink) {
        // Each once: a peer whose library is due again at once must not keep the others waiting.
        let due: Vec<_> =
            self.deadlines.iter().take_while(|(deadline, _)| *deadline <= now).copied().collect();
        for (deadline, id) in due {
            if !self.deadlines.remove(&(deadline, id)) {
                continue;
            }
            if let Some(scheduled) = self.peers.get_mut(&id) {
                scheduled.deadline = None;
            }
            self.with_peer(now, id, sink, |peer, library, events| peer.timeout(now, library, events));
        }
        if now.saturating_duration_since(self.swept) >= SWEEP {
            self.swept = now;
            self.counters.dropped_unknown_peer += self.waiting.expire(now);
        }
        while let Some(id) = self.unflushed.pop() {
            self.isolated(now, id, sink, |peer, _, events| peer.flush(now, events));
        }
        for id in std::mem::take(&mut self.broken) {
            self.drop_broken(id, sink);
        }
    }

    /// When `tick` is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    pub const fn add_ring_full(&mut self, dropped: u64) {
        self.counters.dropped_ring_full += dropped;
    }

    #[must_use]
    pub fn counters(&self) -> Counters {
        let count = |is: fn(&Peer) -> bool| {
            self.peers.values().filter(|scheduled| is(&scheduled.peer)).count() as u64
        };
        Counters {
            peers: self.peers.len() as u64,
            routes: self.router.len() as u64,
            dtls_associations: count(Peer::is_connected),
            sctp_associations: count(Peer::is_established),
            ..self.counters
        }
    }

    fn upsert_peer(&mut self, now: Instant, spec: PeerSpec, sink: &mut impl Sink) {
        let id = spec.id;
        if self.peers.contains_key(&id) {
            let mut updated = Updated::default();
            self.with_peer(now, id, sink, |peer, library, events| {
                updated = peer.update(now, spec, library, events);
            });
            self.counters.dtls_handshakes_started += u64::from(updated.spoke);
            if updated.another {
                self.router.unready(id);
            }
        } else {
            self.peers.insert(id, Scheduled { peer: Peer::new(spec), deadline: None });
        }
        if !self.peers.get(&id).is_some_and(|scheduled| scheduled.peer.knows_whom_to_trust()) {
            return;
        }
        for datagram in self.waiting.take(id) {
            self.receive(now, id, &datagram, sink);
        }
    }

    fn delete_peer(&mut self, now: Instant, id: PeerId, sink: &mut impl Sink) {
        self.with_peer(now, id, sink, |peer, _, events| peer.close(now, events));
        self.forget(id);
    }

    fn delete_room(&mut self, now: Instant, room: RoomId, sink: &mut impl Sink) {
        let peers = self.peers.iter().filter(|(_, scheduled)| scheduled.peer.spec.room == room);
        for id in peers.map(|(&id, _)| id).collect::<Vec<_>>() {
            self.delete_peer(now, id, sink);
        }
        self.router.delete_room(room);
    }

    fn receive(&mut self, now: Instant, id: PeerId, datagram: &[u8], sink: &mut impl Sink) {
        let mut outcome = Ok(());
        let mut handshakes = self.handshakes;
        let mut started = false;
        self.with_peer(now, id, sink, |peer, library, events| {
            let admit = || {
                started = handshakes.take(now, 1);
                started
            };
            outcome = peer.receive(now, datagram, library, admit, events);
        });
        self.handshakes = handshakes;
        self.counters.dtls_handshakes_started += u64::from(started);
        match outcome {
            Ok(()) => {}
            Err(DtlsDiscard::NoAssociation) => self.counters.dropped_no_association += 1,
            Err(DtlsDiscard::Limit) => self.counters.dropped_handshake_limit += 1,
        }
    }

    /// Lets one peer work; its SCTP may have an answer to send afterwards.
    fn with_peer(
        &mut self,
        now: Instant,
        id: PeerId,
        sink: &mut impl Sink,
        work: impl FnOnce(&mut Peer, &Library, &mut Vec<Event>),
    ) {
        self.isolated(now, id, sink, work);
        if self.peers.contains_key(&id) {
            self.unflushed.insert(id);
        }
    }

    /// Lets one peer work, and sees to what comes of it. If it panics, it loses its association.
    fn isolated(
        &mut self,
        now: Instant,
        id: PeerId,
        sink: &mut impl Sink,
        work: impl FnOnce(&mut Peer, &Library, &mut Vec<Event>),
    ) {
        let Some(scheduled) = self.peers.get_mut(&id) else {
            return;
        };
        let (room, worker) = (scheduled.peer.spec.room, scheduled.peer.spec.worker);
        let mut events = Vec::new();
        // The peer is dropped if this fails, so nobody sees it half done.
        let outcome =
            catch_unwind(AssertUnwindSafe(|| work(&mut scheduled.peer, &self.library, &mut events)));
        if outcome.is_err() {
            return self.drop_broken(id, sink);
        }
        self.schedule(now, id);
        for event in events {
            match event {
                Event::Secured { keys, version } => {
                    self.counters.dtls_handshakes_completed += 1;
                    let profile = keys.profile().name();
                    sink.put(Output::Secured { room, peer: id, profile, version });
                    sink.put(Output::Keys { worker, peer: id, keys });
                }
                Event::Datagram(bytes) => {
                    self.counters.dtls_datagrams_sent += 1;
                    sink.put(Output::Datagram { worker, peer: id, bytes });
                }
                Event::Ended { failed } => {
                    self.counters.dtls_handshakes_failed += u64::from(failed);
                    self.counters.dtls_closed_by_peer += u64::from(!failed);
                    self.router.unready(id);
                    sink.put(Output::DtlsEnded { worker, peer: id, failed });
                }
                Event::SctpEstablished => {}
                Event::SctpClosed => {
                    self.counters.sctp_closed += 1;
                    self.router.unready(id);
                }
                Event::ChannelOpened { reliable: true } => self.data_ready(now, id, sink),
                Event::ChannelOpened { reliable: false } => {}
                Event::ChannelRefused => self.counters.data_channel_refused += 1,
                Event::Message(message) => {
                    self.route(now, id, &message);
                    if let Some(Reply { room, route, packet }) = self.router.take_reply() {
                        sink.put(Output::DataReplied { room, route, packet });
                    }
                }
            }
        }
    }

    fn data_ready(&mut self, now: Instant, peer: PeerId, sink: &mut impl Sink) {
        if let Some(ready) = self.router.ready(now, peer) {
            for bytes in &ready.missed {
                self.replay(peer, bytes);
            }
            sink.put(Output::DataReady { room: ready.room, route: ready.route });
        }
    }

    fn route(&mut self, now: Instant, from: PeerId, message: &Received) {
        self.counters.data_received += 1;
        match self.router.receive(now, from, message) {
            Ok(deliveries) => deliveries.iter().for_each(|delivery| self.deliver(delivery)),
            Err(discard) => self.count(discard),
        }
    }

    fn send_data(&mut self, now: Instant, data: &SendData) {
        match self.router.send(now, data) {
            Ok(delivery) => self.deliver(&delivery),
            Err(discard) => self.count(discard),
        }
    }

    fn replay_data(&mut self, now: Instant, replay: &ReplayData) {
        if let Some((peer, missed)) = self.router.replay(now, replay) {
            for bytes in missed {
                self.replay(peer, &bytes);
            }
        }
    }

    fn replay(&mut self, peer: PeerId, bytes: &Bytes) {
        self.counters.data_replayed += 1;
        self.send(peer, "_reliable", false, bytes);
    }

    fn deliver(&mut self, delivery: &Delivery) {
        for &peer in &delivery.peers {
            self.send(peer, &delivery.label, delivery.text, &delivery.bytes);
        }
    }

    fn send(&mut self, id: PeerId, label: &str, text: bool, bytes: &Bytes) {
        let Some(scheduled) = self.peers.get_mut(&id) else {
            self.counters.data_dropped_no_channel += 1;
            return;
        };
        let Ok(sent) = catch_unwind(AssertUnwindSafe(|| scheduled.peer.send(label, text, bytes))) else {
            self.broken.push(id);
            return;
        };
        match sent {
            Ok(()) => {
                self.counters.data_sent += 1;
                self.unflushed.insert(id);
            }
            Err(SendError::Slow) => self.counters.data_dropped_slow_receiver += 1,
            Err(SendError::TooLarge) => self.counters.data_dropped_too_large += 1,
            Err(SendError::NoChannel) => self.counters.data_dropped_no_channel += 1,
        }
    }

    const fn count(&mut self, discard: DataDiscard) {
        let counter = match discard {
            DataDiscard::NoRoute => &mut self.counters.data_dropped_no_route,
            DataDiscard::NotPermitted => &mut self.counters.data_dropped_not_permitted,
            DataDiscard::TooLarge => &mut self.counters.data_dropped_too_large,
            DataDiscard::Rate => &mut self.counters.data_dropped_rate,
            DataDiscard::Malformed => &mut self.counters.data_dropped_malformed,
            DataDiscard::Duplicate => &mut self.counters.data_dropped_duplicate,
            DataDiscard::Metrics => &mut self.counters.data_dropped_metrics,
            DataDiscard::NoListener => &mut self.counters.data_track_unrouted,
        };
        *counter += 1;
    }

    fn schedule(&mut self, now: Instant, id: PeerId) {
        let Some(scheduled) = self.peers.get_mut(&id) else {
            return;
        };
        let next = scheduled.peer.deadline(now);
        if next != scheduled.deadline {
            if let Some(before) = std::mem::replace(&mut scheduled.deadline, next) {
                self.deadlines.remove(&(before, id));
            }
            self.deadlines.extend(next.map(|next| (next, id)));
        }
    }

    fn drop_broken(&mut self, id: PeerId, sink: &mut impl Sink) {
        let Some(worker) = self.peers.get(&id).map(|scheduled| scheduled.peer.spec.worker) else {
            return;
        };
        tracing::error!(peer = %id, "DTLS or SCTP panicked; the association is dropped");
        self.counters.panics += 1;
        self.forget(id);
        sink.put(Output::DtlsEnded { worker, peer: id, failed: true });
    }

    fn forget(&mut self, id: PeerId) {
        if let Some(deadline) = self.peers.swap_remove(&id).and_then(|scheduled| scheduled.deadline) {
            self.deadlines.remove(&(deadline, id));
        }
        self.unflushed.swap_remove(&id);
        self.router.unready(id);
    }
}

#[cfg(test)]
mod tests;

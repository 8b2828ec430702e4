//! The engine: what there is, and in which order a datagram, a command and a moment pass through it.

mod away;
mod blanks;
mod check;
mod copying;
mod fan_out;
mod feedback;
mod key_frames;
mod media;
mod overload;
mod own_out;
pub mod probe;
mod recover;
pub mod relaying;
mod reports;
mod resend;
mod resource;
mod room_tick;
mod rtcp_out;

use srtp::cipher::Cipher;
use srtp::keys::Keys;
use units::handle::{PeerId, PublicationId, RoomId, SubscriptionId};
use units::time::{Instant, NtpTime};
use wire::demux::{Class, Refused};

use crate::arrivals::{Arrivals, Origin};
use crate::command::{Command, Refusal};
use crate::config::Config;
use crate::counters::Counters;
use crate::demux::Demux;
use crate::discard::Reason;
use crate::egress::redundant::Redundant;
use crate::event::{Event, FailureReason};
use crate::hash::Seeded;
use crate::ingress::key_frame::Wish;
use crate::outbox::{DATAGRAM_LEN_MAX, Outbox};
use crate::overload::Overload;
use crate::path::Path;
use crate::peer::Peer;
use crate::pool::Pool;
use crate::random::Random;
use crate::room::Room;
use crate::room::publication::Publication;
use crate::room::subscription::Subscription;
use crate::schedule::Schedule;
use crate::slots::{Slot, Slots};

/// The SFU of one core. Same inputs, same outputs, always.
#[derive(Debug)]
pub struct Engine<C: Cipher> {
    config: Config,
    counters: Counters,
    random: Random,
    demux: Demux,
    rooms: Slots<RoomId, Room>,
    peers: Slots<PeerId, Peer<C>>,
    publications: Slots<PublicationId, Publication>,
    subscriptions: Slots<SubscriptionId, Subscription>,
    /// Packets that are kept for retransmission.
    pool: Pool,
    redundant: Redundant,
    arrivals: Arrivals,
    peer_timers: Schedule<PeerId>,
    room_timers: Schedule<RoomId>,
    /// When homes on other workers are to be told what is needed of publications.
    demand_timers: Schedule<PublicationId>,
    work: Work,
    /// When the datagram in hand came to the host.
    received: Instant,
    overload: Overload,
}

/// In whose name the engine runs, so that a panic is blamed on one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    None,
    Datagram(Option<PeerId>),
    Other(PeerId),
}

/// How a datagram ended that was not discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// For the end of the wake; counted when its copies are made.
    Waiting,
    /// To other workers.
    Forwarded,
    Consumed,
}

impl<C: Cipher> Engine<C> {
    #[must_use]
    pub fn new(config: Config) -> Self {
        let limits = config.limits;
        let mut random = Random::new(config.seed);
        let seed = Seeded(random.draw());
        Self {
            counters: Counters::default(),
            demux: Demux::new(&limits, seed),
            rooms: Slots::new(limits.rooms, seed),
            peers: Slots::new(limits.peers, seed),
            publications: Slots::new(limits.publications, seed),
            subscriptions: Slots::new(limits.subscriptions, seed),
            pool: Pool::new(limits.history_small_buffers, limits.history_large_buffers),
            redundant: Redundant::default(),
            arrivals: Arrivals::new(),
            peer_timers: Schedule::default(),
            room_timers: Schedule::default(),
            demand_timers: Schedule::default(),
            work: Work::None,
            received: Instant(0),
            overload: Overload::new(),
            random,
            config,
        }
    }

    /// A datagram arrived. Its bytes are decrypted in place. What is to be forwarded waits for [`Self::flush`].
    pub fn receive(&mut self, now: Instant, path: Path, datagram: &mut [u8], out: &mut impl Outbox) {
        self.receive_late(now, now, path, datagram, out);
    }

    /// A datagram that came to the host at `received`, at `now` or before, and waited for us since.
    pub fn receive_late(
        &mut self,
        now: Instant,
        received: Instant,
        path: Path,
        datagram: &mut [u8],
        out: &mut impl Outbox,
    ) {
        self.received = received;
        self.overload.waited(now, received);
        self.counters.datagrams_received += 1;
        let slot = self.demux.by_path(path);
        self.work = Work::Datagram(slot.and_then(|slot| self.peers.get(slot)).map(|peer| peer.id));
        match self.dispatch(now, path, slot, datagram, out) {
            Ok(Outcome::Waiting) => {}
            Ok(Outcome::Forwarded) => self.counters.datagrams_forwarded += 1,
            Ok(Outcome::Consumed) => self.counters.datagrams_consumed += 1,
            Err(reason) => self.counters.discard(reason),
        }
        self.work = Work::None;
    }

    /// Carries out an order of the control plane or of the DTLS helper.
    pub fn command(&mut self, now: Instant, command: Command, out: &mut impl Outbox) -> Result<(), Refusal> {
        self.make_copies(now, out);
        let done = match command {
            Command::UpsertRoom(spec) => self.upsert_room(now, &spec),
            Command::DeleteRoom(id) => self.delete_room(now, id),
            Command::UpsertPeer(spec) => self.upsert_peer(&spec),
            Command::DeletePeer(id) => self.delete_peer(now, id),
            Command::UpsertPublication(spec) => self.upsert_publication(now, *spec),
            Command::DeletePublication(id) => self.delete_publication(now, id),
            Command::UpsertSubscription(spec) => self.upsert_subscription(now, *spec),
            Command::DeleteSubscription(id) => self.delete_subscription(now, id),
            Command::RequestKeyFrame(id) => self.request_key_frame(now, id),
            Command::Keys { peer, keys } => self.install_keys(now, peer, &keys, out),
            Command::Datagram { peer, bytes } => self.send_dtls(peer, &bytes, out),
            Command::DtlsEnded { peer, failed } => {
                let reason = if failed { FailureReason::Dtls } else { FailureReason::ClosedByPeer };
                self.fail_peer(peer, reason, out)
            }
        };
        if done.is_err() {
            self.counters.commands_refused += 1;
        }
        self.count_resources();
        done
    }

    /// Does what is due: reports, feedback, key-frame requests, consent, speakers.
    pub fn tick(&mut self, now: Instant, out: &mut impl Outbox) {
        // What is left out changes first: then, too, key frames may be wanted.
        self.flush(now, out);
        // Rooms first: they may want key frames, which peers ask for.
        let mut cursor = 0;
        while let Some(slot) = self.room_timers.take_due(now, &mut cursor) {
            self.room_due(now, slot, out);
            let next = self.rooms.get(slot).and_then(Room::next_at);
            self.room_timers.set(slot, next.map(|at| at.max(now + TICK_MIN)));
        }
        self.tell_demands(now, out);
        let mut cursor = 0;
        while let Some(slot) = self.peer_timers.take_due(now, &mut cursor) {
            let Some(id) = self.peers.get(slot).map(|peer| peer.id) else { continue };
            self.work = Work::Other(id);
            self.peer_due(now, slot, out);
            self.blanks_due(now, slot, out);
            let next = self.peer_next_at(slot);
            self.peer_timers.set(slot, next.map(|at| at.max(now + TICK_MIN)));
        }
        self.work = Work::None;
        self.count_resources();
    }

    /// Removes a peer over whose work the engine panicked, and all that is its own.
    pub fn evict(&mut self, now: Instant, id: PeerId, out: &mut impl Outbox) {
        if matches!(self.work, Work::Datagram(_)) {
            self.counters.discard(Reason::Panic);
        }
        self.work = Work::None;
        if self.fail_peer(id, FailureReason::Panic, out).is_ok() && self.delete_peer(now, id).is_ok() {
            self.counters.peers_evicted += 1;
        }
        self.make_copies(now, out);
        self.count_resources();
    }

    /// When [`Self::tick`] is to be called next, if nothing comes before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let timers = [
            self.peer_timers.earliest(),
            self.room_timers.earliest(),
            self.demand_timers.earliest(),
            self.overload.next_at(),
        ];
        timers.into_iter().flatten().min()
    }

    /// Whether a path passed an authenticated check of a peer that is here.
    #[must_use]
    pub fn knows(&self, path: Path) -> bool {
        self.demux.by_path(path).is_some()
    }

    /// Whose work is in hand; after a panic, whose it was.
    #[must_use]
    pub fn at_work(&self) -> Option<PeerId> {
        if let Some((packet, subscriber)) = self.arrivals.in_hand {
            return match self.arrivals.waiting.get(usize::from(packet))?.origin {
                Origin::Peer(id, _) => Some(id),
                Origin::Worker => self.peers.get(subscriber).map(|peer| peer.id),
            };
        }
        match self.work {
            Work::None | Work::Datagram(None) => None,
            Work::Datagram(Some(id)) | Work::Other(id) => Some(id),
        }
    }

    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    fn dispatch(
        &mut self,
        now: Instant,
        path: Path,
        slot: Option<Slot<PeerId>>,
        datagram: &mut [u8],
        out: &mut impl Outbox,
    ) -> Result<Outcome, Reason> {
        if datagram.len() > DATAGRAM_LEN_MAX {
            return Err(Reason::TooLong);
        }
        let class = Class::of(datagram).map_err(|refused| match refused {
            Refused::Short => Reason::Short,
            Refused::Foreign => Reason::Foreign,
        })?;
        if class == Class::Stun {
            return self.check(now, path, datagram, out);
        }
        let slot = slot.ok_or(Reason::UnknownPath)?;
        match class {
            Class::Stun | Class::Dtls => self.receive_dtls(now, slot, datagram, out),
            Class::Rtp => self.media(now, slot, datagram, out),
            Class::Rtcp => self.feedback(now, slot, datagram, out),
        }
    }

    fn receive_dtls(
        &mut self,
        now: Instant,
        slot: Slot<PeerId>,
        record: &[u8],
        out: &mut impl Outbox,
    ) -> Result<Outcome, Reason> {
        let peer = self.peers.get_mut(slot).ok_or(Reason::UnknownPath)?;
        self.counters.dtls_records_received += 1;
        if !peer.records.take(now) {
            return Err(Reason::DtlsRateLimited);
        }
        out.event(Event::Dtls { peer: peer.id, bytes: record.into() });
        Ok(Outcome::Consumed)
    }

    fn send_dtls(&mut self, id: PeerId, record: &[u8], out: &mut impl Outbox) -> Result<(), Refusal> {
        let slot = self.peers.find(id).ok_or(Refusal::UnknownPeer)?;
        let path = self.peers.get(slot).and_then(Peer::destination);
        let sent = path.filter(|_| record.len() <= DATAGRAM_LEN_MAX).and_then(|path| {
            out.lend(record.len())?.get_mut(..record.len())?.copy_from_slice(record);
            out.send(&path, record.len());
            Some(())
        });
        match sent {
            Some(()) => self.counters.dtls_records_sent += 1,
            None => self.counters.dtls_records_dropped += 1,
        }
        Ok(())
    }

    fn install_keys(
        &mut self,
        now: Instant,
        id: PeerId,
        keys: &Keys,
        out: &mut impl Outbox,
    ) -> Result<(), Refusal> {
        let slot = self.peers.find(id).ok_or(Refusal::UnknownPeer)?;
        let Some(peer) = self.peers.get_mut(slot) else { return Err(Refusal::UnknownPeer) };
        peer.transport.install(keys);
        peer.ingress.restart();
        peer.retired.clear();
        peer.blanks.clear();
        for subscription in &peer.subscriptions {
            if let Some(subscription) = self.subscriptions.get_mut(*subscription) {
                subscription.rekeyed();
            }
        }
        for index in 0..self.peers.get(slot).map_or(0, |peer| peer.subscriptions.len()) {
            let subscription = self.peers.get(slot).and_then(|peer| peer.subscriptions.get(index)).copied();
            if let Some(subscription) = subscription {
                self.want_key_frame_for(now, subscription, Wish::Lock);
            }
        }
        self.peer_timers.bring_forward(slot, now);
        self.tell_transport(slot, out);
        Ok(())
    }

    fn fail_peer(&mut self, id: PeerId, reason: FailureReason, out: &mut impl Outbox) -> Result<(), Refusal> {
        let slot = self.peers.find(id).ok_or(Refusal::UnknownPeer)?;
        if let Some(peer) = self.peers.get_mut(slot) {
            peer.transport.fail(reason);
        }
        self.tell_transport(slot, out);
        Ok(())
    }

    /// Tells the state of a peer's transport if it is another one than was told.
    fn tell_transport(&mut self, slot: Slot<PeerId>, out: &mut impl Outbox) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        if let Some(state) = peer.transport_state()
            && peer.transport.tell(state)
        {
            out.event(Event::Transport { peer: peer.id, state });
        }
    }

    fn wall_clock(&self, now: Instant) -> NtpTime {
        self.config.wall_clock_at_zero + (now - Instant(0))
    }

    fn count_resources(&mut self) {
        self.counters.rooms = self.rooms.len() as u64;
        self.counters.peers = self.peers.len() as u64;
        self.counters.publications = self.publications.len() as u64;
        self.counters.subscriptions = self.subscriptions.len() as u64;
        self.counters.paths = self.demux.path_count() as u64;
        self.counters.ufrags = self.demux.ufrag_count() as u64;
        self.counters.history_buffers = self.pool.in_use() as u64;
    }
}

/// A timer that is due again at once waits at least so long: work per moment is bounded.
const TICK_MIN: core::time::Duration = core::time::Duration::from_millis(5);

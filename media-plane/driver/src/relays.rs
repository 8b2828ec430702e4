//! The rings between two workers: packets and notes one way and the other, and each packet's buffer back to its owner.
//!
//! A packet travels as the handle of a buffer that its sender owns: it comes back by a second ring and is used again,
//! last in, first out. Buffers are made as they are needed, at most as many as the ring holds. The other worker's
//! doorbell is rung once for all that a turn has pushed, and writes only if that worker sleeps.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use engine::outbox::DATAGRAM_LEN_MAX;
use engine::path::{Path, Protocol};
use engine::relay::{Demand, Relayed};
use rtrb::{Consumer, Producer, RingBuffer};
use units::handle::WorkerIndex;
use units::time::Instant;

use crate::doorbell::Doorbell;

/// A packet on its way, or a buffer for the next one.
#[derive(Debug)]
pub struct Packet {
    content: Content,
    len: usize,
    bytes: [u8; DATAGRAM_LEN_MAX],
}

/// What the bytes of a packet are.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::large_enum_variant, reason = "it lies in a buffer that is larger still")]
pub enum Content {
    /// Of a publication that has its home on the sender; with what was learnt of it there.
    Relayed(Relayed),
    /// As it came from this path, which is the receiver's, and when: both have one port.
    Datagram(Path, Instant),
}

/// What needs no buffer.
#[derive(Clone, Copy, Debug)]
pub enum Note {
    Demand(Demand),
    /// Datagrams from this path are the sender's.
    Own(Path),
}

impl Packet {
    pub fn parts(&mut self) -> (&Content, &mut [u8]) {
        let Self { content, len, bytes } = self;
        (content, bytes.get_mut(..*len).unwrap_or_default())
    }
}

/// What a worker tells another one.
#[derive(Debug)]
pub struct Outgoing {
    packets: Producer<Box<Packet>>,
    returned: Consumer<Box<Packet>>,
    #[expect(clippy::vec_box, reason = "it is the boxes that travel")]
    free: Vec<Box<Packet>>,
    /// Buffers that there are, wherever they are.
    made: usize,
    notes: Producer<Note>,
    bell: Doorbell,
    /// Something was pushed since the bell was rung.
    pushed: bool,
}

/// What a worker hears from another one.
#[derive(Debug)]
pub struct Incoming {
    packets: Consumer<Box<Packet>>,
    returned: Producer<Box<Packet>>,
    notes: Consumer<Note>,
}

/// The rings from one worker to another, whose bell it is.
#[must_use]
pub fn rings(bell: Doorbell) -> (Outgoing, Incoming) {
    let (packets, packets_in) = RingBuffer::new(PACKETS);
    let (returned_in, returned) = RingBuffer::new(PACKETS);
    let (notes, notes_in) = RingBuffer::new(NOTES);
    let outgoing = Outgoing { packets, returned, free: Vec::new(), made: 0, notes, bell, pushed: false };
    (outgoing, Incoming { packets: packets_in, returned: returned_in, notes: notes_in })
}

impl Outgoing {
    /// False if the other worker is too far behind.
    pub fn relay(&mut self, relayed: &Relayed, bytes: &[u8]) -> bool {
        self.push(Content::Relayed(*relayed), bytes)
    }

    /// Hands a datagram to the worker that owns its path. False if that one is too far behind.
    ///
    /// Anybody can send such: they get half of the buffers, so that they don't keep others from being relayed.
    pub fn hand_over(&mut self, path: Path, received: Instant, datagram: &[u8]) -> bool {
        if self.made - self.free.len() >= PACKETS / 2 {
            self.take_back();
        }
        if self.made - self.free.len() >= PACKETS / 2 {
            return false;
        }
        self.push(Content::Datagram(path, received), datagram)
    }

    /// False if there is no room.
    pub fn note(&mut self, note: Note) -> bool {
        let sent = self.notes.push(note).is_ok();
        self.pushed |= sent;
        sent
    }

    /// Tells the other worker of what was pushed, if it sleeps.
    pub fn ring(&mut self) {
        if std::mem::take(&mut self.pushed) {
            self.bell.ring();
            // Once a turn: looking at the ring for each packet would fetch what the other worker has just written.
            self.take_back();
        }
    }

    fn push(&mut self, content: Content, bytes: &[u8]) -> bool {
        if bytes.len() > DATAGRAM_LEN_MAX {
            return false;
        }
        let Some(mut packet) = self.buffer() else { return false };
        packet.content = content;
        packet.len = bytes.len();
        if let Some(place) = packet.bytes.get_mut(..bytes.len()) {
            place.copy_from_slice(bytes);
        }
        let sent = self.packets.push(packet).is_ok();
        debug_assert!(sent, "there are not more buffers than fit");
        self.pushed = true;
        sent
    }

    fn buffer(&mut self) -> Option<Box<Packet>> {
        if self.free.is_empty() {
            self.take_back();
        }
        if let Some(packet) = self.free.pop() {
            return Some(packet);
        }
        if self.made == PACKETS {
            return None;
        }
        self.made += 1;
        let content = Content::Datagram(NOWHERE, Instant(0));
        Some(Box::new(Packet { content, len: 0, bytes: [0; DATAGRAM_LEN_MAX] }))
    }

    fn take_back(&mut self) {
        while let Ok(packet) = self.returned.pop() {
            self.free.push(packet);
        }
    }
}

impl Incoming {
    /// The next packet; it is given back with [`Self::give_back`].
    pub fn packet(&mut self) -> Option<Box<Packet>> {
        self.packets.pop().ok()
    }

    pub fn give_back(&mut self, packet: Box<Packet>) {
        let returned = self.returned.push(packet);
        debug_assert!(returned.is_ok(), "there are not more buffers than fit");
    }

    pub fn note(&mut self) -> Option<Note> {
        self.notes.pop().ok()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty() && self.notes.is_empty()
    }
}

/// A worker's ways to the others.
#[derive(Debug, Default)]
pub struct Relays {
    /// By worker.
    outgoing: Vec<Option<Box<Outgoing>>>,
}

impl Relays {
    /// From now on `to` can be told something.
    pub fn add(&mut self, to: WorkerIndex, outgoing: Box<Outgoing>) {
        let index = usize::from(to.0);
        if self.outgoing.len() <= index {
            self.outgoing.resize_with(index + 1, || None);
        }
        if let Some(place) = self.outgoing.get_mut(index) {
            *place = Some(outgoing);
        }
    }

    pub fn to(&mut self, worker: WorkerIndex) -> Option<&mut Outgoing> {
        self.outgoing.get_mut(usize::from(worker.0))?.as_deref_mut()
    }

    /// Wakes the workers that were told something and sleep.
    pub fn ring(&mut self) {
        for outgoing in self.outgoing.iter_mut().flatten() {
            outgoing.ring();
        }
    }

    /// How many ways there are, the buffers of all of them, and the most packets that were on one at once.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 3] {
        let ways = || self.outgoing.iter().flatten();
        [
            ("relay_rings", ways().count() as u64),
            ("relay_buffers", ways().map(|way| way.made as u64).sum()),
            // A buffer is made only when all others are on their way.
            ("relay_ring_high_water", ways().map(|way| way.made as u64).max().unwrap_or(0)),
        ]
    }
}

/// More than a worker receives while another one is away for 10 ms: at 100,000 packets a second.
const PACKETS: usize = 1024;
/// A demand for each of some hundred publications; what does not fit is said again.
const NOTES: usize = 256;
/// Of a buffer without a packet.
const NOWHERE: Path = Path {
    protocol: Protocol::Udp,
    local: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    remote: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
};

#[cfg(test)]
mod tests {
    use engine::ingress::elements::ExtensionIds;
    use forward::facts::Facts;
    use forward::scalable::Scalability;
    use units::handle::PublicationId;
    use units::rtp::{PayloadType, Ssrc};
    use units::sequence::Seq;

    use super::*;

    fn relayed(publication: u64) -> Relayed {
        Relayed {
            publication: PublicationId(publication),
            facts: Facts {
                source: Ssrc(1),
                layer: 0,
                sequence: Seq(1),
                out_of_order: false,
                timestamp: 0,
                marker: false,
                payload_len: 1,
                key_frame: false,
                vp8: None,
                reference: None,
            },
            layers: Scalability::default(),
            payload_type: PayloadType(96),
            header_len: 12,
            ids: ExtensionIds::default(),
            captured: None,
            missing: 0,
            live: 1,
        }
    }

    fn numbers(incoming: &mut Incoming) -> Vec<u64> {
        let one = || {
            let mut packet = incoming.packet()?;
            let (content, bytes) = packet.parts();
            let Content::Relayed(relayed) = content else { panic!("{content:?}") };
            assert_eq!(bytes, relayed.publication.0.to_be_bytes());
            let number = relayed.publication.0;
            incoming.give_back(packet);
            Some(number)
        };
        std::iter::from_fn(one).collect()
    }

    #[test]
    fn overflow_is_refused_and_buffers_are_used_again() {
        let (mut outgoing, mut incoming) = rings(Doorbell::new().unwrap());
        for round in 0..3 {
            let mut model = Vec::new();
            for number in 0..PACKETS as u64 + 10 {
                let sent = outgoing.relay(&relayed(number), &number.to_be_bytes());
                assert_eq!(sent, number < PACKETS as u64, "round {round}, packet {number}");
                model.extend(sent.then_some(number));
            }
            assert_eq!(numbers(&mut incoming), model, "round {round}: in order");
            assert_eq!(outgoing.made, PACKETS, "round {round}: no more are made");
        }
        assert!(!outgoing.relay(&relayed(1), &[0; DATAGRAM_LEN_MAX + 1]), "longer than a datagram");
    }

    #[test]
    fn few_packets_need_few_buffers() {
        let (mut outgoing, mut incoming) = rings(Doorbell::new().unwrap());
        for number in 0..10_000_u64 {
            assert!(outgoing.relay(&relayed(number), &number.to_be_bytes()));
            if number % 3 == 0 {
                outgoing.ring();
                numbers(&mut incoming);
            }
        }
        assert!(outgoing.made <= 2 * 3, "{}", outgoing.made);
    }

    #[test]
    fn notes_that_do_not_fit_are_refused() {
        let (mut outgoing, mut incoming) = rings(Doorbell::new().unwrap());
        let note = Note::Demand(Demand::nothing(PublicationId(1)));
        let sent = (0..NOTES + 5).filter(|_| outgoing.note(note)).count();
        assert_eq!(sent, NOTES);
        assert!(!incoming.is_empty());
        assert_eq!(std::iter::from_fn(|| incoming.note()).count(), NOTES);
        assert!(incoming.is_empty());
    }

    #[test]
    fn a_datagram_is_handed_over_as_it_came() {
        let (mut outgoing, mut incoming) = rings(Doorbell::new().unwrap());
        let path = Path { remote: "192.0.2.1:7".parse().unwrap(), ..NOWHERE };
        assert!(outgoing.hand_over(path, Instant(7), b"as it came"));
        let mut packet = incoming.packet().unwrap();
        let (content, bytes) = packet.parts();
        assert!(matches!(content, Content::Datagram(from, Instant(7)) if *from == path), "{content:?}");
        assert_eq!(bytes, b"as it came");
    }

    #[test]
    fn the_bell_is_rung_once_for_all_that_was_pushed() {
        let bell = Doorbell::new().unwrap();
        let mut relays = Relays::default();
        let (outgoing, _incoming) = rings(bell.clone());
        relays.add(WorkerIndex(3), Box::new(outgoing));
        assert!(relays.to(WorkerIndex(2)).is_none() && relays.to(WorkerIndex(9)).is_none());
        bell.arm();
        relays.ring();
        assert!(!bell.clear(), "nothing was pushed");
        for number in 0..5 {
            relays.to(WorkerIndex(3)).unwrap().relay(&relayed(number), b"x");
        }
        relays.ring();
        assert!(bell.clear());
        bell.arm();
        relays.ring();
        assert!(!bell.clear(), "nothing more was pushed");
        assert_eq!(relays.named(), [("relay_rings", 1), ("relay_buffers", 5), ("relay_ring_high_water", 5)]);
    }

    #[test]
    fn packets_cross_between_threads_whole_and_in_order() {
        let (mut outgoing, mut incoming) = rings(Doorbell::new().unwrap());
        let count = 50_000_u64;
        let sender = std::thread::spawn(move || {
            for number in 0..count {
                while !outgoing.relay(&relayed(number), &number.to_be_bytes()) {
                    std::thread::yield_now();
                }
                outgoing.ring();
            }
        });
        let mut seen = Vec::new();
        while seen.len() < usize::try_from(count).unwrap() {
            seen.extend(numbers(&mut incoming));
            std::thread::yield_now();
        }
        assert!(seen.into_iter().eq(0..count));
        sender.join().unwrap();
    }
}

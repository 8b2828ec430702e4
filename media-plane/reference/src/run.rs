//! One world: a camera, a channel, a subscriber that changes its mind; each copy is compared and remembered.

use forward::discard::Reason;
use forward::facts::Class;
use forward::forwarder::Forwarder;
use forward::forwarder::own::Padding;
use forward::rewrite::Rewrite;
use units::time::Instant;
use wire::vp8::Descriptor;

use crate::camera::{Camera, LAYERS, Packet};
use crate::channel::Channel;
use crate::model::{Model, Numbers};
use crate::random::Random;
use crate::seen::Seen;

#[derive(Debug)]
pub struct Run {
    name: String,
    random: Random,
    camera: Camera,
    channel: Channel,
    forwarder: Forwarder,
    model: Model,
    seen: Seen,
    newest_sent_frame: u32,
    played: Played,
}

/// What happened in worlds, so that a test can tell that it saw all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Played {
    pub packets: usize,
    pub copies: usize,
    /// Copies of packets that came out of order.
    pub late: usize,
    /// Copies of which only the number is sent.
    pub empty: usize,
    /// Packets of temporal layers that were not wanted.
    pub filtered: usize,
    /// Packets that would have got a number that was given already, or that nobody knows any more.
    pub refused: usize,
    /// Times that another simulcast layer, or the same one after a pause, went on.
    pub switches: usize,
    /// Times that a source's sequence numbers began from zero, and outgoing picture ids.
    pub sequence_wraps: usize,
    pub picture_wraps: usize,
    /// Packets of our own.
    pub own: usize,
}

impl Run {
    /// The world of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::of(format!("seed {seed}"), Random::new(seed))
    }

    /// The world that a fuzzer writes.
    #[must_use]
    pub fn scripted(bytes: &[u8]) -> Self {
        Self::of(format!("script {bytes:02x?}"), Random::scripted(bytes))
    }

    fn of(name: String, mut random: Random) -> Self {
        let width = random.below(5);
        let is_opaque = width == 4;
        let class = if is_opaque { Class::Video } else { Class::Vp8 };
        let is_wide = |layer: u8| match width {
            0 => false,
            1 => layer.is_multiple_of(2),
            _ => true,
        };
        // 7 bits can tell 64 pictures back, no more.
        let reorder_max = if width > 1 { 100 } else { 30 };
        Self {
            name,
            camera: Camera::new(&mut random, is_wide, is_opaque),
            channel: Channel::new(&mut random, reorder_max),
            random,
            forwarder: Forwarder::new(class, 90_000),
            model: Model::new(is_opaque),
            seen: Seen::default(),
            newest_sent_frame: 0,
            played: Played::default(),
        }
    }

    /// Plays so many frames, or until the script is over, and says what happened.
    ///
    /// # Panics
    /// If the forwarder differs from the model or breaks a promise; the world's name is printed.
    pub fn play(mut self, frames: u32) -> Played {
        self.retarget();
        for frame in 0..frames {
            if self.random.is_over() {
                break;
            }
            if self.random.once_in(20) {
                self.retarget();
            }
            if self.random.once_in(100) {
                self.pause();
            }
            if self.random.once_in(60) {
                self.pad(frame);
            }
            if self.random.once_in(150) {
                self.insert(frame);
            }
            let packets = self.camera.capture(&mut self.random);
            for packet in packets {
                self.channel.send(packet, &mut self.random);
                for packet in self.channel.receive() {
                    self.receive(frame, &packet);
                }
            }
        }
        self.played
    }

    fn retarget(&mut self) {
        let layer = u8::try_from(self.random.below(u64::from(LAYERS))).unwrap();
        let layer = (!self.random.once_in(30)).then_some(layer);
        let temporal = u8::try_from(self.random.below(3)).unwrap();
        self.forwarder.set_target(layer, temporal);
        self.model.set_target(layer, temporal);
    }

    fn pause(&mut self) {
        self.forwarder.set_paused(true);
        self.forwarder.set_paused(false);
        self.model.pause();
    }

    /// Sends padding, wherever in a frame the stream stands.
    fn pad(&mut self, frame: u32) {
        let count = u16::try_from(1 + self.random.below(20)).unwrap();
        let padding = Padding { count, frames_per_second: 0, force: true };
        let run = self.forwarder.pad(at(frame), padding).ok();
        let padded: Vec<_> = run.into_iter().flatten().map(|rewrite| numbers(&rewrite)).collect();
        let first = self.model.pad(count.into());
        let expected = first.into_iter().flat_map(|first| first..first + u64::from(count));
        let expected: Vec<_> = expected.map(|sequence| Numbers { sequence, picture: None }).collect();
        assert_eq!(padded, expected, "the model pads otherwise");
        padded.iter().for_each(|numbers| self.seen.inserted(numbers));
        self.played.own += padded.len();
    }

    /// Sends a frame of our own.
    fn insert(&mut self, frame: u32) {
        let inserted = self.forwarder.insert(at(frame), 30).map(|rewrite| numbers(&rewrite));
        assert_eq!(inserted, self.model.insert(), "the model inserts otherwise");
        inserted.iter().for_each(|numbers| self.seen.inserted(numbers));
        self.played.own += usize::from(inserted.is_some());
    }

    fn receive(&mut self, frame: u32, packet: &Packet) {
        let now = at(frame);
        let layer_before = self.forwarder.current_layer();
        let result = self.forwarder.forward(now, &packet.facts);
        if self.forwarder.current_layer() != layer_before {
            self.seen.switched(packet);
        }
        if result == Err(Reason::Behind) {
            assert!(packet.frame + 1 < self.newest_sent_frame, "refused, yet not behind: {packet:?}");
            return;
        }
        self.tally(packet, &result, layer_before);
        let copied = result.ok().map(|rewrite| numbers(&rewrite));
        assert_eq!(copied, self.model.forward(packet), "model differs for {packet:?}, which gave {result:?}");
        match result {
            Ok(rewrite) => {
                self.newest_sent_frame = self.newest_sent_frame.max(packet.frame);
                self.seen.forwarded(packet, &rewrite, &numbers(&rewrite));
            }
            Err(reason) => self.seen.discarded(packet, reason),
        }
    }

    fn tally(&mut self, packet: &Packet, result: &Result<Rewrite, Reason>, layer_before: Option<u8>) {
        let played = &mut self.played;
        played.packets += 1;
        played.sequence_wraps += usize::from(packet.facts.sequence.low().0 == 0);
        played.switches += usize::from(self.forwarder.current_layer() != layer_before);
        match result {
            Ok(rewrite) => {
                played.copies += 1;
                played.late += usize::from(packet.facts.out_of_order);
                played.empty += usize::from(rewrite.patch.is_some_and(|patch| patch.len == 0));
                let first = packet.facts.vp8.is_some_and(|descriptor| descriptor.start_of_picture());
                let picture = numbers(rewrite).picture;
                played.picture_wraps += usize::from(first && picture.is_some_and(|(id, ..)| id == 0));
            }
            Err(Reason::Temporal) => played.filtered += 1,
            Err(Reason::Duplicate | Reason::TooLate | Reason::Closed | Reason::UnknownPicture) => {
                played.refused += 1;
            }
            Err(_) => {}
        }
    }
}

fn at(frame: u32) -> Instant {
    Instant(u64::from(frame) * 33_333_333)
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was the world of {}", self.name);
        }
    }
}

impl std::ops::AddAssign for Played {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.copies += other.copies;
        self.late += other.late;
        self.empty += other.empty;
        self.filtered += other.filtered;
        self.refused += other.refused;
        self.switches += other.switches;
        self.sequence_wraps += other.sequence_wraps;
        self.picture_wraps += other.picture_wraps;
        self.own += other.own;
    }
}

/// The numbers that stand in a copy, if it isn't empty; its descriptor is read back as a receiver would.
fn numbers(rewrite: &Rewrite) -> Numbers {
    let picture = rewrite.patch.filter(|patch| patch.len > 0).map(|patch| {
        let payload = [patch.as_bytes(), &[1, 0, 0]].concat();
        let descriptor = Descriptor::parse(&payload).unwrap();
        assert_eq!(descriptor.len, patch.as_bytes().len());
        (
            descriptor.picture_id.unwrap().value(),
            descriptor.tl0_picture_index.unwrap(),
            descriptor.key_index.unwrap(),
        )
    });
    Numbers { sequence: rewrite.sequence.0, picture }
}

//! A publisher: takes pictures and sound on time, lets packets go as a browser's pacer does, and answers the server.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use units::rtp::Ssrc;
use units::time::Instant;
use wire::extension::AudioLevel;
use wire::rtcp::build::Builder;
use wire::rtcp::{Compound, Packet};

use crate::clock;
use crate::measure::Tally;
use crate::outgoing::{Format, Stream, Waiting};
use crate::spacing::Spacing;
use crate::stamp;
use crate::video::{Encoder, LAYERS, PICTURES_PER_SECOND};

/// One media section that was agreed on.
#[derive(Clone, Debug)]
pub enum Track {
    Microphone(Format),
    /// All layers have this format but for the rid.
    Camera(Format),
}

/// Where packets go: the keys and the socket of a peer connection.
pub trait Outlet {
    /// Whether the socket took it.
    fn rtp(&mut self, packet: &[u8]) -> bool;
    fn rtcp(&mut self, packet: &[u8]);
}

#[derive(Debug)]
pub struct Publisher {
    id: u32,
    source: Source,
    streams: Vec<Stream>,
    spacing: Arc<Spacing>,
    random: StdRng,
    /// Packets of pictures, with the stream that each belongs to.
    queue: VecDeque<(usize, Waiting)>,
    next_capture: Instant,
    captured: u32,
    timestamp: u32,
    next_burst: Instant,
    next_report: Instant,
    /// Counts all packets of the peer connection.
    transport: u16,
}

#[derive(Debug)]
enum Source {
    Microphone,
    Camera { encoders: Vec<Encoder>, key_frame_wanted: bool, last_key_frame: Instant },
}

impl Publisher {
    #[must_use]
    pub fn new(now: Instant, id: u32, track: Track, spacing: Arc<Spacing>) -> Self {
        let mut random = StdRng::seed_from_u64(id.into());
        let (source, streams) = match track {
            Track::Microphone(format) => (Source::Microphone, vec![Stream::new(format)]),
            Track::Camera(format) => {
                let layer = |rid| Stream::new(Format { rid: Some(rid), ..format.clone() });
                let encoders = LAYERS.iter().map(|&layer| Encoder::new(layer, &mut random)).collect();
                let source = Source::Camera { encoders, key_frame_wanted: true, last_key_frame: Instant(0) };
                (source, LAYERS.iter().map(|each| layer(each.rid)).collect())
            }
        };
        // Publishers are not in step with each other.
        let phase = random.random_range(0..nanoseconds(PICTURE));
        Self {
            id,
            source,
            streams,
            spacing,
            queue: VecDeque::new(),
            next_capture: Instant(now.0 + phase),
            captured: 0,
            timestamp: random.random(),
            next_burst: NEVER,
            next_report: Instant(now.0 + phase + nanoseconds(FIRST_REPORT)),
            transport: random.random(),
            random,
        }
    }

    /// When [`Publisher::advance`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.next_capture.min(self.next_burst).min(self.next_report)
    }

    pub fn advance(&mut self, now: Instant, outlet: &mut impl Outlet, tally: &mut Tally) {
        while self.next_capture <= now {
            let due = self.next_capture;
            let late = now.since(due) > LATE || self.queue.len() > QUEUE_MAX;
            match self.source {
                Source::Microphone => self.capture_sound(due, late, outlet, tally),
                Source::Camera { .. } => self.capture_picture(due, late, tally),
            }
        }
        for _ in 0..BURSTS_MAX {
            if self.next_burst > now {
                break;
            }
            self.burst(outlet, tally);
        }
        if self.next_report <= now {
            self.next_report = Instant(now.0 + nanoseconds(REPORT));
            self.report(now, outlet);
        }
    }

    /// A decrypted RTCP packet.
    pub fn receive(&mut self, compound: &[u8], outlet: &mut impl Outlet, tally: &mut Tally) {
        for packet in Compound::new(compound).flatten() {
            match packet {
                Packet::Nack(nack) => {
                    let Some(stream) = self.streams.iter_mut().find(|stream| stream.ssrc == nack.media)
                    else {
                        continue;
                    };
                    for sequence in nack.sequences() {
                        if let Some(packet) = stream.repeat(sequence, self.transport) {
                            self.transport = self.transport.wrapping_add(1);
                            outlet.rtp(&packet);
                            tally.repeated += 1;
                        }
                    }
                }
                Packet::PictureLossIndication(indication) => self.want_key_frame(indication.media, tally),
                Packet::FullIntraRequest(request) => {
                    request.entries().for_each(|entry| self.want_key_frame(entry.ssrc, tally));
                }
                Packet::ReceiverReport(report) => {
                    report.blocks().for_each(|block| self.reported(block.ssrc));
                }
                Packet::SenderReport(report) => {
                    report.blocks().for_each(|block| self.reported(block.ssrc));
                }
                _ => {}
            }
        }
    }

    fn capture_sound(&mut self, due: Instant, late: bool, outlet: &mut impl Outlet, tally: &mut Tally) {
        self.next_capture = Instant(due.0 + nanoseconds(SOUND));
        self.timestamp = self.timestamp.wrapping_add(SOUND_TICKS);
        if late {
            tally.pictures_skipped += 1;
            return;
        }
        let len = self.random.random_range(SOUND_LEN);
        let mut payload = vec![FILLER; len];
        payload[0] = OPUS_20_MS;
        let level = AudioLevel { voice: true, level: self.random.random_range(20..50) };
        let waiting = Waiting {
            marker: false,
            timestamp: self.timestamp,
            payload,
            stamp_at: stamp::AUDIO_OFFSET,
            level: Some(level),
        };
        self.send(due, 0, waiting, outlet, tally);
    }

    fn capture_picture(&mut self, due: Instant, late: bool, tally: &mut Tally) {
        let Source::Camera { encoders, key_frame_wanted, last_key_frame } = &mut self.source else { return };
        self.next_capture = Instant(due.0 + nanoseconds(PICTURE));
        self.timestamp = self.timestamp.wrapping_add(PICTURE_TICKS);
        let index = self.captured;
        self.captured = self.captured.wrapping_add(1);
        if late {
            tally.pictures_skipped += 1;
            return;
        }
        // libvpx makes all layers key frames at once, and libwebrtc asks it at most so often.
        let key_frame = *key_frame_wanted && due.since(*last_key_frame) >= KEY_FRAME_INTERVAL;
        if key_frame {
            *key_frame_wanted = false;
            *last_key_frame = due;
        }
        for (stream, (encoder, layer)) in encoders.iter_mut().zip(LAYERS).enumerate() {
            if !key_frame && index % 3 >= layer.of_three {
                continue;
            }
            let picture = encoder.picture(key_frame, &mut self.random);
            let packets = encoder.packets(&picture, PAYLOAD_LEN_MAX);
            let last = packets.len().saturating_sub(1);
            for (index, (payload, stamp_at)) in packets.into_iter().enumerate() {
                let waiting = Waiting {
                    marker: index == last,
                    timestamp: self.timestamp,
                    payload,
                    stamp_at,
                    level: None,
                };
                self.queue.push_back((stream, waiting));
            }
        }
        self.next_burst = self.next_burst.min(due);
    }

    fn burst(&mut self, outlet: &mut impl Outlet, tally: &mut Tally) {
        let due = self.next_burst;
        for _ in 0..self.spacing.burst(&mut self.random) {
            let Some((stream, waiting)) = self.queue.pop_front() else { break };
            // Layers are encoded one after the other: their pictures do not leave together.
            let ends_picture = waiting.marker;
            self.send(due, stream, waiting, outlet, tally);
            if ends_picture {
                break;
            }
        }
        self.next_burst = if self.queue.is_empty() {
            NEVER
        } else {
            Instant(due.0 + nanoseconds(self.spacing.pause(&mut self.random)))
        };
    }

    fn send(
        &mut self,
        due: Instant,
        stream: usize,
        waiting: Waiting,
        outlet: &mut impl Outlet,
        tally: &mut Tally,
    ) {
        let Some(stream) = self.streams.get_mut(stream) else { return };
        let now = clock::now();
        let packet = stream.packet(now, self.id, self.transport, waiting);
        self.transport = self.transport.wrapping_add(1);
        tally.packets_due += 1;
        tally.lag(due, now);
        if outlet.rtp(&packet) {
            tally.packets_sent += 1;
            tally.bytes_sent += packet.len() as u64;
        }
    }

    fn want_key_frame(&mut self, ssrc: Ssrc, tally: &mut Tally) {
        if let Source::Camera { key_frame_wanted, .. } = &mut self.source
            && self.streams.iter().any(|stream| stream.ssrc == ssrc)
        {
            *key_frame_wanted = true;
            tally.key_frame_requests += 1;
        }
    }

    fn reported(&mut self, ssrc: Ssrc) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.ssrc == ssrc) {
            stream.set_known();
        }
    }

    fn report(&self, now: Instant, outlet: &mut impl Outlet) {
        for stream in &self.streams {
            let Some(info) = stream.sender_info(now, clock::ntp()) else { continue };
            let mut out = [0; 256];
            let mut compound = Builder::new(&mut out);
            let cname = format!("load-{}", self.id);
            let written = compound
                .sender_report(&info, &[])
                .and_then(|()| compound.source_description(stream.ssrc, cname.as_bytes()));
            let len = compound.len();
            if written.is_ok() {
                outlet.rtcp(&out[..len]);
            }
        }
    }
}

const NEVER: Instant = Instant(u64::MAX);
const PICTURE: Duration = Duration::from_nanos(1_000_000_000 / PICTURES_PER_SECOND as u64);
const PICTURE_TICKS: u32 = 90_000 / PICTURES_PER_SECOND;
const SOUND: Duration = Duration::from_millis(20);
const SOUND_TICKS: u32 = 960; // at 48 kHz
const SOUND_LEN: std::ops::RangeInclusive<usize> = 60..=100; // 32 kbit/s
/// A packet of one frame of 20 ms, CELT, full band, mono (RFC 6716 §3.1).
const OPUS_20_MS: u8 = 31 << 3;
const FILLER: u8 = 0x5a;
/// Of 1,200 bytes that libwebrtc lets a packet have, 28 are header.
const PAYLOAD_LEN_MAX: usize = 1_172;
const KEY_FRAME_INTERVAL: Duration = Duration::from_millis(300);
const FIRST_REPORT: Duration = Duration::from_millis(200);
const REPORT: Duration = Duration::from_secs(1);
/// At a time: others want their turn.
const BURSTS_MAX: usize = 2;
/// Packets that may wait: a second's worth. With more, the loader can't keep up, and leaves pictures out.
const QUEUE_MAX: usize = 300;
/// What is later than this is left out, so that a loader that was stopped does not send a flood.
const LATE: Duration = Duration::from_millis(500);

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

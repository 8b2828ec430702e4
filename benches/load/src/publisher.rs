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
use crate::film::Film;
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

/// What publishers go by.
#[derive(Debug)]
pub struct Script {
    pub spacing: Spacing,
    pub film: Option<Film>,
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
    script: Arc<Script>,
    /// In the film.
    position: usize,
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
    Camera { encoders: Vec<Encoder>, key_frame_wanted: bool, last_key_frame: Option<Instant> },
}

impl Publisher {
    #[must_use]
    pub fn new(now: Instant, id: u32, track: Track, script: Arc<Script>) -> Self {
        let mut random = StdRng::seed_from_u64(id.into());
        let (source, streams) = match track {
            Track::Microphone(format) => (Source::Microphone, vec![Stream::new(format)]),
            Track::Camera(format) => {
                let layer = |rid| Stream::new(Format { rid: Some(rid), ..format.clone() });
                let encoders = LAYERS.iter().map(|&layer| Encoder::new(layer, &mut random)).collect();
                let source = Source::Camera { encoders, key_frame_wanted: true, last_key_frame: None };
                (source, LAYERS.iter().map(|each| layer(each.rid)).collect())
            }
        };
        // Publishers are not in step with each other.
        let phase = random.random_range(0..nanoseconds(PICTURE));
        Self {
            id,
            source,
            streams,
            script,
            position: 0,
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
        let rested = last_key_frame.is_none_or(|last| due.since(last) >= KEY_FRAME_INTERVAL);
        let mut key_frame = *key_frame_wanted && rested;
        // A film has its key frames where they are: when one is asked for, it begins anew.
        self.position = if key_frame { 0 } else { self.position + 1 };
        let shot = self.script.film.as_ref().and_then(|film| film.picture(self.position));
        key_frame |= shot.is_some_and(|shot| shot.key_frame);
        if key_frame {
            *key_frame_wanted = false;
            *last_key_frame = Some(due);
        }
        for (stream, (encoder, layer)) in encoders.iter_mut().zip(LAYERS).enumerate() {
            if !key_frame && index % 3 >= layer.of_three {
                continue;
            }
            let picture = encoder.picture(key_frame, shot.map(|shot| shot.len), &mut self.random);
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
        for _ in 0..self.script.spacing.burst(&mut self.random) {
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
            Instant(due.0 + nanoseconds(self.script.spacing.pause(&mut self.random)))
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
        let packet = stream.packet(now, self.transport, waiting);
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

#[cfg(test)]
mod tests {
    use units::sequence::Seq16;
    use wire::rtcp::feedback::PictureLossIndication;
    use wire::rtp::Header;
    use wire::vp8::Descriptor;

    use super::*;
    use crate::outgoing::Extensions;

    #[derive(Default)]
    struct Line {
        packets: Vec<Vec<u8>>,
        reports: usize,
    }

    impl Outlet for Line {
        fn rtp(&mut self, packet: &[u8]) -> bool {
            self.packets.push(packet.to_vec());
            true
        }

        fn rtcp(&mut self, _: &[u8]) {
            self.reports += 1;
        }
    }

    fn format(payload_type: u8) -> Format {
        Format {
            mid: "0".to_owned(),
            rid: None,
            ssrc: None,
            payload_type,
            rtx_payload_type: Some(97),
            clock_rate: 90_000,
            extensions: Extensions { rid: Some(10), ..Extensions::default() },
        }
    }

    fn camera(film: Option<Film>) -> Publisher {
        let script = Script { spacing: Spacing::built_in(), film };
        Publisher::new(Instant(0), 1, Track::Camera(format(96)), Arc::new(script))
    }

    /// Lets it act at each of its deadlines up to then.
    fn run(publisher: &mut Publisher, until_ms: u64, line: &mut Line, tally: &mut Tally) {
        while publisher.deadline() <= Instant(until_ms * 1_000_000) {
            let now = publisher.deadline();
            publisher.advance(now, line, tally);
        }
    }

    fn ask(publisher: &mut Publisher, line: &mut Line, write: impl FnOnce(&mut Builder<'_>)) {
        let mut out = [0; 200];
        let mut compound = Builder::new(&mut out);
        write(&mut compound);
        let len = compound.len();
        publisher.receive(&out[..len], line, &mut Tally::new());
    }

    /// The rid of each picture that is a key frame.
    fn key_frames(packets: &[Vec<u8>]) -> Vec<String> {
        let rid = |packet: &Vec<u8>| {
            let header = Header::parse(packet).ok()?;
            let descriptor = Descriptor::parse(&packet[header.header_len()..]).ok()?;
            let rid = String::from_utf8_lossy(header.extension(10)?).into_owned();
            descriptor.key_frame.then_some(rid)
        };
        packets.iter().filter_map(rid).collect()
    }

    #[test]
    fn a_second_of_a_camera_is_thirty_pictures_in_three_layers_at_its_rate() {
        let (mut publisher, mut line, mut tally) = (camera(None), Line::default(), Tally::new());
        run(&mut publisher, 5_000, &mut line, &mut tally);
        let of = |rid: &str| {
            let mine = line.packets.iter().filter_map(|packet| Header::parse(packet).ok());
            mine.filter(|header| header.extension(10) == Some(rid.as_bytes()) && header.marker()).count()
        };
        assert!((148..=152).contains(&of("f")), "{}", of("f"));
        assert!((98..=102).contains(&of("q")), "{}", of("q"));
        assert_eq!(key_frames(&line.packets), ["q", "h", "f"], "the first of each layer");
        let rate = tally.bytes_sent * 8 / 5;
        assert!((2_200_000..2_800_000).contains(&rate), "{rate}");
        assert!((12..=15).contains(&line.reports), "{}", line.reports);
        assert_eq!(tally.packets_due, line.packets.len() as u64);
    }

    #[test]
    fn key_frame_comes_when_it_is_asked_for_on_all_layers_and_not_too_often() {
        let (mut publisher, mut line, mut tally) = (camera(None), Line::default(), Tally::new());
        run(&mut publisher, 1_000, &mut line, &mut tally);
        let media = publisher.streams[2].ssrc;
        let plea = PictureLossIndication { sender: Ssrc(1), media };
        line.packets.clear();
        for round in 1..=10 {
            ask(&mut publisher, &mut line, |compound| compound.picture_loss_indication(plea).unwrap());
            run(&mut publisher, 1_000 + round * 50, &mut line, &mut tally);
        }
        assert_eq!(key_frames(&line.packets), ["q", "h", "f", "q", "h", "f"]);

        line.packets.clear();
        let stranger = PictureLossIndication { sender: Ssrc(1), media: Ssrc(media.0 ^ 1) };
        ask(&mut publisher, &mut line, |compound| compound.picture_loss_indication(stranger).unwrap());
        run(&mut publisher, 3_000, &mut line, &mut tally);
        assert_eq!(key_frames(&line.packets).len(), 3, "the last plea, and none for a stranger");
    }

    #[test]
    fn what_is_missing_is_sent_again() {
        let (mut publisher, mut line, mut tally) = (camera(None), Line::default(), Tally::new());
        run(&mut publisher, 1_000, &mut line, &mut tally);
        let lost = Header::parse(&line.packets[3]).map(|header| (header.ssrc(), header.sequence())).unwrap();
        line.packets.clear();
        let missing = [lost.1, Seq16(lost.1.0.wrapping_add(20_000))];
        ask(&mut publisher, &mut line, |compound| _ = compound.nack(Ssrc(1), lost.0, missing).unwrap());
        assert_eq!(line.packets.len(), 1, "what never was can't come again");
        let header = Header::parse(&line.packets[0]).unwrap();
        assert_eq!(header.payload_type().0, 97);
        assert_eq!(wire::rtx::original_sequence(&line.packets[0][header.header_len()..]), Some(lost.1));
    }

    #[test]
    fn who_wakes_too_late_leaves_pictures_out_and_catches_up() {
        let (mut publisher, mut line, mut tally) = (camera(None), Line::default(), Tally::new());
        run(&mut publisher, 1_000, &mut line, &mut tally);
        for _ in 0..1_000 {
            publisher.advance(Instant(4_000_000_000), &mut line, &mut tally);
        }
        assert!((70..=80).contains(&tally.pictures_skipped), "{}", tally.pictures_skipped);
        assert!(publisher.deadline() > Instant(4_000_000_000));
    }

    #[test]
    fn microphone_speaks_fifty_times_a_second() {
        let script = Script { spacing: Spacing::built_in(), film: None };
        let track = Track::Microphone(format(111));
        let mut publisher = Publisher::new(Instant(0), 1, track, Arc::new(script));
        let (mut line, mut tally) = (Line::default(), Tally::new());
        run(&mut publisher, 2_000, &mut line, &mut tally);
        assert!((98..=101).contains(&line.packets.len()), "{}", line.packets.len());
        for packet in &line.packets {
            let header = Header::parse(packet).unwrap();
            assert!(stamp::Stamp::of_audio(&packet[header.header_len()..]).is_some());
        }
    }

    #[test]
    fn film_gives_its_sizes_and_begins_anew_when_a_key_frame_is_asked_for() {
        let mut bytes = b"DKIF\0\0\x20\0VP80".to_vec();
        bytes.resize(32, 0);
        for (tag, len) in [(0_u8, 8_000_u32), (1, 2_000), (1, 3_000)] {
            bytes.extend(len.to_le_bytes());
            bytes.extend([0; 8]);
            bytes.resize(bytes.len() + usize::try_from(len).unwrap(), tag);
        }
        let (mut publisher, mut line, mut tally) =
            (camera(Film::parse(&bytes).ok()), Line::default(), Tally::new());
        run(&mut publisher, 500, &mut line, &mut tally);
        let largest = line.packets.iter().filter_map(|packet| {
            let header = Header::parse(packet).ok()?;
            (header.extension(10) == Some(b"f"))
                .then_some((header.timestamp(), packet.len() - header.header_len()))
        });
        let mut sizes: Vec<(u32, usize)> = Vec::new();
        for (timestamp, len) in largest {
            match sizes.last_mut() {
                Some(last) if last.0 == timestamp => last.1 += len,
                _ => sizes.push((timestamp, len)),
            }
        }
        // With a descriptor in each packet.
        let rounded: Vec<usize> = sizes.iter().take(4).map(|(_, len)| len / 1_000).collect();
        assert_eq!(rounded, [8, 2, 3, 8]);
    }
}

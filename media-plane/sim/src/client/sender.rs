//! What a publisher sends: its camera's layers and its microphone, retransmissions, key frames and reports on request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use srtp::outbound::Outbound;
use srtp::rust_crypto::RustCrypto;
use units::rtp::{PayloadType, Ssrc};
use units::sequence::Seq;
use units::time::{Instant, NtpTime};
use wire::rtcp::Packet;
use wire::rtcp::extended::{Block, LastReceiverReport};
use wire::rtcp::report::SenderInfo;
use wire::rtp::{Fields, write_header};

use crate::camera::{
    AUDIO_CLOCK_RATE, AUDIO_INTERVAL, Camera, Captured, FRAME_INTERVAL, LAYERS, Microphone, Picture,
    VIDEO_CLOCK_RATE,
};
use crate::client::{DATAGRAM_LEN, Outgoing, sealed_rtcp};
use crate::film::Film;
use crate::film::playback::Playback;
use crate::oracle::Oracle;
use crate::random::Random;

pub const AUDIO_PAYLOAD_TYPE: PayloadType = PayloadType(111);
pub const VIDEO_PAYLOAD_TYPE: PayloadType = PayloadType(96);
pub const RTX_PAYLOAD_TYPE: PayloadType = PayloadType(97);
pub const AUDIO_SSRC: Ssrc = Ssrc(0x1000);

/// The stream of a layer.
#[must_use]
pub fn video_ssrc(layer: u8) -> Ssrc {
    Ssrc(0x2000 + u32::from(layer))
}

/// The stream of a layer's retransmissions.
#[must_use]
pub fn rtx_ssrc(layer: u8) -> Ssrc {
    Ssrc(0x3000 + u32::from(layer))
}

#[derive(Debug)]
pub struct Sender {
    pub source: Source,
    microphone: Microphone,
    audio: Stream,
    /// By layer.
    video: Vec<Stream>,
    started_at: Instant,
    frame_at: Instant,
    audio_at: Instant,
    report_at: Instant,
    /// The engine's reference time (RFC 3611 §4.4): whose, its middle bits, and when it came.
    reference: Option<(Ssrc, u32, Instant)>,
    pub key_frame_requests: u64,
    pub resent: u64,
}

/// What video it sends.
#[derive(Debug)]
pub enum Source {
    /// In all layers, stamped bytes.
    Camera(Camera),
    /// In the lowest layer, VP8 that can be decoded.
    Film(Playback),
}

#[derive(Debug)]
struct Stream {
    ssrc: Ssrc,
    payload_type: PayloadType,
    rtx: Option<(Ssrc, Seq)>,
    /// Of the next packet.
    sequence: Seq,
    timestamp_first: u32,
    clock_rate: u32,
    history: BTreeMap<u64, (Fields, Vec<u8>)>,
    packets: u32,
    octets: u32,
}

impl Sender {
    #[must_use]
    pub fn new(film: Option<&Arc<Film>>, layers: u8, random: &mut Random) -> Self {
        let video = (0..LAYERS)
            .map(|layer| {
                let rtx = Some((rtx_ssrc(layer), Seq(u64::from(random.below(0x4000)))));
                Stream::new(video_ssrc(layer), VIDEO_PAYLOAD_TYPE, VIDEO_CLOCK_RATE, rtx, random)
            })
            .collect();
        Self {
            source: Source::new(film, layers, random.fork()),
            microphone: Microphone::new(random.fork()),
            audio: Stream::new(AUDIO_SSRC, AUDIO_PAYLOAD_TYPE, AUDIO_CLOCK_RATE, None, random),
            video,
            started_at: Instant(0),
            frame_at: Instant(0),
            audio_at: Instant(0),
            report_at: Instant(0),
            reference: None,
            key_frame_requests: 0,
            resent: 0,
        }
    }

    pub fn start(&mut self, now: Instant) {
        self.started_at = now;
        self.frame_at = now;
        self.audio_at = now;
        self.report_at = now + FIRST_REPORT_AFTER;
    }

    pub fn tick(
        &mut self,
        now: Instant,
        outbound: &mut Outbound<RustCrypto>,
        out: &mut Outgoing,
        oracle: &mut Oracle,
    ) {
        if self.frame_at <= now {
            self.frame_at += FRAME_INTERVAL;
            let (packets, pictures) = self.source.capture();
            pictures.into_iter().for_each(|picture| oracle.published(now, picture));
            for captured in packets {
                if let Some(stream) = self.video.get_mut(usize::from(captured.layer)) {
                    out.extend(stream.send(captured, outbound));
                }
            }
        }
        if self.audio_at <= now {
            self.audio_at += AUDIO_INTERVAL;
            out.extend(self.audio.send(self.microphone.capture(), outbound));
        }
        if self.report_at <= now {
            self.report_at += REPORT_INTERVAL;
            self.report(now, outbound, out);
        }
    }

    pub fn feedback(
        &mut self,
        now: Instant,
        member: &Packet<'_>,
        outbound: &mut Outbound<RustCrypto>,
        out: &mut Outgoing,
    ) {
        match member {
            Packet::Nack(nack) => {
                let Some(stream) = self.video.iter_mut().find(|stream| stream.ssrc == nack.media) else {
                    return;
                };
                for sequence in nack.sequences() {
                    let resent = stream.resend(stream.sequence.nearest(sequence), outbound);
                    self.resent += u64::from(resent.is_some());
                    out.extend(resent);
                }
            }
            Packet::PictureLossIndication(indication) => {
                self.key_frame_requests += 1;
                let layer = (0..LAYERS).find(|&layer| video_ssrc(layer) == indication.media);
                if let Some(layer) = layer {
                    self.source.want_key_frame(layer);
                }
            }
            Packet::ExtendedReport(report) => {
                for block in report.blocks() {
                    if let Block::ReceiverReferenceTime(time) = block {
                        self.reference = Some((report.ssrc, time.middle(), now));
                    }
                }
            }
            _ => {}
        }
    }

    #[must_use]
    pub fn next_at(&self) -> Instant {
        self.frame_at.min(self.audio_at).min(self.report_at)
    }

    fn report(&mut self, now: Instant, outbound: &mut Outbound<RustCrypto>, out: &mut Outgoing) {
        let elapsed = now - self.started_at;
        // As libwebrtc does: whoever sends answers, and each time once.
        if let Some((ssrc, last_receiver_report, came_at)) = self.reference.take() {
            let delay = u32::try_from(((now - came_at).as_nanos() << 16) / 1_000_000_000).unwrap_or(u32::MAX);
            let answer = LastReceiverReport { ssrc, last_receiver_report, delay };
            out.extend(sealed_rtcp(outbound, |builder| {
                builder.last_receiver_reports(AUDIO_SSRC, &[answer]).is_ok()
            }));
        }
        for stream in self.video.iter().chain([&self.audio]) {
            let ticks = elapsed.as_nanos() * u128::from(stream.clock_rate) / 1_000_000_000;
            let info = SenderInfo {
                ssrc: stream.ssrc,
                ntp: NtpTime(PUBLISHERS_CLOCK) + elapsed,
                rtp_timestamp: stream.timestamp_first.wrapping_add(u32::try_from(ticks).unwrap_or(0)),
                packet_count: stream.packets,
                octet_count: stream.octets,
            };
            out.extend(sealed_rtcp(outbound, |builder| {
                builder
                    .sender_report(&info, &[])
                    .and_then(|()| builder.source_description(info.ssrc, b"cam"))
                    .is_ok()
            }));
        }
    }
}

impl Source {
    fn new(film: Option<&Arc<Film>>, layers: u8, random: Random) -> Self {
        match film {
            Some(film) => Self::Film(Playback::new(Arc::clone(film), random)),
            None => Self::Camera(Camera::new(layers, random)),
        }
    }

    fn capture(&mut self) -> (Vec<Captured>, Vec<Picture>) {
        match self {
            Self::Camera(camera) => camera.capture(),
            Self::Film(playback) => playback.capture(),
        }
    }

    fn want_key_frame(&mut self, layer: u8) {
        match self {
            Self::Camera(camera) => camera.want_key_frame(layer),
            Self::Film(playback) => playback.want_key_frame(),
        }
    }
}

impl Stream {
    fn new(
        ssrc: Ssrc,
        payload_type: PayloadType,
        clock_rate: u32,
        rtx: Option<(Ssrc, Seq)>,
        random: &mut Random,
    ) -> Self {
        Self {
            ssrc,
            payload_type,
            rtx,
            // RFC 3711 §3.3.1: in the lower half, so that a lost first packet can't hide a wrap; some wrap soon.
            sequence: Seq(0x7fff - u64::from(random.below(100) * random.below(100))),
            timestamp_first: u32::MAX - random.below(200_000),
            clock_rate,
            history: BTreeMap::new(),
            packets: 0,
            octets: 0,
        }
    }

    fn send(&mut self, captured: Captured, outbound: &mut Outbound<RustCrypto>) -> Option<Vec<u8>> {
        let fields = Fields {
            marker: captured.marker,
            payload_type: self.payload_type,
            sequence: self.sequence.low(),
            timestamp: self.timestamp_first.wrapping_add(captured.ticks),
            ssrc: self.ssrc,
            padding: false,
        };
        let sealed = sealed(self.sequence, &fields, &captured.payload, outbound);
        self.packets += 1;
        self.octets += u32::try_from(captured.payload.len()).unwrap_or(0);
        self.history.insert(self.sequence.0, (fields, captured.payload));
        if self.history.len() > HISTORY {
            self.history.pop_first();
        }
        self.sequence = self.sequence.next();
        sealed
    }

    fn resend(&mut self, sequence: Seq, outbound: &mut Outbound<RustCrypto>) -> Option<Vec<u8>> {
        let (fields, payload) = self.history.get(&sequence.0)?;
        let (ssrc, number) = self.rtx.as_mut()?;
        let payload = [&fields.sequence.0.to_be_bytes()[..], payload].concat();
        let fields =
            Fields { ssrc: *ssrc, payload_type: RTX_PAYLOAD_TYPE, sequence: number.low(), ..*fields };
        let sealed = sealed(*number, &fields, &payload, outbound);
        *number = number.next();
        sealed
    }
}

fn sealed(
    index: Seq,
    fields: &Fields,
    payload: &[u8],
    outbound: &mut Outbound<RustCrypto>,
) -> Option<Vec<u8>> {
    let mut bytes = vec![0; DATAGRAM_LEN];
    let header_len = write_header(&mut bytes, fields, &[]).ok()?;
    let len = outbound.seal_rtp(index, &mut bytes, header_len, payload).ok()?;
    bytes.truncate(len);
    Some(bytes)
}

const HISTORY: usize = 1_000;
const FIRST_REPORT_AFTER: Duration = Duration::from_millis(300);
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// What the publisher's wall clock shows when it begins.
const PUBLISHERS_CLOCK: u64 = 3_900_000_000 << 32;

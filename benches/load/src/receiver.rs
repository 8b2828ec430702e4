//! A subscriber's media: full ones open every packet and ask for what is missing, sinks read headers and count.

use rand::Rng;
use units::rtp::Ssrc;
use units::time::Instant;
use wire::extension::TransportSequence;
use wire::rtcp::build::Builder;
use wire::rtcp::feedback::PictureLossIndication;
use wire::rtcp::{Compound, Packet};
use wire::rtp::{Header, without_padding};
use wire::vp8::Descriptor;

use crate::feedback::Arrivals;
use crate::keys::Keys;
use crate::measure::Tally;
use crate::publisher::Outlet;
use crate::reception::{Arrival, Reception};
use crate::stamp::Stamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Full,
    Sink,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    Video,
    Audio,
    Retransmission,
}

/// What the last answer to the server's offer agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    pub payloads: Vec<(u8, Payload)>,
    /// The source of retransmissions, and the one that it repairs.
    pub repairs: Vec<(u32, u32)>,
    pub transport_sequence: Option<u8>,
}

#[derive(Debug)]
pub struct Receiver {
    mode: Mode,
    ssrc: Ssrc,
    payloads: [Option<Payload>; 128],
    repairs: Vec<(Ssrc, Ssrc)>,
    transport_sequence: Option<u8>,
    streams: Vec<Media>,
    arrivals: Arrivals,
    next_report: Instant,
    next_feedback: Instant,
    /// Counts since the measured window began.
    in_window: bool,
}

#[derive(Debug)]
struct Media {
    reception: Reception,
    payload: Payload,
    /// A key frame has begun: until then it is asked for.
    key_frame: bool,
    next_request: Instant,
    /// Packets of media since the window began.
    packets: u64,
}

impl Receiver {
    #[must_use]
    pub fn new(now: Instant, mode: Mode) -> Self {
        let mut random = rand::rng();
        Self {
            mode,
            ssrc: Ssrc(random.random_range(1..u32::MAX)),
            payloads: [None; 128],
            repairs: Vec::new(),
            transport_sequence: None,
            streams: Vec::new(),
            arrivals: Arrivals::default(),
            next_report: Instant(now.0 + random.random_range(0..REPORT_NS)),
            next_feedback: NEVER,
            in_window: false,
        }
    }

    pub fn agree(&mut self, agreement: &Agreement) {
        self.payloads = [None; 128];
        for &(payload_type, payload) in &agreement.payloads {
            if let Some(place) = self.payloads.get_mut(usize::from(payload_type)) {
                *place = Some(payload);
            }
        }
        self.repairs = agreement.repairs.iter().map(|&(own, of)| (Ssrc(own), Ssrc(of))).collect();
        self.transport_sequence = agreement.transport_sequence;
    }

    /// An RTP datagram; `arrived` is the kernel's time of it, as far as it gives one.
    pub fn rtp(
        &mut self,
        now: Instant,
        arrived: Instant,
        datagram: &[u8],
        keys: &mut Keys,
        tally: &mut Tally,
    ) {
        let Ok(header) = Header::parse(datagram) else { return };
        let Some(payload) = self.payloads[usize::from(header.payload_type().0 & 0x7f)] else {
            tally.unknown_payload_type += 1;
            return;
        };
        if let Some(id) = self.transport_sequence
            && let Some(sequence) = header.extension(id).and_then(TransportSequence::read)
        {
            self.arrivals.arrive(arrived, sequence.0);
            self.next_feedback = self.next_feedback.min(Instant(now.0 + FEEDBACK_NS));
        }
        match self.mode {
            Mode::Full => self.full(now, arrived, datagram, &header, payload, keys, tally),
            Mode::Sink => self.sink(now, datagram, &header, payload, tally),
        }
    }

    fn sink(
        &mut self,
        now: Instant,
        datagram: &[u8],
        header: &Header<'_>,
        payload: Payload,
        tally: &mut Tally,
    ) {
        if payload == Payload::Retransmission {
            tally.retransmissions += 1;
            return;
        }
        let (media, arrival) = self.arrive(now, header, payload, false);
        if arrival == Arrival::Duplicate {
            return;
        }
        media.packets += 1;
        tally.packets_received += 1;
        tally.bytes_received += datagram.len() as u64;
    }

    #[expect(clippy::too_many_arguments, reason = "a packet, its circumstances and where it counts")]
    fn full(
        &mut self,
        now: Instant,
        arrived: Instant,
        datagram: &[u8],
        header: &Header<'_>,
        payload: Payload,
        keys: &mut Keys,
        tally: &mut Tally,
    ) {
        let Some(packet) = keys.open_rtp(datagram) else {
            tally.not_authentic += 1;
            return;
        };
        let content = packet.get(header.header_len()..).unwrap_or_default();
        let Ok(content) = without_padding(content, header.has_padding()) else { return };
        if payload == Payload::Retransmission {
            self.repaired(now, arrived, header, content, tally);
            return;
        }
        let (media, arrival) = self.arrive(now, header, payload, true);
        // One without content is but padding.
        if arrival == Arrival::New && !content.is_empty() {
            media.count(arrived, content, tally);
        }
    }

    fn repaired(
        &mut self,
        now: Instant,
        arrived: Instant,
        header: &Header<'_>,
        content: &[u8],
        tally: &mut Tally,
    ) {
        tally.retransmissions += 1;
        let Some(sequence) = wire::rtx::original_sequence(content) else { return };
        let of = self.repairs.iter().find(|(own, _)| *own == header.ssrc()).map(|(_, of)| *of);
        let media = self.streams.iter_mut().find(|media| Some(media.reception.ssrc) == of);
        if let Some(media) = media
            && media.reception.arrive(now, sequence) == Arrival::New
        {
            tally.recovered += 1;
            media.count(arrived, &content[wire::rtx::ORIGINAL_SEQUENCE_LEN..], tally);
        }
    }

    fn arrive(
        &mut self,
        now: Instant,
        header: &Header<'_>,
        payload: Payload,
        repairs: bool,
    ) -> (&mut Media, Arrival) {
        let ssrc = header.ssrc();
        if let Some(index) = self.streams.iter().position(|media| media.reception.ssrc == ssrc) {
            let media = &mut self.streams[index];
            let arrival = media.reception.arrive(now, header.sequence());
            return (media, arrival);
        }
        let mut reception = Reception::new(ssrc, header.sequence(), repairs);
        if self.in_window {
            reception.begin_window();
        }
        if self.streams.len() == STREAMS_MAX {
            self.streams.remove(0);
        }
        self.streams.push(Media {
            reception,
            payload,
            key_frame: payload != Payload::Video || !repairs,
            next_request: now,
            packets: 0,
        });
        (self.streams.last_mut().expect("one was pushed"), Arrival::New)
    }

    /// A decrypted RTCP packet of the server.
    pub fn rtcp(&mut self, now: Instant, compound: &[u8]) {
        for packet in Compound::new(compound).flatten() {
            if let Packet::SenderReport(report) = packet
                && let Some(media) =
                    self.streams.iter_mut().find(|media| media.reception.ssrc == report.info.ssrc)
            {
                media.reception.sender_reported(now, report.info.ntp);
            }
        }
    }

    /// When [`Receiver::advance`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        let mut deadline = self.next_report.min(self.next_feedback);
        if self.mode == Mode::Full {
            for media in &self.streams {
                deadline = media.reception.ask_next().unwrap_or(NEVER).min(deadline);
                if !media.key_frame {
                    deadline = deadline.min(media.next_request);
                }
            }
        }
        deadline
    }

    pub fn advance(&mut self, now: Instant, outlet: &mut impl Outlet) {
        if self.next_report <= now {
            self.next_report = Instant(now.0 + REPORT_NS);
            self.report(now, outlet);
        }
        if self.next_feedback <= now {
            self.feed_back(now, outlet);
        }
        if self.mode == Mode::Full {
            self.ask(now, outlet);
        }
    }

    fn report(&mut self, now: Instant, outlet: &mut impl Outlet) {
        let blocks: Vec<_> = self.streams.iter_mut().map(|media| media.reception.report(now)).collect();
        for blocks in blocks.chunks(REPORT_BLOCKS_MAX) {
            self.say(outlet, |compound, ssrc| {
                let _ = compound.receiver_report(ssrc, blocks);
                let _ = compound.source_description(ssrc, b"load");
            });
        }
    }

    fn feed_back(&mut self, now: Instant, outlet: &mut impl Outlet) {
        let media = self.streams.first().map_or(Ssrc(0), |media| media.reception.ssrc);
        let mut arrivals = std::mem::take(&mut self.arrivals);
        self.say(outlet, |compound, ssrc| arrivals.write(compound, ssrc, media));
        self.next_feedback = if arrivals.is_empty() { NEVER } else { Instant(now.0 + FEEDBACK_NS) };
        self.arrivals = arrivals;
    }

    fn ask(&mut self, now: Instant, outlet: &mut impl Outlet) {
        let mut streams = std::mem::take(&mut self.streams);
        for media in &mut streams {
            let missing = media.reception.ask(now);
            if !missing.is_empty() {
                self.say(outlet, |compound, ssrc| {
                    let _ = compound.nack(ssrc, media.reception.ssrc, missing.iter().copied());
                });
            }
            if !media.key_frame && media.next_request <= now {
                media.next_request = Instant(now.0 + REPORT_NS);
                self.say(outlet, |compound, ssrc| {
                    let indication = PictureLossIndication { sender: ssrc, media: media.reception.ssrc };
                    let _ = compound.picture_loss_indication(indication);
                });
            }
        }
        self.streams = streams;
    }

    /// Sends a compound packet unless it stays empty.
    fn say(&self, outlet: &mut impl Outlet, write: impl FnOnce(&mut Builder<'_>, Ssrc)) {
        let mut out = [0; COMPOUND_LEN_MAX];
        let mut compound = Builder::new(&mut out);
        write(&mut compound, self.ssrc);
        let len = compound.len();
        if len > 0 {
            outlet.rtcp(&out[..len]);
        }
    }

    pub fn begin_window(&mut self) {
        self.in_window = true;
        for media in &mut self.streams {
            media.reception.begin_window();
            media.packets = 0;
        }
    }

    /// Adds what this one counts for itself.
    pub fn tell(&self, now: Instant, tally: &mut Tally) {
        for media in &self.streams {
            let (counts, lost) = media.reception.window(now);
            match self.mode {
                Mode::Full => {
                    tally.full_expected += counts.expected;
                    tally.full_lost += lost;
                }
                Mode::Sink => {
                    tally.sink_expected += counts.expected;
                    tally.sink_lost += lost;
                }
            }
            tally.streams_live += u64::from(media.packets > 0);
        }
    }
}

impl Media {
    fn count(&mut self, arrived: Instant, content: &[u8], tally: &mut Tally) {
        self.packets += 1;
        tally.packets_received += 1;
        tally.bytes_received += content.len() as u64;
        let stamp = match self.payload {
            Payload::Audio => Stamp::of_audio(content),
            Payload::Video | Payload::Retransmission => Stamp::of_video(content),
        };
        match stamp {
            Some(stamp) => tally.latency(stamp.sent, arrived),
            None => tally.without_stamp += 1,
        }
        if !self.key_frame {
            self.key_frame = Descriptor::parse(content).is_ok_and(|descriptor| descriptor.key_frame);
        }
    }
}

const NEVER: Instant = Instant(u64::MAX);
const REPORT_NS: u64 = 1_000_000_000;
const REPORT_BLOCKS_MAX: usize = 31; // RFC 3550 §6.4.2
const FEEDBACK_NS: u64 = 100_000_000;
const COMPOUND_LEN_MAX: usize = 1_200;
const STREAMS_MAX: usize = 2_000;

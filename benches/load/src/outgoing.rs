//! One RTP stream that a publisher sends, and what of it can be sent again.

use std::collections::VecDeque;

use rand::Rng;
use units::rtp::{PayloadType, Ssrc};
use units::sequence::Seq16;
use units::time::{Instant, NtpTime};
use wire::extension::{AbsSendTime, AudioLevel, TransportSequence};
use wire::rtcp::report::SenderInfo;
use wire::rtp::{Fields, write_header};

use crate::clock;
use crate::stamp::Stamp;

/// The ids of the header extensions that a section has agreed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    pub mid: Option<u8>,
    pub rid: Option<u8>,
    pub repaired_rid: Option<u8>,
    pub audio_level: Option<u8>,
    pub transport_sequence: Option<u8>,
    pub abs_send_time: Option<u8>,
}

/// What all packets of a stream have in common.
#[derive(Clone, Debug)]
pub struct Format {
    pub mid: String,
    pub rid: Option<&'static str>,
    /// As it was declared; `None`: mid and rid tell whose the stream is.
    pub ssrc: Option<u32>,
    pub payload_type: u8,
    /// Of retransmissions, if they were agreed on.
    pub rtx_payload_type: Option<u8>,
    pub clock_rate: u32,
    pub extensions: Extensions,
}

/// A packet that waits for its turn.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub marker: bool,
    pub timestamp: u32,
    pub payload: Vec<u8>,
    pub stamp_at: usize,
    pub level: Option<AudioLevel>,
}

#[derive(Debug)]
pub struct Stream {
    pub ssrc: Ssrc,
    format: Format,
    rtx_ssrc: Ssrc,
    sequence: Seq16,
    rtx_sequence: Seq16,
    /// The last ones sent, in order.
    history: VecDeque<(Seq16, Waiting)>,
    count: u32,
    octets: u32,
    /// The server has seen the stream: its mid and rid need not be said any more (RFC 8852 §3.1).
    known: bool,
    last: Option<(u32, Instant)>,
}

impl Stream {
    pub fn new(format: Format) -> Self {
        let mut random = rand::rng();
        Self {
            ssrc: Ssrc(format.ssrc.unwrap_or_else(|| random.random_range(1..u32::MAX))),
            rtx_ssrc: Ssrc(random.random_range(1..u32::MAX)),
            format,
            // In the lower half, as senders choose it for SRTP's sake (RFC 3711 §3.3.1).
            sequence: Seq16(random.random_range(0..0x7fff)),
            rtx_sequence: Seq16(random.random_range(0..0x7fff)),
            history: VecDeque::with_capacity(HISTORY),
            count: 0,
            octets: 0,
            known: false,
            last: None,
        }
    }

    /// The next packet, stamped.
    pub fn packet(&mut self, now: Instant, transport: u16, mut waiting: Waiting) -> Vec<u8> {
        let stamp = Stamp { sent: now };
        stamp.write(waiting.payload.get_mut(waiting.stamp_at..).unwrap_or_default());
        let sequence = self.sequence;
        let packet = self.write(&waiting, sequence, transport, None);
        self.sequence = Seq16(sequence.0.wrapping_add(1));
        self.count = self.count.wrapping_add(1);
        self.octets = self.octets.wrapping_add(u32::try_from(waiting.payload.len()).unwrap_or_default());
        self.last = Some((waiting.timestamp, now));
        if self.format.rtx_payload_type.is_some() {
            if self.history.len() == HISTORY {
                self.history.pop_front();
            }
            self.history.push_back((sequence, waiting));
        }
        packet
    }

    /// A packet once more, as a retransmission (RFC 4588 §4); `None` if it is not known any more.
    pub fn repeat(&mut self, sequence: Seq16, transport: u16) -> Option<Vec<u8>> {
        let payload_type = self.format.rtx_payload_type?;
        let first = self.history.front()?.0;
        let (found, waiting) = self.history.get(usize::from(sequence.0.wrapping_sub(first.0)))?;
        debug_assert_eq!(*found, sequence, "the history has no holes");
        let packet = self.write(waiting, sequence, transport, Some((payload_type, self.rtx_sequence)));
        self.rtx_sequence = Seq16(self.rtx_sequence.0.wrapping_add(1));
        Some(packet)
    }

    /// What the next sender report says; `None` before the first packet.
    #[must_use]
    pub fn sender_info(&self, now: Instant, ntp: NtpTime) -> Option<SenderInfo> {
        let (timestamp, at) = self.last?;
        let passed = now.since(at).as_micros() * u128::from(self.format.clock_rate) / 1_000_000;
        Some(SenderInfo {
            ssrc: self.ssrc,
            ntp,
            rtp_timestamp: timestamp.wrapping_add(u32::try_from(passed).unwrap_or_default()),
            packet_count: self.count,
            octet_count: self.octets,
        })
    }

    /// The server has reported on this source.
    pub fn set_known(&mut self) {
        self.known = true;
    }

    fn write(&self, waiting: &Waiting, sequence: Seq16, transport: u16, rtx: Option<(u8, Seq16)>) -> Vec<u8> {
        let agreed = &self.format.extensions;
        let rid_id = if rtx.is_some() { agreed.repaired_rid } else { agreed.rid };
        let rid = self.format.rid.unwrap_or_default().as_bytes();
        let transport = TransportSequence(Seq16(transport)).to_bytes();
        let sent = AbsSendTime::from_ntp(clock::ntp()).to_bytes();
        let level = waiting.level.map(AudioLevel::to_bytes);
        let says_where = !self.known;
        let elements: [(Option<u8>, &[u8], bool); 5] = [
            (agreed.mid, self.format.mid.as_bytes(), says_where),
            (rid_id, rid, says_where && !rid.is_empty()),
            (agreed.transport_sequence, &transport, true),
            (agreed.abs_send_time, &sent, true),
            (agreed.audio_level, level.as_ref().map_or(&[], |level| level), level.is_some()),
        ];
        let elements: Vec<(u8, &[u8])> = elements
            .into_iter()
            .filter(|(_, _, wanted)| *wanted)
            .filter_map(|(id, data, _)| Some((id?, data)))
            .collect();
        let (payload_type, ssrc, own) = match rtx {
            Some((payload_type, sequence)) => (payload_type, self.rtx_ssrc, sequence),
            None => (self.format.payload_type, self.ssrc, sequence),
        };
        let fields = Fields {
            marker: waiting.marker,
            payload_type: PayloadType(payload_type),
            sequence: own,
            timestamp: waiting.timestamp,
            ssrc,
            padding: false,
        };
        let mut head = [0; HEADER_LEN_MAX];
        let len = write_header(&mut head, &fields, &elements).expect("mids and rids are short");
        let mut packet = Vec::with_capacity(len + 2 + waiting.payload.len());
        packet.extend_from_slice(&head[..len]);
        if rtx.is_some() {
            packet.extend_from_slice(&sequence.0.to_be_bytes());
        }
        packet.extend_from_slice(&waiting.payload);
        packet
    }
}

const HISTORY: usize = 1_024; // packets: several seconds of a layer
const HEADER_LEN_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use wire::rtp::Header;

    use super::*;

    fn stream() -> Stream {
        Stream::new(Format {
            mid: "1".to_owned(),
            rid: Some("h"),
            ssrc: None,
            payload_type: 96,
            rtx_payload_type: Some(97),
            clock_rate: 90_000,
            extensions: Extensions {
                mid: Some(4),
                rid: Some(10),
                repaired_rid: Some(11),
                audio_level: None,
                transport_sequence: Some(3),
                abs_send_time: Some(2),
            },
        })
    }

    fn waiting(byte: u8) -> Waiting {
        Waiting { marker: true, timestamp: 9_000, payload: vec![byte; 60], stamp_at: 10, level: None }
    }

    #[test]
    fn packets_are_numbered_and_say_where_they_belong_until_the_server_knows() {
        let mut stream = stream();
        let first = stream.packet(Instant(1), 100, waiting(1));
        stream.set_known();
        let second = stream.packet(Instant(2), 101, waiting(2));
        let (first, second) = (Header::parse(&first).unwrap(), Header::parse(&second).unwrap());
        assert_eq!(second.sequence().0, first.sequence().0.wrapping_add(1));
        assert_eq!((first.extension(4), first.extension(10)), (Some(&b"1"[..]), Some(&b"h"[..])));
        assert_eq!((second.extension(4), second.extension(10)), (None, None));
        assert_eq!(first.extension(3), Some(&[0, 100][..]));
        assert_eq!(second.extension(3), Some(&[0, 101][..]));
        assert_eq!(first.extension(2).map(<[u8]>::len), Some(3));
    }

    #[test]
    fn retransmission_repeats_the_stamped_payload_under_its_own_numbers() {
        let mut stream = stream();
        let packets: Vec<_> = (0..3).map(|byte| stream.packet(Instant(9), 0, waiting(byte))).collect();
        let original = Header::parse(&packets[1]).unwrap();
        let again = stream.repeat(original.sequence(), 7).unwrap();
        let header = Header::parse(&again).unwrap();
        assert_eq!(header.payload_type(), PayloadType(97));
        assert_ne!(header.ssrc(), original.ssrc());
        assert_eq!(header.extension(11), Some(&b"h"[..]));
        let payload = &again[header.header_len()..];
        assert_eq!(wire::rtx::original_sequence(payload), Some(original.sequence()));
        assert_eq!(payload[2..], packets[1][original.header_len()..]);
        let later = Seq16(original.sequence().0.wrapping_add(2));
        assert_eq!(stream.repeat(later, 8), None, "never sent");
    }

    #[test]
    fn history_is_bounded_and_wraps() {
        let mut stream = stream();
        stream.sequence = Seq16(u16::MAX - 10);
        for _ in 0..HISTORY + 20 {
            stream.packet(Instant(1), 0, waiting(0));
        }
        assert_eq!(stream.history.len(), HISTORY);
        assert!(stream.repeat(Seq16(u16::MAX - 10), 0).is_none(), "too old");
        assert!(stream.repeat(Seq16(stream.sequence.0.wrapping_sub(1)), 0).is_some());
        assert!(stream.repeat(stream.history[0].0, 0).is_some());
    }

    #[test]
    fn sender_report_counts_and_extrapolates() {
        let mut stream = stream();
        assert_eq!(stream.sender_info(Instant(1), NtpTime(0)), None);
        stream.packet(Instant(1_000_000), 0, waiting(0));
        let info = stream.sender_info(Instant(11_000_000), NtpTime(3)).unwrap();
        assert_eq!((info.packet_count, info.octet_count), (1, 60));
        assert_eq!(info.rtp_timestamp, 9_900);
    }
}

//! The header of a copy: the subscriber's numbers, and the extension elements that this subscriber negotiated.

use units::rtp::Mid;
use units::sequence::Seq16;
use units::time::NtpTime;
use wire::extension::{AbsSendTime, TransportSequence};
use wire::rtp::{EXTENSIONS_MAX, FIXED_LEN, Header};

use crate::command::ExtensionKind;
use crate::ingress::elements::ExtensionIds;

/// What is generated for each sent packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    abs_send_time: [u8; 3],
    transport_sequence: [u8; 2],
    /// Where a new one is to be told.
    pub playout_delay: Option<[u8; 3]>,
}

impl Stamp {
    #[must_use]
    pub const fn new(wall_clock: NtpTime, transport_sequence: Seq16, playout_delay: Option<[u8; 3]>) -> Self {
        Self {
            abs_send_time: AbsSendTime::from_ntp(wall_clock).to_bytes(),
            transport_sequence: TransportSequence(transport_sequence).to_bytes(),
            playout_delay,
        }
    }
}

/// An element of our own making, which goes in the place of a received one with the same meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written<'a> {
    pub kind: ExtensionKind,
    pub data: &'a [u8],
}

/// The extension elements of one copy.
#[derive(Debug)]
pub struct Elements<'a> {
    list: [(u8, &'a [u8]); EXTENSIONS_MAX],
    count: usize,
}

impl<'a> Elements<'a> {
    /// What of `received` (by the publisher's ids) is passed on, what is written in its place, and what is our own.
    #[must_use]
    pub fn new(
        received: &Header<'a>,
        from: &ExtensionIds,
        to: &ExtensionIds,
        passed: &[ExtensionKind],
        written: &[Written<'a>],
        stamp: &'a Stamp,
        mid: &'a Mid,
    ) -> Self {
        let mut elements = Self { list: [(0, &[]); EXTENSIONS_MAX], count: 0 };
        elements.add(to.id(ExtensionKind::Mid), Some(mid.as_bytes()));
        elements.add(to.id(ExtensionKind::AbsSendTime), Some(&stamp.abs_send_time));
        elements.add(to.id(ExtensionKind::TransportCc), Some(&stamp.transport_sequence));
        if let Some(delay) = &stamp.playout_delay {
            elements.add(to.id(ExtensionKind::PlayoutDelay), Some(delay));
        }
        for element in written {
            elements.add(to.id(element.kind), Some(element.data));
        }
        for kind in passed {
            if !written.iter().any(|element| element.kind == *kind) {
                elements.add(to.id(*kind), from.find(received, *kind));
            }
        }
        elements
    }

    pub fn add(&mut self, id: Option<u8>, data: Option<&'a [u8]>) {
        if let (Some(id), Some(data), Some(slot)) = (id, data, self.list.get_mut(self.count)) {
            *slot = (id, data);
            self.count += 1;
        }
    }

    #[must_use]
    pub fn as_slice(&self) -> &[(u8, &'a [u8])] {
        self.list.get(..self.count).unwrap_or_default()
    }

    /// A bound of the length of a header with these elements.
    #[must_use]
    pub fn header_len_max(&self) -> usize {
        let elements: usize = self.as_slice().iter().map(|(_, data)| data.len() + 2).sum();
        FIXED_LEN + 4 + elements + 3
    }
}

/// What is passed on of audio as it is.
pub const AUDIO: &[ExtensionKind] = &[ExtensionKind::AudioLevel];
/// What is passed on of video as it is.
pub const VIDEO: &[ExtensionKind] = &[ExtensionKind::VideoOrientation];

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use units::rtp::{PayloadType, Ssrc};
    use wire::rtp::{Fields, write_header};

    use super::*;
    use crate::command::Extensions;

    #[test]
    fn written_element_goes_in_the_place_of_the_received_one() {
        use ExtensionKind::{AbsCaptureTime, AudioLevel, Mid as MidKind, PlayoutDelay, VideoOrientation};
        let from = ExtensionIds::new(&Extensions([(7, VideoOrientation), (9, AbsCaptureTime)].into()));
        let fields = Fields {
            marker: false,
            payload_type: PayloadType(96),
            sequence: Seq16(1),
            timestamp: 0,
            ssrc: Ssrc(1),
            padding: false,
        };
        let mut packet = [0; 64];
        write_header(&mut packet, &fields, &[(7, b"o"), (9, b"captured")]).unwrap();
        let received = Header::parse(&packet).unwrap();
        let written = |kind| Written { kind, data: b"ours" };
        let orientation = (5, &b"o"[..]);
        for (name, to, written, expected) in [
            (
                "nothing of ours",
                &[(5, VideoOrientation), (2, AbsCaptureTime)][..],
                None,
                &[orientation, (2, b"captured")][..],
            ),
            (
                "instead",
                &[(5, VideoOrientation), (2, AbsCaptureTime)],
                Some(written(AbsCaptureTime)),
                &[(2, b"ours"), orientation],
            ),
            (
                "besides",
                &[(5, VideoOrientation), (6, PlayoutDelay)],
                Some(written(PlayoutDelay)),
                &[(6, b"ours"), orientation],
            ),
            ("not negotiated", &[(5, VideoOrientation)], Some(written(PlayoutDelay)), &[orientation]),
            ("not received", &[(3, AudioLevel), (4, MidKind)], None, &[(4, b"m")]),
        ] {
            let to = ExtensionIds::new(&Extensions(to.into()));
            let passed = [VideoOrientation, AbsCaptureTime, AudioLevel];
            let written: Vec<Written<'_>> = written.into_iter().collect();
            let stamp = Stamp::new(NtpTime(0), Seq16(0), None);
            let mid = Mid::new(b"m").unwrap();
            let elements = Elements::new(&received, &from, &to, &passed, &written, &stamp, &mid);
            assert_eq!(elements.as_slice(), expected, "{name}");
        }
    }
}

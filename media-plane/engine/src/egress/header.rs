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
    pub abs_send_time: [u8; 3],
    pub transport_sequence: [u8; 2],
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

/// A received element that is passed on as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    pub kind: ExtensionKind,
    len: u8,
    data: [u8; PASSED_LEN_MAX],
}

impl Passed {
    /// The element of `packet` with this meaning, by its publisher's ids.
    #[must_use]
    pub fn find(packet: &[u8], from: &ExtensionIds, kind: ExtensionKind) -> Option<Self> {
        from.id(kind)?;
        let received = Header::parse(packet).ok()?;
        let found = from.find(&received, kind)?;
        let mut data = [0; PASSED_LEN_MAX];
        data.get_mut(..found.len())?.copy_from_slice(found);
        Some(Self { kind, len: u8::try_from(found.len()).ok()?, data })
    }

    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.data.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// What is passed on has one byte (RFC 6464 §3, 3GPP TS 26.114).
const PASSED_LEN_MAX: usize = 4;

/// The extension elements of one copy.
#[derive(Debug)]
pub struct Elements<'a> {
    list: [(u8, &'a [u8]); EXTENSIONS_MAX],
    count: usize,
}

impl<'a> Elements<'a> {
    /// What is our own, what is written in the place of a received element, and what is passed on.
    #[must_use]
    pub fn new(
        to: &ExtensionIds,
        passed: Option<&'a Passed>,
        written: Option<Written<'a>>,
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
        if let Some(element) = written {
            elements.add(to.id(element.kind), Some(element.data));
        }
        if let Some(element) = passed {
            elements.add(to.id(element.kind), Some(element.data()));
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
pub const AUDIO: ExtensionKind = ExtensionKind::AudioLevel;
/// What is passed on of video as it is.
pub const VIDEO: ExtensionKind = ExtensionKind::VideoOrientation;

#[cfg(test)]
mod tests {
    use units::rtp::{PayloadType, Ssrc};
    use wire::rtp::{Fields, write_header};

    use super::*;
    use crate::command::Extensions;

    #[test]
    fn written_and_passed_elements_go_to_who_negotiated_them() {
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
        assert_eq!(Passed::find(&packet, &from, AudioLevel), None);
        assert_eq!(Passed::find(&packet, &from, AbsCaptureTime), None, "longer than what is passed on");
        let passed = Passed::find(&packet, &from, VideoOrientation);
        let written = |kind| Written { kind, data: b"ours" };
        let orientation = (5, &b"o"[..]);
        for (name, to, written, expected) in [
            ("passed", &[(5, VideoOrientation), (2, AbsCaptureTime)][..], None, &[orientation][..]),
            (
                "written besides",
                &[(5, VideoOrientation), (6, PlayoutDelay)],
                Some(written(PlayoutDelay)),
                &[(6, b"ours"), orientation],
            ),
            ("not negotiated", &[(5, VideoOrientation)], Some(written(PlayoutDelay)), &[orientation]),
            ("not received", &[(3, AudioLevel), (4, MidKind)], None, &[(4, b"m")]),
        ] {
            let to = ExtensionIds::new(&Extensions(to.into()));
            let stamp = Stamp::new(NtpTime(0), Seq16(0), None);
            let mid = Mid::new(b"m").unwrap();
            let elements = Elements::new(&to, passed.as_ref(), written, &stamp, &mid);
            assert_eq!(elements.as_slice(), expected, "{name}");
        }
    }
}

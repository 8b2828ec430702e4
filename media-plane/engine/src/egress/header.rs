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
}

impl Stamp {
    #[must_use]
    pub const fn new(wall_clock: NtpTime, transport_sequence: Seq16) -> Self {
        Self {
            abs_send_time: AbsSendTime::from_ntp(wall_clock).to_bytes(),
            transport_sequence: TransportSequence(transport_sequence).to_bytes(),
        }
    }
}

/// The extension elements of one copy.
#[derive(Debug)]
pub struct Elements<'a> {
    list: [(u8, &'a [u8]); EXTENSIONS_MAX],
    count: usize,
}

impl<'a> Elements<'a> {
    /// What of `received` (by the publisher's ids) is passed on, and what is our own.
    #[must_use]
    pub fn new(
        received: &Header<'a>,
        from: &ExtensionIds,
        to: &ExtensionIds,
        passed: &[ExtensionKind],
        stamp: &'a Stamp,
        mid: &'a Mid,
    ) -> Self {
        let mut elements = Self { list: [(0, &[]); EXTENSIONS_MAX], count: 0 };
        elements.add(to.id(ExtensionKind::Mid), Some(mid.as_bytes()));
        elements.add(to.id(ExtensionKind::AbsSendTime), Some(&stamp.abs_send_time));
        elements.add(to.id(ExtensionKind::TransportCc), Some(&stamp.transport_sequence));
        for kind in passed {
            elements.add(to.id(*kind), from.find(received, *kind));
        }
        elements
    }

    fn add(&mut self, id: Option<u8>, data: Option<&'a [u8]>) {
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

/// What is passed on of audio.
pub const AUDIO: &[ExtensionKind] = &[ExtensionKind::AudioLevel, ExtensionKind::AbsCaptureTime];
/// What is passed on of video.
pub const VIDEO: &[ExtensionKind] = &[ExtensionKind::VideoOrientation, ExtensionKind::AbsCaptureTime];
/// What is passed on of video that no layer is taken from: frame numbers stay as they are.
pub const VIDEO_WHOLE: &[ExtensionKind] =
    &[ExtensionKind::VideoOrientation, ExtensionKind::AbsCaptureTime, ExtensionKind::DependencyDescriptor];

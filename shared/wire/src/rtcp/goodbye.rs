//! The end of sources: BYE (RFC 3550 §6.6).

use units::rtp::Ssrc;

use crate::cursor::Reader;

/// Sources that left.
#[derive(Clone, Copy, Debug)]
pub struct Goodbye<'a> {
    ssrcs: &'a [u8],
}

impl<'a> Goodbye<'a> {
    pub(crate) fn parse(count: u8, body: &'a [u8]) -> Option<Self> {
        // What follows the sources is the reason for leaving, as text: ignored.
        Some(Self { ssrcs: Reader::new(body).bytes(usize::from(count) << 2)? })
    }

    pub fn ssrcs(&self) -> impl Iterator<Item = Ssrc> + 'a {
        ssrcs(self.ssrcs)
    }
}

/// The SSRCs in a list of them.
pub(crate) fn ssrcs(bytes: &[u8]) -> impl Iterator<Item = Ssrc> + '_ {
    bytes.as_chunks().0.iter().map(|ssrc| Ssrc(u32::from_be_bytes(*ssrc)))
}

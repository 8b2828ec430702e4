//! The receiver's estimate of what it can take: REMB (draft-alvestrand-rmcat-remb-03 §2.2).

use units::rate::Bitrate;
use units::rtp::Ssrc;

use crate::cursor::Reader;
use crate::rtcp::goodbye::ssrcs;

/// The most that the named sources together should send.
#[derive(Clone, Copy, Debug)]
pub struct Remb<'a> {
    pub sender: Ssrc,
    pub bitrate: Bitrate,
    ssrcs: &'a [u8],
}

impl<'a> Remb<'a> {
    /// Whether this application-layer feedback is a REMB.
    pub(crate) fn is_remb(body: &[u8]) -> bool {
        body.get(8..12) == Some(&NAME)
    }

    //  sender, media source (zero)
    // |  Unique identifier 'R' 'E' 'M' 'B'                            |
    // |  Num SSRC     | BR Exp    |  BR Mantissa (18 bits)            |
    // |   SSRC feedback ...                                           |
    pub(crate) fn parse(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let sender = Ssrc(reader.u32()?);
        reader.bytes(8)?;
        let count = reader.u8()?;
        let bitrate = reader.u24()?;
        let mantissa = u64::from(bitrate & MANTISSA_MAX);
        let exponent = bitrate >> 18;
        // An exponent that shifts bits out means more than any link carries.
        let bitrate = if exponent > mantissa.leading_zeros() { u64::MAX } else { mantissa << exponent };
        Some(Self { sender, bitrate: Bitrate(bitrate), ssrcs: reader.bytes(usize::from(count) << 2)? })
    }

    pub fn ssrcs(&self) -> impl Iterator<Item = Ssrc> + 'a {
        ssrcs(self.ssrcs)
    }
}

/// Exponent and mantissa of `bitrate`, rounded down to 18 significant bits.
pub(crate) const fn encode(bitrate: Bitrate) -> u32 {
    let exponent = 46_u32.saturating_sub(bitrate.0.leading_zeros());
    #[expect(clippy::cast_possible_truncation, reason = "the shift leaves 18 bits")]
    let mantissa = (bitrate.0 >> exponent) as u32;
    exponent << 18 | mantissa
}

pub(crate) const NAME: [u8; 4] = *b"REMB";
const MANTISSA_MAX: u32 = 0x3_ffff;

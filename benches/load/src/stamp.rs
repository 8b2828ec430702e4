//! What a publisher writes into each payload, so that a subscriber knows how long it took.

use units::time::Instant;
use wire::vp8::Descriptor;

/// ```text
/// | magic (4) | sent, ns of the monotonic clock (8) |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub sent: Instant,
}

pub const LEN: usize = 12;

/// Where it stands in an Opus payload: behind the byte that says what kind of packet it is (RFC 6716 §3.1).
pub const AUDIO_OFFSET: usize = 1;

/// Where it stands behind a VP8 descriptor: behind the header of a key frame (RFC 6386 §9.1), on every packet alike.
pub const VIDEO_OFFSET: usize = 10;

impl Stamp {
    /// Overwrites the front of `out`; nothing happens if it is too short.
    pub fn write(&self, out: &mut [u8]) {
        if let Some(out) = out.first_chunk_mut::<LEN>() {
            out[..4].copy_from_slice(&MAGIC);
            out[4..].copy_from_slice(&self.sent.0.to_be_bytes());
        }
    }

    /// `None` if no stamp stands there.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (magic, bytes) = bytes.split_first_chunk::<4>()?;
        let sent = bytes.first_chunk()?;
        (*magic == MAGIC).then_some(Self { sent: Instant(u64::from_be_bytes(*sent)) })
    }

    /// Of a VP8 payload, whatever the descriptor's length has become on the way.
    #[must_use]
    pub fn of_video(payload: &[u8]) -> Option<Self> {
        let descriptor = Descriptor::parse(payload).ok()?;
        Self::read(payload.get(descriptor.len + VIDEO_OFFSET..)?)
    }

    #[must_use]
    pub fn of_audio(payload: &[u8]) -> Option<Self> {
        Self::read(payload.get(AUDIO_OFFSET..)?)
    }
}

const MAGIC: [u8; 4] = *b"load";

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { sent: Instant(1_234_567_890_123) };

    #[test]
    fn stamp_is_read_as_it_was_written_and_nothing_else_is_taken_for_one() {
        let mut bytes = [0; LEN + 3];
        STAMP.write(&mut bytes);
        assert_eq!(Stamp::read(&bytes), Some(STAMP));
        assert_eq!(Stamp::read(&bytes[..LEN]), Some(STAMP));
        assert_eq!(Stamp::read(&bytes[..LEN - 1]), None, "cut off");
        assert_eq!(Stamp::read(&bytes[1..]), None, "elsewhere");
        assert_eq!(Stamp::read(&[0; LEN]), None, "never written");
        let mut short = [0; LEN - 1];
        STAMP.write(&mut short);
        assert_eq!(short, [0; LEN - 1]);
    }

    #[test]
    fn stamp_survives_a_descriptor_that_becomes_longer_or_shorter() {
        for (name, descriptor) in [
            ("none of the optional fields", &[0x10_u8][..]),
            ("picture id of 7 bits", &[0x90, 0x80, 0x11]),
            ("picture id of 15 bits", &[0x90, 0x80, 0x91, 0x22]),
            ("all fields", &[0x90, 0xf0, 0x91, 0x22, 0x33, 0x41]),
        ] {
            let mut payload = descriptor.to_vec();
            payload.resize(descriptor.len() + VIDEO_OFFSET + LEN, 1);
            STAMP.write(&mut payload[descriptor.len() + VIDEO_OFFSET..]);
            assert_eq!(Stamp::of_video(&payload), Some(STAMP), "{name}");
        }
    }
}

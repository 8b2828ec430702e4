//! The RTP header extensions that are read or written here, each as a value.

use units::sequence::Seq16;
use units::time::NtpTime;

use crate::cursor::Reader;

/// How loud a packet of audio is (RFC 6464).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel {
    /// The encoder took it for speech.
    pub voice: bool,
    /// In dB below overload, 0 (loudest) to 127 (silence).
    pub level: u8,
}

impl AudioLevel {
    #[must_use]
    pub const fn read(data: &[u8]) -> Option<Self> {
        // RFC 6464 §3: one byte; the two-byte form may carry one more byte of padding.
        let [byte, ..] = *data else { return None };
        Some(Self { voice: byte & 0x80 != 0, level: byte & 0x7f })
    }

    #[must_use]
    pub const fn to_bytes(self) -> [u8; 1] {
        [(self.voice as u8) << 7 | self.level & 0x7f]
    }
}

/// The packet's number on its transport (draft-holmer-rmcat-transport-wide-cc-extensions-01 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportSequence(pub Seq16);

impl TransportSequence {
    #[must_use]
    pub fn read(data: &[u8]) -> Option<Self> {
        // Its second version appends two bytes that ask for immediate feedback.
        Reader::new(data).u16().map(|sequence| Self(Seq16(sequence)))
    }

    #[must_use]
    pub const fn to_bytes(self) -> [u8; 2] {
        self.0.0.to_be_bytes()
    }
}

/// When the packet was sent: seconds modulo 64 in 6.18 fixed point (webrtc.org abs-send-time).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbsSendTime(u32);

impl AbsSendTime {
    #[must_use]
    pub const fn from_ntp(time: NtpTime) -> Self {
        // 6 bits of the seconds and 18 of the fraction are bits 37 to 14 of the NTP time.
        Self((time.0 >> 14 & 0x00ff_ffff) as u32)
    }

    #[must_use]
    pub fn read(data: &[u8]) -> Option<Self> {
        Reader::new(data).u24().map(Self)
    }

    #[must_use]
    pub const fn to_bytes(self) -> [u8; 3] {
        let [_, high, middle, low] = self.0.to_be_bytes();
        [high, middle, low]
    }

    /// In units of 2^-18 s, modulo 2^24.
    #[must_use]
    pub const fn units(self) -> u32 {
        self.0
    }
}

/// When the packet's media was captured (webrtc.org abs-capture-time).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbsCaptureTime {
    /// By the clock of the capturing system.
    pub capture: NtpTime,
    /// What the capturer's clock is ahead of the sender's, in units of 2^-32 s.
    pub clock_offset: Option<i64>,
}

impl AbsCaptureTime {
    pub const LEN_MAX: usize = 16;

    #[must_use]
    pub fn read(data: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(data);
        let capture = NtpTime(reader.u64()?);
        Some(Self { capture, clock_offset: reader.u64().map(u64::cast_signed) })
    }

    /// Its bytes, at the front of `out`.
    #[must_use]
    pub fn write(self, out: &mut [u8; Self::LEN_MAX]) -> &[u8] {
        let (capture, offset) = out.split_at_mut(8);
        capture.copy_from_slice(&self.capture.0.to_be_bytes());
        let Some(value) = self.clock_offset else { return out.get(..8).unwrap_or_default() };
        offset.copy_from_slice(&value.to_be_bytes());
        out
    }
}

/// The range that a receiver's playout delay should keep to (webrtc.org playout-delay).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayoutDelay {
    min: u16,
    max: u16,
}

impl PlayoutDelay {
    /// Rounded down to steps of 10 ms, at most 40.95 s.
    #[must_use]
    pub const fn new(min_ms: u32, max_ms: u32) -> Self {
        Self { min: Self::steps(min_ms), max: Self::steps(max_ms) }
    }

    #[must_use]
    pub fn read(data: &[u8]) -> Option<Self> {
        let both = Reader::new(data).u24()?;
        #[expect(clippy::cast_possible_truncation, reason = "12 bits each")]
        Some(Self { min: (both >> 12) as u16, max: (both & 0xfff) as u16 })
    }

    #[must_use]
    pub const fn to_bytes(self) -> [u8; 3] {
        let [min_high, min_low] = self.min.to_be_bytes();
        let [max_high, max_low] = self.max.to_be_bytes();
        [min_high << 4 | min_low >> 4, min_low << 4 | max_high, max_low]
    }

    #[must_use]
    pub const fn min_ms(self) -> u32 {
        (self.min as u32).saturating_mul(STEP_MS)
    }

    #[must_use]
    pub const fn max_ms(self) -> u32 {
        (self.max as u32).saturating_mul(STEP_MS)
    }

    const fn steps(ms: u32) -> u16 {
        let steps = ms / STEP_MS;
        #[expect(clippy::cast_possible_truncation, reason = "12 bits")]
        if steps > 0xfff { 0xfff } else { steps as u16 }
    }
}

const STEP_MS: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn audio_level_is_read_as_written() {
        for (name, byte, voice, level) in
            [("silence", 0x7f, false, 127), ("loudest voice", 0x80, true, 0), ("some noise", 0x1e, false, 30)]
        {
            let value = AudioLevel { voice, level };
            assert_eq!(AudioLevel::read(&[byte]), Some(value), "{name}");
            assert_eq!(value.to_bytes(), [byte], "{name}");
        }
    }

    #[test]
    fn abs_send_time_is_six_bits_of_seconds_and_eighteen_of_fraction() {
        for (name, ntp, bytes) in [
            ("zero", 0, [0, 0, 0]),
            ("one second", 1 << 32, [0x04, 0, 0]),
            ("half a second", 1 << 31, [0x02, 0, 0]),
            ("63 s and the last fraction", (63 << 32) | 0xffff_ffff, [0xff, 0xff, 0xff]),
            ("64 s wrap", 64 << 32, [0, 0, 0]),
        ] {
            let time = AbsSendTime::from_ntp(NtpTime(ntp));
            assert_eq!(time.to_bytes(), bytes, "{name}");
            assert_eq!(AbsSendTime::read(&bytes), Some(time), "{name}");
        }
    }

    #[test]
    fn playout_delay_is_limited_to_twelve_bits() {
        let delay = PlayoutDelay::new(105, 1_000_000);
        assert_eq!((delay.min_ms(), delay.max_ms()), (100, 40_950));
        assert_eq!(PlayoutDelay::new(0xabc * 10, 0x123 * 10).to_bytes(), [0xab, 0xc1, 0x23]);
    }

    #[test]
    fn cut_off_data_reads_as_nothing() {
        assert_eq!(AudioLevel::read(&[]), None);
        assert_eq!(TransportSequence::read(&[1]), None);
        assert_eq!(AbsSendTime::read(&[1, 2]), None);
        assert_eq!(AbsCaptureTime::read(&[0; 7]), None);
        assert_eq!(PlayoutDelay::read(&[0; 2]), None);
    }

    proptest! {
        #[test]
        fn values_are_read_as_written(sequence: u16, capture: u64, clock_offset: Option<i64>, delays: [u32; 2]) {
            let number = TransportSequence(Seq16(sequence));
            prop_assert_eq!(TransportSequence::read(&number.to_bytes()), Some(number));
            let time = AbsCaptureTime { capture: NtpTime(capture), clock_offset };
            prop_assert_eq!(AbsCaptureTime::read(time.write(&mut [0; 16])), Some(time));
            let delay = PlayoutDelay::new(delays[0], delays[1]);
            prop_assert_eq!(PlayoutDelay::read(&delay.to_bytes()), Some(delay));
        }
    }
}

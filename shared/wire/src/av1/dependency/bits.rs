//! Fields of any number of bits, the highest first.

/// Takes bits off the front of a slice.
#[derive(Clone, Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// Bits taken so far.
    at: u32,
}

impl<'a> Bits<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(usize::try_from(self.at >> 3).ok()?)?;
        let bit = byte.checked_shr(7_u32.saturating_sub(self.at & 7))? & 1;
        self.at = self.at.checked_add(1)?;
        Some(bit == 1)
    }

    /// At most 32 bits.
    pub(super) fn read(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | u32::from(self.flag()?)))
    }

    /// At most 8 bits.
    pub(super) fn read_u8(&mut self, count: u32) -> Option<u8> {
        self.read(count).and_then(|value| u8::try_from(value).ok())
    }

    /// A value below `limit`, which is not zero: `ns(n)` in AV1 §4.10.7.
    pub(super) fn non_symmetric(&mut self, limit: u8) -> Option<u8> {
        let width = limit.checked_ilog2()?;
        // Of the values that `width + 1` bits can tell apart, this many are told by one bit less.
        let short = 2_u32.checked_shl(width)?.checked_sub(limit.into())?;
        let value = self.read(width)?;
        if value < short {
            return u8::try_from(value).ok();
        }
        let low = u32::from(self.flag()?);
        u8::try_from((value << 1 | low).checked_sub(short)?).ok()
    }
}

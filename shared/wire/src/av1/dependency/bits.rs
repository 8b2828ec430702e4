//! Fields of any number of bits, the highest first: read, written, and copied from one place to another.

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

    /// How many bits were taken.
    pub(super) const fn taken(&self) -> u32 {
        self.at
    }
}

/// Adds bits at the end of what was written; the rest of the last byte is zero.
#[derive(Debug)]
pub(super) struct BitWriter<'a> {
    out: &'a mut [u8],
    at: u32,
}

impl<'a> BitWriter<'a> {
    pub(super) const fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    /// `None` if there is no room.
    pub(super) fn flag(&mut self, bit: bool) -> Option<()> {
        let byte = self.out.get_mut(usize::try_from(self.at >> 3).ok()?)?;
        let within = self.at & 7;
        if within == 0 {
            *byte = 0;
        }
        *byte |= u8::from(bit).checked_shl(7_u32.saturating_sub(within))?;
        self.at = self.at.checked_add(1)?;
        Some(())
    }

    /// The lowest `count` bits of `value`, at most 32.
    pub(super) fn write(&mut self, value: u32, count: u32) -> Option<()> {
        (0..count).rev().try_for_each(|bit| self.flag(value.checked_shr(bit)? & 1 == 1))
    }

    /// The next `count` bits of `from`.
    pub(super) fn copy(&mut self, from: &mut Bits<'_>, count: u32) -> Option<()> {
        (0..count).try_for_each(|_| self.flag(from.flag()?))
    }

    /// All bits that `from` has left.
    pub(super) fn copy_rest(&mut self, from: &mut Bits<'_>) -> Option<()> {
        while let Some(bit) = from.flag() {
            self.flag(bit)?;
        }
        Some(())
    }

    /// Bytes written, the last of them perhaps in part.
    pub(super) fn len(&self) -> Option<usize> {
        usize::try_from(self.at.div_ceil(8)).ok()
    }
}

//! Picture ids that never wrap, from ids of 7 or 15 bits (RFC 7741 §4.2).
//!
//! A sender may change from 7 to 15 bits at any time, and the receiver is told nothing of it but the bit in the packet.
//! So how much has wrapped is counted, and a new id is read against the width of the highest one.

use wire::picture_id::PictureId;

/// The highest picture id so far, and what it took to unwrap it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwrap {
    highest: i64,
    is_wide: bool,
    wrapped_total: i64,
    wrapped_last: i64,
}

/// An id as it was read, and the state if it is accepted as the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwrapped {
    pub picture: i64,
    pub next: Unwrap,
}

impl Unwrap {
    /// `id` comes next.
    #[must_use]
    pub fn before(id: PictureId) -> Self {
        let highest = i64::from(id.value()) - 1;
        Self { highest, is_wide: is_wide(id), wrapped_total: 0, wrapped_last: 0 }
    }

    #[must_use]
    pub fn highest(&self) -> i64 {
        self.highest
    }

    /// Reads `id` without taking it for the highest: a late one must leave no trace.
    #[must_use]
    pub fn read(&self, id: PictureId) -> Unwrapped {
        let (id, is_wide) = (i64::from(id.value()), is_wide(id));
        if self.wrapped_total > 0 && self.highest + self.wrapped_last / 2 < id + self.wrapped_total {
            // Too far ahead to be new: from before the last wrap.
            return self.accept(id + self.wrapped_total - self.wrapped_last, is_wide, 0);
        }
        // Before the first picture `highest` may be -1, and its low bits would be a full id.
        let highest = if self.highest > 0 { self.highest & mask(self.is_wide) } else { self.highest };
        let span = mask(self.is_wide) + 1;
        let wrap = if highest - id > span / 2 { span } else { 0 };
        self.accept(id + self.wrapped_total + wrap, is_wide, wrap)
    }

    fn accept(&self, picture: i64, is_wide: bool, wrap: i64) -> Unwrapped {
        let next = Self {
            highest: picture,
            is_wide,
            wrapped_total: self.wrapped_total + wrap,
            wrapped_last: if wrap == 0 { self.wrapped_last } else { wrap },
        };
        Unwrapped { picture, next }
    }
}

fn is_wide(id: PictureId) -> bool {
    matches!(id, PictureId::Fifteen(_))
}

fn mask(is_wide: bool) -> i64 {
    if is_wide { 0x7fff } else { 0x7f }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(value: i64, is_wide: bool) -> PictureId {
        let value = u16::try_from(value & mask(is_wide)).unwrap();
        if is_wide { PictureId::Fifteen(value) } else { PictureId::Seven(u8::try_from(value).unwrap()) }
    }

    /// The rows of upstream's wrap tracker, in which a read changes what was wrapped but not the highest.
    #[test]
    fn reads_as_upstream_does() {
        assert_eq!(Unwrap::before(id(110, false)).highest(), 109);
        let mut state = Unwrap::before(id(32_767, true));
        assert_eq!(state.highest(), 32_766);
        for (name, highest, new, is_wide, picture, total, last) in [
            ("older, nothing wrapped", (32_766, true), 32_750, true, 32_750, 0, 0),
            ("15 bits wrap to 7", (32_766, true), 5, false, 32_773, 32_768, 32_768),
            ("7 bits wrap", (32_893, false), 5, false, 32_901, 32_896, 128),
            ("from before the last wrap", (32_901, false), 73, false, 32_841, 32_896, 128),
        ] {
            state = Unwrap { highest: highest.0, is_wide: highest.1, ..state };
            let read = state.read(id(new, is_wide));
            assert_eq!(read.picture, picture, "{name}");
            assert_eq!((read.next.wrapped_total, read.next.wrapped_last), (total, last), "{name}");
            state = Unwrap { highest: state.highest, is_wide: state.is_wide, ..read.next };
        }
        let wide = Unwrap { highest: 32_901, is_wide: true, wrapped_total: 32_896, wrapped_last: 32_768 };
        assert_eq!(wide.read(id(73, false)).picture, 32_969, "ahead by less than half of a wide wrap");
    }

    #[test]
    fn wraps_only_beyond_half_the_span() {
        for (name, highest, is_wide, new, expected) in [
            ("7 bits, forward", 10, false, 11, 11),
            ("7 bits, back by half", 100, false, 36, 36),
            ("7 bits, back by more than half", 100, false, 35, 163),
            ("7 bits, last to first", 127, false, 0, 128),
            ("15 bits, back by half", 20_000, true, 3_616, 3_616),
            ("15 bits, back by more than half", 20_000, true, 3_615, 36_383),
            ("15 bits, last to first", 32_767, true, 0, 32_768),
            ("before picture 0", -1, true, 0, 0),
            ("7 bits grow to 15", 127, false, 128, 128),
        ] {
            let state = Unwrap { highest, is_wide, wrapped_total: 0, wrapped_last: 0 };
            assert_eq!(state.read(id(new, is_wide || new > 127)).picture, expected, "{name}");
        }
    }

    #[test]
    fn reading_leaves_no_trace() {
        let state = Unwrap::before(id(5, false));
        let _ = state.read(id(100, true));
        assert_eq!(state, Unwrap::before(id(5, false)));
    }

    #[test]
    fn late_id_is_read_as_it_was_read_in_order() {
        for is_wide in [false, true] {
            let mut state = Unwrap::before(id(0, is_wide));
            let reach = if is_wide { 100 } else { 60 };
            for picture in 0_i64..100_000 {
                let read = state.read(id(picture, is_wide));
                assert_eq!(read.picture, picture);
                state = read.next;
                let late = picture - reach;
                if late >= 0 {
                    assert_eq!(state.read(id(late, is_wide)).picture, late, "{reach} behind {picture}");
                }
            }
        }
    }
}

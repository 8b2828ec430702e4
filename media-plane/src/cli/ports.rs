//! Which UDP ports the workers bind.

use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// `FIRST-LAST`, or one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    pub first: NonZeroU16,
    pub last: NonZeroU16,
}

impl PortRange {
    const fn count(self) -> u32 {
        self.last.get() as u32 - self.first.get() as u32 + 1
    }
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port =
            |text: &str| text.parse::<NonZeroU16>().map_err(|_| format!("{text:?} is no port (1 to 65535)"));
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (port(first)?, port(last)?);
        if last < first {
            return Err(format!("the range {first}-{last} is empty"));
        }
        Ok(Self { first, last })
    }
}

/// What each worker may bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Worker `i` has the `i`th port.
    Fixed(PortRange),
    /// All workers have one port; datagrams are handed to the worker that they are for.
    Shared(NonZeroU16),
    /// Each worker takes a free one.
    AnyOf(PortRange),
}

impl Ports {
    /// # Errors
    /// A sentence, if there are fewer ports than workers.
    pub fn new(fixed: Option<PortRange>, any_of: Option<PortRange>, workers: u16) -> Result<Self, String> {
        let workers_needed = u32::from(workers);
        match (fixed, any_of) {
            (Some(range), _) if range.count() == 1 && workers_needed > 1 => Ok(Self::Shared(range.first)),
            (Some(range), _) if range.count() < workers_needed => Err(format!(
                "--udp-port {}-{} has {} ports for {workers} workers: each needs one of its own",
                range.first,
                range.last,
                range.count(),
            )),
            (Some(range), _) => Ok(Self::Fixed(range)),
            (None, Some(range)) if range.count() < workers_needed => Err(format!(
                "--udp-port-range {}-{} has {} port(s) for {workers} workers: each needs one of its own",
                range.first,
                range.last,
                range.count(),
            )),
            (None, range) => Ok(Self::AnyOf(range.unwrap_or(DEFAULT))),
        }
    }

    /// Whether all workers have one port.
    #[must_use]
    pub const fn are_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }

    /// The ports that a worker tries in turn.
    #[must_use]
    pub fn of_worker(&self, worker: u16) -> RangeInclusive<u16> {
        match self {
            // `new` saw that there are as many ports as workers.
            Self::Fixed(range) => {
                let port = range.first.get().saturating_add(worker);
                port..=port
            }
            Self::Shared(port) => port.get()..=port.get(),
            Self::AnyOf(range) => range.first.get()..=range.last.get(),
        }
    }
}

/// LiveKit's default `rtc.port_range_start` and `_end`.
const DEFAULT: PortRange = PortRange {
    first: NonZeroU16::new(50_000).expect("not zero"),
    last: NonZeroU16::new(60_000).expect("not zero"),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_try_their_own_port_or_all() {
        let range = |text: &str| Some(text.parse::<PortRange>().unwrap());
        for (name, fixed, any_of, expected) in [
            ("one port each", range("7000-7003"), None, [7000..=7000, 7001..=7001]),
            ("one for both", range("7000"), None, [7000..=7000, 7000..=7000]),
            ("any of a range", None, range("7000-7003"), [7000..=7003, 7000..=7003]),
            ("default", None, None, [50_000..=60_000, 50_000..=60_000]),
        ] {
            let ports = Ports::new(fixed, any_of, 2).unwrap();
            assert_eq!([ports.of_worker(0), ports.of_worker(1)], expected, "{name}");
        }
    }

    #[test]
    fn broken_ranges_are_refused() {
        for text in ["", "-", "7000-", "-7000", "70000", "7000-6999", "0-5", "a", "1-2-3"] {
            assert!(text.parse::<PortRange>().is_err(), "{text:?}");
        }
    }
}

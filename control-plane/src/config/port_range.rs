//! A UDP port, or a range of them, as LiveKit writes it: `7882` or `"7882-7892"`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// Inclusive at both ends, never empty, never port 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first > 0 && first <= last).then_some(Self { first, last })
    }

    pub fn single(port: u16) -> Option<Self> {
        Self::new(port, port)
    }

    pub fn first(self) -> u16 {
        self.first
    }

    pub fn last(self) -> u16 {
        self.last
    }

    pub fn count(self) -> u16 {
        (self.last - self.first).saturating_add(1)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return write!(formatter, "{}", self.first);
        }
        write!(formatter, "{}-{}", self.first, self.last)
    }
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |part: &str| part.trim().parse::<u16>().ok();
        port(first)
            .zip(port(last))
            .and_then(|(first, last)| Self::new(first, last))
            .ok_or_else(|| format!("{text:?} is neither a port nor a range like 7882-7892"))
    }
}

impl<'de> Deserialize<'de> for PortRange {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = PortRange;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a port or a range like 7882-7892")
            }

            fn visit_u64<E: de::Error>(self, port: u64) -> Result<PortRange, E> {
                let port = u16::try_from(port).ok().and_then(PortRange::single);
                port.ok_or_else(|| E::custom("a port is a number from 1 to 65535"))
            }

            fn visit_i64<E: de::Error>(self, port: i64) -> Result<PortRange, E> {
                self.visit_u64(u64::try_from(port).unwrap_or(0))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PortRange, E> {
                text.parse().map_err(E::custom)
            }
        }
        from.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_ranges() {
        for (text, expected) in [
            ("7882", Some((7882, 7882))),
            ("7882-7892", Some((7882, 7892))),
            ("7882 - 7892", Some((7882, 7892))),
            ("0", None),
            ("7892-7882", None),
            ("70000", None),
            ("7882-", None),
            ("all", None),
        ] {
            let parsed = text.parse::<PortRange>().ok().map(|range| (range.first(), range.last()));
            assert_eq!(parsed, expected, "{text}");
        }
    }
}

//! What a key's value has to be, and how a wrong one is told.

use serde_json::{Number, Value};

use crate::config::duration;
use crate::config::port_range::PortRange;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Switch,
    Text,
    /// A text that is never shown.
    Secret,
    Port,
    Ports,
    /// From 0 to this.
    Whole(u64),
    Real,
    Duration,
    /// A list of texts.
    Texts,
    /// A mapping or a list that has no one value.
    Other,
}

impl Kind {
    /// Whether one value says it all, so that a flag or a variable can.
    #[must_use]
    pub const fn is_single(self) -> bool {
        !matches!(self, Self::Texts | Self::Other)
    }

    /// For an operator.
    #[must_use]
    pub fn expected(self) -> String {
        match self {
            Self::Switch => "true or false".into(),
            Self::Text | Self::Secret => "a text".into(),
            Self::Port => format!("a port from 0 to {}", u16::MAX),
            Self::Ports => "a port or a range like 7882-7892".into(),
            Self::Whole(max) => format!("a whole number from 0 to {max}"),
            Self::Real => "a number".into(),
            Self::Duration => "a duration like 500ms or 1m30s".into(),
            Self::Texts => "a list".into(),
            Self::Other => "a mapping or a list".into(),
        }
    }

    /// The value that a text says, if it says one.
    #[must_use]
    pub fn read(self, text: &str) -> Option<Value> {
        match self {
            Self::Switch => text.to_ascii_lowercase().parse::<bool>().ok().map(Value::Bool),
            Self::Text | Self::Secret => Some(Value::String(text.to_owned())),
            Self::Port => text.parse::<u16>().ok().map(|port| Value::Number(port.into())),
            Self::Ports => text.parse::<PortRange>().ok().map(|_| Value::String(text.to_owned())),
            Self::Whole(max) => text
                .parse::<u64>()
                .ok()
                .filter(|value| *value <= max)
                .map(|value| Value::Number(value.into())),
            Self::Real => text.parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number),
            Self::Duration => duration::parse(text).map(|_| Value::String(text.to_owned())),
            Self::Texts | Self::Other => None,
        }
    }

    /// What is wrong with it, if something is. Secrets are not repeated.
    #[must_use]
    pub fn complaint(self, text: &str) -> Option<String> {
        if self.read(text).is_some() {
            return None;
        }
        Some(format!("expected {}, not {:?}", self.expected(), shortened(text)))
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= SHOWN_MAX {
        return text.to_owned();
    }
    text.chars().take(SHOWN_MAX).chain(['…']).collect()
}

const SHOWN_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_of_their_kind_or_told() {
        for (kind, text, expected) in [
            (Kind::Switch, "true", None),
            (Kind::Switch, "TRUE", None),
            (Kind::Switch, "yes", Some("expected true or false, not \"yes\"")),
            (Kind::Text, "", None),
            (Kind::Port, "0", None),
            (Kind::Port, "65536", Some("expected a port from 0 to 65535, not \"65536\"")),
            (Kind::Port, "-1", Some("expected a port from 0 to 65535, not \"-1\"")),
            (Kind::Ports, "7882-7890", None),
            (Kind::Ports, "9-8", Some("expected a port or a range like 7882-7892, not \"9-8\"")),
            (Kind::Whole(100), "100", None),
            (Kind::Whole(100), "101", Some("expected a whole number from 0 to 100, not \"101\"")),
            (Kind::Whole(100), "1.5", Some("expected a whole number from 0 to 100, not \"1.5\"")),
            (Kind::Real, "0.7", None),
            (Kind::Real, "NaN", Some("expected a number, not \"NaN\"")),
            (Kind::Duration, "500ms", None),
            (Kind::Duration, "5", Some("expected a duration like 500ms or 1m30s, not \"5\"")),
            (Kind::Texts, "a", Some("expected a list, not \"a\"")),
        ] {
            assert_eq!(kind.complaint(text).as_deref(), expected, "{kind:?} {text:?}");
        }
    }
}

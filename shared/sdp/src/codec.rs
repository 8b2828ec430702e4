//! One payload type of a media section: what `rtpmap`, `fmtp` and `rtcp-fb` say of it together.

/// A codec of a media section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codec {
    pub payload_type: u8,
    /// The encoding name as written; compared without regard to case (RFC 4855 §3).
    pub name: String,
    pub clock_rate: u32,
    pub channels: Option<u8>,
    /// The `a=fmtp` value; empty: none.
    pub parameters: String,
    /// `nack pli`, `transport-cc`, ...
    pub feedback: Vec<String>,
}

impl Codec {
    /// A payload type of which nothing is known yet but what RFC 3551 §6 says of the static ones.
    pub(crate) fn unmapped(payload_type: u8) -> Self {
        let (name, clock_rate) = match payload_type {
            0 => ("PCMU", 8_000),
            8 => ("PCMA", 8_000),
            9 => ("G722", 8_000),
            _ => ("", 0),
        };
        Self {
            payload_type,
            name: name.to_owned(),
            clock_rate,
            channels: None,
            parameters: String::new(),
            feedback: Vec::new(),
        }
    }

    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value of a `name=value` parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        parameter(&self.parameters, name)
    }

    #[must_use]
    pub fn has_feedback(&self, feedback: &str) -> bool {
        self.feedback.iter().any(|kind| kind == feedback)
    }

    /// The payload type that this one repairs, if it is RTX (RFC 4588 §8.6).
    #[must_use]
    pub fn repairs(&self) -> Option<u8> {
        if !self.is("rtx") {
            return None;
        }
        self.parameter("apt")?.parse().ok()
    }
}

/// The value of a `name=value` parameter of an `a=fmtp` value.
#[must_use]
pub fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters
        .split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

//! The query string of `/rtc`: what a client wants of its session.
//!
//! Names and defaults are those of LiveKit v1.13.5 (`pkg/service/rtcservice.go`).

use std::collections::HashMap;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use livekit_protocol::{ConnectionSettings, ReconnectReason};

/// The parameters by name; of a repeated one, the first counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    parameters: HashMap<String, String>,
}

impl Query {
    pub fn parse(text: &str) -> Self {
        let mut parameters = HashMap::new();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()).take(PARAMETERS_MAX) {
            parameters.entry(name.into_owned()).or_insert_with(|| value.into_owned());
        }
        Self { parameters }
    }

    /// Empty when absent: LiveKit makes no difference.
    pub fn text(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }

    pub fn number(&self, name: &str) -> i32 {
        self.text(name).parse().unwrap_or(0)
    }

    pub fn flag(&self, name: &str) -> bool {
        self.optional_flag(name).unwrap_or(false)
    }

    pub fn optional_flag(&self, name: &str) -> Option<bool> {
        let text = self.text(name);
        (!text.is_empty()).then_some(matches!(text, "1" | "true"))
    }

    pub fn settings(&self) -> ConnectionSettings {
        ConnectionSettings {
            auto_subscribe: self.optional_flag("auto_subscribe").unwrap_or(true),
            adaptive_stream: self.flag("adaptive_stream"),
            subscriber_allow_pause: self.optional_flag("subscriber_allow_pause"),
            disable_ice_lite: self.flag("disable_ice_lite"),
            auto_subscribe_data_track: self.optional_flag("auto_subscribe_data_track"),
        }
    }

    pub fn reconnect_reason(&self) -> ReconnectReason {
        ReconnectReason::try_from(self.number("reconnect_reason")).unwrap_or(ReconnectReason::RrUnknown)
    }

    /// `attributes`: base64url of a JSON object of strings. None if it is there and cannot be read.
    pub fn attributes(&self) -> Option<HashMap<String, String>> {
        let text = self.text("attributes");
        if text.is_empty() {
            return Some(HashMap::new());
        }
        serde_json::from_slice(&base64url(text)?).ok()
    }
}

/// RFC 4648 §5; SDKs differ in whether they pad.
pub fn base64url(text: &str) -> Option<Vec<u8>> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::URL_SAFE,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    ENGINE.decode(text).ok()
}

/// SDKs send some twenty; the rest is noise.
const PARAMETERS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_have_livekits_defaults() {
        let setting = |auto_subscribe, adaptive_stream, allow_pause| ConnectionSettings {
            auto_subscribe,
            adaptive_stream,
            subscriber_allow_pause: allow_pause,
            disable_ice_lite: false,
            auto_subscribe_data_track: None,
        };
        for (text, expected) in [
            ("", setting(true, false, None)),
            ("auto_subscribe=1&adaptive_stream=1", setting(true, true, None)),
            ("auto_subscribe=true&adaptive_stream=true", setting(true, true, None)),
            ("auto_subscribe=0&adaptive_stream=0", setting(false, false, None)),
            ("auto_subscribe=yes", setting(false, false, None)),
            ("auto_subscribe=", setting(true, false, None)),
            ("auto_subscribe=0&auto_subscribe=1", setting(false, false, None)),
            ("subscriber_allow_pause=1", setting(true, false, Some(true))),
            ("subscriber_allow_pause=0", setting(true, false, Some(false))),
        ] {
            assert_eq!(Query::parse(text).settings(), expected, "{text}");
        }
    }

    #[test]
    fn parameters_are_decoded() {
        let query =
            Query::parse("room=a%20b+c&sid=PA_1&reconnect=1&reconnect_reason=2&protocol=16&broken=%zz&=x&y");
        assert_eq!(query.text("room"), "a b c");
        assert_eq!(query.text("sid"), "PA_1");
        assert_eq!(query.text("none"), "");
        assert_eq!(query.number("protocol"), 16);
        assert_eq!(query.number("room"), 0);
        assert!(query.flag("reconnect"));
        assert_eq!(query.reconnect_reason(), ReconnectReason::RrPublisherFailed);
        assert_eq!(Query::parse("reconnect_reason=99").reconnect_reason(), ReconnectReason::RrUnknown);
    }

    #[test]
    fn attributes_are_base64_of_json() {
        let one = HashMap::from([("a".to_owned(), "b".to_owned())]);
        for (name, text, expected) in [
            ("absent", "", Some(HashMap::new())),
            ("padded", "attributes=eyJhIjoiYiJ9", Some(one.clone())),
            ("unpadded", "attributes=eyJhIjoiYiIgfQ", Some(one.clone())),
            ("with padding", "attributes=eyJhIjoiYiIgfQ%3D%3D", Some(one)),
            ("not base64", "attributes=!", None),
            ("not JSON", "attributes=AAAA", None),
            ("not texts", "attributes=eyJhIjoxfQ", None),
        ] {
            assert_eq!(Query::parse(text).attributes(), expected, "{name}");
        }
    }

    #[test]
    fn only_so_many_parameters_are_kept() {
        let text: String = (0..1000).map(|n| format!("p{n}=1&")).collect();
        assert_eq!(Query::parse(&text).parameters.len(), PARAMETERS_MAX);
    }
}

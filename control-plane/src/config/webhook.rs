//! `webhook`: who is told what happens in rooms, and how what could not be told yet is kept.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::config::network::Network;
use crate::config::{duration, or_default};

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Webhook {
    /// Each gets every event.
    #[serde(deserialize_with = "or_default")]
    pub urls: Vec<String>,
    /// Its secret signs the events.
    pub api_key: String,
    #[serde(deserialize_with = "or_default")]
    pub filter_params: Filter,
    #[serde(deserialize_with = "or_default")]
    pub resource_url_notifier: Bounds,
    /// Ours: where undelivered events are kept. Absent: in the state directory that the service manager gives, or in
    /// `/var/lib/millrace`.
    pub outbox_dir: Option<PathBuf>,
    /// Ours: how much undelivered events of one URL may take.
    pub outbox_max_bytes: u64,
    /// Ours: networks beyond the public ones in which receivers may be.
    #[serde(deserialize_with = "or_default")]
    pub allow_private: Vec<Network>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Filter {
    #[serde(deserialize_with = "or_default")]
    pub include_events: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub exclude_events: Vec<String>,
}

/// Of what waits for delivery.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Bounds {
    #[serde(deserialize_with = "duration::deserialize")]
    pub max_age: Duration,
    /// Events of one room to one URL.
    pub max_depth: usize,
}

impl Filter {
    /// As LiveKit has it: what is included goes before what is excluded, and who includes some excludes the others.
    #[must_use]
    pub fn lets(&self, event: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|name| name == event);
        named(&self.include_events) || (self.include_events.is_empty() && !named(&self.exclude_events))
    }
}

impl Default for Webhook {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            api_key: String::new(),
            filter_params: Filter::default(),
            resource_url_notifier: Bounds::default(),
            outbox_dir: None,
            outbox_max_bytes: 256 * 1024 * 1024,
            allow_private: Vec::new(),
        }
    }
}

impl Default for Bounds {
    /// LiveKit keeps them in memory, for 30 s and 200 of a room. Ours are on disk.
    fn default() -> Self {
        Self { max_age: Duration::from_secs(24 * 3_600), max_depth: 10_000 }
    }
}

#[cfg(test)]
mod tests {
    use super::Filter;

    #[test]
    fn filters_let_through_what_livekits_do() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (name, include, exclude, event, expected) in [
            ("no filter", &[][..], &[][..], "room_started", true),
            ("included", &["room_started"], &[], "room_started", true),
            ("another is included", &["room_started"], &[], "room_finished", false),
            ("excluded", &[], &["room_started"], "room_started", false),
            ("another is excluded", &[], &["room_started"], "room_finished", true),
            ("both", &["room_started"], &["room_started"], "room_started", true),
        ] {
            let filter = Filter { include_events: names(include), exclude_events: names(exclude) };
            assert_eq!(filter.lets(event), expected, "{name}");
        }
    }
}

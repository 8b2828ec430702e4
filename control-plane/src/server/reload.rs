//! SIGHUP: keys, limits and the log level are read again; calls notice nothing, and a bad file changes nothing.

use std::sync::Arc;

use logs::stderr::Filter;
use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::auth::token::Keys;
use crate::cli::Serve;
use crate::config::Config;
use crate::config::live::Live;
use crate::config::settle::{self, Settled};
use crate::config::webhook::Webhook;

/// What a reload reads from, and what it changes.
#[derive(Debug)]
pub struct Reloading {
    /// The command line stays as it was given, and goes before the file again.
    pub arguments: Serve,
    /// As it was read at the start, before anything was found out.
    pub at_start: Config,
    pub config: Live,
    pub keys: Arc<Keys>,
    pub filter: Filter,
}

impl Reloading {
    /// Reloads at each signal, until told to stop.
    pub async fn run(self, mut hangup: Signal, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = hangup.recv() => {}
            }
            let arguments = self.arguments.clone();
            let read = spawn_blocking(move || settle::settle(&arguments)).await;
            let applied =
                read.unwrap_or_else(|error| Err(error.to_string())).and_then(|fresh| self.apply(fresh));
            match applied {
                Ok(kept) if kept.is_empty() => tracing::info!("SIGHUP: configuration reloaded"),
                Ok(kept) => tracing::warn!(
                    "SIGHUP: configuration reloaded, but for what takes effect at the next start: {}",
                    kept.join(", ")
                ),
                Err(error) => tracing::error!("SIGHUP: the configuration stays as it was: {error}"),
            }
        }
    }

    /// Everything, or nothing. Gives the names of what was changed in vain.
    fn apply(&self, fresh: Settled) -> Result<Vec<&'static str>, String> {
        let Settled { config: fresh, keys, warnings, .. } = fresh;
        self.filter.set(fresh.logging.level.as_deref().unwrap_or("info"))?;
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        self.keys.replace(&keys);
        let kept = kept(&self.at_start, &fresh);
        self.config.replace(merged(&self.config.now(), fresh));
        Ok(kept)
    }
}

/// What runs, with that of `fresh` which may change while it does.
fn merged(running: &Config, fresh: Config) -> Config {
    let mut config = running.clone();
    config.limit = fresh.limit;
    config.agents = fresh.agents;
    config.logging.level = fresh.logging.level;
    config.enable_data_tracks = fresh.enable_data_tracks;
    config.enable_participant_data_blob = fresh.enable_participant_data_blob;
    config.drain_timeout = fresh.drain_timeout;
    config.prometheus.username = fresh.prometheus.username;
    config.prometheus.password = fresh.prometheus.password;
    config.webhook = Webhook { outbox_dir: config.webhook.outbox_dir, ..fresh.webhook };
    config
}

/// What differs between two readings of the file and is not taken over.
fn kept(at_start: &Config, fresh: &Config) -> Vec<&'static str> {
    // Each field is named, so that a new one is decided on here.
    let Config {
        port,
        bind_addresses,
        keys: _,
        key_file: _,
        log_level: _,
        logging,
        region,
        development,
        prometheus_port: _,
        prometheus,
        rtc,
        room,
        audio,
        video,
        limit: _,
        agents: _,
        enable_data_tracks: _,
        enable_participant_data_blob: _,
        media_planes,
        trusted_proxies,
        drain_timeout: _,
        runtime_dir,
        media,
        webhook,
    } = at_start;
    let differing = [
        ("port", *port != fresh.port),
        ("bind_addresses", *bind_addresses != fresh.bind_addresses),
        ("logging.json", logging.json != fresh.logging.json),
        ("region", *region != fresh.region),
        ("development", *development != fresh.development),
        ("prometheus.port", prometheus.port != fresh.prometheus.port),
        ("rtc", *rtc != fresh.rtc),
        ("room", *room != fresh.room),
        ("audio", *audio != fresh.audio),
        ("video", *video != fresh.video),
        ("media_planes", *media_planes != fresh.media_planes),
        ("trusted_proxies", *trusted_proxies != fresh.trusted_proxies),
        ("runtime_dir", *runtime_dir != fresh.runtime_dir),
        ("media", *media != fresh.media),
        ("webhook.outbox_dir", webhook.outbox_dir != fresh.webhook.outbox_dir),
    ];
    differing.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(change: impl FnOnce(&mut Config)) -> Config {
        let mut config = Config::default();
        change(&mut config);
        config
    }

    #[test]
    fn limits_and_levels_are_taken_over_and_the_rest_waits_for_a_start() {
        let file = fresh(|config| {
            config.limit.num_tracks = 9;
            config.agents.target_load = 0.5;
            config.logging.level = Some("debug".to_owned());
            config.prometheus.password = "p".to_owned();
            config.port = 1;
            config.room.max_participants = 2;
            config.rtc.enable_loopback_candidate = true;
        });
        let running = fresh(|config| config.rtc.node_ip = vec!["192.0.2.1".parse().unwrap()]);
        let merged = merged(&running, file.clone());
        let expected = fresh(|config| {
            config.limit.num_tracks = 9;
            config.agents.target_load = 0.5;
            config.logging.level = Some("debug".to_owned());
            config.prometheus.password = "p".to_owned();
            config.rtc.node_ip = vec!["192.0.2.1".parse().unwrap()];
        });
        assert_eq!(merged, expected);
        assert_eq!(kept(&Config::default(), &file), ["port", "rtc", "room"]);
    }

    #[test]
    fn a_reading_that_differs_in_nothing_else_keeps_nothing_back() {
        let file = fresh(|config| config.limit.max_metadata_size = 1);
        assert_eq!(kept(&Config::default(), &file), [""; 0]);
    }
}

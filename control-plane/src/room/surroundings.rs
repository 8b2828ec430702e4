//! What a room is told about the world once: configuration, the server, its place on a media plane.

use std::sync::Arc;

use livekit_protocol::{IceServer, ServerInfo};

use crate::config::Config;
use crate::negotiate::setup::{Candidate, Setup};
use crate::room::clock::Time;
use crate::room::names::ParticipantSid;

#[derive(Clone, Debug)]
pub struct Surroundings {
    pub config: Arc<Config>,
    pub server_info: ServerInfo,
    /// What descriptions say on every worker.
    pub setup: Setup,
    /// What each worker listens on.
    pub candidates: Arc<[Vec<Candidate>]>,
    /// The worker on which who joins now will live.
    pub next_worker: u16,
}

impl Surroundings {
    /// What descriptions of a peer on that worker say.
    #[must_use]
    pub fn setup(&self, worker: u16) -> Setup {
        let candidates = self.candidates.get(usize::from(worker)).cloned().unwrap_or_default();
        Setup { candidates, ..self.setup.clone() }
    }

    #[must_use]
    pub fn ice_servers(&self, now: Time, who: &ParticipantSid) -> Vec<IceServer> {
        let seconds = u64::try_from(now.unix_seconds()).unwrap_or(0);
        let turn = self.config.rtc.turn_servers.iter().map(|server| server.for_client(seconds, &who.0));
        let urls = self.config.rtc.stun_servers.iter().map(|server| format!("stun:{server}"));
        let servers = urls.map(|url| IceServer { urls: vec![url], ..IceServer::default() });
        turn.chain(servers).collect()
    }
}

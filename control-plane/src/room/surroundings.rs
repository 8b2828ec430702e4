//! What a room is told about the world once: configuration, the server, its place on a media plane.

use std::sync::Arc;

use livekit_protocol::{IceServer, ServerInfo};

use crate::config::Config;
use crate::negotiate::setup::Setup;

#[derive(Clone, Debug)]
pub struct Surroundings {
    pub config: Arc<Config>,
    pub server_info: ServerInfo,
    /// The worker on which the room's peers live, and what descriptions say of it.
    pub worker: u16,
    pub setup: Setup,
}

impl Surroundings {
    #[must_use]
    pub fn ice_servers(&self) -> Vec<IceServer> {
        let urls = self.config.rtc.stun_servers.iter().map(|server| format!("stun:{server}"));
        let servers = urls.map(|url| IceServer { urls: vec![url], ..IceServer::default() });
        servers.collect()
    }
}

//! What requests are answered from in tests: without a media plane, so without rooms.

use std::sync::Arc;

use livekit_protocol::ServerInfo;
use tokio_util::task::TaskTracker;

use crate::agent::dispatcher::Settings;
use crate::agent::service::Agents;
use crate::auth::revocation::Revocations;
use crate::auth::token::Keys;
use crate::config::Config;
use crate::config::live::Live;
use crate::http::Site;
use crate::media::placement::Planes;
use crate::room::notice::Listeners;
use crate::room::registry::{Context, Registry};
use crate::webhook::outbox::Outbox;

pub(crate) fn keys() -> Keys {
    Keys::new([("key".to_owned(), "secret".to_owned())])
}

pub(crate) fn site(config: Config, node_id: &str) -> Site {
    let config = Live::new(config);
    let context = Context {
        config: config.clone(),
        keys: Arc::new(keys()),
        planes: Planes::new(Vec::new()),
        server_info: ServerInfo { node_id: node_id.to_owned(), ..ServerInfo::default() },
        listeners: Listeners::default(),
        revocations: Revocations::default(),
    };
    let settings = Settings { config: config.clone(), server_info: ServerInfo::default() };
    let (agents, _errands) = Agents::new(settings, Arc::new(keys()));
    Site {
        webhooks: Arc::new(Outbox::new(config.clone(), Arc::new(keys()), node_id)),
        config,
        agents,
        keys: Arc::new(keys()),
        registry: Arc::new(Registry::new(Arc::new(context))),
        counters: Arc::default(),
        api: Arc::default(),
        connections: TaskTracker::new(),
        whip: Arc::default(),
    }
}

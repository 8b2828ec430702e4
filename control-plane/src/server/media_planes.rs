//! The media planes that the configuration names, or one of our own if it names none.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

use crate::config::Config;
use crate::media::address::{Address, Bearer};
use crate::media::child::arguments::arguments;
use crate::media::child::{self, Keeper, executable};
use crate::media::placement::Planes;
use crate::media::plane::{Options, Plane};
use crate::media::reconcile::Orphans;

#[derive(Debug)]
pub struct MediaPlanes {
    planes: Planes,
    /// Ends ours; those of others stay.
    keeper: Option<Keeper>,
}

impl MediaPlanes {
    /// Returns when the first is attached, or after a while.
    ///
    /// # Errors
    /// A sentence, if an address is none or there is no media plane to start.
    pub async fn start(config: &Config) -> Result<Self, String> {
        let (addresses, keeper) = if config.media_planes.is_empty() {
            let (address, keeper) = start_own(config)?;
            (vec![address], Some(keeper))
        } else {
            let addresses = config.media_planes.iter().map(|text| text.parse());
            (
                addresses.collect::<Result<_, String>>().map_err(|error| format!("media_planes: {error}"))?,
                None,
            )
        };
        let bearer = Bearer::new(config.media.token.as_deref())?;
        let options = |address| Options {
            address,
            bearer: bearer.clone(),
            node: node_name(config),
            orphans: Orphans::Drop,
        };
        let planes =
            Planes::new(addresses.into_iter().map(|address| Plane::start(options(address))).collect());
        wait_for_one(&planes).await;
        Ok(Self { planes, keeper })
    }

    pub fn planes(&self) -> Planes {
        self.planes.clone()
    }

    pub async fn stop(self) {
        if let Some(keeper) = self.keeper {
            keeper.stop().await;
        }
    }
}

/// The socket's name is the same for the next control plane on this port, so that it finds what this one leaves.
fn start_own(config: &Config) -> Result<(Address, Keeper), String> {
    let executable = executable::find().map_err(|error| error.to_string())?;
    let folder = executable::runtime_directory(config.runtime_dir.as_deref())
        .map_err(|error| format!("runtime_dir: {error}"))?;
    let socket = folder.join(format!("media-{}.sock", config.port));
    let options = child::Options { executable, socket: socket.clone(), arguments: arguments(config) };
    Ok((Address::Unix(socket), Keeper::start(options)))
}

async fn wait_for_one(planes: &Planes) {
    let mut attaching: FuturesUnordered<_> = planes.all().iter().map(Plane::ready).collect();
    let attached = async {
        while let Some(ready) = attaching.next().await {
            if ready.is_ok() {
                return;
            }
        }
        std::future::pending::<()>().await;
    };
    if timeout(ATTACH_MAX, attached).await.is_err() {
        tracing::warn!("no media plane is attached yet: joins are refused until one is");
    }
}

fn node_name(config: &Config) -> String {
    format!("millrace:{}", config.port)
}

const ATTACH_MAX: Duration = Duration::from_secs(5);

//! A room's place: a media plane, its worker there, and what descriptions say of all workers.

use std::net::IpAddr;
use std::sync::Arc;

use proto::media::v1 as proto;

use crate::config::Config;
use crate::media::placement::Planes;
use crate::media::plane::Plane;
use crate::negotiate::codec::EnabledCodecs;
use crate::negotiate::setup::{Candidate, Protocol, Setup};

#[derive(Clone, Debug)]
pub struct Place {
    pub plane: Plane,
    pub worker: u16,
    /// Without candidates: those are of each worker.
    pub setup: Setup,
    pub candidates: Arc<[Vec<Candidate>]>,
}

impl Place {
    /// A place for a room. `None`: no media plane is attached.
    #[must_use]
    pub fn find(planes: &Planes, room: &str, config: &Config) -> Option<Self> {
        let (plane, worker) = planes.choose(room)?;
        let worker = u16::try_from(worker).ok()?;
        let attached = plane.attached()?;
        let setup = Setup {
            fingerprint_sha256: <[u8; 32]>::try_from(attached.certificate_sha256.as_slice()).ok()?,
            candidates: Vec::new(),
            enabled_codecs: EnabledCodecs::from_mimes(
                config.room.enabled_codecs.iter().map(|codec| codec.mime.as_str()),
            ),
            playout_delay: false,
        };
        let workers = u32::try_from(attached.workers.len()).unwrap_or(u32::MAX);
        let candidates = (0..workers).map(|index| candidates(&attached.workers, index)).collect();
        Some(Self { plane, worker, setup, candidates })
    }
}

/// What a worker listens on, as far as we advertise it: UDP.
fn candidates(workers: &[proto::Worker], index: u32) -> Vec<Candidate> {
    let worker = workers.iter().find(|worker| worker.index == index);
    let candidates = worker.into_iter().flat_map(|worker| &worker.candidates);
    let udp = candidates.filter(|candidate| candidate.protocol() == proto::Protocol::Udp);
    udp.filter_map(|candidate| {
        let address: IpAddr = candidate.address.parse().ok()?;
        Some(Candidate { address, port: u16::try_from(candidate.port).ok()?, protocol: Protocol::Udp })
    })
    .collect()
}

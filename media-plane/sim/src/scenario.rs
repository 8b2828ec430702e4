//! What a world is like: how long, how lossy, who wants what, and what is broken on purpose.

use std::sync::Arc;
use std::time::Duration;

use crate::camera::LAYERS;
use crate::film::Film;
use crate::link::{Bottleneck, Conditions};

#[derive(Clone, Debug)]
pub struct Scenario {
    pub duration: Duration,
    /// From the publisher to the engine, and back.
    pub uplink: Conditions,
    /// From the engine to each subscriber, and back.
    pub downlink: Conditions,
    /// How many simulcast layers the camera has.
    pub layers: u8,
    pub subscribers: Vec<Wish>,
    pub rings: Rings,
    /// Subscribers change their minds every second or so: other layers, a pause.
    pub is_restless: bool,
    pub fault: Option<Fault>,
    /// What the camera shows in its lowest layer, and only there, instead of pictures that nobody can look at.
    pub film: Option<Arc<Film>>,
}

/// Over how many workers the room is spread, and what there is between them.
#[derive(Clone, Copy, Debug)]
pub struct Rings {
    pub workers: u16,
    /// How often they begin to be full.
    pub full_per_mille: u32,
}

impl Rings {
    /// One worker has it all.
    pub const NONE: Self = Self { workers: 1, full_per_mille: 0 };
}

/// The highest layers that a subscriber may get.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    pub layer_max: u8,
    pub temporal_layer_max: u8,
}

/// What is broken on purpose, mostly what a subscriber's client received before anyone looks: the oracle has to notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Takes out a whole picture of the base layer now and then and closes up all numbers, as a wrong temporal filter would.
    HideBasePictures,
    /// Gives a picture the number of the one before it now and then, as a wrong lag would.
    RepeatPictureId,
    /// Takes out an audio packet now and then and closes up the sequence numbers.
    HideAudio,
    /// Takes a packet for the one before it now and then, as if that had been sent under two numbers.
    RepeatPacket,
    /// Takes a picture's last packet for one of the picture before it now and then.
    MixPictures,
    /// Takes a whole picture for the one before it now and then.
    RepeatPicture,
    /// Tells the oracle of no check: all that is sent goes to strangers then.
    KeepChecksFromOracle,
    /// Does not give the engine one of its datagrams.
    SwallowDatagram,
    /// Changes a bit in what clients get.
    GarbleDatagrams,
}

/// A kind of network by its name, by which a seed that failed is played again.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub name: &'static str,
    scenario: fn() -> Scenario,
}

pub const KINDS: [Kind; 8] = [
    Kind { name: "clean", scenario: || Scenario::with_loss(0) },
    Kind { name: "lossy", scenario: || Scenario::with_loss(50) },
    Kind { name: "very-lossy", scenario: || Scenario::with_loss(200) },
    Kind { name: "bursts", scenario: Scenario::with_bursts },
    Kind { name: "tight", scenario: Scenario::with_tight_links },
    Kind { name: "narrow", scenario: Scenario::with_narrow_links },
    Kind { name: "spread", scenario: || Scenario::on_workers(2, 10, 0) },
    Kind { name: "full-rings", scenario: || Scenario::on_workers(3, 10, 5) },
];

impl Kind {
    /// The world of a seed; in every other one subscribers change their minds.
    #[must_use]
    pub fn scenario(self, seed: u64) -> Scenario {
        Scenario { is_restless: seed.is_multiple_of(2), ..(self.scenario)() }
    }
}

impl Scenario {
    /// A publisher and three subscribers that want all, the middle, and the least; each path loses as said.
    #[must_use]
    pub fn with_loss(loss_per_mille: u32) -> Self {
        let conditions = Conditions {
            delay: Duration::from_millis(20),
            jitter: Duration::from_millis(8),
            loss_per_mille,
            reordered_per_mille: 5,
            reordered_by: Duration::from_millis(10),
            doubled_per_mille: 5,
            ..Conditions::default()
        };
        Self {
            duration: Duration::from_secs(12),
            uplink: conditions,
            downlink: conditions,
            layers: LAYERS,
            subscribers: [(2, 2), (1, 1), (0, 0)]
                .map(|(layer_max, temporal_layer_max)| Wish { layer_max, temporal_layer_max })
                .into(),
            rings: Rings::NONE,
            is_restless: false,
            fault: None,
            film: None,
        }
    }

    /// The same, and now and then all of some datagrams in a row are lost.
    #[must_use]
    pub fn with_bursts() -> Self {
        let mut scenario = Self::with_loss(10);
        for conditions in [&mut scenario.uplink, &mut scenario.downlink] {
            conditions.burst_per_mille = 2;
            conditions.burst_len_max = 40;
        }
        scenario
    }

    /// The same, and now and then nothing passes for a while, however much is sent.
    #[must_use]
    pub fn with_outages() -> Self {
        let mut scenario = Self::with_loss(10);
        for conditions in [&mut scenario.uplink, &mut scenario.downlink] {
            conditions.outage_per_mille = 2;
            conditions.outage_max = Duration::from_millis(250);
        }
        scenario
    }

    /// The same room on several workers, whose rings are full now and then.
    #[must_use]
    pub fn on_workers(workers: u16, loss_per_mille: u32, full_per_mille: u32) -> Self {
        Self { rings: Rings { workers, full_per_mille }, ..Self::with_loss(loss_per_mille) }
    }

    /// Links that just carry all that is wanted, but not all of a key frame at once.
    #[must_use]
    pub fn with_tight_links() -> Self {
        Self::with_bottlenecks(110_000, 60_000)
    }

    /// Links to subscribers that can not carry the highest layer: what does not fit is lost at random places.
    #[must_use]
    pub fn with_narrow_links() -> Self {
        Self::with_bottlenecks(110_000, 25_000)
    }

    fn with_bottlenecks(up: u32, down: u32) -> Self {
        let mut scenario = Self::with_loss(0);
        for (conditions, bytes_per_second) in [(&mut scenario.uplink, up), (&mut scenario.downlink, down)] {
            let wait_max = Duration::from_millis(150);
            conditions.bottleneck = Some(Bottleneck { bytes_per_second, wait_max });
        }
        scenario
    }

    /// A perfect world but for one fault.
    #[must_use]
    pub fn with_fault(fault: Fault) -> Self {
        let conditions = Conditions { delay: Duration::from_millis(20), ..Conditions::default() };
        Self {
            duration: Duration::from_secs(4),
            uplink: conditions,
            downlink: conditions,
            layers: LAYERS,
            subscribers: vec![Wish { layer_max: 0, temporal_layer_max: 2 }],
            rings: Rings::NONE,
            is_restless: false,
            fault: Some(fault),
            film: None,
        }
    }
}

//! A publication whose home is on another worker, as the workers of its subscribers know it: where its packets come from,
//! and when to say what is needed of them.

use core::time::Duration;

use forward::facts::{Facts, LAYERS};
use units::handle::WorkerIndex;
use units::rtp::Ssrc;
use units::sequence::Seq;
use units::time::Instant;

use crate::ingress::elements::ExtensionIds;
use crate::relay::{Demand, Relayed};

#[derive(Debug)]
pub struct Away {
    pub home: WorkerIndex,
    /// The publisher's, as the last packet had them.
    pub ids: ExtensionIds,
    /// By layer, the stream and the newest packet of it that came here.
    newest: [Option<(Ssrc, Seq)>; LAYERS as usize],
    told: Told,
}

/// What the home was told, and when it is to be told again.
#[derive(Debug, Default)]
struct Told {
    layers_max: u8,
    current: u8,
    again_at: Option<Instant>,
    interval: Duration,
}

impl Away {
    #[must_use]
    pub fn new(home: WorkerIndex) -> Self {
        Self { home, ids: ExtensionIds::default(), newest: [None; LAYERS as usize], told: Told::default() }
    }

    /// Notes a packet that came here. Returns how many that should have come before it have not: none of those that nobody
    /// here needed.
    pub fn arrived(&mut self, packet: &Relayed) -> u64 {
        self.ids = packet.ids;
        let Facts { layer, source, sequence, .. } = packet.facts;
        let Some(newest) = self.newest.get_mut(usize::from(layer)) else { return 0 };
        let before = newest.filter(|(before, _)| *before == source).map(|(_, before)| before);
        *newest = Some((source, before.map_or(sequence, |before| before.max(sequence))));
        let gap = before.map_or(0, |before| sequence.0.saturating_sub(before.0 + 1));
        gap.min(packet.missing)
    }

    /// Whether the home is to be told `demand` now: if it is another one than before, or time to repeat it.
    #[must_use]
    pub fn is_due(&self, now: Instant, demand: &Demand) -> bool {
        let is_new = (self.told.layers_max, self.told.current) != (demand.layers_max, demand.current);
        let asks = demand.key_frames.iter().any(Option::is_some);
        is_new || asks || self.told.again_at.is_some_and(|at| at <= now)
    }

    /// Notes that the home was told `demand`, or that there was no room for it on the way.
    ///
    /// It is repeated soon, then more and more rarely: the home may not have known the publication yet.
    pub fn told(&mut self, now: Instant, demand: &Demand, has_left: bool) {
        let is_new = (self.told.layers_max, self.told.current) != (demand.layers_max, demand.current);
        let interval =
            if is_new || !has_left { REPEAT_FIRST } else { (self.told.interval * 2).min(REPEAT_MAX) };
        let again_at = (!demand.is_nothing() || !has_left).then_some(now + interval);
        let (layers_max, current) = (demand.layers_max, demand.current);
        self.told = Told { layers_max, current, again_at, interval };
    }

    /// When the home is to be told again.
    #[must_use]
    pub const fn again_at(&self) -> Option<Instant> {
        self.told.again_at
    }
}

const REPEAT_FIRST: Duration = Duration::from_millis(100);
/// Often enough that an edge outlasts some demands that are lost.
const REPEAT_MAX: Duration = Duration::from_secs(1);

//! A published media section: its encodings, which of them are live, and who gets copies.

use alloc::vec::Vec;
use core::time::Duration;

use units::handle::{PeerId, RoomId, SubscriptionId};
use units::rtp::{PayloadType, Ssrc};
use units::time::Instant;

use crate::command::{MediaKind, PayloadCodec, PublicationSpec};
use crate::egress::history::{self, History};
use crate::ingress::frame_rate::FrameRate;
use crate::ingress::key_frame::KeyFrameRequest;
use crate::overload::Restraint;
use crate::pool::Pool;
use crate::quality::Totals;
use crate::relay::away::Away;
use crate::relay::bit;
use crate::relay::edges::Edges;
use crate::room::speakers::Speaker;
use crate::slots::Slot;

#[derive(Debug)]
pub struct Publication {
    pub spec: PublicationSpec,
    pub publisher: Publisher,
    pub room: Slot<RoomId>,
    /// By layer, lowest first.
    pub encodings: Vec<Encoding>,
    pub subscribers: Vec<Subscriber>,
    /// While the worker does not keep up.
    pub restraint: Restraint,
    /// To other workers; none if its home is not here.
    pub edges: Edges,
    /// Where packets of it wait in the [`crate::arrivals::Arrivals`] of this wake.
    pub group: Option<u16>,
    pub speaker: Speaker,
    /// What `Event::Quality` told up to.
    pub told: Totals,
    /// Of sources that ended.
    pub past: Totals,
    /// Since then somebody waits for it: what did not come before was not wanted.
    pub expected_since: Option<Instant>,
}

/// Where the packets come from.
#[derive(Debug)]
pub enum Publisher {
    Here(Slot<PeerId>),
    Away(Away),
}

impl Publisher {
    /// Whether it is the same peer, or on the same worker.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Here(one), Self::Here(other)) => one == other,
            (Self::Away(one), Self::Away(other)) => one.home == other.home,
            _ => false,
        }
    }
}

/// Who gets copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscriber {
    pub subscription: Slot<SubscriptionId>,
    /// The subscription's: stands here so that packets can be ordered by destination without touching each.
    pub peer: Slot<PeerId>,
}

#[derive(Debug)]
pub struct Encoding {
    /// The stream that carries it now.
    pub source: Option<Ssrc>,
    pub history: History,
    pub key_frame: KeyFrameRequest,
    pub frame_rate: FrameRate,
    packet_at: Option<Instant>,
    live: bool,
    /// The stream that was told of last, and when.
    told: Option<(Ssrc, Instant)>,
}

impl Publication {
    #[must_use]
    pub fn new(spec: PublicationSpec, publisher: Publisher, room: Slot<RoomId>) -> Self {
        let mut publication = Self {
            publisher,
            room,
            encodings: Vec::new(),
            subscribers: Vec::new(),
            restraint: Restraint::NONE,
            edges: Edges::default(),
            group: None,
            speaker: Speaker::default(),
            told: Totals::default(),
            past: Totals::default(),
            expected_since: None,
            spec,
        };
        publication.fit_encodings();
        publication
    }

    /// Takes what `spec` says; encodings that stay keep their state.
    pub fn update(&mut self, spec: PublicationSpec, pool: &mut Pool) {
        if spec.muted {
            self.speaker.silence();
        }
        self.spec = spec;
        for encoding in self.encodings.iter_mut().skip(self.spec.encodings.len()) {
            encoding.history.clear(pool);
        }
        self.encodings.truncate(self.spec.encodings.len());
        self.fit_encodings();
    }

    /// The publisher's peer, if it is here.
    #[must_use]
    pub const fn peer(&self) -> Option<Slot<PeerId>> {
        match self.publisher {
            Publisher::Here(peer) => Some(peer),
            Publisher::Away(_) => None,
        }
    }

    #[must_use]
    pub const fn away(&self) -> Option<&Away> {
        match &self.publisher {
            Publisher::Here(_) => None,
            Publisher::Away(away) => Some(away),
        }
    }

    pub const fn away_mut(&mut self) -> Option<&mut Away> {
        match &mut self.publisher {
            Publisher::Here(_) => None,
            Publisher::Away(away) => Some(away),
        }
    }

    /// Notes a packet of a layer. Returns whether the layer thereby became live.
    pub fn packet_came(&mut self, now: Instant, layer: u8) -> bool {
        let Some(encoding) = self.encodings.get_mut(usize::from(layer)) else { return false };
        encoding.packet_at = Some(now);
        !core::mem::replace(&mut encoding.live, true)
    }

    /// The stream of a layer that is to be told of, which it is then: not one after the other, if they come and go.
    pub fn tell_source(&mut self, now: Instant, layer: u8) -> Option<Ssrc> {
        let encoding = self.encoding_mut(layer)?;
        let source = encoding.source?;
        if encoding.told.is_some_and(|(told, at)| told == source || now - at < TELL_INTERVAL) {
            return None;
        }
        encoding.told = Some((source, now));
        Some(source)
    }

    /// The live layers, one bit each.
    #[must_use]
    pub fn live(&self) -> u8 {
        let live = (0..).zip(&self.encodings).filter(|(_, encoding)| encoding.live);
        live.fold(0, |bits, (layer, _)| bits | bit(layer))
    }

    /// Takes what the publication's home says of live layers. Returns whether that is new.
    pub fn set_live(&mut self, live: u8) -> bool {
        let before = self.live();
        for (layer, encoding) in (0..).zip(&mut self.encodings) {
            let was_live = core::mem::replace(&mut encoding.live, live & bit(layer) != 0);
            if encoding.live && !was_live {
                encoding.key_frame.began();
            }
        }
        self.live() != before
    }

    /// Finds out which layers go to which workers.
    pub fn fit_edges(&mut self) {
        let encodings = &self.encodings;
        self.edges.fit(|layer_max| best_layer(encodings, layer_max));
    }

    /// Layers that had no packet for a while although others had are not live any more. Returns whether that is new.
    ///
    /// Only the publication's home can tell: elsewhere no packets come of what nobody needs.
    pub fn settle_layers(&mut self) -> bool {
        if self.away().is_some() {
            return false;
        }
        let newest = self.encodings.iter().filter_map(|encoding| encoding.packet_at).max();
        let mut changed = false;
        for encoding in &mut self.encodings {
            let stale = newest.zip(encoding.packet_at).is_some_and(|(newest, at)| newest - at > DEAD_AFTER);
            changed |= encoding.live && stale;
            encoding.live &= !stale;
        }
        changed
    }

    /// Whether video that should come does not.
    #[must_use]
    pub fn has_stalled(&self, now: Instant) -> bool {
        let newest = self.encodings.iter().filter_map(|encoding| encoding.packet_at).max();
        let awaited_since = newest.max(self.expected_since);
        self.spec.kind == MediaKind::Video
            && !self.spec.muted
            && awaited_since.is_some_and(|since| now - since > STALLED_AFTER)
    }

    /// Nobody asks any more for packets of layers that have been silent for long: their buffers are for others.
    pub fn release_silent(&mut self, now: Instant, pool: &mut Pool) {
        for encoding in &mut self.encodings {
            if encoding.packet_at.is_some_and(|at| now - at > SILENT_AFTER) {
                encoding.history.clear(pool);
            }
        }
    }

    pub fn clear(&mut self, pool: &mut Pool) {
        for encoding in &mut self.encodings {
            encoding.history.clear(pool);
        }
    }

    /// None of its streams is known any more.
    pub fn sources_gone(&mut self) {
        for encoding in &mut self.encodings {
            encoding.source = None;
        }
    }

    pub fn encoding_mut(&mut self, layer: u8) -> Option<&mut Encoding> {
        self.encodings.get_mut(usize::from(layer))
    }

    #[must_use]
    pub fn encoding(&self, layer: u8) -> Option<&Encoding> {
        self.encodings.get(usize::from(layer))
    }

    /// The best live layer of at most `layer_max`, else the lowest live one, else the best that may come.
    #[must_use]
    pub fn best_layer(&self, layer_max: u8) -> Option<u8> {
        best_layer(&self.encodings, layer_max)
    }

    #[must_use]
    pub fn codec(&self, payload_type: PayloadType) -> Option<PayloadCodec> {
        self.spec.codecs.iter().copied().find(|codec| codec.payload_type == payload_type)
    }

    /// The payload type whose retransmissions have `rtx`.
    #[must_use]
    pub fn codec_of_rtx(&self, rtx: PayloadType) -> Option<PayloadCodec> {
        self.spec.codecs.iter().copied().find(|codec| codec.rtx_payload_type == Some(rtx))
    }

    fn fit_encodings(&mut self) {
        let capacity = match self.spec.kind {
            MediaKind::Audio => history::AUDIO,
            MediaKind::Video => history::VIDEO,
        };
        self.encodings.resize_with(self.spec.encodings.len(), || Encoding {
            source: None,
            history: History::new(capacity),
            key_frame: KeyFrameRequest::default(),
            frame_rate: FrameRate::default(),
            packet_at: None,
            live: false,
            told: None,
        });
    }
}

fn best_layer(encodings: &[Encoding], layer_max: u8) -> Option<u8> {
    let live = || (0_u8..).zip(encodings).filter(|(_, encoding)| encoding.live).map(|(layer, _)| layer);
    let last = u8::try_from(encodings.len()).ok()?.checked_sub(1)?;
    live()
        .take_while(|layer| *layer <= layer_max)
        .last()
        .or_else(|| live().next())
        .or_else(|| Some(layer_max.min(last)))
}

/// How often it is told that another stream carries a layer.
const TELL_INTERVAL: Duration = Duration::from_millis(200);
/// A layer without a packet for so long, while others have some, has ended.
const DEAD_AFTER: Duration = Duration::from_secs(1);
/// Longer than the budget of retransmissions looks back, and than a pause in which somebody still asks.
const SILENT_AFTER: Duration = Duration::from_secs(15);
/// Video of which nothing came for so long has stalled: far longer than a loss that is repaired or a key frame takes.
const STALLED_AFTER: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::simulcast_spec;

    const fn ms(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    #[test]
    fn best_layer_is_the_highest_live_one_that_is_wanted() {
        for (name, live, layer_max, expected) in [
            ("nothing came yet", &[][..], 2, 2),
            ("nothing came yet, low wanted", &[], 0, 0),
            ("all live", &[0, 1, 2], 1, 1),
            ("top not live", &[0, 1], 2, 1),
            ("only above what is wanted", &[2], 0, 2),
            ("wanted beyond what there is", &[0, 1, 2], 9, 2),
        ] {
            let mut publication =
                Publication::new(simulcast_spec(1, 1), Publisher::Here(Slot::at(0)), Slot::at(0));
            for layer in live {
                assert!(publication.packet_came(ms(0), *layer), "{name}");
            }
            assert_eq!(publication.best_layer(layer_max), Some(expected), "{name}");
        }
    }

    #[test]
    fn layer_ends_when_others_go_on_without_it() {
        let mut publication =
            Publication::new(simulcast_spec(1, 1), Publisher::Here(Slot::at(0)), Slot::at(0));
        publication.packet_came(ms(0), 0);
        publication.packet_came(ms(0), 1);
        assert!(!publication.settle_layers(), "a pause of all is no end of one");
        publication.packet_came(ms(1_001), 0);
        assert!(publication.settle_layers());
        assert_eq!(publication.best_layer(2), Some(0));
        assert!(publication.packet_came(ms(1_100), 1), "live again");
        assert_eq!(publication.best_layer(2), Some(1));
    }
}

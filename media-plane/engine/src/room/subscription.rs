//! One publication as it goes to one subscriber: what is wanted of it, and the stream that carries it.

use forward::dependency::Limits;
use forward::facts::Facts;
use forward::forwarder::Forwarder;
use forward::scalable::Scalability;
use units::handle::{PeerId, PublicationId};
use units::rtp::{Mid, PayloadType, Ssrc};
use units::sequence::Seq;
use units::time::Instant;
use wire::rtcp::report::ReportBlock;

use crate::command::{MediaKind, PayloadCodec, PayloadMapping, SubscriptionSpec};
use crate::discard::CopyReason;
use crate::egress::playout::Playout;
use crate::egress::{Rtx, Stream, history};
use crate::ingress::codec;
use crate::quality::Totals;
use crate::random::Random;
use crate::room::publication::Publication;
use crate::slots::Slot;

#[derive(Debug)]
pub struct Subscription {
    pub spec: SubscriptionSpec,
    pub peer: Slot<PeerId>,
    pub publication: Slot<PublicationId>,
    pub stream: Stream,
    playout: Option<Playout>,
    /// Made for the codec of the first packet.
    forwarder: Option<Forwarding>,
    pub started: bool,
    /// It started, and has not stalled since.
    pub flowing: bool,
    /// Something goes out as RED that is none: looked at for each packet.
    encodes: bool,
    /// What `Event::Quality` told up to.
    pub told: Totals,
}

#[derive(Debug)]
struct Forwarding {
    forwarder: Forwarder,
    class: forward::facts::Class,
    clock_rate: u32,
}

impl Subscription {
    #[must_use]
    pub fn new(
        spec: SubscriptionSpec,
        peer: Slot<PeerId>,
        publication: Slot<PublicationId>,
        kind: MediaKind,
        random: &mut Random,
    ) -> Self {
        let capacity = match kind {
            MediaKind::Audio => history::AUDIO,
            MediaKind::Video => history::VIDEO,
        };
        let rtx = spec.rtx_ssrc.map(|ssrc| Rtx { ssrc, sequence: first_sequence(random) });
        let stream = Stream::new(spec.ssrc, rtx, capacity);
        let playout = spec.playout_delay.map(Playout::new);
        Self {
            encodes: encodes(&spec),
            spec,
            peer,
            publication,
            stream,
            playout,
            forwarder: None,
            started: false,
            flowing: false,
            told: Totals::default(),
        }
    }

    /// Takes what `spec` says; what goes on keeps its state.
    pub fn update(&mut self, spec: SubscriptionSpec) {
        if spec.playout_delay != self.spec.playout_delay {
            self.playout = spec.playout_delay.map(Playout::new);
        }
        self.encodes = encodes(&spec);
        self.spec = spec;
    }

    /// From now on other keys seal.
    pub fn rekeyed(&mut self) {
        self.stream.rekeyed();
        // The client may have a new receiver, which knows nothing.
        self.playout = self.spec.playout_delay.map(Playout::new);
    }

    /// The playout delay that the packet with this number tells.
    pub fn playout_told_by(&mut self, now: Instant, sequence: Seq) -> Option<[u8; 3]> {
        self.playout.as_mut()?.told_by(now, sequence)
    }

    /// Lets the playout delay follow what the client reports.
    pub fn learn_playout(&mut self, now: Instant, block: &ReportBlock) {
        if let (Some(playout), Some(forwarding)) = (&mut self.playout, &self.forwarder) {
            playout.reported(now, block, forwarding.clock_rate);
        }
    }

    /// Nobody is to get anything of it now.
    #[must_use]
    pub const fn is_paused(&self, publication: &Publication) -> bool {
        self.spec.paused || publication.restraint.paused
    }

    /// The highest layer that may be sent now.
    #[must_use]
    pub fn layer_max(&self, publication: &Publication) -> u8 {
        self.spec.layer_max.min(publication.restraint.layer_max)
    }

    /// Whether a packet that was refused would have been sent by a worker that keeps up.
    #[must_use]
    pub fn is_left_out(
        &self,
        publication: &Publication,
        facts: &Facts,
        layers: &Scalability,
        refused: CopyReason,
    ) -> bool {
        let restraint = &publication.restraint;
        let by_restraint = match refused {
            CopyReason::Paused => restraint.paused,
            CopyReason::OtherLayer => facts.layer > restraint.layer_max,
            CopyReason::Temporal | CopyReason::Spatial | CopyReason::OtherTarget => {
                let of_vp8 = facts.vp8.and_then(|descriptor| descriptor.temporal).map(|temporal| temporal.id);
                let temporal = of_vp8.or_else(|| layers.temporal());
                temporal.is_none_or(|temporal| temporal <= self.spec.temporal_layer_max)
            }
            _ => false,
        };
        by_restraint && !self.spec.paused && publication.best_layer(self.spec.layer_max) == Some(facts.layer)
    }

    /// Tells the forwarder what is wanted now.
    pub fn apply(&mut self, publication: &Publication) {
        let (layer_max, is_paused) = (self.layer_max(publication), self.is_paused(publication));
        let Some(forwarding) = &mut self.forwarder else { return };
        forwarding.forwarder.set_muted(publication.spec.muted);
        forwarding.forwarder.set_paused(is_paused);
        let layer = publication.best_layer(layer_max);
        let encoding = layer.and_then(|layer| publication.encoding(layer));
        let by_rate = self.spec.frame_rate_max.zip(encoding).map_or(u8::MAX, |(frame_rate_max, encoding)| {
            encoding.frame_rate.temporal_layer_for(frame_rate_max.get())
        });
        let temporal = self.spec.temporal_layer_max.min(by_rate).min(publication.restraint.temporal_max);
        forwarding.forwarder.set_target(layer, temporal);
        // Of several encodings each is one spatial layer; a single one may carry them all.
        let spatial = if publication.encodings.len() == 1 { layer_max } else { u8::MAX };
        forwarding.forwarder.set_limits(Limits { spatial, temporal });
    }

    /// The forwarder for packets of `codec`; `None` if the subscription began with a codec of another class.
    pub fn forwarder(&mut self, codec: &PayloadCodec, publication: &Publication) -> Option<&mut Forwarder> {
        let class = codec::class(codec.codec);
        if self.forwarder.is_none() {
            let forwarder = Forwarder::new(class, codec.clock_rate);
            self.forwarder = Some(Forwarding { forwarder, class, clock_rate: codec.clock_rate });
            self.apply(publication);
        }
        let forwarding = self.forwarder.as_mut().filter(|forwarding| forwarding.class == class)?;
        Some(&mut forwarding.forwarder)
    }

    /// The forwarder, if a packet came yet.
    pub fn running(&mut self) -> Option<&mut Forwarder> {
        self.forwarder.as_mut().map(|forwarding| &mut forwarding.forwarder)
    }

    /// The forwarder with the stream that it numbers, if a packet came yet.
    pub fn stream_mut(&mut self) -> Option<(&mut Forwarder, &mut Stream, &Mid)> {
        Some((&mut self.forwarder.as_mut()?.forwarder, &mut self.stream, &self.spec.mid))
    }

    /// What is left when the subscription has ended.
    #[must_use]
    pub fn into_stream(self) -> Option<(Forwarder, Stream, Mid)> {
        Some((self.forwarder?.forwarder, self.stream, self.spec.mid))
    }

    /// How packets of this payload type go out.
    #[must_use]
    pub fn mapping(&self, from: PayloadType) -> Option<PayloadMapping> {
        self.spec.payloads.iter().copied().find(|mapping| mapping.from == from)
    }

    /// The payload type of the blocks, if packets of `codec`, which is Opus, go out as RED.
    #[must_use]
    pub fn red_block(&self, codec: &PayloadCodec) -> Option<PayloadType> {
        if !self.encodes {
            return None;
        }
        self.mapping(codec.payload_type)?.red
    }

    /// The SSRCs that it sends under.
    pub fn ssrcs(&self) -> impl Iterator<Item = Ssrc> + use<> {
        [Some(self.spec.ssrc), self.spec.rtx_ssrc].into_iter().flatten()
    }
}

fn encodes(spec: &SubscriptionSpec) -> bool {
    spec.payloads.iter().any(|mapping| mapping.red.is_some())
}

/// Where a stream begins: far enough from the wrap that the receiver can't misjudge the roll-over counter (RFC 3711 §3.3.1).
fn first_sequence(random: &mut Random) -> Seq {
    Seq(random.draw() & 0x3fff | 1)
}

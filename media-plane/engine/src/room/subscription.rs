//! One publication as it goes to one subscriber: what is wanted of it, and the stream that carries it.

use forward::forwarder::Forwarder;
use units::handle::{PeerId, PublicationId};
use units::rtp::{PayloadType, Ssrc};

use crate::command::{MediaKind, PayloadCodec, PayloadMapping, SubscriptionSpec};
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
    /// Made for the codec of the first packet.
    forwarder: Option<Forwarding>,
    pub started: bool,
    /// What `Event::Quality` told up to.
    pub told: Totals,
}

#[derive(Debug)]
struct Forwarding {
    forwarder: Forwarder,
    class: forward::facts::Class,
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
        Self { spec, peer, publication, stream, forwarder: None, started: false, told: Totals::default() }
    }

    /// Tells the forwarder what is wanted now.
    pub fn apply(&mut self, publication: &Publication) {
        let Some(forwarding) = &mut self.forwarder else { return };
        forwarding.forwarder.set_muted(publication.spec.muted);
        forwarding.forwarder.set_paused(self.spec.paused);
        let layer = publication.best_layer(self.spec.layer_max);
        forwarding.forwarder.set_target(layer, self.spec.temporal_layer_max);
    }

    /// The forwarder for packets of `codec`; `None` if the subscription began with a codec of another class.
    pub fn forwarder(&mut self, codec: &PayloadCodec, publication: &Publication) -> Option<&mut Forwarder> {
        let class = codec::class(codec.codec);
        if self.forwarder.is_none() {
            let forwarder = Forwarder::new(class, codec.clock_rate);
            self.forwarder = Some(Forwarding { forwarder, class });
            self.apply(publication);
        }
        let forwarding = self.forwarder.as_mut().filter(|forwarding| forwarding.class == class)?;
        Some(&mut forwarding.forwarder)
    }

    /// The forwarder, if a packet came yet.
    pub fn running(&mut self) -> Option<&mut Forwarder> {
        self.forwarder.as_mut().map(|forwarding| &mut forwarding.forwarder)
    }

    /// How packets of this payload type go out.
    #[must_use]
    pub fn mapping(&self, from: PayloadType) -> Option<PayloadMapping> {
        self.spec.payloads.iter().copied().find(|mapping| mapping.from == from)
    }

    /// The SSRCs that it sends under.
    pub fn ssrcs(&self) -> impl Iterator<Item = Ssrc> + use<> {
        [Some(self.spec.ssrc), self.spec.rtx_ssrc].into_iter().flatten()
    }
}

/// Where a stream begins: far enough from the wrap that the receiver can't misjudge the roll-over counter (RFC 3711 §3.3.1).
fn first_sequence(random: &mut Random) -> units::sequence::Seq {
    units::sequence::Seq(random.draw() & 0x3fff | 1)
}

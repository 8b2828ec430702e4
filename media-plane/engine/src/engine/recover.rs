//! Audio that was lost on its way to us, for subscribers that take Opus of a RED publisher: later packets repeat it.

use forward::facts::Facts;
use forward::scalable::Scalability;
use srtp::cipher::Cipher;
use units::time::Instant;

use crate::command::Codec;
use crate::egress::Plain;
use crate::egress::sent::Origin;
use crate::engine::Engine;
use crate::engine::copying::{Copying, opus_instead};
use crate::engine::media::Arrival;
use crate::ingress::elements::ExtensionIds;
use crate::ingress::red;
use crate::outbox::Outbox;

impl<C: Cipher> Engine<C> {
    /// Sends what the packet repeats of those that are missing before it, each under the number and timestamp of its
    /// own packet. If that comes yet, it is a duplicate for these subscribers.
    pub(super) fn recover(
        &mut self,
        now: Instant,
        ids: &ExtensionIds,
        arrival: &mut Arrival<'_>,
        facts: &Facts,
        out: &mut impl Outbox,
    ) {
        let wall_clock = self.wall_clock(now);
        let Some(publication) = self.publications.get(arrival.publication) else { return };
        if arrival.codec.codec != Codec::Red || publication.spec.encrypted {
            return;
        }
        let payload = arrival.bytes.get(arrival.header_len..).unwrap_or_default();
        let mut missed = [None; RECOVERED_MAX];
        let missing = arrival.missing.min(RECOVERED_MAX as u64);
        for (slot, found) in
            missed.iter_mut().zip(red::missed(payload, arrival.sequence, arrival.timestamp, missing))
        {
            *slot = Some(found);
        }
        for missed in missed.into_iter().flatten() {
            let facts =
                Facts { sequence: missed.sequence, timestamp: missed.timestamp, marker: false, ..*facts };
            for subscription in &publication.subscribers {
                let Some(subscription) = self.subscriptions.get_mut(*subscription) else { continue };
                let Some(mapping) = subscription.mapping(arrival.codec.payload_type) else { continue };
                // Nothing begins with it, and whoever takes RED has it anyway.
                if !subscription.started || opus_instead(publication, subscription, &mapping).is_none() {
                    continue;
                }
                let Some(peer) = self.peers.get_mut(subscription.peer) else { continue };
                let mut copy = Copying {
                    now,
                    wall_clock,
                    publication,
                    facts: &facts,
                    layers: &Scalability::NONE,
                    codec: &arrival.codec,
                    frame: Some(missed.frame),
                    carrier: arrival.sequence,
                    origin: Origin::Publisher,
                    captured: None,
                    trailer_len: 0,
                };
                let mut packet = Plain { bytes: arrival.bytes, header_len: arrival.header_len, ids };
                match copy.send(subscription, peer, &mut packet, out) {
                    Ok(len) => {
                        self.counters.copies_sent += 1;
                        self.counters.copy_bytes_sent += len as u64;
                        self.counters.copies_recovered += 1;
                    }
                    Err(reason) => self.counters.discard_copy(reason),
                }
            }
        }
    }
}

/// Frames that are taken out of one packet: senders repeat one or two.
const RECOVERED_MAX: usize = 4;

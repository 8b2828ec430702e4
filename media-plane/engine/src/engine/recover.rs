//! Audio that was lost on its way to us, for subscribers that take Opus of a RED publisher: later packets repeat it.

use forward::facts::Facts;
use forward::scalable::Scalability;
use srtp::cipher::Cipher;

use crate::command::Codec;
use crate::counters::Counters;
use crate::egress::Plain;
use crate::engine::copying::{Copying, opus_instead};
use crate::ingress::red;
use crate::outbox::Outbox;
use crate::peer::Peer;
use crate::room::subscription::Subscription;

/// Sends one subscriber what the packet repeats of the `missing` ones directly before it, each under the number and
/// timestamp of its own packet. If that comes yet, it is a duplicate for this subscriber.
#[cold]
pub(super) fn recover<C: Cipher>(
    carrier: &Copying<'_>,
    missing: u64,
    subscription: &mut Subscription,
    peer: &mut Peer<C>,
    packet: &mut Plain<'_>,
    counters: &mut Counters,
    out: &mut impl Outbox,
) {
    let publication = carrier.publication;
    let Facts { sequence, timestamp, .. } = *carrier.facts;
    let Some(mapping) = subscription.mapping(carrier.codec.payload_type) else { return };
    // Nothing begins with it, and whoever takes RED has it anyway.
    if carrier.codec.codec != Codec::Red
        || publication.spec.encrypted
        || !subscription.started
        || opus_instead(publication, subscription, &mapping).is_none()
    {
        return;
    }
    let mut missed = [None; RECOVERED_MAX];
    let payload = packet.bytes.get(packet.header_len..).unwrap_or_default();
    let found = red::missed(payload, sequence, timestamp, missing.min(RECOVERED_MAX as u64));
    for (slot, found) in missed.iter_mut().zip(found) {
        *slot = Some(found);
    }
    for missed in missed.into_iter().flatten() {
        let facts =
            Facts { sequence: missed.sequence, timestamp: missed.timestamp, marker: false, ..*carrier.facts };
        let mut copying = Copying {
            facts: &facts,
            layers: &Scalability::NONE,
            frame: Some(missed.frame),
            captured: None,
            trailer_len: 0,
            ..*carrier
        };
        match copying.send(subscription, peer, packet, out) {
            Ok(len) => {
                counters.copies_sent += 1;
                counters.copy_bytes_sent += len as u64;
                counters.copies_recovered += 1;
            }
            Err(reason) => counters.discard_copy(reason),
        }
    }
}

/// Frames that are taken out of one packet: senders repeat one or two.
const RECOVERED_MAX: usize = 4;

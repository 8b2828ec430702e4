//! Padding on request: what a path bears is seen by what arrives of more than is needed.

use forward::forwarder::own::Padding;
use srtp::cipher::Cipher;
use units::handle::PeerId;
use units::time::Instant;

use crate::command::MediaKind;
use crate::egress::own::{Content, PADDING_LEN};
use crate::engine::Engine;
use crate::engine::own_out::{OwnOut, Target};
use crate::outbox::{Outbox, Precedence};
use crate::peer::Peer;

impl<C: Cipher> Engine<C> {
    /// Sends a peer padding of at most `len_max` bytes, in some packets of [`PADDED_LEN_MAX`] at most, and says how
    /// many bytes it was.
    ///
    /// It goes with video: on the stream of retransmissions, else between two frames of the stream itself. Where that
    /// is inside of a frame there is none; whoever asks asks again.
    pub fn pad(&mut self, now: Instant, id: PeerId, len_max: usize, out: &mut impl Outbox) -> usize {
        if self.overload.leaves_out(Precedence::Probe) {
            return 0;
        }
        let wall_clock = self.wall_clock(now);
        let slot = self.peers.find(id);
        let Some(peer) = slot.and_then(|slot| self.peers.get_mut(slot)) else { return 0 };
        let path = peer.destination();
        let Peer { transport, egress, subscriptions, .. } = peer;
        let Some((path, outbound)) = path.zip(transport.outbound.as_mut()) else { return 0 };
        let counters = &mut self.counters;
        let mut own = OwnOut { now, wall_clock, path, trailer: &[], egress, outbound, counters, out };
        let mut left = (len_max / PADDED_LEN_MAX).min(PACKETS_MAX);
        let mut len = 0;
        for slot in subscriptions.iter() {
            let Some(subscription) = self.subscriptions.get_mut(*slot) else { continue };
            let publication = self.publications.get(subscription.publication);
            let is_video =
                publication.is_some_and(|one| one.spec.kind == MediaKind::Video && !one.spec.muted);
            if left == 0 || !is_video || !subscription.started || subscription.spec.paused {
                continue;
            }
            let Some(payload_types) = subscription.stream.sent.last_copy().map(|copied| copied.payload_types)
            else {
                continue;
            };
            let rtx = subscription.mapping(payload_types.0).and_then(|mapping| mapping.rtx);
            let Some((forwarder, stream, mid)) = subscription.stream_mut() else { continue };
            let rtx = rtx.filter(|_| stream.rtx.is_some());
            let mut target = Target { stream, mid, payload_types };
            if let Some(payload_type) = rtx {
                len += (0..left).map(|_| own.pad_rtx(payload_type, &mut target)).sum::<usize>();
                left = 0;
                continue;
            }
            let count = u16::try_from(left).unwrap_or(u16::MAX);
            let padding = Padding { count, frames_per_second: 0, force: false };
            if let Ok(run) = forwarder.pad(now, padding) {
                len += run.map(|rewrite| own.send(Content::Padding, rewrite, &mut target)).sum::<usize>();
                left = 0;
            }
        }
        len
    }
}

/// Of one packet of padding: its payload, and more than header, extensions and tag ever are.
pub const PADDED_LEN_MAX: usize = PADDING_LEN as usize + 128;
/// In one call.
const PACKETS_MAX: usize = 64;

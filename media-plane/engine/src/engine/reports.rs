//! What is sent to a peer when its time comes: transport feedback, NACKs, reports, key-frame requests; and its consent.

use core::time::Duration;

use bwe::receive::Interval;
use srtp::cipher::Cipher;
use units::handle::{PeerId, SubscriptionId};
use units::rtp::Ssrc;
use units::sequence::Seq16;
use units::time::{Instant, NtpTime};
use wire::rtcp::build::FeedbackHead;
use wire::rtcp::report::{ReportBlock, SenderInfo};

use crate::command::UplinkFeedback;
use crate::engine::Engine;
use crate::engine::key_frames::{key_frame_requests, next_key_frame_request};
use crate::engine::rtcp_out::Batch;
use crate::ingress::Ingress;
use crate::ingress::nack::QUEUE_MAX;
use crate::ingress::reference_time::short_time;
use crate::outbox::Outbox;
use crate::peer::{Peer, Timers, Uplink};
use crate::quality::Totals;
use crate::room::subscription::Subscription;
use crate::slots::{Slot, Slots};

impl<C: Cipher> Engine<C> {
    /// Does what is due for one peer.
    pub(super) fn peer_due(&mut self, now: Instant, slot: Slot<PeerId>, out: &mut impl Outbox) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        peer.ice.expire(now, |ufrag| self.demux.remove_ufrag(ufrag));
        while peer.consent.step(now).is_some() {}
        self.tell_transport(slot, out);

        self.give_up(now, slot);

        let Some(peer) = self.peers.get_mut(slot) else { return };
        let Some(path) = peer.destination() else { return };
        let Peer { transport, ingress, timers, uplink, publications, subscriptions, .. } = peer;
        let Some(outbound) = transport.outbound.as_mut() else { return };
        let mut batch = Batch::new(path, outbound, &mut self.counters, out);
        let rtcp_ssrc = peer.rtcp_ssrc;
        if timers.reports_at.is_some_and(|at| at <= now) {
            let time = self.config.wall_clock_at_zero + (now - Instant(0));
            receiver_reports(now, time, rtcp_ssrc, ingress, timers, &mut batch);
            bandwidth(now, rtcp_ssrc, ingress, uplink, &mut batch);
        }
        if uplink.feedback == UplinkFeedback::TransportCc
            && ingress.twcc.next_at().is_some_and(|at| at <= now)
        {
            transport_feedback(now, rtcp_ssrc, ingress, &mut batch);
        }
        nacks(now, rtcp_ssrc, peer.rtt, ingress, &mut batch);
        key_frame_requests(now, rtcp_ssrc, peer.rtt, publications, &mut self.publications, &mut batch);
        if timers.sender_reports_at.is_some_and(|at| at <= now) {
            timers.sender_reports_at =
                sender_reports(now, subscriptions, &mut self.subscriptions, &mut batch);
        }
        batch.flush();
    }

    /// When the peer has something due next.
    pub(super) fn peer_next_at(&self, slot: Slot<PeerId>) -> Option<Instant> {
        let peer = self.peers.get(slot)?;
        let alive = [peer.consent.next_at(), peer.ice.next_expiry(), peer.blanks.next_at()];
        let sending = peer.destination().is_some() && peer.transport.outbound.is_some();
        if !sending {
            return alive.into_iter().flatten().min();
        }
        let twcc =
            peer.ingress.twcc.next_at().filter(|_| peer.uplink.feedback == UplinkFeedback::TransportCc);
        let nack = peer.ingress.sources().filter_map(|(_, source)| source.nack.next_at()).min();
        let key_frame = peer.publications.iter().filter_map(|slot| self.publications.get(*slot));
        let key_frame =
            key_frame.filter_map(|publication| next_key_frame_request(publication, peer.rtt)).min();
        let reports = [peer.timers.reports_at, peer.timers.sender_reports_at];
        alive.into_iter().chain(reports).chain([twcc, nack, key_frame]).flatten().min()
    }
}

/// RR with a block for each stream (RFC 3550 §6.4.2), and reference times: theirs are answered (RFC 3611 §4.5), and who
/// sends gets ours, as nothing else tells us its round trip if it only sends.
fn receiver_reports<C: Cipher, O: Outbox>(
    now: Instant,
    time: NtpTime,
    sender: Ssrc,
    ingress: &mut Ingress,
    timers: &mut Timers,
    batch: &mut Batch<'_, C, O>,
) {
    timers.reports_at = Some(now + REPORT_INTERVAL);
    let mut blocks = ingress
        .sources_mut()
        .filter(|(_, source)| source.assignment.is_some())
        .filter_map(|(ssrc, source)| Some(block(ssrc, source.reception.report(now)?)))
        .peekable();
    let is_idle = blocks.peek().is_none();
    while let Some(first) = blocks.peek() {
        let mut chunk = [*first; BLOCKS_MAX];
        let count = chunk.iter_mut().zip(&mut blocks).map(|(slot, block)| *slot = block).count();
        let _ = batch.add(|builder| builder.receiver_report(sender, chunk.get(..count).unwrap_or_default()));
    }
    drop(blocks);
    let answers = ingress.reference_times.answers(now);
    if !answers.is_empty() {
        let _ = batch.add(|builder| builder.last_receiver_reports(sender, &answers));
    }
    if is_idle {
        timers.reports_at = None;
    } else if batch.add(|builder| builder.receiver_reference_time(sender, time)).is_ok() {
        ingress.reference_times.sent(now, time);
    }
}

fn block(ssrc: Ssrc, report: crate::ingress::reception::Report) -> ReportBlock {
    ReportBlock {
        ssrc,
        fraction_lost: report.fraction_lost,
        cumulative_lost: report.cumulative_lost,
        highest_sequence: report.highest,
        jitter: report.jitter,
        last_sender_report: report.last_sender_report,
        delay_since_last_sender_report: short_time(report.delay_since),
    }
}

/// What the peer may send, where REMB is what it understands.
fn bandwidth<C: Cipher, O: Outbox>(
    now: Instant,
    sender: Ssrc,
    ingress: &Ingress,
    uplink: &mut Uplink,
    batch: &mut Batch<'_, C, O>,
) {
    if uplink.feedback != UplinkFeedback::Remb {
        return;
    }
    let mut totals = Totals::default();
    let (mut ssrcs, mut tracks) = ([Ssrc(0); REMB_SSRCS_MAX], 0);
    for (ssrc, source) in ingress.sources().filter(|(_, source)| source.assignment.is_some()) {
        totals = totals.plus(source.totals());
        if source.media().is_some() {
            if let Some(slot) = ssrcs.get_mut(tracks) {
                *slot = ssrc;
            }
            tracks += 1;
        }
    }
    let before = core::mem::replace(&mut uplink.before, totals);
    let estimate = uplink.estimate.update(
        now,
        &Interval {
            bytes: totals.bytes.saturating_sub(before.bytes),
            packets: totals.packets.saturating_sub(before.packets),
            packets_lost: u64::try_from(totals.lost - before.lost).unwrap_or(0),
            tracks: u32::try_from(tracks).unwrap_or(u32::MAX),
        },
    );
    if tracks > 0 {
        let ssrcs = ssrcs.get(..tracks).unwrap_or(&ssrcs);
        let _ = batch.add(|builder| builder.remb(sender, estimate, ssrcs));
    }
}

fn transport_feedback<C: Cipher, O: Outbox>(
    now: Instant,
    sender: Ssrc,
    ingress: &mut Ingress,
    batch: &mut Batch<'_, C, O>,
) {
    let media = ingress.sources().next().map_or(Ssrc(0), |(ssrc, _)| ssrc);
    while let Some((base, feedback_count)) = ingress.twcc.head() {
        let head = FeedbackHead { sender, media, base, feedback_count };
        let told = batch.add(|builder| match builder.transport_feedback(&head, ingress.twcc.untold())? {
            // Not one chunk fitted behind what is there already.
            0 => Err(wire::rtcp::build::Refused::NoRoom),
            count => Ok(count),
        });
        let Ok(count) = told else { return };
        ingress.twcc.told(now, count);
        batch.counters().transport_feedback_sent += 1;
    }
}

fn nacks<C: Cipher, O: Outbox>(
    now: Instant,
    sender: Ssrc,
    rtt: Option<Duration>,
    ingress: &mut Ingress,
    batch: &mut Batch<'_, C, O>,
) {
    for (media, source) in ingress.sources_mut() {
        let mut missing = [Seq16(0); QUEUE_MAX];
        let mut count = 0;
        source.nack.due(now, rtt, |sequence| {
            if let Some(slot) = missing.get_mut(count) {
                *slot = sequence.low();
                count += 1;
            }
        });
        let mut missing = missing.get(..count).unwrap_or_default();
        while !missing.is_empty() {
            let told = batch.add(|builder| builder.nack(sender, media, missing.iter().copied()));
            let Ok(told) = told else { break };
            missing = missing.get(told..).unwrap_or_default();
            batch.counters().nacks_sent += 1;
            batch.counters().packets_nacked += told as u64;
        }
    }
}

/// SR and SDES for each stream whose time has come. Returns when the next one's comes.
fn sender_reports<C: Cipher, O: Outbox>(
    now: Instant,
    slots: &[Slot<SubscriptionId>],
    subscriptions: &mut Slots<SubscriptionId, Subscription>,
    batch: &mut Batch<'_, C, O>,
) -> Option<Instant> {
    let mut next: Option<Instant> = None;
    for slot in slots {
        let Some(subscription) = subscriptions.get_mut(*slot).filter(|subscription| subscription.started)
        else {
            continue;
        };
        if subscription.stream.reporting.is_due(now) {
            let told = subscription.running().and_then(|forwarder| forwarder.sender_report(now));
            subscription.stream.reporting.reported(now, told.map(|(ntp, _)| ntp));
            if let Some((ntp, rtp_timestamp)) = told {
                let stream = &subscription.stream;
                #[expect(clippy::cast_possible_truncation, reason = "the fields count modulo 2^32")]
                let info = SenderInfo {
                    ssrc: stream.ssrc,
                    ntp,
                    rtp_timestamp,
                    packet_count: stream.packets as u32,
                    octet_count: stream.payload_bytes as u32,
                };
                let cname = subscription.spec.cname.as_bytes();
                let _ = batch.add(|builder| builder.sender_report(&info, &[]));
                let _ = batch.add(|builder| builder.source_description(info.ssrc, cname));
            }
        }
        let at = subscription.stream.reporting.next_at();
        next = Some(next.map_or(at, |next| next.min(at)));
    }
    next
}

const REPORT_INTERVAL: Duration = Duration::from_secs(1);
const BLOCKS_MAX: usize = 31;
const REMB_SSRCS_MAX: usize = 64;

//! RTCP from a peer: reports on what it receives, reports on what it sends, and requests.

use srtp::cipher::Cipher;
use units::handle::PeerId;
use units::rtp::Ssrc;
use units::time::Instant;
use wire::rtcp::extended::{Block, ExtendedReport};
use wire::rtcp::report::{ReportBlock, SenderInfo};
use wire::rtcp::{Compound, Packet};

use crate::discard::Reason;
use crate::egress::history;
use crate::engine::resend::RTT_DEFAULT;
use crate::engine::{Engine, Outcome};
use crate::ingress::key_frame::Wish;
use crate::ingress::reception::SenderReport;
use crate::outbox::Outbox;
use crate::rtt::smoothed;
use crate::slots::Slot;

impl<C: Cipher> Engine<C> {
    pub(super) fn feedback(
        &mut self,
        now: Instant,
        slot: Slot<PeerId>,
        datagram: &mut [u8],
        out: &mut impl Outbox,
    ) -> Result<Outcome, Reason> {
        let peer = self.peers.get_mut(slot).ok_or(Reason::UnknownPath)?;
        let inbound = peer.transport.inbound.as_mut().ok_or(Reason::NoKeys)?;
        let len = inbound.open_rtcp(datagram).map_err(super::media::refused)?;
        let plain = datagram.get(..len).ok_or(Reason::RtcpMalformed)?;
        let mut nacks_left = NACKS_MAX;
        for member in Compound::new(plain) {
            let member = member.map_err(|_| Reason::RtcpMalformed)?;
            self.member(now, slot, &member, &mut nacks_left, out);
        }
        Ok(Outcome::Consumed)
    }

    fn member(
        &mut self,
        now: Instant,
        slot: Slot<PeerId>,
        member: &Packet<'_>,
        nacks_left: &mut usize,
        out: &mut impl Outbox,
    ) {
        match member {
            Packet::SenderReport(report) => {
                self.sender_report(now, slot, &report.info);
                self.report_blocks(now, slot, report.blocks());
            }
            Packet::ReceiverReport(report) => self.report_blocks(now, slot, report.blocks()),
            Packet::ExtendedReport(report) => self.extended_report(now, slot, report),
            Packet::Nack(nack) => self.resend(now, slot, nack.media, nack.sequences(), nacks_left, out),
            Packet::PictureLossIndication(indication) => {
                self.make_copies(now, out); // The key frame may wait to be sent.
                self.picture_lost(now, slot, indication.media);
            }
            Packet::FullIntraRequest(request) => {
                self.make_copies(now, out);
                for entry in request.entries() {
                    self.picture_lost(now, slot, entry.ssrc);
                }
            }
            Packet::Goodbye(goodbye) => {
                for ssrc in goodbye.ssrcs() {
                    self.source_ended(slot, ssrc);
                }
            }
            // The CNAME is the control plane's; the rest tells of the path to the peer, which nothing here asks for.
            Packet::SourceDescription(_) => {}
            Packet::Remb(_) | Packet::TransportFeedback(_) | Packet::Unknown { .. } => {
                self.counters.rtcp_members_ignored += 1;
            }
        }
    }

    fn sender_report(&mut self, now: Instant, slot: Slot<PeerId>, info: &SenderInfo) {
        let wall_clock = self.wall_clock(now);
        let Some(peer) = self.peers.get_mut(slot) else { return };
        if let Some(source) = peer.ingress.source_mut(info.ssrc) {
            let report = SenderReport { ntp: info.ntp, timestamp: info.rtp_timestamp, arrived_at: now };
            source.reception.sender_report(report);
            peer.ingress.clock.reported(now, wall_clock, info.ntp);
        }
    }

    fn report_blocks(&mut self, now: Instant, slot: Slot<PeerId>, blocks: impl Iterator<Item = ReportBlock>) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        for block in blocks {
            let subscription = peer.streams.get(&block.ssrc).copied();
            let Some(subscription) = subscription.and_then(|slot| self.subscriptions.get_mut(slot)) else {
                continue;
            };
            if subscription.stream.ssrc != block.ssrc {
                continue;
            }
            if let Some(rtt) = subscription.stream.reporting.learn(now, &block) {
                peer.ingress.clock.travelled(now, rtt);
                peer.rtt = Some(smoothed(peer.rtt, rtt));
            }
            subscription.learn_playout(now, &block);
        }
    }

    fn extended_report(&mut self, now: Instant, slot: Slot<PeerId>, report: &ExtendedReport<'_>) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        for block in report.blocks() {
            match block {
                Block::ReceiverReferenceTime(time) => {
                    peer.ingress.reference_times.received(now, report.ssrc, time);
                    peer.timers.reports_at.get_or_insert(now);
                    self.peer_timers.bring_forward(slot, now);
                }
                Block::LastReceiverReports(answers) => {
                    for answer in answers.entries().filter(|answer| answer.ssrc == peer.rtcp_ssrc) {
                        if let Some(rtt) = peer.ingress.reference_times.answered(now, &answer) {
                            peer.ingress.clock.travelled(now, rtt);
                            peer.rtt = Some(smoothed(peer.rtt, rtt));
                            self.counters.reference_times_answered += 1;
                        }
                    }
                }
                Block::Unknown { .. } => {}
            }
        }
    }

    /// A subscriber can't show the stream before its next key frame.
    fn picture_lost(&mut self, now: Instant, slot: Slot<PeerId>, ssrc: Ssrc) {
        let Some(peer) = self.peers.get(slot) else { return };
        let Some(subscription) = peer.streams.get(&ssrc).copied() else { return };
        let rtt = peer.rtt.unwrap_or(RTT_DEFAULT);
        self.counters.key_frame_requests_received += 1;
        let stream = self.subscriptions.get_mut(subscription).map(|subscription| &mut subscription.stream);
        if stream.is_some_and(|stream| stream.recovery.picture_lost(now, rtt)) {
            self.want_key_frame_for(now, subscription, Wish::Repair);
        } else {
            self.counters.key_frame_requests_answered += 1;
        }
    }

    fn source_ended(&mut self, slot: Slot<PeerId>, ssrc: Ssrc) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        let Some(source) = peer.ingress.end(ssrc) else { return };
        if let Some(inbound) = &mut peer.transport.inbound {
            inbound.forget(ssrc);
        }
        let Some(assignment) = source.media() else { return };
        let publication = self.publications.get_mut(assignment.publication);
        if let Some(publication) = publication
            && let Some(encoding) = publication.encoding_mut(assignment.layer)
            && encoding.source == Some(ssrc)
        {
            encoding.source = None;
            publication.past = publication.past.plus(source.totals());
        }
    }
}

/// Packets of one datagram's NACKs that are looked for: it has room for 6,000, but no more than these are remembered.
const NACKS_MAX: usize = history::VIDEO;

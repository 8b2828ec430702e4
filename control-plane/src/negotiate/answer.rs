//! Answers to a client's offers (RFC 8829 §5.3).

use std::collections::{HashMap, HashSet};

use proto::media::v1 as proto;
use sdp::attribute::{Direction, SetupRole};
use sdp::section::MediaSection;

use crate::negotiate::codec::{Kind, PublishedCodec};
use crate::negotiate::describe::{data_section, push_codec};
use crate::negotiate::error::NegotiationError;
use crate::negotiate::extension::{self, Meaning, RECEIVE_AUDIO, RECEIVE_VIDEO, Way};
use crate::negotiate::matching::match_sections;
use crate::negotiate::outcome::{Answered, MissingSections, ReceivedSection, SentSection};
use crate::negotiate::receive::{self, Choice, Encodings, Estimate};
use crate::negotiate::section::{Purpose, Section, Sending, follow};
use crate::negotiate::sending;
use crate::negotiate::session::Session;
use crate::negotiate::setup::{IceCredentials, Setup};
use crate::negotiate::track::{AnnouncedTrack, SendTrack};
use crate::negotiate::transport::DtlsRole;

/// What an answer is made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) setup: &'a Setup,
    pub(super) offer: &'a sdp::session::Session,
    pub(super) announced: &'a [AnnouncedTrack],
    pub(super) sends: &'a [SendTrack],
    pub(super) spare: &'a IceCredentials,
}

/// Answers, with `session` brought forward; after an error it is of no use any more.
pub(super) fn answer(session: &mut Session, question: Question<'_>) -> Result<Answered, NegotiationError> {
    let Question { setup, offer, announced, sends, spare } = question;
    follow(&mut session.sections, &offer.sections)?;
    let accepted = accept_sections(&mut session.sections, offer, setup);
    let bearer = offer.sections.iter().zip(&accepted).find(|(_, accepted)| **accepted);
    let ice_restarted = match bearer {
        Some((section, _)) => session.transport.learn_offer(offer, section, spare)?,
        None => false, // everything was stopped: there is no transport to speak of
    };
    match_sections(&mut session.sections, &offer.sections, &accepted, announced);
    sending::wake(&mut session.sections);
    sending::release(&mut session.sections, sends);
    rest_where_not_received(&mut session.sections, offer);
    let placed = place(&mut session.sections, &accepted, question);

    session.version += 1;
    let mut writer = Writer {
        question,
        answer: session.transport.describe(session.id, session.version, setup),
        received: Vec::new(),
        sent: Vec::new(),
    };
    writer.answer.extmap_allow_mixed = offer.extmap_allow_mixed;
    for (index, (offered, accepted)) in offer.sections.iter().zip(accepted).enumerate() {
        if accepted {
            writer.write_section(session, index, offered);
        } else {
            writer.write_rejection(session, index, offered);
        }
    }
    Ok(writer.finish(session, placed, ice_restarted))
}

/// Which offered sections we take; the others are answered with port 0.
fn accept_sections(sections: &mut [Section], offer: &sdp::session::Session, setup: &Setup) -> Vec<bool> {
    let bundled: Option<HashSet<&str>> =
        offer.bundles.first().map(|mids| mids.iter().map(String::as_str).collect());
    let mut unbundled_taken = false;
    let mut accepted = Vec::with_capacity(sections.len());
    for (section, offered) in sections.iter_mut().zip(&offer.sections) {
        // There is one transport. Without BUNDLE that is one section (RFC 9143 §7.3).
        let has_transport = match &bundled {
            Some(bundled) => bundled.contains(section.mid.as_str()),
            None => !unbundled_taken,
        };
        let taken = has_transport && is_acceptable(section, offered, setup);
        unbundled_taken |= taken;
        section.rejected = !taken;
        accepted.push(taken);
    }
    accepted
}

fn is_acceptable(section: &Section, offered: &MediaSection, setup: &Setup) -> bool {
    if offered.is_rejected() {
        return false;
    }
    match section.purpose {
        Purpose::Media(kind) => {
            offered.protocol.ends_with("/SAVPF")
                && offered.rtcp_mux
                && !receive::known_codecs(offered, kind, &setup.enabled_codecs).is_empty()
        }
        Purpose::Data => offered.protocol.ends_with("/DTLS/SCTP") && offered.format == "webrtc-datachannel",
        Purpose::Other => false,
    }
}

/// A client that stopped receiving on a section took the track off it.
fn rest_where_not_received(sections: &mut [Section], offer: &sdp::session::Session) {
    for (section, offered) in sections.iter_mut().zip(&offer.sections) {
        if section.carries().is_some() && !offered.direction.receives() {
            section.sending = Sending::Resting;
        }
    }
}

/// What came of the subscriptions that had no section.
#[derive(Clone, Debug, Default)]
struct Placed {
    missing: MissingSections,
    unsupported: Vec<u64>,
}

/// Fills the client's free sections in their order.
fn place(sections: &mut [Section], accepted: &[bool], question: Question<'_>) -> Placed {
    let Question { setup, offer, sends, .. } = question;
    let mut placed = Placed::default();
    let mut resting = [Kind::Audio, Kind::Video].map(|kind| count_resting(sections, kind));
    for send in sending::waiting(sections, sends) {
        let free =
            sections.iter_mut().zip(&offer.sections).zip(accepted).find(|((section, offered), accepted)| {
                **accepted && is_free_for(section, offered, send.kind)
            });
        if let Some(((section, offered), _)) = free {
            let theirs = receive::known_codecs(offered, send.kind, &setup.enabled_codecs);
            if sending::is_supported(send, &theirs) {
                section.sending = Sending::Carrying(send.subscription);
            } else {
                placed.unsupported.push(send.subscription);
            }
            continue;
        }
        let [audio, video] = &mut resting;
        let (resting, missing) = match send.kind {
            Kind::Audio => (audio, &mut placed.missing.audios),
            Kind::Video => (video, &mut placed.missing.videos),
        };
        if *resting > 0 {
            *resting -= 1;
            placed.missing.offer_again = true;
        } else {
            *missing += 1;
        }
    }
    placed
}

fn is_free_for(section: &Section, offered: &MediaSection, kind: Kind) -> bool {
    section.is_for(kind) && section.sending == Sending::Free && offered.direction == Direction::RecvOnly
}

fn count_resting(sections: &[Section], kind: Kind) -> usize {
    sections
        .iter()
        .filter(|section| section.is_for(kind) && section.sending == Sending::Resting && !section.rejected)
        .count()
}

/// An answer in the making.
struct Writer<'a> {
    question: Question<'a>,
    answer: sdp::session::Session,
    received: Vec<ReceivedSection>,
    sent: Vec<SentSection>,
}

impl Writer<'_> {
    fn write_section(&mut self, session: &mut Session, index: usize, offered: &MediaSection) {
        let Some(section) = session.sections.get(index).cloned() else { return };
        let mut answered = match section.purpose {
            Purpose::Media(kind) => self.media(session, &section, kind, offered),
            Purpose::Data => {
                session.sctp_port = Some(offered.sctp_port.unwrap_or(5000));
                session.message_size_max = message_size(offered);
                data_section(&section.mid, offered.protocol.clone())
            }
            Purpose::Other => return self.write_rejection(session, index, offered),
        };
        let role = session.transport.dtls.map_or(SetupRole::Passive, DtlsRole::setup);
        let first = self.answer.sections.iter().all(MediaSection::is_rejected);
        session.transport.describe_section(&mut answered, role, self.question.setup, first);
        answered.extmap_allow_mixed = offered.extmap_allow_mixed;
        self.answer.sections.push(answered);
    }

    fn media(
        &mut self,
        session: &mut Session,
        section: &Section,
        kind: Kind,
        offered: &MediaSection,
    ) -> MediaSection {
        let mut answered = MediaSection::new(offered.kind.clone(), offered.protocol.clone());
        answered.mid = Some(section.mid.clone());
        answered.rtcp_mux = true;
        answered.rtcp_rsize = offered.rtcp_rsize;
        let estimate = self.accept_extensions(session, kind, offered, &mut answered);
        let receives = offered.direction.sends();
        let send =
            section.carries().and_then(|subscription| sending::find(self.question.sends, subscription));
        if receives || section.received.is_some() {
            self.receive(section, kind, offered, estimate, &mut answered);
        } else {
            self.send_codecs(kind, offered, send, &mut answered);
        }
        if receives {
            session.learn_estimate(estimate);
        }
        if let Some(send) = send {
            self.send(section, send, offered, &mut answered);
        }
        answered.direction = Direction::from_flags(send.is_some(), receives);
        answered
    }

    /// Every section accepts what any section of its kind may need, whatever its direction, and even if it is
    /// rejected: Chromium 156 leaves an extension that one answer declined out of all later sections, and then
    /// cannot publish simulcast.
    ///
    /// Transport-cc needs both its feedback and its extension; without it, REMB does (with the send times of
    /// packets, where there are any).
    fn accept_extensions(
        &self,
        session: &mut Session,
        kind: Kind,
        offered: &MediaSection,
        answered: &mut MediaSection,
    ) -> Estimate {
        let offer = self.question.offer;
        let mixed = offer.allows_mixed(offered);
        let mut accept = |wanted: &[Meaning], way| {
            let accepted = session.extensions.accept(offer.extensions(offered), mixed, wanted, way);
            let any = !accepted.is_empty();
            for extension in accepted {
                if answered.extensions.iter().all(|other| other.uri != extension.uri) {
                    answered.extensions.push(extension);
                }
            }
            any
        };
        let sent = extension::sent(kind, self.question.setup.playout_delay);
        let Kind::Video = kind else {
            accept(RECEIVE_AUDIO, Way::Receive);
            accept(sent, Way::Send);
            return Estimate::None;
        };
        accept(RECEIVE_VIDEO, Way::Receive);
        accept(sent, Way::Send);
        let offers = |feedback: &str| offered.codecs.iter().any(|codec| codec.has_feedback(feedback));
        if offers("transport-cc") && accept(&[Meaning::TransportCc], Way::Receive) {
            return Estimate::TransportCc;
        }
        if offers("goog-remb") {
            accept(&[Meaning::AbsSendTime], Way::Receive);
            return Estimate::Remb;
        }
        Estimate::None
    }

    fn receive(
        &mut self,
        section: &Section,
        kind: Kind,
        offered: &MediaSection,
        estimate: Estimate,
        answered: &mut MediaSection,
    ) {
        let track_sid = section.received.as_ref().and_then(|received| received.track_sid.as_deref());
        let track = self.question.announced.iter().find(|track| Some(track.sid.as_str()) == track_sid);
        let cid = section.received.as_ref().and_then(|received| received.cid.as_deref());
        let enabled = &self.question.setup.enabled_codecs;
        let mut codecs = receive::codecs(offered, Choice { kind, enabled, track, cid });
        for codec in &mut codecs {
            codec.parameters = receive::answered_parameters(codec, track);
            let feedback = receive::feedback(offered, codec, estimate);
            push_codec(answered, codec, codec.parameters.clone(), feedback);
        }
        if !offered.direction.sends() {
            self.received.push(stopped(section, kind));
            return;
        }
        let Encodings { encodings, rids, simulcast } = receive::encodings(offered, kind);
        (answered.rids, answered.simulcast) = (rids, simulcast);
        let has = |feedback: &str| answered.codecs.iter().any(|codec| codec.has_feedback(feedback));
        self.received.push(ReceivedSection {
            active: true,
            codecs,
            encodings,
            nack: has("nack"),
            pli: has("nack pli"),
            fir: has("ccm fir"),
            ..stopped(section, kind)
        });
    }

    /// A section that carries nothing says the same of its codecs as one that does: the next track may come at once.
    fn send_codecs(
        &self,
        kind: Kind,
        offered: &MediaSection,
        send: Option<&SendTrack>,
        answered: &mut MediaSection,
    ) {
        let mut theirs = receive::known_codecs(offered, kind, &self.question.setup.enabled_codecs);
        if let Some(send) = send {
            theirs = sending::in_order_of_track(theirs, send);
        }
        for codec in &theirs {
            let feedback = sent_feedback(offered, codec);
            push_codec(answered, codec, codec.parameters.clone(), feedback);
        }
    }

    fn send(
        &mut self,
        section: &Section,
        send: &SendTrack,
        offered: &MediaSection,
        answered: &mut MediaSection,
    ) {
        let theirs = receive::known_codecs(offered, send.kind, &self.question.setup.enabled_codecs);
        let sent = sending::sent_section(&section.mid, send, &theirs);
        sending::describe_sources(answered, send, sent.rtx);
        self.sent.push(sent);
    }

    fn write_rejection(&mut self, session: &mut Session, index: usize, offered: &MediaSection) {
        let mut rejected = MediaSection::new(offered.kind.clone(), offered.protocol.clone());
        rejected.port = 0;
        rejected.direction = Direction::Inactive;
        rejected.mid.clone_from(&offered.mid);
        rejected.format.clone_from(&offered.format);
        // The grammar wants formats; those of the offer are as good as any (RFC 3264 §6).
        rejected.codecs = offered.codecs.first().cloned().into_iter().collect();
        if let Purpose::Media(kind) = Purpose::of(offered) {
            self.accept_extensions(session, kind, offered, &mut rejected);
        }
        self.answer.sections.push(rejected);
        let Some(section) = session.sections.get_mut(index) else { return };
        if let (Purpose::Media(kind), Some(_)) = (section.purpose, &section.received) {
            self.received.push(stopped(section, kind));
            section.received = None;
        }
    }

    fn finish(mut self, session: &Session, placed: Placed, ice_restarted: bool) -> Answered {
        if !self.question.offer.bundles.is_empty() {
            let accepted = self.answer.sections.iter().filter(|section| !section.is_rejected());
            self.answer.bundles = vec![accepted.filter_map(|section| section.mid.clone()).collect()];
        }
        self.received.sort_by_key(|section| !section.active);
        let mut unsupported = placed.unsupported;
        let (sent, undecodable): (Vec<_>, Vec<_>) =
            self.sent.into_iter().partition(|section| !section.payloads.is_empty());
        unsupported.extend(undecodable.iter().map(|section| section.subscription));
        Answered {
            sdp: self.answer.to_string(),
            mid_to_track_id: track_ids(&sent),
            received: self.received,
            sent,
            unsupported,
            missing: placed.missing,
            peer: session.peer(),
            ice_restarted,
        }
    }
}

pub(super) fn track_ids(sent: &[SentSection]) -> HashMap<String, String> {
    sent.iter().map(|section| (section.mid.clone(), section.track_sid.clone())).collect()
}

fn stopped(section: &Section, kind: Kind) -> ReceivedSection {
    let received = section.received.clone().unwrap_or_default();
    ReceivedSection {
        mid: section.mid.clone(),
        track_sid: received.track_sid,
        cid: received.cid,
        kind,
        active: false,
        codecs: Vec::new(),
        encodings: Vec::<proto::Encoding>::new(),
        nack: false,
        pli: false,
        fir: false,
    }
}

fn sent_feedback(offered: &MediaSection, codec: &PublishedCodec) -> Vec<String> {
    let line = offered.codec(codec.payload_type);
    let offered = |kind: &&&str| line.is_some_and(|line| line.has_feedback(kind));
    sending::feedback(codec.codec).iter().filter(offered).map(|kind| (*kind).to_owned()).collect()
}

/// RFC 8841 §6.1: 0 means any size, which the contract cannot say.
pub(super) fn message_size(described: &MediaSection) -> u32 {
    match described.max_message_size {
        None => 65_536,
        Some(0) => u32::MAX,
        Some(size) => u32::try_from(size).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests;

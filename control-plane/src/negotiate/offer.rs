//! Our offers to subscribers, and what their answers make of them (RFC 8829 §5.2).

use sdp::attribute::{Direction, SetupRole};
use sdp::limit::SECTIONS_MAX;
use sdp::section::{Kind as SectionKind, MediaSection};

use crate::negotiate::answer::{message_size, track_ids};
use crate::negotiate::codec::{Codec, EnabledCodecs, Kind, PublishedCodec};
use crate::negotiate::describe::{data_section, push_codec};
use crate::negotiate::error::NegotiationError;
use crate::negotiate::extension::{self, Way};
use crate::negotiate::outcome::{Negotiated, Offered};
use crate::negotiate::payload;
use crate::negotiate::receive;
use crate::negotiate::section::{Purpose, Section, Sending};
use crate::negotiate::sending;
use crate::negotiate::session::{Role, Session};
use crate::negotiate::setup::Setup;
use crate::negotiate::track::SendTrack;

/// The next offer of a session.
pub(super) fn offer(session: &mut Session, setup: &Setup, sends: &[SendTrack]) -> Offered {
    if let Role::Offerer { data_channels, awaits_answer, fresh } = &mut session.role {
        *awaits_answer = true;
        if *data_channels && session.sections.is_empty() {
            session.sections.push(Section::new("0".to_owned(), Purpose::Data));
        }
        if let Some(fresh) = fresh.take() {
            session.transport.start_generation(fresh);
        }
    }
    sending::release(&mut session.sections, sends);
    let offer_again = place(&mut session.sections, sends);

    session.version += 1;
    let mut description = session.transport.describe(session.id, session.version, setup);
    description.extmap_allow_mixed = true;
    let mut sent = std::collections::HashMap::new();
    for section in &session.sections {
        let send = section.carries().and_then(|subscription| sending::find(sends, subscription));
        if let Some(send) = send {
            sent.insert(section.mid.clone(), send.track_sid.clone());
        }
        let mut described = match section.purpose {
            _ if section.rejected => {
                description.sections.push(rejected(section));
                continue;
            }
            Purpose::Media(kind) => media_section(section, kind, send, setup),
            Purpose::Data | Purpose::Other => data_section(&section.mid, "UDP/DTLS/SCTP".to_owned()),
        };
        let first = description.sections.iter().all(MediaSection::is_rejected);
        session.transport.describe_section(&mut described, SetupRole::ActPass, setup, first);
        description.sections.push(described);
    }
    let alive = description.sections.iter().filter(|section| !section.is_rejected());
    description.bundles = vec![alive.filter_map(|section| section.mid.clone()).collect()];
    Offered { sdp: description.to_string(), mid_to_track_id: sent, offer_again }
}

/// Puts every waiting track on a free section, or on a new one; true: not all found a place.
fn place(sections: &mut Vec<Section>, sends: &[SendTrack]) -> bool {
    let mut waits = false;
    for send in sending::waiting(sections, sends) {
        let carrying = Sending::Carrying(send.subscription);
        let free = sections.iter_mut().find(|section| {
            section.is_for(send.kind) && section.sending == Sending::Free && !section.rejected
        });
        if let Some(section) = free {
            section.sending = carrying;
        } else if sections.len() < SECTIONS_MAX {
            let mut section = Section::new(sections.len().to_string(), Purpose::Media(send.kind));
            section.sending = carrying;
            sections.push(section);
        } else {
            waits = true;
        }
    }
    waits
}

/// A section that carries nothing is kept for the next track, as LiveKit does it.
fn media_section(section: &Section, kind: Kind, send: Option<&SendTrack>, setup: &Setup) -> MediaSection {
    let line = match kind {
        Kind::Audio => SectionKind::Audio,
        Kind::Video => SectionKind::Video,
    };
    let mut described = MediaSection::new(line, "UDP/TLS/RTP/SAVPF".to_owned());
    described.mid = Some(section.mid.clone());
    described.rtcp_mux = true;
    described.rtcp_rsize = true;
    let mut codecs = offered_codecs(kind, send, &setup.enabled_codecs);
    if let Some(send) = send {
        codecs = sending::in_order_of_track(codecs, send);
    }
    for codec in &codecs {
        let mut parameters = codec.parameters.clone();
        // livekit-client decodes stereo only where the offer says that there is some.
        if codec.codec == Codec::Opus && send.is_some_and(|send| send.stereo) {
            parameters.push_str(";sprop-stereo=1");
        }
        let feedback = sending::feedback(codec.codec).iter().map(|kind| (*kind).to_owned()).collect();
        push_codec(&mut described, codec, parameters, feedback);
    }
    described.extensions = extension::offered(extension::sent(kind, setup.playout_delay));
    described.direction = if send.is_some() { Direction::SendRecv } else { Direction::RecvOnly };
    if let Some(send) = send {
        let rtx = sending::sent_section(&section.mid, send, &codecs).rtx;
        sending::describe_sources(&mut described, send, rtx);
    }
    described
}

fn rejected(section: &Section) -> MediaSection {
    let kind = match section.purpose {
        Purpose::Media(Kind::Audio) => SectionKind::Audio,
        Purpose::Media(Kind::Video) => SectionKind::Video,
        Purpose::Data | Purpose::Other => SectionKind::Application,
    };
    let (protocol, format) = match kind {
        SectionKind::Application => ("UDP/DTLS/SCTP", "webrtc-datachannel"),
        _ => ("UDP/TLS/RTP/SAVPF", ""),
    };
    let mut rejected = MediaSection::new(kind, protocol.to_owned());
    format.clone_into(&mut rejected.format);
    rejected.port = 0;
    rejected.mid = Some(section.mid.clone());
    rejected.direction = Direction::Inactive;
    rejected
}

/// Takes the answer to the last offer; after an error `session` is of no use any more.
pub(super) fn receive_answer(
    session: &mut Session,
    answer: &sdp::session::Session,
    sends: &[SendTrack],
) -> Result<Negotiated, NegotiationError> {
    let (expected, found) = (session.sections.len(), answer.sections.len());
    if expected != found {
        return Err(NegotiationError::SectionsLost { expected, found });
    }
    for (index, (section, answered)) in session.sections.iter_mut().zip(&answer.sections).enumerate() {
        let same_mid = answered.mid.as_deref().is_none_or(|mid| mid == section.mid);
        if Purpose::of(answered) != section.purpose || !same_mid {
            return Err(NegotiationError::SectionChanged { section: index });
        }
        section.rejected = answered.is_rejected();
    }
    if let Some(bearer) = answer.sections.iter().find(|section| !section.is_rejected()) {
        session.transport.learn_answer(answer, bearer)?;
    }
    if let Role::Offerer { awaits_answer, .. } = &mut session.role {
        *awaits_answer = false;
    }
    sending::wake(&mut session.sections);
    let (mut sent, mut unsupported) = (Vec::new(), Vec::new());
    for (section, answered) in session.sections.iter_mut().zip(&answer.sections) {
        match section.purpose {
            Purpose::Media(kind) => {
                let Some(subscription) = section.carries() else { continue };
                let Some(send) = sending::find(sends, subscription) else { continue };
                let theirs = receive::known_codecs(answered, kind, &EnabledCodecs::default());
                let negotiated = sending::sent_section(&section.mid, send, &theirs);
                if section.rejected {
                    section.sending = Sending::Free;
                }
                let taken = !section.rejected && answered.direction.receives();
                if !taken || negotiated.payloads.is_empty() {
                    unsupported.push(subscription);
                    continue;
                }
                accept_extensions(&mut session.extensions, answer, answered, kind);
                sent.push(negotiated);
            }
            Purpose::Data if !section.rejected => {
                session.sctp_port = Some(answered.sctp_port.unwrap_or(5000));
                session.message_size_max = message_size(answered);
            }
            Purpose::Data | Purpose::Other => {}
        }
    }
    Ok(Negotiated { mid_to_track_id: track_ids(&sent), sent, unsupported, peer: session.peer() })
}

fn accept_extensions(
    extensions: &mut extension::Extensions,
    answer: &sdp::session::Session,
    answered: &MediaSection,
    kind: Kind,
) {
    // What was not offered cannot come back; what a client makes up is not filled.
    let wanted = extension::sent(kind, true);
    extensions.accept(answer.extensions(answered), answer.allows_mixed(answered), wanted, Way::Send);
}

/// LiveKit's payload types, in its order. Payload types never change their meaning, so a section can go from one
/// track to another without confusion.
fn offered_codecs(kind: Kind, send: Option<&SendTrack>, enabled: &EnabledCodecs) -> Vec<PublishedCodec> {
    let of_kind = TABLE.iter().filter(|entry| entry.codec.kind() == kind && enabled.contains(entry.codec));
    let wanted = of_kind.filter(|entry| !entry.only_if_published || is_published(entry, send));
    wanted.map(|entry| entry.to_codec(enabled.rtx)).collect()
}

fn is_published(entry: &Entry, send: Option<&SendTrack>) -> bool {
    let Some(send) = send else { return false };
    let mut same_codec = send.codecs.iter().filter(|published| published.codec == entry.codec);
    same_codec.any(|published| payload::fit(published, entry.parameters) == Some(0))
}

struct Entry {
    codec: Codec,
    payload_type: u8,
    parameters: &'static str,
    /// Decoders are rare: not offered as a mere alternative.
    only_if_published: bool,
}

impl Entry {
    const fn new(codec: Codec, payload_type: u8, parameters: &'static str) -> Self {
        Self { codec, payload_type, parameters, only_if_published: false }
    }

    fn to_codec(&self, rtx: bool) -> PublishedCodec {
        let video = self.codec.kind() == Kind::Video;
        PublishedCodec {
            codec: self.codec,
            payload_type: self.payload_type,
            rtx_payload_type: (rtx && video).then_some(self.payload_type + 1),
            clock_rate: match self.codec {
                Codec::Opus | Codec::Red => 48_000,
                Codec::Pcmu | Codec::Pcma => 8_000,
                _ => 90_000,
            },
            channels: matches!(self.codec, Codec::Opus | Codec::Red).then_some(2),
            parameters: self.parameters.to_owned(),
        }
    }
}

const TABLE: [Entry; 15] = [
    Entry::new(Codec::Opus, 111, "minptime=10;useinbandfec=1"),
    Entry::new(Codec::Red, 63, "111/111"),
    Entry::new(Codec::Pcmu, 0, ""),
    Entry::new(Codec::Pcma, 8, ""),
    Entry::new(Codec::Vp8, 96, ""),
    Entry::new(Codec::Vp9, 98, "profile-id=0"),
    Entry::new(Codec::Vp9, 100, "profile-id=1"),
    Entry::new(Codec::H264, 125, "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f"),
    Entry::new(Codec::H264, 108, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
    Entry::new(Codec::H264, 104, "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f"),
    Entry::new(Codec::H264, 102, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f"),
    Entry::new(Codec::H264, 106, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f"),
    Entry {
        codec: Codec::H264,
        payload_type: 123,
        parameters: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640032",
        only_if_published: true,
    },
    Entry::new(Codec::Av1, 35, ""),
    Entry::new(Codec::H265, 116, ""),
];

#[cfg(test)]
mod tests;

//! Header extensions: which ones are negotiated, and the one space of ids that a bundle has (RFC 9143 §9.2).

use proto::media::v1 as proto;
use sdp::attribute::{Direction, Extension};
use serde::{Deserialize, Serialize};

use crate::negotiate::codec::Kind;

/// What we read on packets of clients, or write on packets to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Meaning {
    Mid,
    Rid,
    RepairedRid,
    AudioLevel,
    TransportCc,
    AbsSendTime,
    DependencyDescriptor,
    AbsCaptureTime,
    VideoOrientation,
    PlayoutDelay,
}

impl Meaning {
    fn of(uri: &str) -> Option<Self> {
        URIS.iter().find(|(known, _)| *known == uri).map(|(_, meaning)| *meaning)
    }

    pub(super) fn uri(self) -> &'static str {
        URIS.iter().find(|(_, meaning)| *meaning == self).map_or("", |(uri, _)| uri)
    }

    const fn to_proto(self) -> proto::ExtensionKind {
        match self {
            Self::Mid => proto::ExtensionKind::Mid,
            Self::Rid => proto::ExtensionKind::Rid,
            Self::RepairedRid => proto::ExtensionKind::RepairedRid,
            Self::AudioLevel => proto::ExtensionKind::AudioLevel,
            Self::TransportCc => proto::ExtensionKind::TransportCc,
            Self::AbsSendTime => proto::ExtensionKind::AbsSendTime,
            Self::DependencyDescriptor => proto::ExtensionKind::DependencyDescriptor,
            Self::AbsCaptureTime => proto::ExtensionKind::AbsCaptureTime,
            Self::VideoOrientation => proto::ExtensionKind::VideoOrientation,
            Self::PlayoutDelay => proto::ExtensionKind::PlayoutDelay,
        }
    }
}

const URIS: [(&str, Meaning); 10] = [
    ("urn:ietf:params:rtp-hdrext:sdes:mid", Meaning::Mid),
    ("urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", Meaning::Rid),
    ("urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id", Meaning::RepairedRid),
    ("urn:ietf:params:rtp-hdrext:ssrc-audio-level", Meaning::AudioLevel),
    ("http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01", Meaning::TransportCc),
    ("http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time", Meaning::AbsSendTime),
    (
        "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
        Meaning::DependencyDescriptor,
    ),
    ("http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time", Meaning::AbsCaptureTime),
    ("urn:3gpp:video-orientation", Meaning::VideoOrientation),
    ("http://www.webrtc.org/experiments/rtp-hdrext/playout-delay", Meaning::PlayoutDelay),
];

pub(super) const RECEIVE_AUDIO: &[Meaning] = &[Meaning::Mid, Meaning::AudioLevel, Meaning::AbsCaptureTime];

/// Without what the estimate of the uplink needs: that is chosen by section.
pub(super) const RECEIVE_VIDEO: &[Meaning] = &[
    Meaning::Mid,
    Meaning::Rid,
    Meaning::RepairedRid,
    Meaning::DependencyDescriptor,
    Meaning::AbsCaptureTime,
    Meaning::VideoOrientation,
];

/// Only what we fill: no transport-cc and no abs-send-time while nothing estimates the downlink.
const SEND_AUDIO: &[Meaning] = &[Meaning::Mid, Meaning::AudioLevel, Meaning::AbsCaptureTime];

const SEND_VIDEO: &[Meaning] =
    &[Meaning::Mid, Meaning::DependencyDescriptor, Meaning::AbsCaptureTime, Meaning::VideoOrientation];

const SEND_VIDEO_WITH_DELAY: &[Meaning] = &[
    Meaning::Mid,
    Meaning::DependencyDescriptor,
    Meaning::AbsCaptureTime,
    Meaning::VideoOrientation,
    Meaning::PlayoutDelay,
];

/// What we write on packets to clients. Sound follows the picture by itself: the playout delay is of video.
pub(super) const fn sent(kind: Kind, playout_delay: bool) -> &'static [Meaning] {
    match (kind, playout_delay) {
        (Kind::Audio, _) => SEND_AUDIO,
        (Kind::Video, false) => SEND_VIDEO,
        (Kind::Video, true) => SEND_VIDEO_WITH_DELAY,
    }
}

/// What our own offers have: what LiveKit offers, under its ids, and what we fill besides.
pub(super) const OFFERED_IDS: [(u8, Meaning); 5] = [
    (1, Meaning::DependencyDescriptor),
    (2, Meaning::AbsCaptureTime),
    (4, Meaning::Mid),
    (5, Meaning::VideoOrientation),
    (6, Meaning::PlayoutDelay),
];

/// The extensions of one peer connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Extensions {
    receive: Vec<(u8, Meaning)>,
    send: Vec<(u8, Meaning)>,
}

/// Which way an extension is used, from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Receive,
    Send,
}

impl Extensions {
    /// Takes what is `wanted` of an offer's extensions, and returns how the answer says so.
    pub(super) fn accept<'a>(
        &mut self,
        offered: impl Iterator<Item = &'a Extension>,
        mixed: bool,
        wanted: &[Meaning],
        way: Way,
    ) -> Vec<Extension> {
        let mut accepted: Vec<Extension> = Vec::new();
        for extension in offered {
            let Some(meaning) = Meaning::of(&extension.uri).filter(|meaning| wanted.contains(meaning)) else {
                continue;
            };
            let Some(id) = usable_id(extension, meaning, mixed, way) else { continue };
            let twice = accepted.iter().any(|other| other.uri == extension.uri);
            if twice || !self.take(id, meaning, way) {
                continue;
            }
            let direction = extension.direction.map(Direction::reversed);
            accepted.push(Extension { id: extension.id, direction, uri: extension.uri.clone() });
        }
        accepted
    }

    /// Over the whole bundle an id has one meaning and a meaning one id, for life: what contradicts is left out.
    fn take(&mut self, id: u8, meaning: Meaning, way: Way) -> bool {
        let taken = self.receive.iter().chain(&self.send);
        if taken.clone().any(|&(other_id, other)| (other_id == id) != (other == meaning)) {
            return false;
        }
        let list = match way {
            Way::Receive => &mut self.receive,
            Way::Send => &mut self.send,
        };
        if !list.contains(&(id, meaning)) {
            list.push((id, meaning));
        }
        true
    }

    pub(super) fn receive_to_proto(&self) -> Vec<proto::HeaderExtension> {
        to_proto(&self.receive)
    }

    pub(super) fn send_to_proto(&self) -> Vec<proto::HeaderExtension> {
        to_proto(&self.send)
    }
}

/// What our offer says of `wanted`.
pub(super) fn offered(wanted: &[Meaning]) -> Vec<Extension> {
    let wanted = OFFERED_IDS.iter().filter(|(_, meaning)| wanted.contains(meaning));
    wanted
        .map(|(id, meaning)| Extension { id: (*id).into(), direction: None, uri: meaning.uri().to_owned() })
        .collect()
}

/// One-byte headers hold ids 1 to 14 and 16 bytes of content (RFC 8285 §4.2). What needs more is for those who said
/// that both forms may be mixed.
fn usable_id(extension: &Extension, meaning: Meaning, mixed: bool, way: Way) -> Option<u8> {
    let id = u8::try_from(extension.id).ok()?;
    let offered_way = extension.direction.unwrap_or(Direction::SendRecv);
    let fits = matches!(id, 1..=14) || (mixed && id >= 16);
    let usable = match way {
        Way::Receive => offered_way.sends(),
        // A descriptor with a structure is longer than that.
        Way::Send => offered_way.receives() && (mixed || meaning != Meaning::DependencyDescriptor),
    };
    (fits && usable).then_some(id)
}

fn to_proto(extensions: &[(u8, Meaning)]) -> Vec<proto::HeaderExtension> {
    extensions
        .iter()
        .map(|(id, meaning)| proto::HeaderExtension { id: (*id).into(), kind: meaning.to_proto().into() })
        .collect()
}

#[cfg(test)]
mod tests;

//! Sections on which the client sends: what we take of what it offers.

use proto::media::v1 as proto;
use sdp::attribute::{Rid, Simulcast, SimulcastStream};
use sdp::codec::Codec as Line;
use sdp::section::MediaSection;

use crate::negotiate::codec::{Codec, EnabledCodecs, Kind, PublishedCodec};
use crate::negotiate::payload;
use crate::negotiate::track::AnnouncedTrack;

/// Layers that are forwarded; more of them are declined.
const LAYERS_MAX: usize = 3;

/// How the codecs of a section are chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice<'a> {
    pub(super) kind: Kind,
    pub(super) enabled: &'a EnabledCodecs,
    /// The announced track and which of its cids the section is.
    pub(super) track: Option<&'a AnnouncedTrack>,
    pub(super) cid: Option<&'a str>,
}

/// The offered codecs that we take, with the client's payload types, in the order in which we want them used.
pub(super) fn codecs(offered: &MediaSection, choice: Choice<'_>) -> Vec<PublishedCodec> {
    let mut codecs = known_codecs(offered, choice.kind, choice.enabled);
    let red_allowed = choice.track.is_none_or(|track| !track.disable_red);
    if !red_allowed {
        codecs.retain(|codec| codec.codec != Codec::Red);
    }
    if let Some(preferred) = preferred(choice) {
        // A stable sort: within one codec, and for all others, the client's order stands.
        codecs.sort_by_key(|codec| codec.codec != preferred);
    }
    codecs
}

/// The codecs of a section that we forward and the room allows.
pub(super) fn known_codecs(
    offered: &MediaSection,
    kind: Kind,
    enabled: &EnabledCodecs,
) -> Vec<PublishedCodec> {
    let repairs: Vec<(u8, u8)> = offered
        .codecs
        .iter()
        .filter(|_| enabled.rtx && kind == Kind::Video)
        .filter_map(|line| Some((line.repairs()?, line.payload_type)))
        .collect();
    let known = offered.codecs.iter().filter_map(|line| {
        let codec = Codec::from_name(&line.name)?;
        // `red/90000` is another thing than `red/48000`: redundancy of video, which nobody forwards.
        (codec.kind() == kind && enabled.contains(codec)).then(|| published(codec, line, &repairs))
    });
    let mut known: Vec<PublishedCodec> = known.collect();
    let opus = known.iter().find(|codec| codec.codec == Codec::Opus).map(|opus| opus.payload_type);
    known.retain(|codec| {
        codec.codec != Codec::Red || (opus.is_some() && payload::red_block(&codec.parameters) == opus)
    });
    known
}

fn published(codec: Codec, line: &Line, repairs: &[(u8, u8)]) -> PublishedCodec {
    let rtx = repairs.iter().find(|(repaired, _)| *repaired == line.payload_type);
    PublishedCodec {
        codec,
        payload_type: line.payload_type,
        rtx_payload_type: rtx.map(|(_, payload_type)| *payload_type),
        clock_rate: line.clock_rate,
        channels: line.channels,
        parameters: line.parameters.clone(),
    }
}

/// What the client announced that it would use; for a microphone that did not say no, RED: browsers send it only if
/// the answer prefers it.
fn preferred(choice: Choice<'_>) -> Option<Codec> {
    let track = choice.track?;
    let announced = track.cids.iter().find(|cid| Some(cid.cid.as_str()) == choice.cid)?.codec;
    match announced {
        None | Some(Codec::Opus | Codec::Red) if choice.kind == Kind::Audio => {
            Some(if track.disable_red { Codec::Opus } else { Codec::Red })
        }
        other => other,
    }
}

/// What the answer says of a codec's parameters: what we, as receiver, want of the client.
pub(super) fn answered_parameters(codec: &PublishedCodec, track: Option<&AnnouncedTrack>) -> String {
    if codec.codec != Codec::Opus {
        return codec.parameters.clone();
    }
    let mut parameters = "minptime=10;useinbandfec=1".to_owned();
    if track.is_none_or(|track| !track.disable_dtx) {
        parameters.push_str(";usedtx=1");
    }
    if track.is_some_and(|track| track.stereo) {
        parameters.push_str(";stereo=1;maxaveragebitrate=510000");
    }
    parameters
}

/// How the client is told of its uplink's bandwidth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Estimate {
    None,
    TransportCc,
    Remb,
}

/// The feedback that we send for a codec: of what was offered.
pub(super) fn feedback(offered: &MediaSection, codec: &PublishedCodec, estimate: Estimate) -> Vec<String> {
    let wanted: &[&str] = match (codec.codec, codec.codec.kind(), estimate) {
        (Codec::Red, ..) => &[], // it has its repair within
        (_, Kind::Audio, _) => &["nack"],
        (_, Kind::Video, Estimate::TransportCc) => &["transport-cc", "ccm fir", "nack", "nack pli"],
        (_, Kind::Video, Estimate::Remb) => &["goog-remb", "ccm fir", "nack", "nack pli"],
        (_, Kind::Video, Estimate::None) => &["ccm fir", "nack", "nack pli"],
    };
    let line = offered.codec(codec.payload_type);
    let offered = |kind: &&&str| line.is_some_and(|line| line.has_feedback(kind));
    wanted.iter().filter(offered).map(|kind| (*kind).to_owned()).collect()
}

/// The encodings of a section, lowest layer first, and what the answer says of simulcast.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Encodings {
    pub(super) encodings: Vec<proto::Encoding>,
    pub(super) rids: Vec<Rid>,
    pub(super) simulcast: Option<Simulcast>,
}

pub(super) fn encodings(offered: &MediaSection, kind: Kind) -> Encodings {
    match kind {
        Kind::Audio => Encodings { encodings: single(offered), ..Encodings::default() },
        Kind::Video => by_rid(offered)
            .or_else(|| by_group(offered))
            .unwrap_or_else(|| Encodings { encodings: single(offered), ..Encodings::default() }),
    }
}

/// RFC 8853 §5.3.2: the answer keeps the order of the offer, and may leave streams out.
fn by_rid(offered: &MediaSection) -> Option<Encodings> {
    let declared = |rid: &str| offered.rids.iter().any(|line| line.sends && line.id == rid);
    let listed: Vec<SimulcastStream> = match &offered.simulcast {
        Some(simulcast) => simulcast.send.iter().filter(|stream| declared(&stream.rid)).cloned().collect(),
        None => {
            let sent = offered.rids.iter().filter(|line| line.sends);
            sent.map(|line| SimulcastStream { rid: line.id.clone(), paused: false }).collect()
        }
    };
    let mut streams: Vec<SimulcastStream> = Vec::new();
    for stream in listed {
        let usable = stream.rid.len() <= units::rtp::NAME_LEN_MAX;
        if usable && streams.len() < LAYERS_MAX && streams.iter().all(|other| other.rid != stream.rid) {
            streams.push(stream);
        }
    }
    if streams.is_empty() {
        return None;
    }
    let mut rids: Vec<&str> = streams.iter().map(|stream| stream.rid.as_str()).collect();
    sort_by_layer(&mut rids);
    let encodings = (0_u32..).zip(rids).map(|(layer, rid)| encoding(layer, rid, 0, 0)).collect();
    let answered = streams.iter().map(|stream| Rid {
        id: stream.rid.clone(),
        sends: false,
        restrictions: String::new(),
    });
    let simulcast =
        offered.simulcast.is_some().then(|| Simulcast { send: Vec::new(), recv: streams.clone() });
    Some(Encodings { encodings, rids: answered.collect(), simulcast })
}

/// LiveKit's clients name their layers; of others the first is taken for the lowest.
fn sort_by_layer(rids: &mut [&str]) {
    const NAMES: [&str; LAYERS_MAX] = ["q", "h", "f"]; // quarter, half, full resolution
    let place = |rid: &str| NAMES.iter().position(|name| *name == rid);
    if rids.iter().all(|rid| place(rid).is_some()) {
        rids.sort_by_key(|rid| place(rid));
    }
}

/// Simulcast before RIDs: a group that lists the sources, lowest first.
fn by_group(offered: &MediaSection) -> Option<Encodings> {
    let group = offered.source_groups.iter().find(|group| group.semantics == "SIM")?;
    let layers = (0_u32..).zip(group.ssrcs.iter().take(LAYERS_MAX));
    let encodings: Vec<proto::Encoding> =
        layers.map(|(layer, ssrc)| encoding(layer, "", *ssrc, repair_of(offered, *ssrc))).collect();
    (!encodings.is_empty()).then(|| Encodings { encodings, ..Encodings::default() })
}

/// One stream. Where its source is not signalled, it is learnt from the MID.
fn single(offered: &MediaSection) -> Vec<proto::Encoding> {
    let ssrc = offered.source_attributes.first().map_or(0, |attribute| attribute.ssrc);
    vec![encoding(0, "", ssrc, repair_of(offered, ssrc))]
}

/// The source that retransmits `ssrc`; 0: none.
fn repair_of(offered: &MediaSection, ssrc: u32) -> u32 {
    let pairs = offered.source_groups.iter().filter(|group| group.semantics == "FID");
    pairs
        .filter_map(|group| match group.ssrcs.as_slice() {
            [source, repair] => Some((*source, *repair)),
            _ => None,
        })
        .find(|(source, _)| *source == ssrc)
        .map_or(0, |(_, repair)| repair)
}

fn encoding(layer: u32, rid: &str, ssrc: u32, rtx_ssrc: u32) -> proto::Encoding {
    proto::Encoding { rid: rid.to_owned(), ssrc, rtx_ssrc, layer }
}

#[cfg(test)]
mod tests;

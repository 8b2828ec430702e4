//! `TrackInfo`: from what a client announces, completed by what it negotiated.

use livekit_protocol::{
    AddTrackRequest, AudioTrackFeature, BackupCodecPolicy, PacketTrailerFeature, SimulcastCodecInfo,
    TimedVersion, TrackInfo, TrackSource, TrackType, VideoLayer, video_layer,
};

use crate::negotiate::codec::Codec;
use crate::room::clock::Time;
use crate::room::track::{Cid, Publication};

/// The prefix of a track's sid tells kind and source, as LiveKit's do.
#[must_use]
pub fn sid_prefix(request: &AddTrackRequest) -> String {
    let kind = match request.r#type() {
        TrackType::Audio => "A",
        TrackType::Video => "V",
        TrackType::Data => "",
    };
    let source = match request.source() {
        TrackSource::Camera => "C",
        TrackSource::Microphone => "M",
        TrackSource::ScreenShare => "S",
        TrackSource::ScreenShareAudio => "s",
        TrackSource::Unknown => "",
    };
    format!("TR_{kind}{source}")
}

#[must_use]
#[expect(deprecated, reason = "clients of every age read and write these fields")]
pub fn announced(sid: String, request: &AddTrackRequest) -> TrackInfo {
    let audio = request.r#type() == TrackType::Audio;
    TrackInfo {
        sid,
        r#type: request.r#type,
        name: request.name.clone(),
        muted: request.muted,
        width: request.width,
        height: request.height,
        simulcast: request.layers.len() > 1,
        disable_dtx: request.disable_dtx,
        source: request.source,
        layers: request.layers.clone(),
        mime_type: String::new(),
        mid: String::new(),
        codecs: codecs(request),
        stereo: request.stereo,
        disable_red: request.disable_red,
        encryption: request.encryption,
        stream: if request.stream.is_empty() {
            stream(request.source()).to_owned()
        } else {
            request.stream.clone()
        },
        version: None,
        audio_features: request.audio_features.clone(),
        // Every codec of an audio track is sent at once; for video the client says.
        backup_codec_policy: if audio {
            BackupCodecPolicy::Simulcast.into()
        } else {
            request.backup_codec_policy
        },
        packet_trailer_features: request.packet_trailer_features.clone(),
    }
}

/// The codecs that a request names; one without a name where it names none.
#[must_use]
pub fn codecs(request: &AddTrackRequest) -> Vec<SimulcastCodecInfo> {
    if request.simulcast_codecs.is_empty() {
        return vec![SimulcastCodecInfo {
            cid: request.cid.clone(),
            layers: request.layers.clone(),
            video_layer_mode: layer_mode(request.r#type(), video_layer::Mode::Unused, "").into(),
            ..SimulcastCodecInfo::default()
        }];
    }
    let kind = if request.r#type() == TrackType::Video { "video/" } else { "audio/" };
    let codecs = request.simulcast_codecs.iter().map(|codec| {
        let name = codec.codec.as_str();
        let named = name.is_empty() || name.to_ascii_lowercase().starts_with(kind);
        let mime_type = if named { name.to_owned() } else { format!("{kind}{name}") };
        let layers: &[VideoLayer] = if codec.layers.is_empty() { &request.layers } else { &codec.layers };
        SimulcastCodecInfo {
            video_layer_mode: layer_mode(request.r#type(), codec.video_layer_mode(), &mime_type).into(),
            mime_type,
            cid: codec.cid.clone(),
            layers: layers.to_vec(),
            ..SimulcastCodecInfo::default()
        }
    });
    codecs.collect()
}

/// Whether a request is no longer than clients have reason to make it: everybody in the room is told what it says,
/// again with every change.
#[must_use]
pub fn is_modest(request: &AddTrackRequest) -> bool {
    let texts = [&request.cid, &request.name, &request.stream, &request.sid];
    let codecs = &request.simulcast_codecs;
    texts
        .into_iter()
        .chain(codecs.iter().flat_map(|codec| [&codec.cid, &codec.codec]))
        .all(|text| text.len() <= TEXT_LEN_MAX)
        && codecs.len() <= SIMULCAST_CODECS_MAX
        && std::iter::once(&request.layers)
            .chain(codecs.iter().map(|codec| &codec.layers))
            .all(|layers| layers.len() <= LAYERS_MAX)
        && request.audio_features.len() <= FEATURES_MAX
        && request.packet_trailer_features.len() <= FEATURES_MAX
}

/// Values of enums that nobody knows become the defaults, or are left out of lists: some clients are spoken to in
/// JSON, which has no words for them.
pub fn forget_unknown_values(request: &mut AddTrackRequest) {
    request.source = request.source().into();
    request.encryption = request.encryption().into();
    request.backup_codec_policy = request.backup_codec_policy().into();
    retain_known_features(&mut request.audio_features);
    request.packet_trailer_features.retain(|feature| PacketTrailerFeature::try_from(*feature).is_ok());
    let codecs = &mut request.simulcast_codecs;
    for codec in codecs.iter_mut() {
        codec.video_layer_mode = codec.video_layer_mode().into();
    }
    for layer in codecs.iter_mut().flat_map(|codec| &mut codec.layers).chain(&mut request.layers) {
        layer.quality = layer.quality().into();
    }
}

pub fn retain_known_features(features: &mut Vec<i32>) {
    features.retain(|feature| AudioTrackFeature::try_from(*feature).is_ok());
}

/// The client-side tracks that a request names, and what they are meant to be sent with.
#[must_use]
pub fn cids(request: &AddTrackRequest) -> Vec<Cid> {
    let mut cids: Vec<Cid> = Vec::new();
    if !request.cid.is_empty() && !request.simulcast_codecs.iter().any(|codec| codec.cid == request.cid) {
        cids.push(Cid { cid: request.cid.clone(), codec: None });
    }
    cids.extend(
        codecs(request)
            .into_iter()
            .filter(|codec| !codec.cid.is_empty())
            .map(|codec| Cid { codec: Codec::from_mime(&codec.mime_type), cid: codec.cid }),
    );
    cids.dedup_by(|later, earlier| later.cid == earlier.cid);
    cids
}

/// Writes into a track's description what a media section of it turned out to be.
pub fn complete(info: &mut TrackInfo, publication: &Publication, forwarded: bool) {
    let mime = publication.codec().map(Codec::mime).unwrap_or_default();
    if forwarded {
        mime.clone_into(&mut info.mime_type);
        info.mid.clone_from(&publication.mid);
    }
    let cid = publication.cid.as_deref().unwrap_or_default();
    let index = info.codecs.iter().position(|codec| codec.cid == cid).unwrap_or(0);
    if let Some(codec) = info.codecs.get_mut(index) {
        mime.clone_into(&mut codec.mime_type);
        codec.mid.clone_from(&publication.mid);
    }
}

/// Every change that others see has a later version.
pub fn stamp(info: &mut TrackInfo, now: Time) {
    let unix_micro = now.unix_micros();
    let ticks = match &info.version {
        Some(version) if version.unix_micro == unix_micro => version.ticks.saturating_add(1),
        _ => 0,
    };
    info.version = Some(TimedVersion { unix_micro, ticks });
}

/// Which tracks belong together where the client does not say.
const fn stream(source: TrackSource) -> &'static str {
    match source {
        TrackSource::Camera | TrackSource::Microphone => "camera",
        TrackSource::ScreenShare | TrackSource::ScreenShareAudio => "screenshare",
        TrackSource::Unknown => "unknown",
    }
}

fn layer_mode(kind: TrackType, declared: video_layer::Mode, mime: &str) -> video_layer::Mode {
    if kind != TrackType::Video || declared != video_layer::Mode::Unused {
        return declared;
    }
    match Codec::from_mime(mime) {
        Some(Codec::Vp9 | Codec::Av1) => video_layer::Mode::MultipleSpatialLayersPerStream,
        _ => video_layer::Mode::OneSpatialLayerPerStream,
    }
}

/// Names, and the ids that browsers make.
const TEXT_LEN_MAX: usize = 1_024;
const SIMULCAST_CODECS_MAX: usize = 4;
/// Declared layers: three are used.
const LAYERS_MAX: usize = 8;
/// More than there are features.
const FEATURES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use livekit_protocol::{AddTrackRequest, SimulcastCodec, TrackSource, TrackType};

    use super::{announced, cids, sid_prefix};

    #[test]
    fn what_is_announced_is_worded_as_livekit_words_it() {
        // From a trace of livekit-server v1.13.5.
        let audio = AddTrackRequest {
            cid: "audio".into(),
            name: "webcam".into(),
            simulcast_codecs: vec![SimulcastCodec {
                codec: "audio/opus".into(),
                cid: "audio".into(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let seen = r#"{"sid":"TR_A5qAS4cJcaBDY","name":"webcam","codecs":[{"mimeType":"audio/opus","cid":"audio"}],"stream":"unknown","backupCodecPolicy":"SIMULCAST"}"#;
        assert_eq!(
            serde_json::to_value(announced("TR_A5qAS4cJcaBDY".into(), &audio)).unwrap(),
            serde_json::from_str::<serde_json::Value>(seen).unwrap()
        );
        let video = AddTrackRequest {
            cid: "video".into(),
            name: "webcam".into(),
            r#type: TrackType::Video.into(),
            simulcast_codecs: vec![SimulcastCodec {
                codec: "vp8".into(),
                cid: "video".into(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let seen = r#"{"sid":"TR_Vt8bFS2mw5Vuu","type":"VIDEO","name":"webcam","codecs":[{"mimeType":"video/vp8","cid":"video","videoLayerMode":"ONE_SPATIAL_LAYER_PER_STREAM"}],"stream":"unknown"}"#;
        assert_eq!(
            serde_json::to_value(announced("TR_Vt8bFS2mw5Vuu".into(), &video)).unwrap(),
            serde_json::from_str::<serde_json::Value>(seen).unwrap()
        );
    }

    #[test]
    fn sid_prefix_tells_kind_and_source() {
        for (kind, source, prefix) in [
            (TrackType::Audio, TrackSource::Unknown, "TR_A"),
            (TrackType::Audio, TrackSource::Microphone, "TR_AM"),
            (TrackType::Video, TrackSource::Camera, "TR_VC"),
            (TrackType::Video, TrackSource::ScreenShare, "TR_VS"),
            (TrackType::Audio, TrackSource::ScreenShareAudio, "TR_As"),
        ] {
            let request =
                AddTrackRequest { r#type: kind.into(), source: source.into(), ..Default::default() };
            assert_eq!(sid_prefix(&request), prefix);
        }
    }

    #[test]
    fn every_cid_is_known_once() {
        let codec = |codec: &str, cid: &str| SimulcastCodec {
            codec: codec.into(),
            cid: cid.into(),
            ..Default::default()
        };
        for (name, codecs, expected) in [
            ("no codecs", vec![], vec!["a"]),
            ("the codec's cid is the track's", vec![codec("vp8", "a")], vec!["a"]),
            ("a backup codec without a cid yet", vec![codec("av1", "a"), codec("vp8", "")], vec!["a"]),
            ("two codecs", vec![codec("av1", "a"), codec("vp8", "b")], vec!["a", "b"]),
        ] {
            let request = AddTrackRequest {
                cid: "a".into(),
                r#type: 1,
                simulcast_codecs: codecs,
                ..Default::default()
            };
            let found: Vec<String> = cids(&request).into_iter().map(|cid| cid.cid).collect();
            assert_eq!(found, expected, "{name}");
        }
    }
}

//! The tracks that an offer brings, announced in place of a client that has no words for them.

use livekit_protocol::{
    AddTrackRequest, AudioTrackFeature, TrackSource, TrackType, VideoLayer, VideoQuality,
};
use sdp::section::{Kind, MediaSection};
use sdp::session::Session;

/// One request for each section on which the client sends: a microphone, a camera.
#[must_use]
pub fn announced(offer: &Session) -> Vec<AddTrackRequest> {
    let sections = offer.sections.iter().enumerate();
    sections
        .filter(|(_, section)| section.direction.sends() && !section.is_rejected())
        .filter_map(|(index, section)| request(index, section))
        .collect()
}

fn request(index: usize, section: &MediaSection) -> Option<AddTrackRequest> {
    let (kind, source) = match section.kind {
        Kind::Audio => (TrackType::Audio, TrackSource::Microphone),
        Kind::Video => (TrackType::Video, TrackSource::Camera),
        Kind::Application | Kind::Other(_) => return None,
    };
    let track = section.msids.first().map(|msid| msid.track.as_str()).filter(|track| !track.is_empty());
    let stereo = section.codecs.iter().any(|codec| codec.parameter("stereo") == Some("1"));
    Some(AddTrackRequest {
        // Without an id of the client's, sections and tracks are matched in their order.
        cid: track.map_or_else(|| format!("section-{index}"), str::to_owned),
        r#type: kind.into(),
        source: source.into(),
        layers: layers(section),
        audio_features: if stereo { vec![AudioTrackFeature::TfStereo.into()] } else { Vec::new() },
        ..AddTrackRequest::default()
    })
}

/// What simulcast the client declares; how large its pictures are it does not say.
fn layers(section: &MediaSection) -> Vec<VideoLayer> {
    let sent = section.rids.iter().filter(|rid| rid.sends).take(QUALITIES.len());
    let layers = sent.zip(QUALITIES).map(|(rid, quality)| VideoLayer {
        quality: quality.into(),
        rid: rid.id.clone(),
        ..VideoLayer::default()
    });
    let layers: Vec<VideoLayer> = layers.collect();
    if layers.len() > 1 { layers } else { Vec::new() }
}

const QUALITIES: [VideoQuality; 3] = [VideoQuality::Low, VideoQuality::Medium, VideoQuality::High];

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(sections: &str) -> Session {
        let head = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
        Session::parse(&format!("{head}{sections}")).unwrap()
    }

    #[test]
    fn each_section_that_sends_is_a_track() {
        let offer = offer(concat!(
            "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=sendonly\r\na=msid:stream mic\r\n",
            "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 stereo=1\r\n",
            "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=sendonly\r\na=rtpmap:96 VP8/90000\r\n",
            "a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\na=simulcast:send q;h;f\r\n",
            "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:2\r\na=recvonly\r\na=rtpmap:96 VP8/90000\r\n",
            "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:3\r\na=sendonly\r\na=rtpmap:96 VP8/90000\r\n",
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:4\r\n",
        ));
        let announced = announced(&offer);
        let summary: Vec<_> = announced
            .iter()
            .map(|track| {
                (
                    track.cid.as_str(),
                    track.r#type(),
                    track.source(),
                    track.audio_features.len(),
                    track.layers.len(),
                )
            })
            .collect();
        assert_eq!(
            summary,
            [
                ("mic", TrackType::Audio, TrackSource::Microphone, 1, 0),
                ("section-1", TrackType::Video, TrackSource::Camera, 0, 3),
            ]
        );
    }

    #[test]
    fn one_encoding_is_no_simulcast() {
        let offer = offer(
            "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=sendonly\r\na=rtpmap:96 VP8/90000\r\na=rid:f send\r\n",
        );
        assert_eq!(announced(&offer).first().map(|track| track.layers.len()), Some(0));
    }
}

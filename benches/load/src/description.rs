//! Session descriptions as livekit-client's browser would write them: the publisher's offer, the subscriber's answer.

use std::net::SocketAddr;

use sdp::attribute::{
    Direction, Extension, Fingerprint, Msid, Rid, SetupRole, Simulcast, SimulcastStream, SourceAttribute,
};
use sdp::codec::Codec;
use sdp::section::{Kind, MediaSection};
use sdp::session::Session;

use crate::ice::Credentials;
use crate::outgoing::{Extensions, Format};
use crate::publisher::Track;
use crate::receiver::{Agreement, Payload};
use crate::video::LAYERS;

/// What a participant publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Media {
    /// VP8 of 720p in three simulcast layers
    Video,
    /// Opus of 32 kbit/s
    Audio,
    /// Nothing
    None,
}

/// Our end of a peer connection.
#[derive(Clone, Debug)]
pub struct Local {
    pub credentials: Credentials,
    pub fingerprint: Fingerprint,
    pub candidate: String,
}

/// The server's end of a peer connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    pub credentials: Credentials,
    pub lite: bool,
    pub fingerprints: Vec<Fingerprint>,
    pub candidates: Vec<SocketAddr>,
    pub setup: Option<SetupRole>,
}

impl Remote {
    /// `None` if the description lacks what ICE needs. All sections are one transport, so that the first one counts.
    #[must_use]
    pub fn of(session: &Session) -> Option<Self> {
        let section = session.sections.iter().find(|section| !section.is_rejected())?;
        Some(Self {
            credentials: Credentials {
                ufrag: session.ice_ufrag(section)?.to_owned(),
                password: section.ice_pwd.clone().or_else(|| session.ice_pwd.clone())?,
            },
            lite: session.ice_lite,
            fingerprints: session.fingerprints(section).to_vec(),
            candidates: section.candidates.iter().filter_map(|line| candidate(line)).collect(),
            setup: session.setup(section),
        })
    }
}

/// The address of a candidate for RTP over UDP (RFC 8839 §5.1).
#[must_use]
pub fn candidate(line: &str) -> Option<SocketAddr> {
    let line = line.strip_prefix("candidate:").unwrap_or(line);
    let mut words = line.split_ascii_whitespace().skip(1);
    let (component, transport) = (words.next()?, words.next()?);
    let (_priority, address, port) = (words.next()?, words.next()?, words.next()?);
    let usable = component == "1" && transport.eq_ignore_ascii_case("udp");
    usable.then(|| Some(SocketAddr::new(address.parse().ok()?, port.parse().ok()?)))?
}

/// The publisher's offer of one track. Sound declares its stream, as browsers do: servers may know no other way to tell whose it
/// is. The streams of a picture are told by their rids.
#[must_use]
pub fn offer(local: &Local, media: Media, track: &str, ssrc: u32) -> Session {
    let mut section = match media {
        Media::Audio => MediaSection::new(Kind::Audio, RTP.to_owned()),
        Media::Video | Media::None => MediaSection::new(Kind::Video, RTP.to_owned()),
    };
    let extension = |&(id, uri): &(u16, &str)| Extension { id, direction: None, uri: uri.to_owned() };
    if section.kind == Kind::Audio {
        section.codecs =
            vec![codec(OPUS, "opus", 48_000, Some(2), "minptime=10;useinbandfec=1", &["transport-cc"])];
        section.extensions = AUDIO_EXTENSIONS.iter().map(extension).collect();
        let attribute =
            |name: &str, value: String| SourceAttribute { ssrc, name: name.to_owned(), value: Some(value) };
        section.source_attributes =
            vec![attribute("cname", "load".to_owned()), attribute("msid", format!("load {track}"))];
    } else {
        let feedback = ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"];
        section.codecs = vec![
            codec(VP8, "VP8", 90_000, None, "", &feedback),
            codec(RTX, "rtx", 90_000, None, "apt=96", &[]),
        ];
        section.extensions = VIDEO_EXTENSIONS.iter().map(extension).collect();
        let rid = |rid: &str| Rid { id: rid.to_owned(), sends: true, restrictions: String::new() };
        section.rids = LAYERS.iter().map(|layer| rid(layer.rid)).collect();
        let stream = |rid: &str| SimulcastStream { rid: rid.to_owned(), paused: false };
        section.simulcast = Some(Simulcast {
            send: LAYERS.iter().map(|layer| stream(layer.rid)).collect(),
            recv: Vec::new(),
        });
    }
    section.mid = Some("0".to_owned());
    section.msids = vec![Msid { stream: "load".to_owned(), track: track.to_owned() }];
    section.direction = Direction::SendOnly;
    finish(&mut section, local, SetupRole::ActPass);
    session(vec![section])
}

/// What a section's answer lets us send; `None` if the server refuses it or chose another codec. Sound goes under `ssrc`.
#[must_use]
pub fn agreed(answer: &Session, media: Media, ssrc: u32) -> Option<Track> {
    let section = answer.sections.first().filter(|section| !section.is_rejected())?;
    let name = if media == Media::Audio { "opus" } else { "VP8" };
    let codec = section.codecs.iter().find(|codec| codec.is(name))?;
    let rtx = section.codecs.iter().find(|rtx| rtx.repairs() == Some(codec.payload_type));
    let id = |uri: &str| {
        let extension = answer.extensions(section).find(|extension| extension.uri == uri)?;
        u8::try_from(extension.id).ok()
    };
    let format = Format {
        mid: section.mid.clone().unwrap_or_default(),
        rid: None,
        ssrc: (media == Media::Audio).then_some(ssrc),
        payload_type: codec.payload_type,
        rtx_payload_type: rtx.map(|rtx| rtx.payload_type),
        clock_rate: codec.clock_rate,
        extensions: Extensions {
            mid: id(MID),
            rid: id(RID),
            repaired_rid: id(REPAIRED_RID),
            audio_level: id(AUDIO_LEVEL),
            transport_sequence: id(TRANSPORT_CC),
            abs_send_time: id(ABS_SEND_TIME),
        },
    };
    Some(if media == Media::Audio { Track::Microphone(format) } else { Track::Camera(format) })
}

/// The subscriber's answer, and what it agrees to.
#[must_use]
pub fn answer(offer: &Session, local: &Local) -> (Session, Agreement) {
    let mut agreement = Agreement::default();
    let sections =
        offer.sections.iter().map(|offered| answer_section(offered, local, &mut agreement)).collect();
    (session(sections), agreement)
}

fn answer_section(offered: &MediaSection, local: &Local, agreement: &mut Agreement) -> MediaSection {
    let mut section = MediaSection::new(offered.kind.clone(), offered.protocol.clone());
    section.mid.clone_from(&offered.mid);
    if offered.kind == Kind::Application {
        section.format.clone_from(&offered.format);
        section.sctp_port = offered.sctp_port;
        section.max_message_size = Some(65_535);
    } else {
        section.codecs = known_codecs(offered);
        section.extensions = offered
            .extensions
            .iter()
            .filter(|extension| RECEIVED.contains(&&*extension.uri))
            .cloned()
            .collect();
        // We send nothing: what the server stops sending becomes inactive.
        section.direction = Direction::from_flags(false, offered.direction.sends());
    }
    if offered.is_rejected() || (offered.kind != Kind::Application && section.codecs.is_empty()) {
        section.port = 0;
        section.codecs = offered.codecs.clone();
        section.direction = Direction::Inactive;
    } else if section.direction.receives() && offered.kind != Kind::Application {
        agree(offered, &section, agreement);
    }
    finish(&mut section, local, SetupRole::Active);
    section
}

fn agree(offered: &MediaSection, section: &MediaSection, agreement: &mut Agreement) {
    for codec in &section.codecs {
        let payload = match () {
            () if codec.is("opus") => Payload::Audio,
            () if codec.is("VP8") => Payload::Video,
            () => Payload::Retransmission,
        };
        if !agreement.payloads.iter().any(|(known, _)| *known == codec.payload_type) {
            agreement.payloads.push((codec.payload_type, payload));
        }
        if codec.has_feedback("transport-cc") {
            let extension = section.extensions.iter().find(|extension| extension.uri == TRANSPORT_CC);
            let id = extension.and_then(|extension| u8::try_from(extension.id).ok());
            agreement.transport_sequence = agreement.transport_sequence.or(id);
        }
    }
    for group in &offered.source_groups {
        if let (true, [of, own]) = (group.semantics == "FID", &*group.ssrcs) {
            agreement.repairs.push((*own, *of));
        }
    }
}

/// VP8 with its retransmissions, or Opus: without RED, so that a stamp is where it was put.
fn known_codecs(offered: &MediaSection) -> Vec<Codec> {
    let wanted = offered.codecs.iter().filter(|codec| codec.is("VP8") || codec.is("opus"));
    let mut codecs: Vec<Codec> = wanted.cloned().collect();
    let repairs_one = |codec: &&Codec| {
        codec.repairs().is_some_and(|of| codecs.iter().any(|codec| codec.payload_type == of))
    };
    let rtx: Vec<Codec> = offered.codecs.iter().filter(repairs_one).cloned().collect();
    codecs.extend(rtx);
    for codec in &mut codecs {
        codec.feedback.retain(|kind| kind != "goog-remb");
    }
    codecs
}

fn finish(section: &mut MediaSection, local: &Local, setup: SetupRole) {
    section.setup = Some(setup);
    section.ice_ufrag = Some(local.credentials.ufrag.clone());
    section.ice_pwd = Some(local.credentials.password.clone());
    section.fingerprints = vec![local.fingerprint.clone()];
    section.candidates = vec![local.candidate.clone()];
    section.rtcp_mux = section.kind != Kind::Application;
    section.rtcp_rsize = section.rtcp_mux;
}

fn session(sections: Vec<MediaSection>) -> Session {
    let live = sections.iter().filter(|section| !section.is_rejected());
    Session {
        id: rand::random::<u64>() >> 2,
        version: 2,
        extmap_allow_mixed: true,
        msid_semantic: true,
        bundles: vec![live.filter_map(|section| section.mid.clone()).collect()],
        sections,
        ..Session::default()
    }
}

fn codec(
    payload_type: u8,
    name: &str,
    clock_rate: u32,
    channels: Option<u8>,
    parameters: &str,
    feedback: &[&str],
) -> Codec {
    Codec {
        payload_type,
        name: name.to_owned(),
        clock_rate,
        channels,
        parameters: parameters.to_owned(),
        feedback: feedback.iter().map(|&kind| kind.to_owned()).collect(),
    }
}

const RTP: &str = "UDP/TLS/RTP/SAVPF";
const VP8: u8 = 96;
const RTX: u8 = 97;
const OPUS: u8 = 111;
const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
const REPAIRED_RID: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
const TRANSPORT_CC: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
/// With Chromium's ids.
const AUDIO_EXTENSIONS: [(u16, &str); 4] =
    [(1, AUDIO_LEVEL), (2, ABS_SEND_TIME), (3, TRANSPORT_CC), (4, MID)];
const VIDEO_EXTENSIONS: [(u16, &str); 5] =
    [(2, ABS_SEND_TIME), (3, TRANSPORT_CC), (4, MID), (10, RID), (11, REPAIRED_RID)];
const RECEIVED: [&str; 3] = [MID, AUDIO_LEVEL, TRANSPORT_CC];

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> Local {
        Local {
            credentials: Credentials { ufrag: "abcd".to_owned(), password: "p".repeat(24) },
            fingerprint: Fingerprint { algorithm: "sha-256".to_owned(), value: vec![7; 32] },
            candidate: "1 1 udp 2130706431 127.0.0.1 5000 typ host".to_owned(),
        }
    }

    #[test]
    fn candidates_other_than_of_rtp_over_udp_are_left_out() {
        for (name, line, address) in [
            ("as in a trickle", "candidate:1 1 udp 21 10.0.0.1 50 typ host", Some("10.0.0.1:50")),
            ("as in a description", "1 1 UDP 21 ::1 50 typ host generation 0", Some("[::1]:50")),
            ("RTCP", "1 2 udp 21 10.0.0.1 50 typ host", None),
            ("TCP", "1 1 tcp 21 10.0.0.1 50 typ host tcptype passive", None),
            ("a name", "1 1 udp 21 host.local 50 typ host", None),
            ("cut off", "1 1 udp", None),
        ] {
            assert_eq!(candidate(line), address.map(|text| text.parse().unwrap()), "{name}");
        }
    }

    #[test]
    fn offer_can_be_read_and_declares_what_the_packets_will_say() {
        let read = Session::parse(&offer(&local(), Media::Video, "track", 7).to_string()).unwrap();
        let section = &read.sections[0];
        assert_eq!(section.rids.iter().map(|rid| &*rid.id).collect::<Vec<_>>(), ["q", "h", "f"]);
        assert_eq!(section.simulcast.as_ref().unwrap().send.len(), 3);
        assert_eq!(section.msids[0].track, "track");
        assert_eq!(section.setup, Some(SetupRole::ActPass));
        let Some(Track::Camera(format)) = agreed(&read, Media::Video, 7) else { panic!("no camera") };
        assert_eq!((format.payload_type, format.rtx_payload_type), (96, Some(97)));
        assert_eq!((format.extensions.rid, format.extensions.transport_sequence), (Some(10), Some(3)));
        assert!(agreed(&read, Media::Audio, 7).is_none());

        assert_eq!(section.source_attributes, []);

        let read = Session::parse(&offer(&local(), Media::Audio, "track", 7).to_string()).unwrap();
        assert!(read.sections[0].source_attributes.iter().all(|attribute| attribute.ssrc == 7));
        let Some(Track::Microphone(format)) = agreed(&read, Media::Audio, 7) else { panic!("no sound") };
        assert_eq!((format.clock_rate, format.ssrc), (48_000, Some(7)));
    }

    #[test]
    fn answer_takes_vp8_opus_and_data_and_refuses_the_rest() {
        let offered = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-lite\r\na=group:BUNDLE 0 1 2 3 4\r\n\
            a=ice-ufrag:srv\r\na=ice-pwd:serverpassword0123456789\r\n\
            m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\n\
            a=candidate:1 1 udp 1 127.0.0.1 7882 typ host\r\n\
            m=audio 9 UDP/TLS/RTP/SAVPF 63 111\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=rtpmap:63 red/48000/2\r\na=rtpmap:111 opus/48000/2\r\na=sendonly\r\n\
            m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 transport-cc\r\n\
            a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:98 VP9/90000\r\na=rtpmap:99 rtx/90000\r\na=fmtp:99 apt=98\r\n\
            a=extmap:5 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
            a=extmap:6 urn:3gpp:video-orientation\r\na=ssrc-group:FID 11 12\r\na=ssrc:11 cname:a\r\na=ssrc:12 cname:a\r\na=sendonly\r\n\
            m=video 9 UDP/TLS/RTP/SAVPF 98\r\nc=IN IP4 0.0.0.0\r\na=mid:3\r\na=rtpmap:98 VP9/90000\r\na=sendonly\r\n\
            m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:4\r\na=rtpmap:111 opus/48000/2\r\na=recvonly\r\n";
        let offered = Session::parse(offered).unwrap();
        let remote = Remote::of(&offered).unwrap();
        assert!(remote.lite);
        assert_eq!(remote.candidates, [SocketAddr::from(([127, 0, 0, 1], 7882))]);

        let (answer, agreement) = answer(&offered, &local());
        let answer = Session::parse(&answer.to_string()).unwrap();
        let told: Vec<_> = answer
            .sections
            .iter()
            .map(|section| {
                let types: Vec<u8> = section.codecs.iter().map(|codec| codec.payload_type).collect();
                (section.is_rejected(), section.direction, types)
            })
            .collect();
        assert_eq!(
            told,
            [
                (false, Direction::SendRecv, vec![]),
                (false, Direction::RecvOnly, vec![111]),
                (false, Direction::RecvOnly, vec![96, 97]),
                (true, Direction::Inactive, vec![98]),
                (false, Direction::Inactive, vec![111]),
            ]
        );
        assert_eq!(answer.bundles, [["0", "1", "2", "4"]]);
        let expected = Agreement {
            payloads: vec![(111, Payload::Audio), (96, Payload::Video), (97, Payload::Retransmission)],
            repairs: vec![(12, 11)],
            transport_sequence: Some(5),
        };
        assert_eq!(agreement, expected);
    }
}

//! Descriptions of browsers are read, ours are written, and what is wrong or too much is refused.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::attribute::{Msid, Rid, Simulcast, SimulcastStream, SourceAttribute, SourceGroup};
use crate::codec::Codec;
use crate::section::Kind;

fn vector(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/sdp").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// A description with one video section that has `lines`.
fn with_lines(lines: &[&str]) -> String {
    let section = ["m=video 9 UDP/TLS/RTP/SAVPF 96 97", "c=IN IP4 0.0.0.0", "a=mid:0"];
    let all = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0"].iter().chain(&section).chain(lines);
    all.map(|line| format!("{line}\r\n")).collect()
}

fn parse_section(lines: &[&str]) -> Result<MediaSection, Error> {
    Session::parse(&with_lines(lines)).map(|session| session.sections.into_iter().next().unwrap())
}

#[test]
fn offer_of_chromium_is_read() {
    let offer = Session::parse(&vector("chromium-publisher.sdp")).unwrap();
    assert_eq!(offer.bundles, [["0", "1", "2"]]);
    assert!(offer.extmap_allow_mixed && !offer.ice_lite);
    let [data, audio, video] = offer.sections.as_slice() else { panic!("three sections") };

    assert_eq!(
        (&data.kind, data.sctp_port, data.max_message_size),
        (&Kind::Application, Some(5000), Some(262_144))
    );
    assert_eq!((data.format.as_str(), data.setup), ("webrtc-datachannel", Some(SetupRole::ActPass)));

    let opus = audio.codec(111).unwrap();
    assert_eq!((opus.name.as_str(), opus.clock_rate, opus.channels), ("opus", 48_000, Some(2)));
    assert_eq!(opus.parameter("useinbandfec"), Some("1"));
    assert_eq!(
        audio.msids.first().map(|msid| msid.track.as_str()),
        Some("d4058ae3-e40b-4037-b608-e9777bdc1abb")
    );
    assert_eq!((audio.direction, audio.sources().len()), (Direction::SendOnly, 1));

    let vp8 = video.codec(96).unwrap();
    assert_eq!(vp8.feedback, ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"]);
    assert_eq!((vp8.repairs(), video.codec(97).and_then(Codec::repairs)), (None, Some(96)));
    let rids: Vec<&str> = video.rids.iter().map(|rid| rid.id.as_str()).collect();
    assert_eq!(rids, ["q", "h", "f"]);
    assert_eq!(video.simulcast.as_ref().map(|simulcast| simulcast.send.len()), Some(3));
    assert!(video.rtcp_mux && video.rtcp_rsize && !video.is_rejected());
}

#[test]
fn what_the_session_level_says_holds_for_sections() {
    let text = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-ufrag:outer\r\na=ice-pwd:outerpwd\r\n\
        a=setup:active\r\na=recvonly\r\na=fingerprint:SHA-256 0a:Ff\r\na=extmap:1 urn:a\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:a\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 8\r\na=mid:b\r\na=ice-ufrag:inner\r\na=setup:passive\r\na=sendonly\r\na=extmap:2 urn:b\r\n";
    let session = Session::parse(text).unwrap();
    let [a, b] = session.sections.as_slice() else { panic!("two sections") };
    assert_eq!((session.ice_ufrag(a), session.ice_ufrag(b)), (Some("outer"), Some("inner")));
    assert_eq!((session.ice_pwd.as_deref(), session.setup(a)), (Some("outerpwd"), Some(SetupRole::Active)));
    assert_eq!((a.direction, b.direction), (Direction::RecvOnly, Direction::SendOnly));
    assert_eq!(
        session.fingerprints(b),
        [Fingerprint { algorithm: "sha-256".to_owned(), value: vec![0x0a, 0xff] }]
    );
    assert_eq!(session.extensions(b).map(|extension| extension.id).collect::<Vec<_>>(), [1, 2]);
    // Static payload types need no rtpmap (RFC 3551 §6).
    assert!(a.codec(0).is_some_and(|codec| codec.is("pcmu") && codec.clock_rate == 8_000));
    assert!(b.codec(8).is_some_and(|codec| codec.is("pcma")));
}

#[test]
fn attributes_that_are_malformed_are_named() {
    for (line, name) in [
        ("a=rtpmap:96", "rtpmap"),
        ("a=rtpmap:96 VP8", "rtpmap"),
        ("a=rtpmap:96 VP8/many", "rtpmap"),
        ("a=rtpmap:300 VP8/90000", "rtpmap"),
        ("a=fmtp:97", "fmtp"),
        ("a=rtcp-fb:96", "rtcp-fb"),
        ("a=rtcp-fb:x nack", "rtcp-fb"),
        ("a=extmap:1", "extmap"),
        ("a=extmap:x urn:a", "extmap"),
        ("a=extmap:1/both urn:a", "extmap"),
        ("a=setup:holdconn", "setup"),
        ("a=fingerprint:sha-256", "fingerprint"),
        ("a=fingerprint:sha-256 0G", "fingerprint"),
        ("a=fingerprint:sha-256 AB:C", "fingerprint"),
        ("a=fingerprint:sha-256 +A", "fingerprint"),
        ("a=rid:q", "rid"),
        ("a=rid:q up", "rid"),
        ("a=rid:q/1 send", "rid"),
        ("a=simulcast:q;h", "simulcast"),
        ("a=simulcast:send", "simulcast"),
        ("a=simulcast:send q;;f", "rid"),
        ("a=ssrc:-1 cname:a", "ssrc"),
        ("a=ssrc:4294967296 cname:a", "ssrc"),
        ("a=ssrc-group:FID 1 x", "ssrc-group"),
        ("a=mid:", "mid"),
        ("a=mid:a b", "mid"),
        ("a=ice-ufrag:", "ice-ufrag"),
        ("a=sctp-port:70000", "sctp-port"),
        ("a=max-message-size:-1", "max-message-size"),
        ("a=msid:", "msid"),
    ] {
        let expected = Error { place: Place::Section(0), reason: Reason::Malformed(name) };
        assert_eq!(parse_section(&[line]), Err(expected), "{line}");
    }
}

#[test]
fn limits_hold_exactly() {
    let repeated = |line: fn(usize) -> String, count: usize| {
        let lines: Vec<String> = (0..count).map(line).collect();
        parse_section(&lines.iter().map(String::as_str).collect::<Vec<_>>())
    };
    for (name, line, count_max) in [
        ("ssrc", (|index| format!("a=ssrc:{index} cname:a")) as fn(usize) -> String, 64),
        ("rid", |index| format!("a=rid:r{index} send"), 8),
        ("ssrc-group", |index| format!("a=ssrc-group:FID {index} 7"), 32),
        ("extmap", |index| format!("a=extmap:{index} urn:a"), 64),
        ("msid", |index| format!("a=msid:s{index} t"), 8),
        ("fingerprint", |_| "a=fingerprint:sha-256 AB".to_owned(), 8),
        ("rtcp-fb", |index| format!("a=rtcp-fb:96 kind{index}"), 32),
    ] {
        assert!(repeated(line, count_max).is_ok(), "{name}");
        let refused = Reason::TooMany(name).at(Place::Section(0));
        assert_eq!(repeated(line, count_max + 1), Err(refused), "{name}");
    }
}

#[test]
fn candidates_beyond_the_limit_are_counted_and_names_in_them_kept_as_they_are() {
    let lines: Vec<String> =
        (0..70).map(|index| format!("a=candidate:{index} 1 udp 1 x.local 9 typ host")).collect();
    let section = parse_section(&lines.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    assert_eq!((section.candidates.len(), section.candidates_ignored), (64, 6));
    assert_eq!(section.candidates.first().map(String::as_str), Some("0 1 udp 1 x.local 9 typ host"));
}

#[test]
fn descriptions_that_are_too_large_are_refused() {
    let head = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
    let section = "m=audio 9 X 0\r\n";
    let padding = |len: usize| format!("a=x:{}\r\n", "y".repeat(len));
    for (name, text, reason) in [
        ("as many sections as are allowed", head.to_owned() + &section.repeat(2_200), None),
        ("one section more", head.to_owned() + &section.repeat(2_201), Some(Reason::TooManySections)),
        ("long without sections", head.to_owned() + &padding(256 * 1024), Some(Reason::TooLong)),
        ("as long, with sections", head.to_owned() + &section.repeat(20) + &padding(256 * 1024), None),
        (
            "longer than anything",
            head.to_owned() + &section.repeat(2_000) + &padding(1024 * 1024),
            Some(Reason::TooLong),
        ),
    ] {
        let result = Session::parse(&text).map(|_| ());
        assert_eq!(result, reason.map_or(Ok(()), |reason| Err(reason.at(Place::Description))), "{name}");
    }
}

#[test]
fn what_is_no_description_is_refused_with_its_line() {
    for (text, place, reason) in [
        ("", Place::Description, Reason::NotSdp),
        ("GET / HTTP/1.1\r\n", Place::Line(1), Reason::Malformed("Line not in key=value format")),
        ("v=1\r\n", Place::Description, Reason::NotSdp),
        ("v=0\r\nm=audio\r\n", Place::Line(2), Reason::Malformed("Media port")),
        ("v=0\r\nm=audio x X 0\r\n", Place::Line(2), Reason::Malformed("Media port")),
        ("v=0\r\nm=audio 9 X 200\r\n", Place::Section(0), Reason::Malformed("m")),
    ] {
        assert_eq!(Session::parse(text), Err(reason.at(place)), "{text}");
    }
}

#[test]
fn line_ends_of_unix_are_read_too() {
    let text = vector("chromium-publisher.sdp");
    assert_eq!(Session::parse(&text.replace("\r\n", "\n")), Session::parse(&text));
}

#[test]
fn session_is_written_as_livekit_writes_it() {
    let mut section = MediaSection::new(Kind::Audio, "UDP/TLS/RTP/SAVPF".to_owned());
    section.mid = Some("1".to_owned());
    section.setup = Some(SetupRole::Passive);
    section.ice_ufrag = Some("ufrag".to_owned());
    section.ice_pwd = Some("password".to_owned());
    (section.rtcp_mux, section.rtcp_rsize) = (true, true);
    section.codecs.push(Codec {
        payload_type: 111,
        name: "opus".to_owned(),
        clock_rate: 48_000,
        channels: Some(2),
        parameters: "minptime=10;useinbandfec=1".to_owned(),
        feedback: vec!["nack".to_owned()],
    });
    section.direction = Direction::RecvOnly;
    let session = Session {
        id: 7,
        version: 2,
        ice_lite: true,
        msid_semantic: true,
        extmap_allow_mixed: true,
        fingerprints: vec![Fingerprint { algorithm: "sha-256".to_owned(), value: vec![1, 0xab] }],
        bundles: vec![vec!["1".to_owned()]],
        sections: vec![section],
        ..Session::default()
    };
    let expected = "v=0\r\no=- 7 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-lite\r\na=msid-semantic:WMS *\r\n\
        a=fingerprint:sha-256 01:AB\r\na=extmap-allow-mixed\r\na=group:BUNDLE 1\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=setup:passive\r\na=mid:1\r\na=ice-ufrag:ufrag\r\n\
        a=ice-pwd:password\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:111 opus/48000/2\r\n\
        a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtcp-fb:111 nack\r\na=recvonly\r\n";
    assert_eq!(session.to_string(), expected);
}

#[test]
fn values_cannot_smuggle_lines_in() {
    let mut section = MediaSection::new(Kind::Audio, "UDP/TLS/RTP/SAVPF".to_owned());
    section.mid = Some("0\r\na=ice-pwd:mine".to_owned());
    let session = Session { sections: vec![section], ..Session::default() };
    assert!(session.to_string().lines().all(|line| line != "a=ice-pwd:mine"));
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_-]{1,16}"
}

fn direction() -> impl Strategy<Value = Direction> {
    (any::<bool>(), any::<bool>()).prop_map(|(sends, receives)| Direction::from_flags(sends, receives))
}

fn codec() -> impl Strategy<Value = Codec> {
    (
        0_u8..128,
        name(),
        1_u32..100_000,
        proptest::option::of(1_u8..8),
        "([a-z]{1,8}=[0-9]{1,4}(;[a-z]{1,8}=[0-9]{1,4}){0,3})?",
        proptest::collection::btree_set("[a-z]{1,8}( [a-z]{1,8})?", 0..4),
    )
        .prop_map(|(payload_type, name, clock_rate, channels, parameters, feedback)| Codec {
            payload_type,
            name,
            clock_rate,
            channels,
            parameters,
            feedback: feedback.into_iter().collect(),
        })
}

fn codecs() -> impl Strategy<Value = Vec<Codec>> {
    proptest::collection::vec(codec(), 1..8).prop_map(|mut codecs| {
        codecs.sort_by_key(|codec| codec.payload_type);
        codecs.dedup_by_key(|codec| codec.payload_type);
        codecs
    })
}

fn simulcast() -> impl Strategy<Value = Simulcast> {
    let stream = || (name(), any::<bool>()).prop_map(|(rid, paused)| SimulcastStream { rid, paused });
    (proptest::collection::vec(stream(), 0..4), proptest::collection::vec(stream(), 1..4))
        .prop_map(|(send, recv)| Simulcast { send, recv })
}

fn extension() -> impl Strategy<Value = Extension> {
    (1_u16..300, proptest::option::of(direction()), "urn:[a-z:]{1,20}")
        .prop_map(|(id, direction, uri)| Extension { id, direction, uri })
}

prop_compose! {
    fn rtp_section()(
        video in any::<bool>(), codecs in codecs(), mid in name(), flags in any::<[bool; 4]>(),
        ufrag in proptest::option::of(name()), direction in direction(),
        extensions in proptest::collection::vec(extension(), 0..4),
        rids in proptest::collection::vec((name(), any::<bool>(), "(pt=[0-9]{1,3})?"), 0..4),
        simulcast in proptest::option::of(simulcast()),
        sources in proptest::collection::vec((any::<u32>(), name(), proptest::option::of("[a-z |]{0,6}[a-z]")), 0..6),
        groups in proptest::collection::vec((name(), proptest::collection::vec(any::<u32>(), 0..3)), 0..3),
        msids in proptest::collection::vec((name(), proptest::option::of(name())), 0..2),
        candidates in proptest::collection::vec("[0-9]{1,3} 1 udp [0-9]{1,9} 10[.]0[.]0[.]1 9 typ host", 0..3),
        fingerprint in proptest::collection::vec(any::<u8>(), 1..33),
    ) -> MediaSection {
        let kind = if video { Kind::Video } else { Kind::Audio };
        let [rtcp_mux, rtcp_rsize, bundle_only, end_of_candidates] = flags;
        MediaSection {
            codecs, rtcp_mux, rtcp_rsize, bundle_only, end_of_candidates, simulcast, direction, extensions, candidates,
            port: if bundle_only { 0 } else { 9 },
            mid: Some(mid),
            ice_ufrag: ufrag,
            setup: Some(SetupRole::ActPass),
            fingerprints: vec![Fingerprint { algorithm: "sha-256".to_owned(), value: fingerprint }],
            rids: rids.into_iter().map(|(id, sends, restrictions)| Rid { id, sends, restrictions }).collect(),
            source_attributes: sources.into_iter().map(|(ssrc, name, value)| SourceAttribute { ssrc, name, value: value.map(|value| value.trim().to_owned()) }).collect(),
            source_groups: groups.into_iter().map(|(semantics, ssrcs)| SourceGroup { semantics, ssrcs }).collect(),
            msids: msids.into_iter().map(|(stream, track)| Msid { stream, track: track.unwrap_or_default() }).collect(),
            ..MediaSection::new(kind, "UDP/TLS/RTP/SAVPF".to_owned())
        }
    }
}

prop_compose! {
    fn data_section()(mid in name(), port in any::<u16>(), size in any::<u64>()) -> MediaSection {
        MediaSection {
            mid: Some(mid),
            format: "webrtc-datachannel".to_owned(),
            sctp_port: Some(port),
            max_message_size: Some(size),
            ..MediaSection::new(Kind::Application, "UDP/DTLS/SCTP".to_owned())
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same(
        id in any::<u64>(), version in any::<u64>(), ice_lite in any::<bool>(),
        sections in proptest::collection::vec(prop_oneof![4 => rtp_section(), 1 => data_section()], 0..5),
        bundles in proptest::collection::vec(proptest::collection::vec(name(), 0..4), 0..2),
    ) {
        let session = Session { id, version, ice_lite, msid_semantic: true, bundles, sections, ..Session::default() };
        prop_assert_eq!(Session::parse(&session.to_string()), Ok(session));
    }
}

//! What is taken of what a client sends: codecs, layers, feedback.

use super::*;
use crate::negotiate::fixture::{
    Answering, camera, codec_names, edited, microphone, parse, received, section, setup, vector, with_codecs,
    without,
};
use crate::negotiate::track::AnnouncedCid;

#[test]
fn simulcast_is_mirrored_and_layers_are_lowest_first() {
    for (name, offer, mid, mirrored, rids) in [
        ("as Chromium", vector("chromium-publisher"), "2", "q;h;f", &["q", "h", "f"][..]),
        ("as Firefox, highest first", vector("firefox-publisher"), "1", "f;h;q", &["q", "h", "f"]),
        (
            "paused layers stay so",
            edited("chromium-publisher", &[("a=simulcast:send q;h;f", "a=simulcast:send q;~h;~f")]),
            "2",
            "q;~h;~f",
            &["q", "h", "f"],
        ),
        (
            "unknown names go by their order",
            edited("chromium-publisher", &[("a=rid:q send", "a=rid:2 send"), ("send q;h;f", "send 2;h;f")]),
            "2",
            "2;h;f",
            &["2", "h", "f"],
        ),
        (
            "a fourth layer is declined",
            edited(
                "chromium-publisher",
                &[("a=rid:q send", "a=rid:a send\r\na=rid:q send"), ("send q;h;f", "send a;q;h;f")],
            ),
            "2",
            "a;q;h",
            &["a", "q", "h"],
        ),
        (
            "a layer without its rid line is declined",
            edited("chromium-publisher", &[("a=rid:h send\r\n", "")]),
            "2",
            "q;f",
            &["q", "f"],
        ),
        (
            "of alternatives the first",
            edited("chromium-publisher", &[("send q;h;f", "send q,h;f")]),
            "2",
            "q;f",
            &["q", "f"],
        ),
    ] {
        let answered = Answering::new().offered(&offer);
        let answer = parse(&answered.sdp);
        let section = section(&answer, mid);
        let simulcast = section.simulcast.as_ref().map(ToString::to_string);
        assert_eq!(simulcast, Some(format!("recv {mirrored}")), "{name}");
        assert!(section.rids.iter().all(|rid| !rid.sends), "{name}");
        assert_eq!(section.rids.len(), mirrored.split(';').count(), "{name}");
        let encodings = &received(&answered, mid).encodings;
        let found: Vec<&str> = encodings.iter().map(|encoding| encoding.rid.as_str()).collect();
        assert_eq!(found, rids, "{name}");
        assert!(
            encodings.iter().zip(0..).all(|(encoding, layer)| encoding.layer == layer && encoding.ssrc == 0)
        );
    }
}

#[test]
fn signalled_sources_are_paired_with_their_retransmissions() {
    let simulcast = edited(
        "chromium-publisher-vp9",
        &[(
            "a=ssrc-group:FID",
            "a=ssrc-group:SIM 11 12 13\r\na=ssrc-group:FID 12 22\r\na=ssrc-group:FID 11 21\r\na=ssrc-group:FID",
        )],
    );
    let video = parse(&vector("chromium-publisher-vp9"));
    let signalled = section(&video, "0").sources();
    let (source, repair) = (signalled[0], signalled[1]);
    for (name, offer, expected) in [
        ("one stream", vector("chromium-publisher-vp9"), vec![(source, repair)]),
        ("one stream without group", without("chromium-publisher-vp9", &["a=ssrc-group"]), vec![(source, 0)]),
        ("nothing signalled", without("chromium-publisher-vp9", &["a=ssrc"]), vec![(0, 0)]),
        ("simulcast before RIDs", simulcast, vec![(11, 21), (12, 22), (13, 0)]),
    ] {
        let answered = Answering::new().offered(&offer);
        let encodings = received(&answered, "0").encodings.iter();
        let found: Vec<(u32, u32)> = encodings.map(|encoding| (encoding.ssrc, encoding.rtx_ssrc)).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn codecs_are_what_both_know_in_the_order_that_was_announced() {
    let with_codec = |track: AnnouncedTrack, codec| AnnouncedTrack {
        cids: vec![AnnouncedCid { codec, ..track.cids[0].clone() }],
        ..track
    };
    let all = setup();
    for (name, setup, track, mid, first, count) in [
        ("RED before Opus", all.clone(), microphone(), "1", "red/63", 4),
        (
            "RED declined",
            all.clone(),
            AnnouncedTrack { disable_red: true, ..microphone() },
            "1",
            "opus/111",
            3,
        ),
        (
            "Opus announced, RED allowed",
            all.clone(),
            with_codec(microphone(), Some(Codec::Opus)),
            "1",
            "red/63",
            4,
        ),
        ("PCMU announced", all.clone(), with_codec(microphone(), Some(Codec::Pcmu)), "1", "PCMU/0", 4),
        ("RED needs Opus", with_codecs(&["audio/red", "audio/PCMA"]), microphone(), "1", "PCMA/8", 1),
        ("Opus only", with_codecs(&["audio/opus"]), microphone(), "1", "opus/111", 1),
        ("client's order", all.clone(), camera(), "2", "VP8/96", 10),
        ("VP9 announced", all.clone(), with_codec(camera(), Some(Codec::Vp9)), "2", "VP9/98", 10),
        (
            "H264 announced, its variants in order",
            all.clone(),
            with_codec(camera(), Some(Codec::H264)),
            "2",
            "H264/102",
            10,
        ),
        (
            "announced, but not allowed",
            with_codecs(&["video/VP8", "video/rtx"]),
            with_codec(camera(), Some(Codec::Av1)),
            "2",
            "VP8/96",
            1,
        ),
    ] {
        let mut answering = Answering { setup, announced: vec![track], ..Answering::new() };
        let answered = answering.offered(&vector("chromium-publisher"));
        let answer = parse(&answered.sdp);
        let names = codec_names(section(&answer, mid));
        assert_eq!((names[0].as_str(), names.len()), (first, count), "{name}: {names:?}");
        let negotiated = received(&answered, mid).codecs.iter();
        let negotiated: Vec<String> =
            negotiated.map(|codec| format!("{}/{}", codec.codec.name(), codec.payload_type)).collect();
        assert_eq!(negotiated, names, "{name}");
    }
}

#[test]
fn retransmissions_follow_their_codec_if_the_room_has_them() {
    for (name, setup, first, rtx) in [
        ("on", setup(), [96, 97], Some(97)),
        ("off", with_codecs(&["video/VP8", "video/VP9"]), [96, 98], None),
    ] {
        let answered = Answering { setup, ..Answering::new() }.offered(&vector("chromium-publisher"));
        let answer = parse(&answered.sdp);
        let types: Vec<u8> = section(&answer, "2").codecs.iter().map(|codec| codec.payload_type).collect();
        assert_eq!(types[..2], first, "{name}");
        assert_eq!(received(&answered, "2").codecs[0].rtx_payload_type, rtx, "{name}");
    }
}

#[test]
fn opus_is_asked_for_as_the_track_wants_it() {
    for (name, stereo, disable_dtx, expected) in [
        ("plain", false, false, "minptime=10;useinbandfec=1;usedtx=1"),
        ("without DTX", false, true, "minptime=10;useinbandfec=1"),
        ("stereo", true, false, "minptime=10;useinbandfec=1;usedtx=1;stereo=1;maxaveragebitrate=510000"),
        ("music", true, true, "minptime=10;useinbandfec=1;stereo=1;maxaveragebitrate=510000"),
    ] {
        let track = AnnouncedTrack { stereo, disable_dtx, ..microphone() };
        let mut answering = Answering { announced: vec![track], ..Answering::new() };
        let answer = parse(&answering.offered(&vector("chromium-publisher")).sdp);
        assert_eq!(section(&answer, "1").codec(111).unwrap().parameters, expected, "{name}");
    }
}

#[test]
fn feedback_and_extensions_are_what_was_offered_and_is_used() {
    const TRANSPORT_CC: &str = "a=extmap:3 http://www.ietf.org/id/draft-holmer";
    for (name, offer, feedback, estimate) in [
        (
            "transport-cc, so no REMB",
            vector("chromium-publisher"),
            &["transport-cc", "ccm fir", "nack", "nack pli"][..],
            proto::UplinkFeedback::TransportCc,
        ),
        (
            "without its feedback: REMB",
            without(
                "chromium-publisher",
                &[
                    "a=rtcp-fb:96 transport-cc",
                    "a=rtcp-fb:1",
                    "a=rtcp-fb:3",
                    "a=rtcp-fb:4",
                    "a=rtcp-fb:98",
                    "a=rtcp-fb:100",
                ],
            ),
            &["goog-remb", "ccm fir", "nack", "nack pli"],
            proto::UplinkFeedback::Remb,
        ),
        (
            "without its extension: REMB",
            without("chromium-publisher", &[TRANSPORT_CC]),
            &["goog-remb", "ccm fir", "nack", "nack pli"],
            proto::UplinkFeedback::Remb,
        ),
        (
            "neither",
            without(
                "chromium-publisher",
                &[
                    TRANSPORT_CC,
                    "a=rtcp-fb:96 goog-remb",
                    "a=rtcp-fb:96 nack pli",
                    "a=rtcp-fb:1",
                    "a=rtcp-fb:3",
                    "a=rtcp-fb:4",
                    "a=rtcp-fb:98",
                    "a=rtcp-fb:100",
                ],
            ),
            &["ccm fir", "nack"],
            proto::UplinkFeedback::None,
        ),
    ] {
        let answered = Answering::new().offered(&offer);
        let answer = parse(&answered.sdp);
        let section = section(&answer, "2");
        assert_eq!(section.codec(96).unwrap().feedback, feedback, "{name}");
        assert!(section.codec(97).unwrap().feedback.is_empty(), "{name}");
        assert_eq!(answered.peer.uplink_feedback, estimate, "{name}");
        let kinds: Vec<proto::ExtensionKind> =
            answered.peer.receive_extensions.iter().map(proto::HeaderExtension::kind).collect();
        let has = |kind| kinds.contains(&kind);
        assert_eq!(
            has(proto::ExtensionKind::TransportCc),
            estimate == proto::UplinkFeedback::TransportCc,
            "{name}"
        );
        assert_eq!(has(proto::ExtensionKind::AbsSendTime), estimate == proto::UplinkFeedback::Remb, "{name}");
        assert!(
            has(proto::ExtensionKind::Mid)
                && has(proto::ExtensionKind::Rid)
                && has(proto::ExtensionKind::RepairedRid)
        );
        assert!(has(proto::ExtensionKind::AudioLevel) && has(proto::ExtensionKind::VideoOrientation));
        let negotiated = received(&answered, "2");
        assert_eq!((negotiated.nack, negotiated.fir), (true, true), "{name}");
        assert_eq!(negotiated.pli, feedback.contains(&"nack pli"), "{name}");
    }
}

#[test]
fn audio_takes_nack_where_it_is_offered_but_not_for_red() {
    let offer = edited(
        "chromium-publisher",
        &[("a=rtcp-fb:111 transport-cc", "a=rtcp-fb:* nack\r\na=rtcp-fb:111 transport-cc")],
    );
    let answered = Answering::new().offered(&offer);
    let answer = parse(&answered.sdp);
    let audio = section(&answer, "1");
    assert_eq!(
        (audio.codec(111).unwrap().feedback.as_slice(), received(&answered, "1").nack),
        (&["nack".to_owned()][..], true)
    );
    assert!(audio.codec(63).unwrap().feedback.is_empty());
    assert!(!received(&Answering::new().offered(&vector("chromium-publisher")), "1").nack);
}

//! Subscriptions on the single peer connection: places and payload types.

use sdp::attribute::Direction;

use super::*;
use crate::negotiate::fixture::{
    Answering, parse, published, section, send, send_opus, send_vp8, setup, summary, vector, with_codecs,
    without,
};
use crate::negotiate::outcome::{Answered, MissingSections};

/// Mid and subscription of what is sent.
fn sent(answered: &Answered) -> Vec<(&str, u64)> {
    answered.sent.iter().map(|section| (section.mid.as_str(), section.subscription)).collect()
}

fn missing(audios: u32, videos: u32, offer_again: bool) -> MissingSections {
    MissingSections { audios, videos, offer_again }
}

#[test]
fn free_sections_are_filled_in_order_and_what_does_not_fit_is_counted() {
    let mut answering = Answering::new();
    answering.sends = (1..=5).map(send_opus).chain((6..=9).map(send_vp8)).collect();
    let answered = answering.offered(&vector("chromium-single-publish"));
    assert_eq!(sent(&answered), [("0", 1), ("1", 2), ("2", 3), ("3", 6), ("4", 7), ("5", 8)]);
    assert_eq!(answered.missing, missing(2, 1, false));
    assert_eq!(answered.mid_to_track_id.get("3").map(String::as_str), Some("TR_6"));
    assert_eq!(answered.mid_to_track_id.len(), 6);
    assert_eq!(summary(&answered), [("7", Some("TR_microphone"), true), ("8", Some("TR_camera"), true)]);
}

#[test]
fn section_that_carries_a_track_names_it_as_livekit_does() {
    let mut answering = Answering { sends: vec![send_vp8(1)], ..Answering::new() };
    let answered = answering.offered(&vector("chromium-single-join"));
    let lines = "a=ssrc-group:FID 1001 2001\r\na=ssrc:1001 cname:PA_a|TR_1\r\na=ssrc:1001 msid:PA_a|TR_1 TR_1\r\n\
        a=ssrc:1001 mslabel:PA_a|TR_1\r\na=ssrc:1001 label:TR_1\r\na=ssrc:2001 cname:PA_a|TR_1\r\n\
        a=ssrc:2001 msid:PA_a|TR_1 TR_1\r\na=ssrc:2001 mslabel:PA_a|TR_1\r\na=ssrc:2001 label:TR_1\r\n\
        a=msid:PA_a|TR_1 TR_1\r\na=sendonly\r\n";
    assert!(answered.sdp.contains(lines), "{}", answered.sdp);
    let answer = parse(&answered.sdp);
    assert_eq!(section(&answer, "3").codec(96).unwrap().feedback, ["ccm fir", "nack", "nack pli"]);
    let empty = section(&answer, "4");
    assert!(empty.direction == Direction::Inactive && empty.msids.is_empty() && empty.sources().is_empty());
    let kinds: Vec<proto::ExtensionKind> =
        answered.peer.send_extensions.iter().map(proto::HeaderExtension::kind).collect();
    assert!(
        !kinds.contains(&proto::ExtensionKind::TransportCc)
            && !kinds.contains(&proto::ExtensionKind::AbsSendTime)
    );
    assert!(
        kinds.contains(&proto::ExtensionKind::DependencyDescriptor)
            && kinds.contains(&proto::ExtensionKind::Mid)
    );
}

#[test]
fn section_rests_for_one_negotiation_between_two_tracks() {
    let offer = vector("chromium-single-join");
    let mut answering = Answering { sends: (1..=3).map(send_opus).collect(), ..Answering::new() };
    answering.offered(&offer);
    answering.sends = vec![send_opus(1), send_opus(3), send_opus(4), send_opus(5)];
    let answered = answering.offered(&offer);
    assert_eq!(sent(&answered), [("0", 1), ("2", 3)]);
    assert_eq!(answered.missing, missing(1, 0, true), "one can wait for the section that rests");
    assert_eq!(section(&parse(&answered.sdp), "1").direction, Direction::Inactive);
    let answered = answering.offered(&offer);
    assert_eq!(sent(&answered), [("0", 1), ("1", 4), ("2", 3)]);
    assert_eq!(answered.missing, missing(1, 0, false));
    assert_eq!(answered.mid_to_track_id.len(), 3, "the whole map, each time");
}

#[test]
fn client_that_stops_receiving_frees_the_section() {
    let offer = vector("chromium-single-join");
    let mut answering = Answering { sends: vec![send_opus(1)], ..Answering::new() };
    answering.offered(&offer);
    let inactive = offer.replacen("a=recvonly", "a=inactive", 1);
    let answered = answering.offered(&inactive);
    assert_eq!((sent(&answered), answered.missing), (vec![("1", 1)], missing(0, 0, false)));
}

#[test]
fn payload_types_are_mapped_by_codec_and_format() {
    let h264 = |payload_type, parameters| published(Codec::H264, payload_type, parameters);
    let opus = published(Codec::Opus, 109, "");
    for (name, codecs, expected) in [
        ("Opus", vec![opus.clone()], vec![(109, 111, None)]),
        ("VP8 with RTX", vec![published(Codec::Vp8, 120, "")], vec![(120, 96, Some(97))]),
        ("VP9 profile 2", vec![published(Codec::Vp9, 40, "profile-id=2")], vec![(40, 100, Some(101))]),
        ("VP9 without profile", vec![published(Codec::Vp9, 40, "")], vec![(40, 98, Some(99))]),
        (
            "H264 constrained baseline",
            vec![h264(40, "packetization-mode=1;profile-level-id=42e034")],
            vec![(40, 108, Some(109))],
        ),
        ("H264 baseline, mode 0", vec![h264(40, "profile-level-id=42001f")], vec![(40, 104, Some(107))]),
        (
            "H264 main",
            vec![h264(40, "packetization-mode=1;profile-level-id=4d0032")],
            vec![(40, 116, Some(117))],
        ),
        (
            "H264 high, which nobody takes",
            vec![h264(40, "packetization-mode=1;profile-level-id=640032")],
            vec![],
        ),
        ("AV1", vec![published(Codec::Av1, 41, "profile=0")], vec![(41, 45, Some(46))]),
        (
            "several",
            vec![published(Codec::Vp9, 41, ""), published(Codec::Vp8, 42, "")],
            vec![(41, 98, Some(99)), (42, 96, Some(97))],
        ),
        (
            "RED and its Opus",
            vec![published(Codec::Red, 63, "111/111"), published(Codec::Opus, 111, "")],
            vec![(63, 63, None), (111, 111, None)],
        ),
        (
            "RED of another Opus",
            vec![published(Codec::Red, 63, "109/109"), opus],
            vec![(63, 111, None), (109, 111, None)],
        ),
    ] {
        let mut answering = Answering { sends: vec![send(1, codecs)], ..Answering::new() };
        let answered = answering.offered(&vector("chromium-single-join"));
        let mapped: Vec<(u32, u32, Option<u32>)> = answered
            .sent
            .iter()
            .flat_map(|section| &section.payloads)
            .map(|payload| (payload.from, payload.to, payload.rtx))
            .collect();
        assert_eq!(mapped, expected, "{name}");
        let unsupported: &[u64] = if expected.is_empty() { &[1] } else { &[] };
        assert_eq!(
            (answered.unsupported.as_slice(), answered.missing),
            (unsupported, missing(0, 0, false)),
            "{name}"
        );
    }
}

#[test]
fn red_becomes_opus_where_the_client_has_none() {
    let offer = without("chromium-single-join", &["a=rtpmap:63", "a=fmtp:63"]);
    let sends = vec![send(1, vec![published(Codec::Red, 63, "111/111"), published(Codec::Opus, 111, "")])];
    let answered = Answering { sends, ..Answering::new() }.offered(&offer);
    let mapped = answered.sent[0].payloads.iter().map(|payload| (payload.from, payload.to));
    assert_eq!(mapped.collect::<Vec<_>>(), [(63, 111), (111, 111)]);
}

#[test]
fn opus_becomes_red_if_configured_and_the_client_has_it() {
    let plain = || vec![published(Codec::Opus, 96, "")];
    let with_red = || vec![published(Codec::Red, 63, "111/111"), published(Codec::Opus, 111, "")];
    let whole = vector("chromium-single-join");
    let bare = without("chromium-single-join", &["a=rtpmap:63", "a=fmtp:63"]);
    for (name, active_red, codecs, offer, expected) in [
        ("not configured", false, plain(), &whole, vec![(96, 111, None)]),
        ("configured", true, plain(), &whole, vec![(96, 63, Some(111))]),
        ("the client has none", true, plain(), &bare, vec![(96, 111, None)]),
        ("the publisher has it", true, with_red(), &whole, vec![(63, 63, None), (111, 111, None)]),
    ] {
        let sends = vec![SendTrack { active_red, ..send(1, codecs) }];
        let answered = Answering { sends, ..Answering::new() }.offered(offer);
        let payloads = answered.sent[0].payloads.iter();
        let mapped: Vec<_> = payloads.map(|payload| (payload.from, payload.to, payload.red)).collect();
        assert_eq!(mapped, expected, "{name}");
    }
}

#[test]
fn no_retransmissions_without_a_source_or_a_payload_type_for_them() {
    let no_source = SendTrack { rtx_ssrc: 0, ..send_vp8(1) };
    for (name, setup, send) in [
        ("no source", setup(), no_source),
        ("not in the room", with_codecs(&["audio/opus", "video/VP8"]), send_vp8(1)),
    ] {
        let answered = Answering { setup, sends: vec![send], ..Answering::new() }
            .offered(&vector("chromium-single-join"));
        let answer = parse(&answered.sdp);
        assert_eq!(section(&answer, "3").sources(), [1001], "{name}");
        assert!(section(&answer, "3").source_groups.is_empty() && !answered.sent[0].rtx, "{name}");
        assert_eq!(answered.sent[0].payloads[0].rtx, None, "{name}");
    }
}

#[test]
fn sections_on_which_the_client_sends_are_never_sent_on() {
    let answered = Answering { sends: vec![send_opus(1), send_vp8(2)], ..Answering::new() }
        .offered(&vector("go-publisher"));
    assert_eq!((sent(&answered), answered.missing), (vec![], missing(1, 1, false)));
    assert_eq!(
        section(&parse(&answered.sdp), "0").direction,
        Direction::RecvOnly,
        "though sendrecv was offered"
    );
}

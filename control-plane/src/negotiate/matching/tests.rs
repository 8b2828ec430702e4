//! A client's tracks on their way from section to section.

use sdp::attribute::Direction;

use super::*;
use crate::negotiate::codec::Codec;
use crate::negotiate::fixture::{
    Answering, CAMERA, MICROPHONE, announced, camera, edited, microphone, parse, section, summary, vector,
    without,
};

#[test]
fn tracks_are_matched_by_the_surest_sign() {
    let backup = AnnouncedTrack {
        cids: vec![
            AnnouncedCid { cid: "other".to_owned(), codec: Some(Codec::Vp9) },
            AnnouncedCid { cid: CAMERA.to_owned(), codec: Some(Codec::Vp8) },
        ],
        ..camera()
    };
    let stream = "c13ce75b-64ee-41e3-8d5e-3960bea970f6";
    for (name, offer, announced, microphone_sid, camera_sid) in [
        (
            "track ids",
            vector("chromium-publisher"),
            vec![microphone(), camera()],
            Some("TR_microphone"),
            Some("TR_camera"),
        ),
        ("a backup codec's cid", vector("chromium-publisher"), vec![backup], None, Some("TR_camera")),
        (
            "track id goes before order",
            vector("chromium-publisher"),
            vec![announced("TR_first", Kind::Audio, "elsewhere"), microphone()],
            Some("TR_microphone"),
            None,
        ),
        (
            "order of announcement, by kind",
            vector("chromium-publisher"),
            vec![
                announced("TR_v", Kind::Video, "x"),
                announced("TR_a", Kind::Audio, "y"),
                announced("TR_b", Kind::Audio, "z"),
            ],
            Some("TR_a"),
            Some("TR_v"),
        ),
        (
            "stream id",
            vector("chromium-publisher"),
            vec![announced("TR_s", Kind::Video, stream)],
            None,
            Some("TR_s"),
        ),
        (
            "msid of a source",
            without("chromium-publisher", &["a=msid:"]),
            vec![announced("TR_decoy", Kind::Audio, "decoy"), microphone()],
            Some("TR_microphone"),
            None,
        ),
        ("nothing announced", vector("chromium-publisher"), vec![], None, None),
    ] {
        let answered = Answering { announced, ..Answering::new() }.offered(&offer);
        let expected = vec![("1", microphone_sid, true), ("2", camera_sid, true)];
        assert_eq!(summary(&answered), expected, "{name}");
        assert!(
            answered
                .received
                .iter()
                .all(|section| !section.codecs.is_empty() && !section.encodings.is_empty())
        );
    }
}

#[test]
fn matched_section_keeps_its_track_until_it_is_unpublished() {
    let unnamed = without("chromium-publisher", &["a=msid", "a=ssrc"]);
    let mut answering =
        Answering { announced: vec![announced("TR_1", Kind::Video, "a")], ..Answering::new() };
    assert_eq!(summary(&answering.offered(&unnamed)), [("1", None, true), ("2", Some("TR_1"), true)]);
    answering.announced = vec![announced("TR_0", Kind::Video, "b"), announced("TR_1", Kind::Video, "a")];
    assert_eq!(summary(&answering.offered(&unnamed))[1], ("2", Some("TR_1"), true));
    answering.announced.pop();
    assert_eq!(summary(&answering.offered(&unnamed))[1], ("2", Some("TR_0"), true));
}

#[test]
fn guess_never_takes_what_another_section_names() {
    // The first audio section names nothing; the announced microphone is that of the second one.
    let offer = vector("go-publisher");
    let second = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:3\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=msid:s named\r\na=sendonly\r\n";
    let offer =
        offer.replace("BUNDLE 0 1 2", "BUNDLE 0 1 2 3").replace("webcam audio", "webcam unknown") + second;
    let mut answering =
        Answering { announced: vec![announced("TR_named", Kind::Audio, "named")], ..Answering::new() };
    assert_eq!(
        summary(&answering.offered(&offer)),
        [("0", None, true), ("2", None, true), ("3", Some("TR_named"), true)]
    );
}

#[test]
fn client_that_stops_sending_is_told_apart_from_one_that_never_did() {
    let mut answering = Answering::new();
    answering.offered(&vector("chromium-publisher"));
    let answered = answering.offered(&vector("chromium-publisher-camera-inactive"));
    assert_eq!(summary(&answered), [("1", Some("TR_microphone"), true), ("2", Some("TR_camera"), false)]);
    assert_eq!(section(&parse(&answered.sdp), "2").direction, Direction::Inactive);
    let answered = answering.offered(&vector("chromium-publisher"));
    assert_eq!(summary(&answered)[1], ("2", Some("TR_camera"), true));
    assert!(Answering::new().offered(&vector("chromium-single-join")).received.is_empty());
}

#[test]
fn stopped_section_is_rejected_and_its_place_is_used_again() {
    let mut answering = Answering::new();
    answering.offered(&vector("chromium-publisher"));
    let answered = answering.offered(&vector("chromium-publisher-camera-stopped"));
    assert_eq!(summary(&answered), [("1", Some("TR_microphone"), true), ("2", Some("TR_camera"), false)]);
    assert_eq!(parse(&answered.sdp).bundles, [["0", "1"]]);
    let answered = answering.offered(&vector("chromium-publisher-camera-replaced"));
    assert_eq!(summary(&answered), [("1", Some("TR_microphone"), true), ("3", Some("TR_camera"), true)]);
    assert_eq!(parse(&answered.sdp).sections.len(), 3);
}

#[test]
fn track_that_moved_is_on_its_new_section_before_it_leaves_the_old_one() {
    let moved = edited("chromium-publisher", &[("a=mid:2", "a=mid:5"), ("BUNDLE 0 1 2", "BUNDLE 0 1 5")]);
    let (head, video) = moved.split_at(moved.find("m=video").unwrap());
    let stopped = format!("m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:2\r\na=inactive\r\n{video}");
    let mut answering = Answering::new();
    answering.offered(&vector("chromium-publisher"));
    let answered = answering.offered(&(head.to_owned() + &stopped));
    assert_eq!(
        summary(&answered),
        [("1", Some("TR_microphone"), true), ("5", Some("TR_camera"), true), ("2", Some("TR_camera"), false)]
    );
}

#[test]
fn microphone_is_the_one_that_was_captured() {
    // The vectors name the tracks of one run; these constants must be theirs.
    let offer = vector("chromium-publisher");
    assert!(offer.contains(MICROPHONE) && offer.contains(CAMERA));
}

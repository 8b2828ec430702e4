//! Header extensions over a whole bundle.

use super::*;
use crate::negotiate::fixture::{Answering, edited, parse, section, vector};

#[test]
fn extension_directions_are_mirrored() {
    let answer = parse(&Answering::new().offered(&vector("firefox-publisher")).sdp);
    let lines: Vec<String> = section(&answer, "1").extensions.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "3 urn:ietf:params:rtp-hdrext:sdes:mid",
            "8/recvonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            "7 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
        ]
    );
}

#[test]
fn extensions_are_accepted_even_where_nothing_flows() {
    // Else Chromium leaves them out of the sections that it publishes on later.
    let mut answering = Answering::new();
    let answer = parse(&answering.offered(&vector("chromium-single-join")).sdp);
    let count = |answer: &sdp::session::Session, mid| section(answer, mid).extensions.len();
    assert_eq!((count(&answer, "0"), count(&answer, "3")), (2, 6));
    assert!(section(&answer, "3").extensions.iter().any(|extension| extension.id == 10), "the RID");

    let mut answering = Answering::new();
    answering.offered(&vector("chromium-publisher"));
    let answer = parse(&answering.offered(&vector("chromium-publisher-camera-stopped")).sdp);
    assert!(section(&answer, "2").is_rejected());
    assert_eq!(count(&answer, "2"), 6);
}

#[test]
fn one_id_has_one_meaning_over_the_whole_bundle() {
    // The video section says 1 for what is the audio level elsewhere, and 4 for two things.
    let offer = edited(
        "chromium-publisher",
        &[("a=extmap:13 urn:3gpp", "a=extmap:1 urn:3gpp"), ("a=extmap:10 urn", "a=extmap:4 urn")],
    );
    let answered = Answering::new().offered(&offer);
    let mut seen: Vec<(u32, i32)> =
        answered.peer.receive_extensions.iter().map(|one| (one.id, one.kind)).collect();
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup_by_key(|(id, _)| *id);
    assert_eq!(seen.len(), count);
    let kinds: Vec<proto::ExtensionKind> =
        answered.peer.receive_extensions.iter().map(proto::HeaderExtension::kind).collect();
    assert!(
        !kinds.contains(&proto::ExtensionKind::VideoOrientation)
            && !kinds.contains(&proto::ExtensionKind::Rid)
    );
}

#[test]
fn what_one_byte_headers_cannot_hold_is_for_those_who_take_both_forms() {
    use super::proto::ExtensionKind::{DependencyDescriptor, VideoOrientation};
    let not_mixed = ("a=extmap-allow-mixed\r\n", "");
    let descriptor = |id| [("a=extmap:12 https://aomedia", id)];
    let [large, reserved] = ["a=extmap:16 https://aomedia", "a=extmap:15 https://aomedia"].map(descriptor);
    let orientation = ("a=extmap:13 urn:3gpp", "a=extmap:200 urn:3gpp");
    for (name, kind, edits, read, written) in [
        ("small id, mixed", DependencyDescriptor, &[][..], true, true),
        ("large id, mixed", DependencyDescriptor, &large, true, true),
        ("reserved id", DependencyDescriptor, &reserved, false, false),
        ("large content, not mixed", DependencyDescriptor, &[not_mixed], true, false),
        ("small id, not mixed", VideoOrientation, &[not_mixed], true, true),
        ("large id of little, mixed", VideoOrientation, &[orientation], true, true),
        ("large id of little, not mixed", VideoOrientation, &[orientation, not_mixed], false, false),
    ] {
        let peer = Answering::new().offered(&edited("chromium-publisher", edits)).peer;
        let has = |list: &[proto::HeaderExtension]| list.iter().any(|one| one.kind() == kind);
        assert_eq!((has(&peer.receive_extensions), has(&peer.send_extensions)), (read, written), "{name}");
    }
}

#[test]
fn playout_delay_is_accepted_where_the_room_has_one() {
    for (name, playout_delay) in [("with", true), ("without", false)] {
        let mut answering = Answering::new();
        answering.setup.playout_delay = playout_delay;
        let answered = answering.offered(&vector("chromium-single-join"));
        let answer = parse(&answered.sdp);
        for (mid, expected) in [("0", false), ("3", playout_delay)] {
            let extensions = &section(&answer, mid).extensions;
            let has = extensions.iter().any(|extension| extension.uri.ends_with("/playout-delay"));
            assert_eq!(has, expected, "{name}, section {mid}");
        }
        let sent = answered.peer.send_extensions.iter().map(proto::HeaderExtension::kind);
        assert_eq!(
            sent.into_iter().any(|kind| kind == proto::ExtensionKind::PlayoutDelay),
            playout_delay,
            "{name}"
        );
    }
}

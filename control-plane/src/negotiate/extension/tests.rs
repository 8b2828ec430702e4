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
fn ids_beyond_one_byte_are_read_where_they_may_be_mixed_in_and_never_written() {
    let edit = ("a=extmap:12 https://aomedia", "a=extmap:16 https://aomedia");
    for (name, offer, read) in [
        ("mixed", edited("chromium-publisher", &[edit]), true),
        ("not mixed", edited("chromium-publisher", &[edit, ("a=extmap-allow-mixed\r\n", "")]), false),
        ("reserved", edited("chromium-publisher", &[("a=extmap:12 https", "a=extmap:15 https")]), false),
    ] {
        let peer = Answering::new().offered(&offer).peer;
        let has = |list: &[proto::HeaderExtension]| {
            list.iter().any(|one| one.kind() == proto::ExtensionKind::DependencyDescriptor)
        };
        assert_eq!((has(&peer.receive_extensions), has(&peer.send_extensions)), (read, false), "{name}");
    }
}

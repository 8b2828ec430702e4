//! What an answer says as a whole: sections in their places, transport, refusals.

use super::*;
use crate::negotiate::fixture::{
    Answering, OFFERS, credentials, edited, parse, received, section, setup, summary, vector, with_codecs,
    without,
};

#[test]
fn every_section_of_real_offers_is_answered_in_its_place() {
    for name in OFFERS {
        let offer = parse(&vector(name));
        let answered = Answering::new().offered(&vector(name));
        let answer = parse(&answered.sdp);
        let kinds_and_mids = |description: &sdp::session::Session| {
            let sections = description.sections.iter();
            sections.map(|section| (section.kind.clone(), section.mid.clone())).collect::<Vec<_>>()
        };
        assert_eq!(kinds_and_mids(&answer), kinds_and_mids(&offer), "{name}");
        assert!(answer.ice_lite && answer.msid_semantic, "{name}");
        assert_eq!(answer.extmap_allow_mixed, offer.extmap_allow_mixed, "{name}");
        assert_eq!(
            answer.fingerprints.first().map(|print| print.value.as_slice()),
            Some(&[0xab; 32][..]),
            "{name}"
        );
        let accepted: Vec<&MediaSection> =
            answer.sections.iter().filter(|section| !section.is_rejected()).collect();
        let mids: Vec<String> = accepted.iter().filter_map(|section| section.mid.clone()).collect();
        assert_eq!(answer.bundles, [mids], "{name}");
        for (index, section) in accepted.into_iter().enumerate() {
            assert_eq!(section.setup, Some(SetupRole::Passive), "{name}");
            assert_eq!(section.ice_ufrag.as_deref(), Some("01uf0001"), "{name}");
            assert_eq!(
                (section.candidates.len(), section.end_of_candidates),
                if index == 0 { (2, true) } else { (0, false) }
            );
            assert!(section.rtcp_mux || section.sctp_port.is_some(), "{name}");
        }
    }
}

#[test]
fn answer_to_a_go_client_reads_like_livekits() {
    let answered = Answering::new().offered(&vector("go-publisher"));
    let audio = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=setup:passive\r\na=mid:0\r\n\
        a=ice-ufrag:01uf0001\r\na=ice-pwd:000000000000000000000001\r\na=rtcp-mux\r\na=rtcp-rsize\r\n\
        a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1;usedtx=1\r\na=recvonly\r\n\
        a=candidate:1 1 udp 2130706431 192.0.2.7 7882 typ host ufrag 01uf0001\r\n\
        a=candidate:2 1 tcp 1671429887 192.0.2.7 7881 typ host tcptype passive ufrag 01uf0001\r\n\
        a=end-of-candidates\r\n";
    let data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=setup:passive\r\na=mid:1\r\n\
        a=sendrecv\r\na=sctp-port:5000\r\na=max-message-size:65535\r\na=ice-ufrag:01uf0001\r\n\
        a=ice-pwd:000000000000000000000001\r\n";
    assert!(answered.sdp.contains(audio), "{}", answered.sdp);
    assert!(answered.sdp.contains(data), "{}", answered.sdp);
    let (audio, video) = (received(&answered, "0"), received(&answered, "2"));
    assert_eq!(audio.encodings.first().map(|encoding| encoding.ssrc), Some(3_679_703_421));
    assert_eq!(
        video.encodings.first().map(|encoding| (encoding.ssrc, encoding.rtx_ssrc)),
        Some((830_896_253, 0))
    );
    assert!(!video.nack && !video.pli && !video.fir, "nothing was offered");
    assert_eq!(answered.peer.uplink_feedback, proto::UplinkFeedback::None);
}

#[test]
fn dtls_role_of_the_first_answer_is_kept() {
    let offer = |setup: &str| edited("chromium-publisher", &[("a=setup:actpass", setup)]);
    for (name, offers, roles) in [
        ("ours to choose", ["a=setup:actpass", "a=setup:actpass"], [SetupRole::Passive, SetupRole::Passive]),
        ("client is active", ["a=setup:active", "a=setup:actpass"], [SetupRole::Passive, SetupRole::Passive]),
        ("client is passive", ["a=setup:passive", "a=setup:actpass"], [SetupRole::Active, SetupRole::Active]),
    ] {
        let mut answering = Answering::new();
        for (line, role) in offers.into_iter().zip(roles) {
            let answered = answering.offered(&offer(line));
            assert_eq!(section(&parse(&answered.sdp), "0").setup, Some(role), "{name}");
            let expected =
                if role == SetupRole::Passive { proto::DtlsRole::Server } else { proto::DtlsRole::Client };
            assert_eq!(answered.peer.dtls_role, expected, "{name}");
        }
    }
}

#[test]
fn ice_restart_takes_the_spare_credentials_and_keeps_the_old_ones() {
    let mut answering = Answering::new();
    let first = answering.offered(&vector("chromium-publisher"));
    let again = answering.offered(&vector("chromium-publisher-camera-inactive"));
    let remote = first.peer.remote_ufrags.clone();
    // The vectors are of one run, in which the restart came between.
    assert!(!first.ice_restarted && again.ice_restarted && again.peer.remote_ufrags.len() == 2);
    let ufrags: Vec<&str> = again.peer.local_ice.iter().map(|ice| ice.ufrag.as_str()).collect();
    assert_eq!(ufrags, ["01uf0099", "01uf0001"]);
    assert_eq!(again.peer.remote_ufrags[1..], remote);
    assert_ne!(again.peer.remote_ufrags[0], remote[0]);
    assert_eq!(section(&parse(&again.sdp), "0").ice_ufrag.as_deref(), Some("01uf0099"));
    assert!(section(&parse(&again.sdp), "0").candidates[0].ends_with("ufrag 01uf0099"));

    assert!(
        !answering.offered(&vector("chromium-publisher-ice-restart")).ice_restarted,
        "the same generation"
    );
    for number in 0..6 {
        let offer = edited("chromium-publisher", &[("a=ice-ufrag:", &format!("a=ice-ufrag:new{number}"))]);
        let answered = answering.offered(&offer);
        assert!(answered.ice_restarted && answered.peer.local_ice.len() <= 4);
    }
}

#[test]
fn what_cannot_be_taken_is_rejected_and_left_out_of_the_bundle() {
    const VIDEO: &str = "m=video 9 UDP/TLS/RTP/SAVPF";
    for (name, setup, offer) in [
        ("stopped", setup(), edited("chromium-publisher", &[(VIDEO, "m=video 0 UDP/TLS/RTP/SAVPF")])),
        ("not in the bundle", setup(), edited("chromium-publisher", &[("BUNDLE 0 1 2", "BUNDLE 0 1")])),
        (
            "in a bundle of its own",
            setup(),
            edited("chromium-publisher", &[("BUNDLE 0 1 2", "BUNDLE 0 1\r\na=group:BUNDLE 2")]),
        ),
        (
            "no codec that the room has",
            with_codecs(&["audio/opus", "video/H265"]),
            vector("chromium-publisher"),
        ),
        ("no DTLS-SRTP", setup(), edited("chromium-publisher", &[(VIDEO, "m=video 9 RTP/AVP")])),
        ("something else", setup(), edited("chromium-publisher", &[(VIDEO, "m=text 9 UDP/TLS/RTP/SAVPF")])),
    ] {
        let answered = Answering { setup, ..Answering::new() }.offered(&offer);
        let answer = parse(&answered.sdp);
        assert_eq!((answer.sections[2].port, answer.sections[2].ice_ufrag.as_ref()), (0, None), "{name}");
        assert_eq!(answer.bundles, [["0", "1"]], "{name}");
        assert_eq!(summary(&answered), [("1", Some("TR_microphone"), true)], "{name}");
    }
}

#[test]
fn bundle_only_is_no_rejection() {
    let offer = edited(
        "chromium-publisher",
        &[("m=video 9 ", "m=video 0 "), ("a=mid:2", "a=mid:2\r\na=bundle-only")],
    );
    let answer = parse(&Answering::new().offered(&offer).sdp);
    assert_eq!((answer.sections[2].port, answer.sections[2].bundle_only), (9, false));
}

#[test]
fn without_bundle_there_is_one_section() {
    let answer = parse(&Answering::new().offered(&without("chromium-publisher", &["a=group"])).sdp);
    let rejected: Vec<bool> = answer.sections.iter().map(MediaSection::is_rejected).collect();
    assert_eq!((rejected, answer.bundles.len()), (vec![false, true, true], 0));
}

#[test]
fn data_channels_are_described_to_the_media_plane() {
    for (name, line, size) in [
        ("said", "a=max-message-size:262144", 262_144),
        ("any size", "a=max-message-size:0", u32::MAX),
        ("absent", "a=x", 65_536),
        ("larger than fits", "a=max-message-size:99999999999", u32::MAX),
    ] {
        let offer = edited("chromium-data-only", &[("a=max-message-size:262144", line)]);
        let sctp = Answering::new().offered(&offer).peer.sctp.unwrap();
        assert_eq!((sctp.remote_port, sctp.message_size_max, sctp.channels.len()), (5000, size, 0), "{name}");
    }
    assert!(Answering::new().offered(&vector("chromium-publisher-vp9")).peer.sctp.is_none());
}

#[test]
fn description_keeps_its_id_and_counts_its_versions() {
    let mut answering = Answering::new();
    let answers = [(); 3].map(|()| parse(&answering.offered(&vector("chromium-publisher")).sdp));
    assert_eq!(answers.each_ref().map(|answer| answer.version), [1, 2, 3]);
    assert!(
        answers.iter().all(|answer| answer.id == answers[0].id && answer.id != 0 && answer.id >> 63 == 0)
    );
}

#[test]
fn wrong_offers_are_refused_and_change_nothing() {
    let mid = "a".repeat(17);
    let long = format!("a=mid:{mid}");
    for (name, offer, error) in [
        (
            "fewer sections",
            vector("chromium-data-only"),
            NegotiationError::SectionsLost { expected: 3, found: 1 },
        ),
        (
            "another mid",
            edited("chromium-publisher", &[("a=mid:1", "a=mid:7")]),
            NegotiationError::SectionChanged { section: 1 },
        ),
        (
            "another kind",
            edited("chromium-publisher", &[("m=video 9", "m=audio 9")]),
            NegotiationError::SectionChanged { section: 2 },
        ),
        (
            "no mid",
            without("chromium-single-publish", &["a=mid:8"]),
            NegotiationError::SectionChanged { section: 0 },
        ),
        ("no ICE", without("chromium-publisher", &["a=ice-ufrag"]), NegotiationError::NoIceCredentials),
        (
            "no fingerprint",
            without("chromium-publisher", &["a=fingerprint"]),
            NegotiationError::NoFingerprint,
        ),
        (
            "weak fingerprint",
            edited("chromium-publisher", &[("sha-256", "sha-1")]),
            NegotiationError::NoFingerprint,
        ),
        (
            "short fingerprint",
            edited("chromium-publisher", &[("sha-256", "sha-512")]),
            NegotiationError::NoFingerprint,
        ),
        (
            "other role",
            edited("chromium-publisher", &[("a=setup:actpass", "a=setup:passive")]),
            NegotiationError::DtlsRoleChanged,
        ),
        (
            "same mid twice",
            vector("chromium-publisher") + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:1\r\n",
            NegotiationError::BadMid { section: 3 },
        ),
        (
            "new one without mid",
            vector("chromium-publisher") + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n",
            NegotiationError::BadMid { section: 3 },
        ),
        (
            "new one with a long mid",
            vector("chromium-publisher") + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" + &long,
            NegotiationError::BadMid { section: 3 },
        ),
    ] {
        let mut answering = Answering::new();
        answering.offered(&vector("chromium-publisher"));
        let before = answering.session.clone();
        let result = answering.session.receive_offer(&setup(), &offer, &[], &[], &credentials(9));
        assert_eq!(result, Err(error), "{name}");
        assert_eq!(answering.session, before, "{name}");
    }
    let mut offerer = Session::offerer(credentials(1), true);
    let result = offerer.receive_offer(&setup(), &vector("chromium-publisher"), &[], &[], &credentials(9));
    assert_eq!(result, Err(NegotiationError::UnexpectedOffer));
}

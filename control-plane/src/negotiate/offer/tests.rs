//! Offers to subscribers, and their answers.

use proto::media::v1 as proto;

use super::*;
use crate::negotiate::fixture::{
    codec_names, credentials, parse, published, section, send, send_opus, send_vp8, setup, vector,
    with_codecs,
};

/// A client that takes everything: an answer to `offer` with `setup` and the given way for each media section.
fn answer_to(offer: &str, way: &str) -> String {
    let lines = offer.lines().filter(|line| {
        let ours = ["a=ssrc", "a=msid:", "a=ice-lite", "a=candidate", "a=end-of-candidates"];
        ours.iter().all(|prefix| !line.starts_with(prefix))
    });
    let answer: String = lines.map(|line| format!("{line}\r\n")).collect();
    let answer = answer.replace("a=setup:actpass", "a=setup:active").replace("a=sendrecv", way);
    answer.replace("a=recvonly", way).replace("a=ice-ufrag:", "a=ice-ufrag:their")
}

struct Offering {
    session: Session,
    setup: Setup,
}

impl Offering {
    fn new() -> Self {
        Self { session: Session::offerer(credentials(1), true), setup: setup() }
    }

    fn offer(&mut self, sends: &[SendTrack]) -> Offered {
        self.session.offer(&self.setup, sends)
    }

    fn round(&mut self, sends: &[SendTrack]) -> (sdp::session::Session, Negotiated) {
        let offered = self.offer(sends);
        assert!(!offered.offer_again);
        let negotiated = self.session.receive_answer(&answer_to(&offered.sdp, "a=recvonly"), sends).unwrap();
        assert_eq!(negotiated.mid_to_track_id, offered.mid_to_track_id);
        (parse(&offered.sdp), negotiated)
    }
}

fn sent(negotiated: &Negotiated) -> Vec<(&str, u64)> {
    negotiated.sent.iter().map(|section| (section.mid.as_str(), section.subscription)).collect()
}

fn directions(offer: &sdp::session::Session) -> Vec<Direction> {
    offer.sections.iter().skip(1).map(|section| section.direction).collect()
}

#[test]
fn first_offer_is_of_data_channels() {
    let mut offering = Offering::new();
    let offered = offering.offer(&[]);
    let expected = "s=-\r\nt=0 0\r\na=ice-lite\r\na=msid-semantic:WMS *\r\na=fingerprint:sha-256 \
        AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB\r\n\
        a=extmap-allow-mixed\r\na=group:BUNDLE 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
        c=IN IP4 0.0.0.0\r\na=setup:actpass\r\na=mid:0\r\na=sendrecv\r\na=sctp-port:5000\r\n\
        a=max-message-size:65535\r\na=ice-ufrag:01uf0001\r\na=ice-pwd:000000000000000000000001\r\n\
        a=candidate:1 1 udp 2130706431 192.0.2.7 7882 typ host ufrag 01uf0001\r\n\
        a=candidate:2 1 tcp 1671429887 192.0.2.7 7881 typ host tcptype passive ufrag 01uf0001\r\n\
        a=end-of-candidates\r\n";
    assert!(offered.sdp.ends_with(expected), "{}", offered.sdp);
    assert!(offering.session.awaits_answer());
    assert_eq!(offering.session.peer().local_ice.len(), 1);
    assert_eq!(offering.session.peer().remote_ufrags, [""]);
}

#[test]
fn answer_of_chromium_is_taken() {
    let mut offering = Offering::new();
    offering.offer(&[]);
    let negotiated =
        offering.session.receive_answer(&vector("chromium-subscriber-answer-data"), &[]).unwrap();
    let peer = negotiated.peer;
    assert_eq!((peer.dtls_role, peer.remote_fingerprints.len()), (proto::DtlsRole::Server, 1));
    let sctp = peer.sctp.unwrap();
    let labels: Vec<&str> = sctp.channels.iter().map(|channel| channel.label.as_str()).collect();
    assert_eq!(labels, ["_reliable", "_lossy", "_data_track"]);
    assert_eq!((sctp.message_size_max, sctp.channels[0].retransmits_max), (65_535, None));
    assert!(sctp.channels[1].retransmits_max == Some(0) && !sctp.channels[1].ordered);
    assert_eq!(peer.remote_ufrags.len(), 1);

    let sends = [
        send_opus(1),
        send_vp8(2),
        send(3, vec![published(Codec::H264, 40, "packetization-mode=1;profile-level-id=42e01f")]),
    ];
    offering.offer(&sends);
    let negotiated =
        offering.session.receive_answer(&vector("chromium-subscriber-answer-three-tracks"), &sends).unwrap();
    assert_eq!(sent(&negotiated), [("1", 1), ("2", 2), ("3", 3)]);
    let payloads: Vec<(u32, u32, Option<u32>)> = negotiated
        .sent
        .iter()
        .map(|section| &section.payloads[0])
        .map(|one| (one.from, one.to, one.rtx))
        .collect();
    assert_eq!(payloads, [(96, 111, None), (120, 96, Some(97)), (40, 108, Some(109))]);
}

#[test]
fn audio_is_offered_as_livekit_does() {
    let offered = Offering::new().offer(&[send_opus(1)]);
    let expected = "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 0 8\r\nc=IN IP4 0.0.0.0\r\na=setup:actpass\r\na=mid:1\r\n\
        a=ice-ufrag:01uf0001\r\na=ice-pwd:000000000000000000000001\r\na=rtcp-mux\r\na=rtcp-rsize\r\n\
        a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtcp-fb:111 nack\r\n\
        a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:0 PCMU/8000\r\na=rtcp-fb:0 nack\r\n\
        a=rtpmap:8 PCMA/8000\r\na=rtcp-fb:8 nack\r\n\
        a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time\r\n\
        a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
        a=ssrc:1001 cname:PA_a|TR_1\r\na=ssrc:1001 msid:PA_a|TR_1 TR_1\r\na=ssrc:1001 mslabel:PA_a|TR_1\r\n\
        a=ssrc:1001 label:TR_1\r\na=msid:PA_a|TR_1 TR_1\r\na=sendrecv\r\n";
    assert!(offered.sdp.ends_with(expected), "{}", offered.sdp);
    assert_eq!(offered.mid_to_track_id.get("1").map(String::as_str), Some("TR_1"));
}

#[test]
fn video_is_offered_with_what_is_published_first() {
    let high = "packetization-mode=1;profile-level-id=640033";
    for (name, setup, codec, first, count) in [
        ("VP8", setup(), published(Codec::Vp8, 120, ""), "VP8/96", 10),
        ("VP9", setup(), published(Codec::Vp9, 120, "profile-id=0"), "VP9/98", 10),
        (
            "H264",
            setup(),
            published(Codec::H264, 120, "packetization-mode=1;profile-level-id=42e01f"),
            "H264/108",
            10,
        ),
        ("H264 high", setup(), published(Codec::H264, 120, high), "H264/123", 11),
        ("AV1", setup(), published(Codec::Av1, 120, ""), "AV1/35", 10),
        (
            "two codecs",
            with_codecs(&["video/VP8", "video/AV1", "video/rtx"]),
            published(Codec::Av1, 120, ""),
            "AV1/35",
            2,
        ),
    ] {
        let offer = parse(&Offering { setup, ..Offering::new() }.offer(&[send(1, vec![codec])]).sdp);
        let names = codec_names(section(&offer, "1"));
        assert_eq!((names[0].as_str(), names.len()), (first, count), "{name}");
    }
}

#[test]
fn stereo_is_announced() {
    let offer = parse(&Offering::new().offer(&[SendTrack { stereo: true, ..send_opus(1) }]).sdp);
    let opus = section(&offer, "1").codec(111).unwrap();
    assert_eq!(opus.parameters, "minptime=10;useinbandfec=1;sprop-stereo=1");
}

#[test]
fn sections_are_kept_and_used_again_once_the_client_knows_them_to_be_free() {
    use Direction::{RecvOnly, SendRecv};
    let mut offering = Offering::new();
    let (_, negotiated) = offering.round(&[send_opus(1), send_vp8(2), send_vp8(3)]);
    assert_eq!(sent(&negotiated), [("1", 1), ("2", 2), ("3", 3)]);

    // 2 leaves and 4 comes: its place is not free yet.
    let (offer, negotiated) = offering.round(&[send_opus(1), send_vp8(3), send_vp8(4)]);
    assert_eq!(directions(&offer), [SendRecv, RecvOnly, SendRecv, SendRecv]);
    assert!(offer.sections[2].msids.is_empty() && offer.sections[2].sources().is_empty());
    assert_eq!(sent(&negotiated), [("1", 1), ("3", 3), ("4", 4)]);

    let (offer, negotiated) = offering.round(&[send_opus(1), send_vp8(3), send_vp8(4), send_vp8(5)]);
    assert_eq!(directions(&offer), [SendRecv; 4]);
    assert_eq!(sent(&negotiated), [("1", 1), ("2", 5), ("3", 3), ("4", 4)]);
    assert_eq!(negotiated.mid_to_track_id.len(), 4);

    let (offer, negotiated) = offering.round(&[]);
    assert_eq!((directions(&offer), negotiated.sent.len()), (vec![RecvOnly; 4], 0));
    assert_eq!(offer.version, 4);
}

#[test]
fn subscription_that_ended_before_the_answer_is_not_in_the_outcome() {
    let mut offering = Offering::new();
    let offered = offering.offer(&[send_opus(1), send_opus(2)]);
    let answer = answer_to(&offered.sdp, "a=recvonly");
    let negotiated = offering.session.receive_answer(&answer, &[send_opus(2)]).unwrap();
    assert_eq!(sent(&negotiated), [("2", 2)]);
    let (offer, _) = offering.round(&[send_opus(2)]);
    assert_eq!(directions(&offer), [Direction::RecvOnly, Direction::SendRecv]);
}

#[test]
fn what_the_client_does_not_take_is_unsupported() {
    let sends = [send_opus(1), send_vp8(2)];
    for (name, edit, unsupported, rejected) in [
        ("all is well", ("x", "x"), &[][..], false),
        ("not received", ("a=recvonly", "a=inactive"), &[1, 2], false),
        ("rejected", ("m=video 9", "m=video 0"), &[2], true),
        ("no codec in common", ("VP8/90000", "VP7/90000"), &[2], false),
    ] {
        let mut offering = Offering::new();
        let offered = offering.offer(&sends);
        let answer = answer_to(&offered.sdp, "a=recvonly").replace(edit.0, edit.1);
        let negotiated = offering.session.receive_answer(&answer, &sends).unwrap();
        assert_eq!(negotiated.unsupported, unsupported, "{name}");
        assert_eq!(negotiated.sent.len(), 2 - unsupported.len(), "{name}");
        let next = parse(&offering.offer(&sends[..1]).sdp);
        assert_eq!(next.sections[2].is_rejected(), rejected, "{name}");
        assert_eq!(next.bundles[0].len(), if rejected { 2 } else { 3 }, "{name}");
    }
}

#[test]
fn rejected_section_is_never_used_again() {
    let sends = [send_vp8(1)];
    let mut offering = Offering::new();
    let offered = offering.offer(&sends);
    let answer = answer_to(&offered.sdp, "a=recvonly").replace("m=video 9", "m=video 0");
    offering.session.receive_answer(&answer, &sends).unwrap();
    let offer = parse(&offering.offer(&[send_vp8(2)]).sdp);
    let mids: Vec<Option<&str>> = offer.sections.iter().map(|section| section.mid.as_deref()).collect();
    assert_eq!(mids, [Some("0"), Some("1"), Some("2")]);
    assert!(offer.sections[1].is_rejected() && offer.sections[2].direction == Direction::SendRecv);
}

#[test]
fn extensions_are_what_the_client_answers() {
    let sends = [send_vp8(1)];
    let mut offering = Offering::new();
    let offered = offering.offer(&sends);
    let answer = answer_to(&offered.sdp, "a=recvonly");
    let kept: String = answer
        .lines()
        .filter(|line| !line.starts_with("a=extmap:2 "))
        .map(|line| format!("{line}\r\n"))
        .collect();
    let peer = offering.session.receive_answer(&kept, &sends).unwrap().peer;
    let ids: Vec<u32> = peer.send_extensions.iter().map(|extension| extension.id).collect();
    assert_eq!(ids, [1, 4, 5]);
    assert!(peer.receive_extensions.is_empty());
}

#[test]
fn playout_delay_is_offered_for_video_where_the_room_has_one_and_keeps_its_id() {
    let line = "a=extmap:6 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay\r\n";
    let sends = [send_opus(1), send_vp8(2)];
    for (name, playout_delay) in [("with", true), ("without", false)] {
        let mut offering = Offering::new();
        offering.setup.playout_delay = playout_delay;
        for _ in 0..2 {
            let (offer, negotiated) = offering.round(&sends);
            let count = offer.to_string().matches(line).count();
            assert_eq!(count, usize::from(playout_delay), "{name}: for video alone");
            let ids: Vec<u32> =
                negotiated.peer.send_extensions.iter().map(|extension| extension.id).collect();
            assert_eq!(ids.contains(&6), playout_delay, "{name}");
        }
    }
}

#[test]
fn dependency_descriptor_is_for_who_takes_both_forms_of_headers() {
    let sends = [send_vp8(1)];
    let mut offering = Offering::new();
    let answer = answer_to(&offering.offer(&sends).sdp, "a=recvonly").replace("a=extmap-allow-mixed\r\n", "");
    let peer = offering.session.receive_answer(&answer, &sends).unwrap().peer;
    let ids: Vec<u32> = peer.send_extensions.iter().map(|extension| extension.id).collect();
    assert_eq!(ids, [2, 4, 5]);
}

#[test]
fn ice_restart_is_in_the_next_offer_and_keeps_the_old_credentials() {
    let mut offering = Offering::new();
    offering.round(&[]);
    offering.session.restart_ice(credentials(2));
    assert_eq!(offering.session.local_ice().len(), 1, "not before it is offered");
    let (offer, negotiated) = offering.round(&[]);
    assert_eq!(offer.sections[0].ice_ufrag.as_deref(), Some("01uf0002"));
    let ufrags: Vec<&str> = negotiated.peer.local_ice.iter().map(|ice| ice.ufrag.as_str()).collect();
    assert_eq!(ufrags, ["01uf0002", "01uf0001"]);
    assert_eq!(negotiated.peer.remote_ufrags, ["their01uf0002", "their01uf0001"]);
}

#[test]
fn role_is_the_clients_choice_once() {
    for (line, role) in
        [("a=setup:active", proto::DtlsRole::Server), ("a=setup:passive", proto::DtlsRole::Client)]
    {
        let mut offering = Offering::new();
        let answer = answer_to(&offering.offer(&[]).sdp, "a=sendrecv").replace("a=setup:active", line);
        assert_eq!(offering.session.receive_answer(&answer, &[]).unwrap().peer.dtls_role, role);
        let other = if role == proto::DtlsRole::Server { "a=setup:passive" } else { "a=setup:active" };
        let answer = answer_to(&offering.offer(&[]).sdp, "a=sendrecv").replace("a=setup:active", other);
        assert_eq!(offering.session.receive_answer(&answer, &[]), Err(NegotiationError::DtlsRoleChanged));
    }
}

#[test]
fn wrong_answers_are_refused_and_change_nothing() {
    let sends = [send_vp8(1)];
    let mut offering = Offering::new();
    assert_eq!(offering.session.receive_answer("v=0\r\n", &[]), Err(NegotiationError::UnexpectedAnswer));
    let offered = offering.offer(&sends);
    let good = answer_to(&offered.sdp, "a=recvonly");
    let before = offering.session.clone();
    for (name, answer, error) in [
        (
            "fewer sections",
            vector("chromium-subscriber-answer-data"),
            NegotiationError::SectionsLost { expected: 2, found: 1 },
        ),
        ("another kind", good.replace("m=video", "m=audio"), NegotiationError::SectionChanged { section: 1 }),
        ("another mid", good.replace("a=mid:1", "a=mid:9"), NegotiationError::SectionChanged { section: 1 }),
        ("no ICE", good.replace("a=ice-ufrag", "a=x"), NegotiationError::NoIceCredentials),
        ("no fingerprint", good.replace("a=fingerprint", "a=x"), NegotiationError::NoFingerprint),
    ] {
        assert_eq!(offering.session.receive_answer(&answer, &sends), Err(error), "{name}");
        assert_eq!(offering.session, before, "{name}");
    }
    assert!(offering.session.receive_answer(&good, &sends).is_ok());
    assert_eq!(offering.session.receive_answer(&good, &sends), Err(NegotiationError::UnexpectedAnswer));
}

//! What holds over any sequence of negotiations.

use std::collections::HashSet;

use proptest::prelude::*;
use sdp::session::Session as Description;

use super::*;
use crate::negotiate::fixture::{credentials, parse, send_opus, send_vp8, setup};

/// What a client does to its sections between two offers.
#[derive(Clone, Debug)]
enum Change {
    AddReceiving(bool),
    AddSending(bool),
    Turn(prop::sample::Index, &'static str),
    Stop(prop::sample::Index),
    RestartIce,
}

fn change() -> impl Strategy<Value = Change> {
    let direction = prop::sample::select(vec!["sendonly", "recvonly", "inactive", "sendrecv"]);
    prop_oneof![
        any::<bool>().prop_map(Change::AddReceiving),
        any::<bool>().prop_map(Change::AddSending),
        (any::<prop::sample::Index>(), direction).prop_map(|(which, way)| Change::Turn(which, way)),
        any::<prop::sample::Index>().prop_map(Change::Stop),
        Just(Change::RestartIce),
    ]
}

/// A client with sections of `(video, direction)`; a direction of "stopped" is port 0.
#[derive(Debug, Default)]
struct Client {
    sections: Vec<(bool, &'static str)>,
    generation: u32,
}

impl Client {
    fn apply(&mut self, change: Change) {
        let count = self.sections.len();
        match change {
            Change::AddReceiving(video) => self.sections.push((video, "recvonly")),
            Change::AddSending(video) => self.sections.push((video, "sendonly")),
            Change::Turn(which, way) if count > 0 => {
                let section = &mut self.sections[which.index(count)];
                if section.1 != "stopped" {
                    section.1 = way;
                }
            }
            Change::Stop(which) if count > 0 => self.sections[which.index(count)].1 = "stopped",
            Change::Turn(..) | Change::Stop(_) => {}
            Change::RestartIce => self.generation += 1,
        }
    }

    fn offer(&self) -> String {
        let mids: Vec<String> = (0..self.sections.len())
            .filter(|index| self.sections[*index].1 != "stopped")
            .map(|index| index.to_string())
            .collect();
        let mut offer = format!(
            "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\na=ice-ufrag:u{}\r\na=ice-pwd:p\r\n\
             a=fingerprint:sha-256 {}\r\n",
            mids.join(" "),
            self.generation,
            ["AB"; 32].join(":"),
        );
        for (index, (video, way)) in self.sections.iter().enumerate() {
            let (kind, codec) =
                if *video { ("video", "96 VP8/90000") } else { ("audio", "111 opus/48000/2") };
            let (port, way) = if *way == "stopped" { (0, "inactive") } else { (9, *way) };
            let payload_type = &codec[..codec.find(' ').unwrap()];
            offer += &format!(
                "m={kind} {port} UDP/TLS/RTP/SAVPF {payload_type}\r\na=mid:{index}\r\na=setup:actpass\r\na=rtcp-mux\r\n\
                 a=rtpmap:{codec}\r\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na={way}\r\n"
            );
        }
        offer
    }
}

fn sends(wanted: &[bool]) -> Vec<SendTrack> {
    let numbered = (1_u64..).zip(wanted);
    numbered
        .filter(|(_, wanted)| **wanted)
        .map(|(number, _)| if number % 2 == 0 { send_vp8(number) } else { send_opus(number) })
        .collect()
}

fn check_stored(session: &Session) {
    let stored = serde_json::to_string(session).unwrap();
    assert_eq!(serde_json::from_str::<Session>(&stored).unwrap(), *session);
}

/// Sections are never lost, and mids are unlike each other.
fn check_grown(before: &[Section], session: &Session, description: &Description) {
    assert_eq!(description.sections.len(), session.sections.len());
    for (old, new) in before.iter().zip(&session.sections) {
        assert_eq!((&old.mid, old.purpose), (&new.mid, new.purpose));
    }
    let mids: HashSet<&str> = session.sections.iter().map(|section| section.mid.as_str()).collect();
    assert_eq!(mids.len(), session.sections.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn answers_hold_over_any_renegotiation(
        rounds in proptest::collection::vec(
            (proptest::collection::vec(change(), 0..4), any::<[bool; 6]>()), 1..12),
    ) {
        let mut session = Session::answerer(credentials(1));
        let mut client = Client::default();
        client.apply(Change::AddReceiving(false));
        let mut was_sent: Vec<(String, u64)> = Vec::new();
        for (changes, wanted) in rounds {
            changes.into_iter().for_each(|change| client.apply(change));
            let wanted = sends(&wanted);
            let before = session.sections.clone();
            let answered = session.receive_offer(&setup(), &client.offer(), &[], &wanted, &credentials(2)).unwrap();
            let answer = parse(&answered.sdp);
            check_grown(&before, &session, &answer);
            check_stored(&session);
            let sent: Vec<(String, u64)> =
                answered.sent.iter().map(|section| (section.mid.clone(), section.subscription)).collect();
            // Each subscription is sent once, missing, or waits for a section that rests.
            let unplaced = wanted.len() - sent.len();
            let missing = (answered.missing.audios + answered.missing.videos) as usize;
            prop_assert!(missing <= unplaced && (missing == unplaced || answered.missing.offer_again));
            prop_assert_eq!(sent.iter().map(|(_, id)| id).collect::<HashSet<_>>().len(), sent.len());
            for (mid, subscription) in &sent {
                let described = answer.sections.iter().find(|section| section.mid.as_ref() == Some(mid)).unwrap();
                prop_assert!(described.direction.sends() && described.msids.len() == 1);
                // No section goes from one track to another without a rest.
                prop_assert!(was_sent.iter().all(|(old, other)| old != mid || other == subscription));
                prop_assert_eq!(&answered.mid_to_track_id[mid], &format!("TR_{subscription}"));
            }
            for (offered, answered) in client.sections.iter().zip(&answer.sections) {
                let (offered_stopped, way) = (offered.1 == "stopped", offered.1);
                prop_assert_eq!(offered_stopped, answered.is_rejected());
                prop_assert!(!answered.direction.sends() || matches!(way, "recvonly" | "sendrecv"));
                prop_assert_eq!(answered.direction.receives(), matches!(way, "sendonly" | "sendrecv"));
            }
            was_sent = sent;
        }
    }

    #[test]
    fn offers_hold_over_any_renegotiation(
        rounds in proptest::collection::vec((any::<[bool; 6]>(), any::<bool>(), any::<bool>()), 1..16),
    ) {
        let mut session = Session::offerer(credentials(1), true);
        let mut was_sent: Vec<(String, u64)> = Vec::new();
        for (wanted, restart, answer_twice) in rounds {
            if restart {
                session.restart_ice(credentials(3));
            }
            let wanted = sends(&wanted);
            let before = session.sections.clone();
            if answer_twice {
                session.offer(&setup(), &wanted);
            }
            let offered = session.offer(&setup(), &wanted);
            let offer = parse(&offered.sdp);
            check_grown(&before, &session, &offer);
            check_stored(&session);
            prop_assert_eq!(offered.mid_to_track_id.len(), wanted.len());
            let answer = offered.sdp.replace("a=setup:actpass", "a=setup:active");
            let negotiated = session.receive_answer(&answer, &wanted).unwrap();
            check_stored(&session);
            let sent: Vec<(String, u64)> =
                negotiated.sent.iter().map(|section| (section.mid.clone(), section.subscription)).collect();
            prop_assert_eq!(sent.len(), wanted.len());
            for (mid, subscription) in &sent {
                prop_assert!(was_sent.iter().all(|(old, other)| old != mid || other == subscription));
            }
            prop_assert!(offer.sections.len() <= 1 + 2 * 6, "sections are used again");
            was_sent = sent;
        }
    }
}

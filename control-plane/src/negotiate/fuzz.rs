//! The body of the fuzz target of offers and answers: a plain function, so that tests replay the corpus.

use crate::negotiate::codec::{Codec, EnabledCodecs, Kind, PublishedCodec};
use crate::negotiate::session::Session;
use crate::negotiate::setup::{Candidate, IceCredentials, Protocol, Setup};
use crate::negotiate::track::{AnnouncedCid, AnnouncedTrack, SendTrack};

/// Answers one offer after another (they are separated by a line of `%`), and takes each as an answer as well.
/// What we say can be read, keeps to the offer's sections, and the state survives being stored.
pub fn offer(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let setup = setup();
    let announced = [announced("TR_a", Kind::Audio, "audio"), announced("TR_v", Kind::Video, "video")];
    let sends = [send(1, Codec::Opus, 111), send(2, Codec::Vp8, 96), send(3, Codec::Vp8, 97)];
    let mut answerer = Session::answerer(credentials("0one"));
    let mut offerer = Session::offerer(credentials("0two"), true);
    for (round, text) in text.split("\n%\n").enumerate().take(8) {
        let wanted = sends.get(..round % 4).unwrap_or_default();
        let before = answerer.clone();
        match answerer.receive_offer(&setup, text, &announced, wanted, &credentials("0new")) {
            Ok(answered) => check_answer(text, &answered.sdp),
            Err(_) => assert_eq!(answerer, before),
        }
        check_stored(&answerer);
        let offered = offerer.offer(&setup, wanted);
        assert!(sdp::session::Session::parse(&offered.sdp).is_ok());
        let before = offerer.clone();
        if offerer.receive_answer(text, wanted).is_err() {
            assert_eq!(offerer, before);
        }
        check_stored(&offerer);
    }
}

fn check_answer(offer: &str, answer: &str) {
    let parse = |text: &str| sdp::session::Session::parse(text).ok();
    let (Some(offer), Some(answer)) = (parse(offer), parse(answer)) else {
        panic!("what was answered cannot be read");
    };
    assert_eq!(offer.sections.len(), answer.sections.len());
    for (offered, answered) in offer.sections.iter().zip(&answer.sections) {
        assert_eq!((&offered.kind, &offered.mid), (&answered.kind, &answered.mid));
        assert!(answered.is_rejected() || !offered.is_rejected());
    }
}

fn check_stored(session: &Session) {
    let stored = serde_json::to_vec(session).unwrap_or_default();
    assert_eq!(serde_json::from_slice::<Session>(&stored).ok().as_ref(), Some(session));
}

fn credentials(ufrag: &str) -> IceCredentials {
    IceCredentials { ufrag: ufrag.to_owned(), password: "a".repeat(24) }
}

fn setup() -> Setup {
    let address = std::net::Ipv4Addr::LOCALHOST.into();
    Setup {
        fingerprint_sha256: [1; 32],
        candidates: vec![Candidate { address, port: 7882, protocol: Protocol::Udp }],
        enabled_codecs: EnabledCodecs::default(),
        playout_delay: false,
    }
}

fn announced(sid: &str, kind: Kind, cid: &str) -> AnnouncedTrack {
    AnnouncedTrack {
        sid: sid.to_owned(),
        kind,
        cids: vec![AnnouncedCid { cid: cid.to_owned(), codec: None }],
        disable_red: false,
        stereo: true,
        disable_dtx: false,
    }
}

fn send(subscription: u32, codec: Codec, payload_type: u8) -> SendTrack {
    SendTrack {
        carried: Some(codec),
        subscription: subscription.into(),
        track_sid: format!("TR_{subscription}"),
        stream: format!("PA_a|TR_{subscription}"),
        kind: codec.kind(),
        ssrc: subscription,
        rtx_ssrc: 100 + subscription,
        stereo: true,
        active_red: subscription.is_multiple_of(2),
        codecs: vec![PublishedCodec {
            codec,
            payload_type,
            rtx_payload_type: None,
            clock_rate: 90_000,
            channels: None,
            parameters: String::new(),
        }],
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::negotiate::fixture::{OFFERS, vector};

    fn corpus() -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/sdp_offer");
        let files = std::fs::read_dir(folder).unwrap();
        files.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
    }

    #[test]
    fn corpus_holds() {
        for file in corpus() {
            offer(&file);
        }
        for name in OFFERS {
            offer(vector(name).as_bytes());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn mutated_sequences_of_offers_hold(
            names in proptest::collection::vec(proptest::sample::select(OFFERS.to_vec()), 1..4),
            edits in proptest::collection::vec(
                (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_u8..4), 0..10),
        ) {
            let texts: Vec<String> = names.into_iter().map(vector).collect();
            let text = texts.join("\n%\n");
            let mut lines: Vec<&str> = text.lines().collect();
            for (one, other, edit) in edits {
                let (one, other) = (one.index(lines.len()), other.index(lines.len()));
                match edit {
                    0 => lines.swap(one, other),
                    1 => {
                        let line = lines.remove(one);
                        lines.insert(other.min(lines.len()), line);
                    }
                    2 => {
                        let line = lines[other];
                        lines.insert(one, line);
                    }
                    _ => lines[one] = lines[one].get(..other % 20).unwrap_or(lines[one]),
                }
            }
            offer(lines.join("\n").as_bytes());
        }
    }
}

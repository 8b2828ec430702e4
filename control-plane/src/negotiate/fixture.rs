//! What tests of negotiation are made of: real descriptions, and tracks to go with them.

use std::path::Path;

use sdp::section::MediaSection;
use sdp::session::Session as Description;

use crate::negotiate::codec::{Codec, EnabledCodecs, Kind, PublishedCodec};
use crate::negotiate::outcome::{Answered, ReceivedSection};
use crate::negotiate::session::Session;
use crate::negotiate::setup::{Candidate, IceCredentials, Protocol, Setup};
use crate::negotiate::track::{AnnouncedCid, AnnouncedTrack, SendTrack};

/// The track ids of the vectors of one Chromium run.
pub(super) const MICROPHONE: &str = "d4058ae3-e40b-4037-b608-e9777bdc1abb";
pub(super) const CAMERA: &str = "743de08d-8ede-44dd-b1e9-7efcd1d98d56";

pub(super) const OFFERS: [&str; 11] = [
    "chromium-data-only",
    "chromium-publisher",
    "chromium-publisher-ice-restart",
    "chromium-publisher-camera-inactive",
    "chromium-publisher-camera-stopped",
    "chromium-publisher-camera-replaced",
    "chromium-publisher-vp9",
    "chromium-single-join",
    "chromium-single-publish",
    "firefox-publisher",
    "go-publisher",
];

pub(super) fn vector(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/sdp");
    std::fs::read_to_string(folder.join(name).with_extension("sdp")).unwrap()
}

/// A vector with lines replaced: each pair must be found.
pub(super) fn edited(name: &str, edits: &[(&str, &str)]) -> String {
    edits.iter().fold(vector(name), |text, (from, to)| {
        assert!(text.contains(from), "{name} has no {from}");
        text.replace(from, to)
    })
}

/// A vector without the lines that begin like this.
pub(super) fn without(name: &str, prefixes: &[&str]) -> String {
    let text = vector(name);
    let kept = text.lines().filter(|line| prefixes.iter().all(|prefix| !line.starts_with(prefix)));
    kept.map(|line| format!("{line}\r\n")).collect()
}

pub(super) fn setup() -> Setup {
    let candidate = |port, protocol| Candidate { address: "192.0.2.7".parse().unwrap(), port, protocol };
    Setup {
        fingerprint_sha256: [0xab; 32],
        candidates: vec![candidate(7882, Protocol::Udp), candidate(7881, Protocol::Tcp)],
        enabled_codecs: EnabledCodecs::default(),
        playout_delay: false,
    }
}

pub(super) fn with_codecs(mimes: &[&str]) -> Setup {
    Setup { enabled_codecs: EnabledCodecs::from_mimes(mimes.iter().copied()), ..setup() }
}

pub(super) fn credentials(number: u32) -> IceCredentials {
    IceCredentials { ufrag: format!("01uf{number:04}"), password: format!("{number:024}") }
}

pub(super) fn announced(sid: &str, kind: Kind, cid: &str) -> AnnouncedTrack {
    AnnouncedTrack {
        sid: sid.to_owned(),
        kind,
        cids: vec![AnnouncedCid { cid: cid.to_owned(), codec: None }],
        disable_red: false,
        stereo: false,
        disable_dtx: false,
    }
}

pub(super) fn microphone() -> AnnouncedTrack {
    announced("TR_microphone", Kind::Audio, MICROPHONE)
}

pub(super) fn camera() -> AnnouncedTrack {
    announced("TR_camera", Kind::Video, CAMERA)
}

pub(super) fn published(codec: Codec, payload_type: u8, parameters: &str) -> PublishedCodec {
    PublishedCodec {
        codec,
        payload_type,
        rtx_payload_type: (codec.kind() == Kind::Video).then_some(payload_type + 1),
        clock_rate: 90_000,
        channels: None,
        parameters: parameters.to_owned(),
    }
}

/// Number `subscription`, of a publisher that sends `codecs`.
pub(super) fn send(subscription: u64, codecs: Vec<PublishedCodec>) -> SendTrack {
    let number = u32::try_from(subscription).unwrap();
    SendTrack {
        carried: None,
        subscription,
        track_sid: format!("TR_{subscription}"),
        stream: format!("PA_a|TR_{subscription}"),
        kind: codecs.first().unwrap().codec.kind(),
        ssrc: 1_000 + number,
        rtx_ssrc: 2_000 + number,
        stereo: false,
        active_red: false,
        codecs,
    }
}

pub(super) fn send_opus(subscription: u64) -> SendTrack {
    send(subscription, vec![published(Codec::Opus, 96, "minptime=10;useinbandfec=1")])
}

pub(super) fn send_vp8(subscription: u64) -> SendTrack {
    send(subscription, vec![published(Codec::Vp8, 120, "")])
}

/// A session that answers, and what it says.
pub(super) struct Answering {
    pub(super) session: Session,
    pub(super) setup: Setup,
    pub(super) announced: Vec<AnnouncedTrack>,
    pub(super) sends: Vec<SendTrack>,
}

impl Answering {
    pub(super) fn new() -> Self {
        Self {
            session: Session::answerer(credentials(1)),
            setup: setup(),
            announced: vec![microphone(), camera()],
            sends: Vec::new(),
        }
    }

    pub(super) fn offered(&mut self, offer: &str) -> Answered {
        let Self { session, setup, announced, sends } = self;
        session.receive_offer(setup, offer, announced, sends, &credentials(99)).unwrap()
    }
}

pub(super) fn parse(text: &str) -> Description {
    Description::parse(text).unwrap()
}

pub(super) fn section<'a>(description: &'a Description, mid: &str) -> &'a MediaSection {
    description.sections.iter().find(|section| section.mid.as_deref() == Some(mid)).unwrap()
}

/// Names and payload types of a section's codecs, without RTX: `VP8/96`.
pub(super) fn codec_names(section: &MediaSection) -> Vec<String> {
    let codecs = section.codecs.iter().filter(|codec| !codec.is("rtx"));
    codecs.map(|codec| format!("{}/{}", codec.name, codec.payload_type)).collect()
}

pub(super) fn received<'a>(answered: &'a Answered, mid: &str) -> &'a ReceivedSection {
    answered.received.iter().find(|section| section.mid == mid).unwrap()
}

/// Track and activity by mid.
pub(super) fn summary(answered: &Answered) -> Vec<(&str, Option<&str>, bool)> {
    let sections = answered.received.iter();
    sections.map(|section| (section.mid.as_str(), section.track_sid.as_deref(), section.active)).collect()
}

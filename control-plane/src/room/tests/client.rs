//! A client as far as rooms see it: it offers what it publishes, answers what it is offered, adds sections on request.

use std::collections::VecDeque;
use std::fmt::Write;

use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{
    AddTrackRequest, SessionDescription, SimulcastCodec, TrackSource, TrackType, VideoLayer, VideoQuality,
};
use sdp::attribute::{Direction, Fingerprint, SetupRole};
use sdp::session::Session;

use crate::room::effect::ConnectionId;
use crate::room::join::Arrival;
use crate::room::names::TrackSid;
use crate::room::tests::World;

#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) connection: ConnectionId,
    pub(crate) identity: String,
    single: bool,
    sections: Vec<Section>,
    offers: u32,
    /// ICE generation.
    pub(crate) generation: u32,
    /// It sends its video in three sizes.
    pub(crate) simulcast: bool,
    /// A codec that it does not understand.
    pub(crate) refuses: Option<&'static str>,
    /// It does not answer offers for now.
    pub(crate) mute: bool,
    missed: Option<Response>,
    /// Messages that it has not acted on.
    inbox: VecDeque<Response>,
}

#[derive(Clone, Debug)]
enum Section {
    Data,
    Media { kind: &'static str, direction: &'static str, cid: String },
}

impl Client {
    pub(crate) fn new(connection: ConnectionId, arrival: &Arrival) -> Self {
        Self {
            connection,
            identity: arrival.claims.identity.clone(),
            single: arrival.single_peer_connection,
            sections: vec![Section::Data],
            offers: u32::from(arrival.publisher_offer.is_some()),
            generation: 0,
            simulcast: false,
            refuses: None,
            mute: false,
            missed: None,
            inbox: VecDeque::new(),
        }
    }

    /// The same client on another connection.
    pub(crate) fn on(&self, connection: ConnectionId) -> Self {
        Self { connection, inbox: VecDeque::new(), missed: None, ..self.clone() }
    }

    /// Does what the messages so far ask for, until they ask for nothing.
    pub(crate) fn settle(&mut self, world: &mut World) {
        if self.single && self.offers == 0 {
            self.offer(world);
        }
        loop {
            self.inbox.extend(world.inbox.remove(&self.connection).unwrap_or_default());
            match self.inbox.pop_front() {
                Some(offer @ Response::Offer(_)) if self.mute => self.missed = Some(offer),
                Some(Response::Offer(offer)) => {
                    let answer = SessionDescription {
                        r#type: "answer".into(),
                        sdp: self.answer(&offer.sdp),
                        id: offer.id,
                        ..SessionDescription::default()
                    };
                    world.say(self, Request::Answer(answer));
                }
                Some(Response::MediaSectionsRequirement(requirement)) => {
                    self.add_sections("audio", requirement.num_audios);
                    self.add_sections("video", requirement.num_videos);
                    self.offer(world);
                }
                Some(_) => {}
                None => return,
            }
        }
    }

    /// Acts on what it heard while it was mute.
    pub(crate) fn wake(&mut self, world: &mut World) {
        self.mute = false;
        let missed = self.missed.take();
        self.inbox.extend(missed);
        self.settle(world);
    }

    /// Announces a track and offers it.
    pub(crate) fn publish(&mut self, world: &mut World, cid: &str, kind: TrackType) -> TrackSid {
        let sid = self.announce(world, cid, kind);
        self.send(cid, kind);
        self.offer(world);
        sid
    }

    pub(crate) fn announce(&mut self, world: &mut World, cid: &str, kind: TrackType) -> TrackSid {
        let source = if kind == TrackType::Video { TrackSource::Camera } else { TrackSource::Microphone };
        let request = AddTrackRequest {
            cid: cid.into(),
            r#type: kind.into(),
            source: source.into(),
            // By these names cameras send VP9, and VP8 where it is asked for.
            simulcast_codecs: if cid.starts_with("vp9") { with_backup(cid) } else { Vec::new() },
            layers: if self.simulcast { layers() } else { Vec::new() },
            ..Default::default()
        };
        world.say(self, Request::AddTrack(request));
        let published =
            world.inbox.get(&self.connection).into_iter().flatten().rev().find_map(|message| match message {
                Response::TrackPublished(published) => published.track.clone(),
                _ => None,
            });
        TrackSid(published.expect("the track is published").sid)
    }

    /// A section on which it sends, in its next offer.
    pub(crate) fn send(&mut self, cid: &str, kind: TrackType) {
        let kind = if kind == TrackType::Video { "video" } else { "audio" };
        self.sections.push(Section::Media { kind, direction: "sendonly", cid: cid.into() });
    }

    /// Stops sending a track, as `removeTrack` does.
    pub(crate) fn unpublish(&mut self, world: &mut World, track: &str) {
        for section in &mut self.sections {
            if let Section::Media { direction, cid, .. } = section
                && cid == track
            {
                *direction = "inactive";
            }
        }
        self.offer(world);
    }

    /// Turns the sections on which it receives off, or on again.
    pub(crate) fn receive(&mut self, world: &mut World, on: bool) {
        let (from, to) = if on { ("inactive", "recvonly") } else { ("recvonly", "inactive") };
        for section in &mut self.sections {
            if let Section::Media { direction, cid, .. } = section
                && *direction == from
                && cid.is_empty()
            {
                *direction = to;
            }
        }
        self.offer(world);
    }

    pub(crate) fn add_sections(&mut self, kind: &'static str, count: u32) {
        let section = Section::Media { kind, direction: "recvonly", cid: String::new() };
        self.sections.extend((0..count).map(|_| section.clone()));
    }

    pub(crate) fn offer(&mut self, world: &mut World) {
        let offer = self.offer_description();
        world.say(self, Request::Offer(offer));
    }

    pub(crate) fn offer_description(&mut self) -> SessionDescription {
        self.offers += 1;
        let mids: Vec<String> = (0..self.sections.len()).map(|mid| mid.to_string()).collect();
        let mut sdp = format!(
            "v=0\r\no=- 1 {} IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n",
            self.offers,
            mids.join(" ")
        );
        for (mid, section) in self.sections.iter().enumerate() {
            self.describe(&mut sdp, mid, section);
        }
        SessionDescription { r#type: "offer".into(), sdp, id: self.offers, ..SessionDescription::default() }
    }

    fn describe(&self, sdp: &mut String, mid: usize, section: &Section) {
        let line = match section {
            Section::Data => "m=application 9 UDP/DTLS/SCTP webrtc-datachannel".to_owned(),
            Section::Media { kind, .. } => {
                format!("m={kind} 9 UDP/TLS/RTP/SAVPF {}", if *kind == "video" { "96 97 98" } else { "111" })
            }
        };
        let (ufrag, password, fingerprint) = (self.ufrag(), "p".repeat(24), FINGERPRINT);
        write!(
            sdp,
            "{line}\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n\
             a=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\n"
        )
        .unwrap();
        match section {
            Section::Data => sdp.push_str("a=sctp-port:5000\r\na=max-message-size:262144\r\n"),
            Section::Media { kind, direction, cid } => {
                sdp.push_str(if *kind == "video" { VIDEO } else { AUDIO });
                if *kind == "video" && self.refuses != Some("VP9") {
                    sdp.push_str("a=rtpmap:98 VP9/90000\r\n");
                }
                write!(sdp, "a=rtcp-mux\r\na={direction}\r\n").unwrap();
                if *direction == "sendonly" && *kind == "video" && self.simulcast {
                    write!(sdp, "a=msid:- {cid}\r\n{SIMULCAST}").unwrap();
                } else if *direction == "sendonly" {
                    let ssrc = 1_000 + mid;
                    write!(sdp, "a=msid:- {cid}\r\na=ssrc:{ssrc} cname:c\r\n").unwrap();
                }
            }
        }
    }

    /// Takes everything that is offered.
    fn answer(&self, offer: &str) -> String {
        let mut answer = Session::parse(offer).expect("our offers can be read");
        for section in &mut answer.sections {
            section.codecs.retain(|codec| self.refuses != Some(codec.name.as_str()));
        }
        answer.ice_lite = false;
        answer.fingerprints.clear();
        for section in &mut answer.sections {
            section.ice_ufrag = Some(self.ufrag());
            section.ice_pwd = Some("p".repeat(24));
            section.fingerprints = vec![Fingerprint { algorithm: "sha-256".into(), value: vec![0xab; 32] }];
            section.setup = Some(SetupRole::Active);
            section.candidates.clear();
            section.source_attributes.clear();
            section.source_groups.clear();
            section.msids.clear();
            section.direction = match section.direction {
                Direction::SendRecv if section.sctp_port.is_some() => Direction::SendRecv,
                Direction::SendRecv | Direction::SendOnly => Direction::RecvOnly,
                Direction::RecvOnly | Direction::Inactive => Direction::Inactive,
            };
        }
        answer.to_string()
    }

    fn ufrag(&self) -> String {
        format!("client{}", self.generation)
    }
}

/// What a camera of 1280x720 is sent in.
fn layers() -> Vec<VideoLayer> {
    let sizes =
        [(VideoQuality::Low, 320, 180), (VideoQuality::Medium, 640, 360), (VideoQuality::High, 1280, 720)];
    let layer = |(quality, width, height): (VideoQuality, u32, u32)| VideoLayer {
        quality: quality.into(),
        width,
        height,
        ..Default::default()
    };
    sizes.map(layer).into()
}

fn with_backup(cid: &str) -> Vec<SimulcastCodec> {
    let codec = |codec: &str, cid: &str| SimulcastCodec {
        codec: codec.into(),
        cid: cid.into(),
        ..Default::default()
    };
    vec![codec("vp9", cid), codec("vp8", "")]
}

const FINGERPRINT: &str =
    "AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB";
const AUDIO: &str = "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n";
const SIMULCAST: &str = "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
     a=extmap:5 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n\
     a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\na=simulcast:send q;h;f\r\n";
const VIDEO: &str = "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
                     a=rtcp-fb:96 transport-cc\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n";

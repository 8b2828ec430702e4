//! A track: announced by `add_track`, negotiated with an offer, live once its first packet arrived.

use livekit_protocol::{ClientInfo, TrackInfo};
use proto::media::v1 as proto;
use serde::{Deserialize, Serialize};

use crate::negotiate::codec::{Codec, Kind, PublishedCodec};
use crate::negotiate::track::{AnnouncedCid, AnnouncedTrack};
use crate::room::clock::Time;
use crate::room::demand::Demand;
use crate::room::names::{ParticipantSid, TrackSid};

#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    pub record: Record,
    /// One for each codec that the client sends the track with; the first is forwarded.
    pub publications: Vec<Publication>,
    /// The publisher was told that somebody receives it.
    pub subscribed_told: bool,
    /// Of a live video track: what its publisher is told to send.
    pub demand: Option<Demand>,
}

/// What is known of a track apart from its media sections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub publisher: ParticipantSid,
    pub info: TrackInfo,
    pub cids: Vec<Cid>,
    pub announced_at: Time,
    /// Others know of it.
    pub live: bool,
}

/// One client-side track, and the codec that it is meant to be sent with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cid {
    pub cid: String,
    pub codec: Option<Codec>,
}

/// One media section of the publisher that carries the track.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    pub id: u64,
    pub peer: u64,
    pub mid: String,
    pub cid: Option<String>,
    pub codecs: Vec<PublishedCodec>,
    pub encodings: Vec<proto::Encoding>,
    pub nack: bool,
    pub pli: bool,
    pub fir: bool,
    /// The payload type of its first packet.
    pub payload_type: Option<u32>,
}

impl Track {
    /// Announced, and nothing more yet.
    #[must_use]
    pub const fn new(record: Record) -> Self {
        Self { record, publications: Vec::new(), subscribed_told: false, demand: None }
    }

    #[must_use]
    pub fn sid(&self) -> TrackSid {
        TrackSid(self.record.info.sid.clone())
    }

    #[must_use]
    pub fn kind(&self) -> Kind {
        if self.record.info.r#type == livekit_protocol::TrackType::Video as i32 {
            Kind::Video
        } else {
            Kind::Audio
        }
    }

    /// The publication that subscribers get.
    #[must_use]
    pub fn forwarded(&self) -> Option<&Publication> {
        self.publications.first()
    }

    #[must_use]
    #[expect(deprecated, reason = "older clients say stereo and DTX on the track, newer ones as features")]
    pub fn announced(&self) -> AnnouncedTrack {
        let info = &self.record.info;
        let feature =
            |feature: livekit_protocol::AudioTrackFeature| info.audio_features.contains(&(feature as i32));
        AnnouncedTrack {
            sid: info.sid.clone(),
            kind: self.kind(),
            cids: self
                .record
                .cids
                .iter()
                .map(|cid| AnnouncedCid { cid: cid.cid.clone(), codec: cid.codec })
                .collect(),
            disable_red: info.disable_red,
            stereo: info.stereo || feature(livekit_protocol::AudioTrackFeature::TfStereo),
            disable_dtx: info.disable_dtx || feature(livekit_protocol::AudioTrackFeature::TfNoDtx),
        }
    }

    /// The stream that a client is told it is part of: its own, or the publisher's, which browsers play in step.
    ///
    /// As in LiveKit v1.13.5, Firefox is told the track's always: it makes up track ids of its own.
    #[must_use]
    pub fn stream(&self, together: bool, client: &ClientInfo) -> String {
        let knows = client.protocol > STREAM_OF_TRACK_MAX && !client.browser.eq_ignore_ascii_case("firefox");
        let info = &self.record.info;
        let name = if together && knows && !info.stream.is_empty() { &info.stream } else { &info.sid };
        format!("{}|{name}", self.record.publisher)
    }

    /// Whether its frames are encrypted end to end.
    #[must_use]
    pub fn encrypted(&self) -> bool {
        self.record.info.encryption() != livekit_protocol::encryption::Type::None
    }

    #[must_use]
    pub fn resource(&self, room: u64, publication: &Publication) -> proto::Publication {
        proto::Publication {
            id: publication.id,
            room,
            peer: publication.peer,
            kind: self.kind().to_proto().into(),
            mid: publication.mid.clone(),
            codecs: publication.codecs.iter().map(PublishedCodec::to_proto).collect(),
            encodings: publication.encodings.clone(),
            muted: self.record.info.muted,
            nack: publication.nack,
            pli: publication.pli,
            fir: publication.fir,
            encrypted: self.encrypted(),
        }
    }
}

impl Publication {
    /// The codec of a payload type; before the first packet, the preferred one.
    #[must_use]
    pub fn codec(&self) -> Option<Codec> {
        let sent = self.payload_type.and_then(|payload_type| {
            self.codecs.iter().find(|codec| u32::from(codec.payload_type) == payload_type)
        });
        sent.or_else(|| self.codecs.first()).map(|codec| codec.codec)
    }
}

/// Since protocol 10 clients find the track in the media section, not in the stream.
const STREAM_OF_TRACK_MAX: i32 = 9;

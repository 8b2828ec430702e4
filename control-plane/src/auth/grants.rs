//! What an access token says: who its bearer is and what that bearer may do.
//!
//! [`Claims`] is the token's payload, field by field, so that a refreshed token keeps every grant of the
//! original. Defaults are those of LiveKit's `auth/grants.go`.

use std::collections::BTreeMap;

use livekit_protocol::{ParticipantPermission, RoomConfiguration, TrackSource, participant_info};
use serde::{Deserialize, Deserializer, Serialize};

/// The payload of an access token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Claims {
    #[serde(rename = "sub", deserialize_with = "null_is_default")]
    pub identity: String,
    #[serde(rename = "iss")]
    pub api_key: String,
    #[serde(rename = "jti", deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub token_id: String,
    /// Seconds since 1970; a verified token always has it.
    #[serde(rename = "exp", deserialize_with = "numeric_date", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    #[serde(rename = "nbf", deserialize_with = "numeric_date", skip_serializing_if = "Option::is_none")]
    pub not_before: Option<u64>,
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `standard`, `ingress`, `egress`, `sip`, `agent`, `connector`; empty means standard.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub kind_details: Vec<String>,
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub metadata: String,
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_is_default")]
    pub video: VideoGrant,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sip: Option<SipGrant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentGrant>,
    /// Grants of LiveKit's cloud services: kept as they came, so that a refresh does not lose them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inference: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observability: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_endpoint: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_thread: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_config: Option<RoomConfiguration>,
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub room_preset: String,
    /// base64 of the SHA-256 of a webhook's body.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub sha256: String,
}

impl Claims {
    pub fn participant_kind(&self) -> participant_info::Kind {
        match self.kind.as_str() {
            "ingress" => participant_info::Kind::Ingress,
            "egress" => participant_info::Kind::Egress,
            "sip" => participant_info::Kind::Sip,
            "agent" => participant_info::Kind::Agent,
            "connector" => participant_info::Kind::Connector,
            _ => participant_info::Kind::Standard,
        }
    }

    /// Whether it is in a room only because of those who are there.
    pub fn is_dependent(&self) -> bool {
        use participant_info::Kind;
        matches!(self.participant_kind(), Kind::Agent | Kind::Egress) || self.video.recorder
    }

    pub fn participant_kind_details(&self) -> Vec<participant_info::KindDetail> {
        let known = self
            .kind_details
            .iter()
            .filter_map(|name| participant_info::KindDetail::from_str_name(&name.to_ascii_uppercase()));
        known.collect()
    }
}

/// What the bearer may do with rooms and inside one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VideoGrant {
    #[serde(skip_serializing_if = "is_false")]
    pub room_create: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub room_list: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub room_record: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub room_admin: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub room_join: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub room: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish_data: Option<bool>,
    /// `camera`, `microphone`, `screen_share`, `screen_share_audio`; empty means every source.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub can_publish_sources: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_update_own_metadata: Option<bool>,
    #[serde(skip_serializing_if = "is_false")]
    pub ingress_admin: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub hidden: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub recorder: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub agent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe_metrics: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_manage_agent_session: Option<bool>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub destination_room: String,
}

impl VideoGrant {
    /// Takes over what the server API set for a participant.
    pub fn update_from(&mut self, permission: &ParticipantPermission) {
        self.can_publish = Some(permission.can_publish);
        self.can_publish_data = Some(permission.can_publish_data);
        self.can_subscribe = Some(permission.can_subscribe);
        self.can_publish_sources =
            permission.can_publish_sources().map(|source| source_name(source).to_owned()).collect();
        self.can_update_own_metadata = Some(permission.can_update_metadata);
        self.hidden = permission.hidden;
        self.can_subscribe_metrics = Some(permission.can_subscribe_metrics);
        self.can_manage_agent_session = Some(permission.can_manage_agent_session);
    }

    pub fn can_publish(&self) -> bool {
        self.can_publish.unwrap_or(true)
    }

    pub fn can_publish_source(&self, source: TrackSource) -> bool {
        let any = self.can_publish_sources.is_empty();
        self.can_publish() && (any || self.can_publish_sources.iter().any(|name| name == source_name(source)))
    }

    pub fn can_subscribe(&self) -> bool {
        self.can_subscribe.unwrap_or(true)
    }

    /// Unset, it follows `canPublish`.
    pub fn can_publish_data(&self) -> bool {
        self.can_publish_data.unwrap_or_else(|| self.can_publish())
    }

    /// The only one that is denied unless granted.
    pub fn can_update_own_metadata(&self) -> bool {
        self.can_update_own_metadata.unwrap_or(false)
    }

    pub fn can_subscribe_metrics(&self) -> bool {
        self.can_subscribe_metrics.unwrap_or(false)
    }

    pub fn can_manage_agent_session(&self) -> bool {
        self.can_manage_agent_session.unwrap_or(false)
    }

    #[expect(deprecated, reason = "LiveKit still fills recorder and agent for old clients")]
    pub fn permission(&self) -> ParticipantPermission {
        ParticipantPermission {
            can_subscribe: self.can_subscribe(),
            can_publish: self.can_publish(),
            can_publish_data: self.can_publish_data(),
            can_publish_sources: self.can_publish_sources.iter().map(|name| source_of(name).into()).collect(),
            hidden: self.hidden,
            recorder: self.recorder,
            can_update_metadata: self.can_update_own_metadata(),
            agent: self.agent,
            can_subscribe_metrics: self.can_subscribe_metrics(),
            can_manage_agent_session: self.can_manage_agent_session(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SipGrant {
    #[serde(skip_serializing_if = "is_false")]
    pub admin: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub call: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentGrant {
    #[serde(skip_serializing_if = "is_false")]
    pub admin: bool,
}

pub fn source_name(source: TrackSource) -> &'static str {
    match source {
        TrackSource::Camera => "camera",
        TrackSource::Microphone => "microphone",
        TrackSource::ScreenShare => "screen_share",
        TrackSource::ScreenShareAudio => "screen_share_audio",
        TrackSource::Unknown => "unknown",
    }
}

pub fn source_of(name: &str) -> TrackSource {
    match name {
        "camera" => TrackSource::Camera,
        "microphone" => TrackSource::Microphone,
        "screen_share" => TrackSource::ScreenShare,
        "screen_share_audio" => TrackSource::ScreenShareAudio,
        _ => TrackSource::Unknown,
    }
}

/// Go's decoder reads `null` as the zero value, and tokens written by Go services rely on it.
fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// RFC 7519 §2, NumericDate: seconds since 1970, possibly with a fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and both ends are dates far away"
)]
fn numeric_date<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.map(|seconds| seconds as u64))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

//! The fields of the messages that the server API answers with: what the protocol's serde does not tell.
//!
//! A test holds each shape against its message, so that a field that the protocol adds is not forgotten here.

use livekit_protocol as livekit;
use serde_json::{Map, Value};

use crate::api::revocation::RevokeResponse;

/// A message's fields, by their names in the protocol file, in its order.
#[derive(Debug)]
pub struct Shape(pub &'static [(&'static str, Kind)]);

#[derive(Debug)]
pub enum Kind {
    Text,
    Number,
    /// 64 bits, which JSON's numbers cannot say.
    Long,
    Flag,
    /// By the name of its zero.
    Enum(&'static str),
    /// Of anything but messages.
    List,
    Map,
    /// `null` where it is not set.
    Message(&'static Shape),
    Messages(&'static Shape),
    /// Left out where it is not set.
    Optional,
    OptionalMessage(&'static Shape),
}

impl Kind {
    /// What is written where nothing is set.
    #[must_use]
    pub fn unset(&self) -> Option<Value> {
        Some(match self {
            Self::Text => Value::String(String::new()),
            Self::Number => Value::from(0),
            Self::Long => Value::String("0".to_owned()),
            Self::Flag => Value::Bool(false),
            Self::Enum(zero) => Value::String((*zero).to_owned()),
            Self::List | Self::Messages(_) => Value::Array(Vec::new()),
            Self::Map => Value::Object(Map::new()),
            Self::Message(_) => Value::Null,
            Self::Optional | Self::OptionalMessage(_) => return None,
        })
    }
}

/// A message that can be answered.
pub trait Shaped {
    const SHAPE: &'static Shape;
}

macro_rules! shaped {
    ($($message:ty => $shape:expr;)*) => {
        $(impl Shaped for $message {
            const SHAPE: &'static Shape = &$shape;
        })*
    };
}

shaped! {
    livekit::Room => ROOM;
    livekit::ListRoomsResponse => Shape(&[("rooms", Kind::Messages(&ROOM))]);
    livekit::DeleteRoomResponse => NOTHING;
    livekit::ParticipantInfo => PARTICIPANT;
    livekit::ListParticipantsResponse => Shape(&[("participants", Kind::Messages(&PARTICIPANT))]);
    livekit::RemoveParticipantResponse => NOTHING;
    livekit::MuteRoomTrackResponse => Shape(&[("track", Kind::Message(&TRACK))]);
    livekit::UpdateSubscriptionsResponse => NOTHING;
    livekit::SendDataResponse => NOTHING;
    livekit::AgentDispatch => DISPATCH;
    livekit::ListAgentDispatchResponse => Shape(&[("agent_dispatches", Kind::Messages(&DISPATCH))]);
    livekit::PerformRpcResponse => Shape(&[("payload", Kind::Text)]);
    RevokeResponse => Shape(&[("removed", Kind::Number)]);
}

pub const NOTHING: Shape = Shape(&[]);

pub const ROOM: Shape = Shape(&[
    ("sid", Kind::Text),
    ("name", Kind::Text),
    ("empty_timeout", Kind::Number),
    ("departure_timeout", Kind::Number),
    ("max_participants", Kind::Number),
    ("creation_time", Kind::Long),
    ("creation_time_ms", Kind::Long),
    ("turn_password", Kind::Text),
    ("enabled_codecs", Kind::Messages(&CODEC)),
    ("metadata", Kind::Text),
    ("num_participants", Kind::Number),
    ("num_publishers", Kind::Number),
    ("active_recording", Kind::Flag),
    ("version", Kind::Message(&VERSION)),
]);

pub const PARTICIPANT: Shape = Shape(&[
    ("sid", Kind::Text),
    ("identity", Kind::Text),
    ("state", Kind::Enum("JOINING")),
    ("tracks", Kind::Messages(&TRACK)),
    ("metadata", Kind::Text),
    ("joined_at", Kind::Long),
    ("joined_at_ms", Kind::Long),
    ("name", Kind::Text),
    ("version", Kind::Number),
    ("permission", Kind::Message(&PERMISSION)),
    ("region", Kind::Text),
    ("is_publisher", Kind::Flag),
    ("kind", Kind::Enum("STANDARD")),
    ("attributes", Kind::Map),
    ("disconnect_reason", Kind::Enum("UNKNOWN_REASON")),
    ("kind_details", Kind::List),
    ("data_tracks", Kind::Messages(&DATA_TRACK)),
    ("client_protocol", Kind::Number),
    ("capabilities", Kind::List),
]);

pub const TRACK: Shape = Shape(&[
    ("sid", Kind::Text),
    ("type", Kind::Enum("AUDIO")),
    ("name", Kind::Text),
    ("muted", Kind::Flag),
    ("width", Kind::Number),
    ("height", Kind::Number),
    ("simulcast", Kind::Flag),
    ("disable_dtx", Kind::Flag),
    ("source", Kind::Enum("UNKNOWN")),
    ("layers", Kind::Messages(&LAYER)),
    ("mime_type", Kind::Text),
    ("mid", Kind::Text),
    ("codecs", Kind::Messages(&SIMULCAST_CODEC)),
    ("stereo", Kind::Flag),
    ("disable_red", Kind::Flag),
    ("encryption", Kind::Enum("NONE")),
    ("stream", Kind::Text),
    ("version", Kind::Message(&VERSION)),
    ("audio_features", Kind::List),
    ("backup_codec_policy", Kind::Enum("PREFER_REGRESSION")),
    ("packet_trailer_features", Kind::List),
]);

pub const DISPATCH: Shape = Shape(&[
    ("id", Kind::Text),
    ("agent_name", Kind::Text),
    ("room", Kind::Text),
    ("metadata", Kind::Text),
    ("state", Kind::Message(&DISPATCH_STATE)),
    ("restart_policy", Kind::Enum("JRP_ON_FAILURE")),
    ("deployment", Kind::Text),
    ("attributes", Kind::Map),
]);

const DISPATCH_STATE: Shape =
    Shape(&[("jobs", Kind::Messages(&JOB)), ("created_at", Kind::Long), ("deleted_at", Kind::Long)]);

const JOB: Shape = Shape(&[
    ("id", Kind::Text),
    ("dispatch_id", Kind::Text),
    ("type", Kind::Enum("JT_ROOM")),
    ("room", Kind::Message(&ROOM)),
    ("participant", Kind::OptionalMessage(&PARTICIPANT)),
    ("namespace", Kind::Text),
    ("metadata", Kind::Text),
    ("agent_name", Kind::Text),
    ("state", Kind::Message(&JOB_STATE)),
    ("enable_recording", Kind::Flag),
    ("deployment", Kind::Text),
    ("attributes", Kind::Map),
    ("enable_redaction", Kind::Flag),
]);

const JOB_STATE: Shape = Shape(&[
    ("status", Kind::Enum("JS_PENDING")),
    ("error", Kind::Text),
    ("started_at", Kind::Long),
    ("ended_at", Kind::Long),
    ("updated_at", Kind::Long),
    ("participant_identity", Kind::Text),
    ("worker_id", Kind::Text),
    ("agent_id", Kind::Text),
]);

const CODEC: Shape = Shape(&[("mime", Kind::Text), ("fmtp_line", Kind::Text)]);

const VERSION: Shape = Shape(&[("unix_micro", Kind::Long), ("ticks", Kind::Number)]);

const PERMISSION: Shape = Shape(&[
    ("can_subscribe", Kind::Flag),
    ("can_publish", Kind::Flag),
    ("can_publish_data", Kind::Flag),
    ("can_publish_sources", Kind::List),
    ("hidden", Kind::Flag),
    ("recorder", Kind::Flag),
    ("can_update_metadata", Kind::Flag),
    ("agent", Kind::Flag),
    ("can_subscribe_metrics", Kind::Flag),
    ("can_manage_agent_session", Kind::Flag),
]);

const SIMULCAST_CODEC: Shape = Shape(&[
    ("mime_type", Kind::Text),
    ("mid", Kind::Text),
    ("cid", Kind::Text),
    ("layers", Kind::Messages(&LAYER)),
    ("video_layer_mode", Kind::Enum("MODE_UNUSED")),
    ("sdp_cid", Kind::Text),
]);

const LAYER: Shape = Shape(&[
    ("quality", Kind::Enum("LOW")),
    ("width", Kind::Number),
    ("height", Kind::Number),
    ("bitrate", Kind::Number),
    ("ssrc", Kind::Number),
    ("spatial_layer", Kind::Number),
    ("rid", Kind::Text),
    ("repair_ssrc", Kind::Number),
]);

const DATA_TRACK: Shape = Shape(&[
    ("pub_handle", Kind::Number),
    ("sid", Kind::Text),
    ("name", Kind::Text),
    ("encryption", Kind::Enum("NONE")),
    ("frame_encoding", Kind::OptionalMessage(&ENCODING)),
    ("schema", Kind::OptionalMessage(&SCHEMA)),
]);

const SCHEMA: Shape = Shape(&[("name", Kind::Text), ("encoding", Kind::Message(&ENCODING))]);

const ENCODING: Shape = Shape(&[("well_known", Kind::Optional), ("custom", Kind::Optional)]);

#[cfg(test)]
mod tests;

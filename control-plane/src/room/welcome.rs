//! The first message on a connection: `join` for who is new, `reconnect` for who resumes.

use livekit_protocol::{ClientConfiguration, Codec, JoinResponse, ParticipantInfo, ReconnectResponse};

use crate::config::CodecSpec;
use crate::room::client_configuration;
use crate::room::clock::Time;
use crate::room::info;
use crate::room::participant::Participant;
use crate::room::state::Room;
use crate::room::surroundings::Surroundings;

#[must_use]
pub fn join(now: Time, room: &Room, surroundings: &Surroundings, participant: &Participant) -> JoinResponse {
    let profile = &participant.profile;
    let configuration = client_configuration::of(&profile.client);
    JoinResponse {
        room: Some(info::room(room, &surroundings.config)),
        participant: Some(info::participant(room, participant)),
        other_participants: others(room, participant),
        server_version: surroundings.server_info.version.clone(),
        ice_servers: surroundings.ice_servers(now, &participant.profile.sid),
        subscriber_primary: !participant.single_peer_connection() && profile.subscriber_primary(),
        alternative_url: String::new(),
        enabled_publish_codecs: publish_codecs(
            &surroundings.config.room.enabled_codecs,
            configuration.as_ref(),
        ),
        client_configuration: configuration,
        server_region: surroundings.server_info.region.clone(),
        ping_timeout: PING_TIMEOUT_SECONDS,
        ping_interval: PING_INTERVAL_SECONDS,
        server_info: Some(surroundings.server_info.clone()),
        sif_trailer: room.record.sif_trailer.clone().into_bytes(),
        fast_publish: profile.claims.video.can_publish(),
    }
}

#[must_use]
pub fn reconnect(
    now: Time,
    surroundings: &Surroundings,
    participant: &Participant,
    last_message_seq: u32,
) -> ReconnectResponse {
    ReconnectResponse {
        ice_servers: surroundings.ice_servers(now, &participant.profile.sid),
        client_configuration: client_configuration::of(&participant.profile.client),
        server_info: Some(surroundings.server_info.clone()),
        last_message_seq,
    }
}

/// Everybody whom a participant may see, but itself.
#[must_use]
pub fn others(room: &Room, participant: &Participant) -> Vec<ParticipantInfo> {
    let others = room.participants.values().filter(|other| other.profile.sid != participant.profile.sid);
    others.filter(|other| !other.profile.hidden()).map(|other| info::participant(room, other)).collect()
}

/// Video first, VP8 and H264 at its head; RTX is not for clients to choose. As `participant.go` orders them.
fn publish_codecs(enabled: &[CodecSpec], configuration: Option<&ClientConfiguration>) -> Vec<Codec> {
    let disabled = configuration.and_then(|configuration| configuration.disabled_codecs.as_ref());
    let is_disabled = |mime: &str| {
        disabled.is_some_and(|disabled| {
            disabled.codecs.iter().chain(&disabled.publish).any(|codec| codec.mime.eq_ignore_ascii_case(mime))
        })
    };
    let mut codecs: Vec<&CodecSpec> = enabled.iter().collect();
    codecs.retain(|codec| !codec.mime.eq_ignore_ascii_case("video/rtx") && !is_disabled(&codec.mime));
    codecs.sort_by_key(|codec| match codec.mime.to_ascii_lowercase() {
        mime if mime == "video/vp8" => 0,
        mime if mime == "video/h264" => 1,
        mime if mime.starts_with("video/") => 2,
        _ => 3,
    });
    codecs.into_iter().map(info::codec).collect()
}

const PING_INTERVAL_SECONDS: i32 = 5;
const PING_TIMEOUT_SECONDS: i32 = 15;

#[cfg(test)]
mod tests {
    use super::publish_codecs;
    use crate::config::Config;

    #[test]
    fn codecs_to_publish_with_are_ordered_as_livekit_does() {
        let codecs = publish_codecs(&Config::default().room.enabled_codecs, None);
        let mimes: Vec<&str> = codecs.iter().map(|codec| codec.mime.as_str()).collect();
        let expected = [
            "video/VP8",
            "video/H264",
            "video/VP9",
            "video/AV1",
            "video/H265",
            "audio/PCMU",
            "audio/PCMA",
            "audio/opus",
            "audio/red",
        ];
        assert_eq!(mimes, expected);
    }
}

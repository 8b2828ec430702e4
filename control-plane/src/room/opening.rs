//! Opening: what a room is from the moment somebody wants to join it, or asks for it.

use livekit_protocol::{CreateRoomRequest, RoomConfiguration};

use crate::config::Config;
use crate::room::clock::Time;
use crate::room::join::Arrival;
use crate::room::mint::Mint;
use crate::room::playout_delay::PlayoutDelay;
use crate::room::state::{Record, Room};

/// The room that a client at the door would have: its token may say more than the name.
#[must_use]
pub fn wanted_by(arrival: &Arrival) -> CreateRoomRequest {
    let claims = &arrival.claims;
    let wish = claims.room_config.clone().unwrap_or_default();
    let request = CreateRoomRequest { name: arrival.room.clone(), ..CreateRoomRequest::default() };
    let request = or_else(request, &wish);
    CreateRoomRequest { metadata: wish.metadata, room_preset: claims.room_preset.clone(), ..request }
}

/// What the preset that a request names says, where the request itself says nothing. `None`: there is no such preset.
///
/// As in LiveKit v1.13.5 (`roomallocator.go`), a preset's metadata is nobody's.
#[must_use]
pub fn with_preset(config: &Config, request: CreateRoomRequest) -> Option<CreateRoomRequest> {
    if request.room_preset.is_empty() {
        return Some(request);
    }
    let preset = config.room.room_configurations.get(&request.room_preset)?;
    Some(or_else(request, preset))
}

/// A room as a request and the configuration want it.
#[must_use]
pub fn open(config: &Config, request: &CreateRoomRequest, worker: u16, now: Time, mint: &mut Mint) -> Room {
    let defaults = &config.room;
    Room::new(Record {
        id: mint.resource_id(),
        sid: mint.sid("RM_"),
        name: request.name.clone(),
        metadata: request.metadata.clone(),
        created_at: now,
        worker,
        empty_timeout_seconds: or(request.empty_timeout, defaults.empty_timeout),
        departure_timeout_seconds: or(request.departure_timeout, defaults.departure_timeout),
        max_participants: or(request.max_participants, defaults.max_participants),
        turn_password: mint.secret(),
        sif_trailer: mint.secret(),
        playout_delay: PlayoutDelay::of(
            (request.min_playout_delay, request.max_playout_delay),
            &defaults.playout_delay,
        ),
        sync_streams: request.sync_streams || defaults.sync_streams,
        agents: request.agents.clone(),
    })
}

fn or_else(request: CreateRoomRequest, other: &RoomConfiguration) -> CreateRoomRequest {
    CreateRoomRequest {
        empty_timeout: or(request.empty_timeout, other.empty_timeout),
        departure_timeout: or(request.departure_timeout, other.departure_timeout),
        max_participants: or(request.max_participants, other.max_participants),
        min_playout_delay: or(request.min_playout_delay, other.min_playout_delay),
        max_playout_delay: or(request.max_playout_delay, other.max_playout_delay),
        sync_streams: request.sync_streams || other.sync_streams,
        egress: request.egress.or_else(|| other.egress.clone()),
        agents: if request.agents.is_empty() { other.agents.clone() } else { request.agents },
        ..request
    }
}

const fn or(wish: u32, default: u32) -> u32 {
    if wish == 0 { default } else { wish }
}

#[cfg(test)]
mod tests {
    use livekit_protocol::RoomAgentDispatch;

    use super::*;

    #[test]
    fn a_tokens_wishes_are_the_rooms() {
        let mut arrival = crate::room::tests::arrival("alice");
        arrival.room = "r".to_owned();
        arrival.claims.room_preset = "lecture".to_owned();
        arrival.claims.room_config = Some(RoomConfiguration {
            name: "not this".to_owned(),
            empty_timeout: 7,
            departure_timeout: 8,
            max_participants: 9,
            metadata: "m".to_owned(),
            sync_streams: true,
            agents: vec![RoomAgentDispatch { agent_name: "a".to_owned(), ..Default::default() }],
            ..RoomConfiguration::default()
        });
        let request = wanted_by(&arrival);
        assert_eq!((request.name.as_str(), request.room_preset.as_str()), ("r", "lecture"));
        let record = open(&Config::default(), &request, 0, Time(0), &mut Mint::from_seed(1)).record;
        assert_eq!(
            (record.empty_timeout_seconds, record.departure_timeout_seconds, record.max_participants),
            (7, 8, 9)
        );
        assert_eq!((record.metadata.as_str(), record.sync_streams, record.agents.len()), ("m", true, 1));
    }

    #[test]
    fn request_goes_before_preset_before_configuration() {
        let mut config = Config::default();
        let agent = |name: &str| RoomAgentDispatch { agent_name: name.to_owned(), ..Default::default() };
        let preset = RoomConfiguration {
            empty_timeout: 7,
            departure_timeout: 8,
            metadata: "of the preset".to_owned(),
            sync_streams: true,
            agents: vec![agent("preset")],
            ..RoomConfiguration::default()
        };
        config.room.room_configurations.insert("lecture".to_owned(), preset);
        let request = CreateRoomRequest {
            name: "r".to_owned(),
            room_preset: "lecture".to_owned(),
            departure_timeout: 3,
            ..CreateRoomRequest::default()
        };
        let request = with_preset(&config, request).unwrap();
        let record = open(&config, &request, 0, Time(0), &mut Mint::from_seed(1)).record;
        assert_eq!((record.empty_timeout_seconds, record.departure_timeout_seconds), (7, 3));
        assert_eq!((record.max_participants, record.metadata.as_str()), (0, ""));
        assert!(record.sync_streams);
        assert_eq!(record.agents, [agent("preset")]);
        let own = CreateRoomRequest { agents: vec![agent("own")], ..request.clone() };
        assert_eq!(with_preset(&config, own).unwrap().agents, [agent("own")]);
        let unknown = CreateRoomRequest { room_preset: "concert".to_owned(), ..request };
        assert_eq!(with_preset(&config, unknown), None);
    }
}

//! `livekit.RoomService`: rooms and who is in them.

use std::time::SystemTime;

use futures_util::StreamExt;
use futures_util::stream;
use livekit_protocol::{
    CreateRoomRequest, DeleteRoomRequest, DeleteRoomResponse, ListParticipantsRequest,
    ListParticipantsResponse, ListRoomsRequest, ListRoomsResponse, MuteRoomTrackRequest,
    MuteRoomTrackResponse, ParticipantInfo, RemoveParticipantResponse, Room, RoomParticipantIdentity,
    SendDataRequest, SendDataResponse, UpdateParticipantRequest, UpdateRoomMetadataRequest,
    UpdateSubscriptionsRequest, UpdateSubscriptionsResponse,
};

use crate::api::error::{Code, Error};
use crate::api::performing::perform_rpc;
use crate::api::right::{Right, Scope};
use crate::api::service::Service;
use crate::auth::revocation::{Bearer, Subject};
use crate::http::Site;
use crate::room::admission::{attributes_len, limit_or_none};
use crate::room::call::{Answer, Call, CallError};

#[must_use]
pub fn service() -> Service {
    let identity: fn(&RoomParticipantIdentity) -> Scope<'_> = |request| Scope::room(&request.room);
    Service::new("RoomService")
        .method("CreateRoom", Right::CreateRoom, |_| Scope::default(), create_room)
        .method("ListRooms", Right::ListRooms, |_| Scope::default(), list_rooms)
        .method("DeleteRoom", Right::CreateRoom, |_| Scope::default(), delete_room)
        .method("ListParticipants", Right::Administer, |it| Scope::room(&it.room), list_participants)
        .method("GetParticipant", Right::Administer, identity, participant)
        .method("RemoveParticipant", Right::Administer, identity, remove_participant)
        .method("MutePublishedTrack", Right::Administer, |it| Scope::room(&it.room), mute_published_track)
        .method("UpdateParticipant", Right::Administer, |it| Scope::room(&it.room), update_participant)
        .method("UpdateSubscriptions", Right::Administer, |it| Scope::room(&it.room), update_subscriptions)
        .method("SendData", Right::Administer, |it| Scope::room(&it.room), send_data)
        .method("UpdateRoomMetadata", Right::Administer, |it| Scope::room(&it.room), update_room_metadata)
        .method("PerformRpc", Right::Administer, |it| Scope::room(&it.room), perform_rpc)
}

pub async fn create_room(site: Site, request: CreateRoomRequest) -> Result<Room, Error> {
    let limit = &site.config.now().limit;
    if request.egress.is_some() {
        return Err(Error::wrapped(Code::Internal, "egress not connected (redis required)"));
    }
    if request.name.is_empty() {
        return Err(Error::wrapped(Code::InvalidArgument, "no room name"));
    }
    if request.name.len() > limit_or_none(limit.max_room_name_length) {
        return Err(Error::wrapped(Code::InvalidArgument, "room name length exceeds limits"));
    }
    check_len("metadata size exceeds limits", request.metadata.len(), limit.max_metadata_size)?;
    if !request.node_id.is_empty() && request.node_id != site.registry.server_info().node_id {
        return Err(Error::wrapped(Code::NotFound, "could not find object"));
    }
    match site.registry.create(request).await {
        Ok(Answer::Room(room)) => Ok(*room),
        other => Err(unexpected(other)),
    }
}

async fn list_rooms(site: Site, request: ListRoomsRequest) -> Result<ListRoomsResponse, Error> {
    let mut names = site.registry.names();
    if !request.names.is_empty() {
        names.retain(|name| request.names.contains(name));
    }
    let registry = &site.registry;
    let described =
        stream::iter(names).map(|name| async move { registry.call(&name, Call::DescribeRoom).await });
    let described: Vec<_> = described.buffered(ASKED_AT_ONCE).collect().await;
    let rooms = described.into_iter().filter_map(|answer| match answer {
        Ok(Answer::Room(room)) => Some(*room),
        // It closed meanwhile.
        _ => None,
    });
    Ok(ListRoomsResponse { rooms: rooms.collect() })
}

async fn delete_room(site: Site, request: DeleteRoomRequest) -> Result<DeleteRoomResponse, Error> {
    match site.registry.call(&request.room, Call::DeleteRoom).await {
        Ok(Answer::Done) => Ok(DeleteRoomResponse {}),
        other => Err(unexpected(other)),
    }
}

/// Nobody is in a room that is not there.
async fn list_participants(
    site: Site,
    request: ListParticipantsRequest,
) -> Result<ListParticipantsResponse, Error> {
    match site.registry.call(&request.room, Call::ListParticipants).await {
        Ok(Answer::Participants(participants)) => Ok(ListParticipantsResponse { participants }),
        Err(CallError::RoomNotFound) => Ok(ListParticipantsResponse::default()),
        other => Err(unexpected(other)),
    }
}

async fn participant(site: Site, request: RoomParticipantIdentity) -> Result<ParticipantInfo, Error> {
    let call = Call::GetParticipant { identity: request.identity };
    match site.registry.call(&request.room, call).await {
        Ok(Answer::Participant(info)) => Ok(*info),
        // LiveKit keeps participants apart from rooms, and misses only them.
        Err(CallError::RoomNotFound) => Err(CallError::ParticipantNotFound.into()),
        other => Err(unexpected(other)),
    }
}

async fn remove_participant(
    site: Site,
    request: RoomParticipantIdentity,
) -> Result<RemoveParticipantResponse, Error> {
    // First, so that nobody comes back in between; but whether it is kept or not, the participant goes.
    let revoked = match u64::try_from(request.revoke_token_ts) {
        Ok(issued_from @ 1..) => {
            let bearer = Bearer::Identity(request.identity.clone());
            let subject = Subject { room: request.room.clone(), bearer };
            site.registry.revocations().revoke_before(SystemTime::now(), subject, issued_from)
        }
        _ => Ok(()),
    };
    let call = Call::RemoveParticipant { identity: request.identity };
    let removed = site.registry.call(&request.room, call).await;
    revoked?;
    match removed {
        Ok(Answer::Done) => Ok(RemoveParticipantResponse {}),
        Err(CallError::RoomNotFound | CallError::ParticipantNotFound) => {
            Err(Error::plain(Code::NotFound, "participant not found"))
        }
        other => Err(unexpected(other)),
    }
}

async fn mute_published_track(
    site: Site,
    request: MuteRoomTrackRequest,
) -> Result<MuteRoomTrackResponse, Error> {
    let room = request.room.clone();
    match site.registry.call(&room, Call::MutePublishedTrack(request)).await {
        Ok(Answer::Track(track)) => Ok(MuteRoomTrackResponse { track: Some(*track) }),
        other => Err(unexpected(other)),
    }
}

async fn update_participant(site: Site, request: UpdateParticipantRequest) -> Result<ParticipantInfo, Error> {
    let limit = &site.config.now().limit;
    let attributes = request.attributes.clone().into_iter().collect();
    check_len("name length exceeds limits", request.name.len(), limit.max_participant_name_length)?;
    check_len("metadata size exceeds limits", request.metadata.len(), limit.max_metadata_size)?;
    check_len("attribute size exceeds limits", attributes_len(&attributes), limit.max_attributes_size)?;
    let room = request.room.clone();
    match site.registry.call(&room, Call::UpdateParticipant(request)).await {
        Ok(Answer::Participant(info)) => Ok(*info),
        Err(CallError::RoomNotFound) => Err(CallError::ParticipantNotFound.into()),
        other => Err(unexpected(other)),
    }
}

async fn update_subscriptions(
    site: Site,
    request: UpdateSubscriptionsRequest,
) -> Result<UpdateSubscriptionsResponse, Error> {
    let room = request.room.clone();
    match site.registry.call(&room, Call::UpdateSubscriptions(request)).await {
        Ok(Answer::Done) => Ok(UpdateSubscriptionsResponse {}),
        other => Err(unexpected(other)),
    }
}

async fn send_data(site: Site, request: SendDataRequest) -> Result<SendDataResponse, Error> {
    if !matches!(request.nonce.len(), 0 | NONCE_LEN) {
        let len = request.nonce.len();
        let msg = format!("nonce should be 16-bytes or not present, got: {len} bytes");
        return Err(Error { code: Code::InvalidArgument, msg: msg.into(), meta: None });
    }
    let room = request.room.clone();
    match site.registry.call(&room, Call::SendData(request)).await {
        Ok(Answer::Done) => Ok(SendDataResponse {}),
        other => Err(unexpected(other)),
    }
}

async fn update_room_metadata(site: Site, request: UpdateRoomMetadataRequest) -> Result<Room, Error> {
    let UpdateRoomMetadataRequest { room, metadata } = request;
    check_len("metadata size exceeds limits", metadata.len(), site.config.now().limit.max_metadata_size)?;
    match site.registry.call(&room, Call::UpdateRoomMetadata { metadata }).await {
        Ok(Answer::Room(room)) => Ok(*room),
        other => Err(unexpected(other)),
    }
}

fn check_len(argument: &'static str, len: usize, max: usize) -> Result<(), Error> {
    if len > limit_or_none(max) { Err(Error::argument(argument, &max.to_string())) } else { Ok(()) }
}

/// An error that needs no words of its own here.
fn unexpected(answer: Result<Answer, CallError>) -> Error {
    match answer {
        Err(error) => error.into(),
        Ok(_) => Error::wrapped(Code::Internal, "operation cannot be completed"),
    }
}

/// A UUID, or nothing.
const NONCE_LEN: usize = 16;
/// Rooms that are asked at once, when all are listed.
const ASKED_AT_ONCE: usize = 64;

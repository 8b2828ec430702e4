//! `livekit.AgentDispatchService`: which agents a room has.

use livekit_protocol::{
    AgentDispatch, CreateAgentDispatchRequest, CreateRoomRequest, DeleteAgentDispatchRequest,
    ListAgentDispatchRequest, ListAgentDispatchResponse, Room,
};

use crate::agent::dispatching::{self, DispatchError};
use crate::api::error::{Code, Error};
use crate::api::right::{Right, Scope};
use crate::api::room_service;
use crate::api::service::Service;
use crate::http::Site;
use crate::room::call::{Answer, Call, CallError};

#[must_use]
pub fn service() -> Service {
    Service::new("AgentDispatchService")
        .method("CreateDispatch", Right::Administer, |it| Scope::room(&it.room), create_dispatch)
        .method("DeleteDispatch", Right::Administer, |it| Scope::room(&it.room), delete_dispatch)
        .method("ListDispatch", Right::Administer, |it| Scope::room(&it.room), list_dispatch)
}

/// Opens the room if that may be done without being asked, as LiveKit does.
async fn create_dispatch(site: Site, request: CreateAgentDispatchRequest) -> Result<AgentDispatch, Error> {
    let room = if site.config.now().room.auto_create {
        let wanted = CreateRoomRequest { name: request.room.clone(), ..CreateRoomRequest::default() };
        room_service::create_room(site.clone(), wanted).await?
    } else {
        described(site.registry.call(&request.room, Call::DescribeRoom).await)?
    };
    Ok(site.agents.change(|desk, now| dispatching::create(desk, now, &room, request))?)
}

async fn delete_dispatch(site: Site, request: DeleteAgentDispatchRequest) -> Result<AgentDispatch, Error> {
    let DeleteAgentDispatchRequest { dispatch_id, room } = request;
    Ok(site.agents.change(|desk, now| dispatching::delete(desk, now, &room, &dispatch_id))?)
}

async fn list_dispatch(
    site: Site,
    request: ListAgentDispatchRequest,
) -> Result<ListAgentDispatchResponse, Error> {
    let ListAgentDispatchRequest { dispatch_id, room } = request;
    let agent_dispatches = site.agents.change(|desk, _| dispatching::list(desk, &room, &dispatch_id))?;
    Ok(ListAgentDispatchResponse { agent_dispatches })
}

fn described(answer: Result<Answer, CallError>) -> Result<Room, Error> {
    match answer {
        Ok(Answer::Room(room)) => Ok(*room),
        Ok(_) => Err(Error::wrapped(Code::Internal, "unexpected answer")),
        Err(error) => Err(error.into()),
    }
}

impl From<DispatchError> for Error {
    fn from(error: DispatchError) -> Self {
        let code = match error {
            DispatchError::RoomNotFound | DispatchError::NotFound => Code::NotFound,
            DispatchError::TooMany => Code::ResourceExhausted,
            DispatchError::TooLarge => Code::InvalidArgument,
        };
        Self::wrapped(code, &error.to_string())
    }
}

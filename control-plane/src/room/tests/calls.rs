//! Calls of the server API: what they change, and what they are answered.

use livekit_protocol::leave_request::Action;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{DisconnectReason, LeaveRequest};

use super::{Heard, World, arrival};
use crate::room::call::{Answer, Call, CallError};

fn identities(answer: Option<Result<Answer, CallError>>) -> Vec<String> {
    match answer {
        Some(Ok(Answer::Participants(infos))) => infos.into_iter().map(|info| info.identity).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn hidden_participants_are_listed_too() {
    let mut world = World::new();
    assert_eq!(identities(world.call(Call::ListParticipants)), Vec::<String>::new());
    world.connect(arrival("alice"));
    let mut hidden = arrival("bob");
    hidden.claims.video.hidden = true;
    world.connect(hidden);
    assert_eq!(identities(world.call(Call::ListParticipants)), ["alice", "bob"]);
    let Some(Ok(Answer::Participant(info))) = world.call(Call::GetParticipant { identity: "bob".to_owned() })
    else {
        panic!("no bob")
    };
    assert!(info.permission.unwrap().hidden);
    let nobody = world.call(Call::GetParticipant { identity: "carol".to_owned() });
    assert_eq!(nobody, Some(Err(CallError::ParticipantNotFound)));
}

#[test]
fn who_is_removed_is_told_and_gone() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    world.connect(arrival("bob"));
    let remove = || Call::RemoveParticipant { identity: "alice".to_owned() };
    assert_eq!(world.call(remove()), Some(Ok(Answer::Done)));
    let leave = LeaveRequest {
        reason: DisconnectReason::ParticipantRemoved.into(),
        action: Action::Disconnect.into(),
        ..LeaveRequest::default()
    };
    let heard = world.heard.remove(&alice.connection).unwrap_or_default();
    assert!(heard.contains(&Heard::Message(Response::Leave(leave))), "{heard:?}");
    assert!(world.closed.contains(&alice.connection));
    assert_eq!(identities(world.call(Call::ListParticipants)), ["bob"]);
    assert_eq!(world.call(remove()), Some(Err(CallError::ParticipantNotFound)));
}

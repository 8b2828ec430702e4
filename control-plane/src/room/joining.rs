//! Joining: from a client at the door to a participant with its first responses.

use std::collections::BTreeMap;
use std::time::Duration;

use indexmap::IndexMap;
use livekit_protocol::client_info::Capability;
use livekit_protocol::{DisconnectReason, leave_request, signal_response};

use crate::negotiate::session::Session;
use crate::room::data::Data;
use crate::room::effect::{ConnectionId, Refused, Say};
use crate::room::join::{Arrival, JoinError, Limit, Name};
use crate::room::names::ParticipantSid;
use crate::room::participant::{Participant, Profile, Stage, Timers};
use crate::room::peer::Peer;
use crate::room::state::Room;
use crate::room::turn::Turn;
use crate::room::updating::Urgency;
use crate::room::{
    admission, data_tracks, keeping, leaving, negotiating, offering, publishing, quality, refreshing,
    resuming, subscribing, updating, welcome,
};

/// A client is at the door: it is let in, goes on where it was, or is denied.
pub fn arrive(turn: &mut Turn<'_>, connection: ConnectionId, arrival: &Arrival, last_message_sequence: u32) {
    if let Err(error) = admission::check(&turn.surroundings.config, arrival) {
        return deny(turn, connection, error);
    }
    if arrival.reconnect {
        resuming::resume(turn, connection, arrival, last_message_sequence);
    } else {
        join(turn, connection, arrival);
    }
}

fn join(turn: &mut Turn<'_>, connection: ConnectionId, arrival: &Arrival) {
    let former = turn.room.of_identity(&admission::identity(arrival));
    if former.is_none() && is_full(turn.room) && !arrival.claims.is_dependent() {
        return deny(turn, connection, JoinError::LimitReached(Limit::Participants));
    }
    // One who is away is no reason: it may be the same client, whose page was loaded anew.
    let is_there = former.as_ref().and_then(|former| turn.participant(former)?.connection).is_some();
    if is_there && turn.surroundings.config.room.refuse_duplicates {
        return deny(turn, connection, JoinError::DuplicateIdentity);
    }
    let profile = profile(turn, arrival);
    if keeping::profile_len(&profile) > keeping::PROFILE_LEN_MAX {
        return deny(turn, connection, JoinError::NameTooLong(Name::Metadata));
    }
    if let Some(former) = former {
        let action = leave_request::Action::Disconnect;
        leaving::dismiss(turn, &former, DisconnectReason::DuplicateIdentity, action);
    }
    let who = &profile.sid.clone();
    admit(turn, connection, profile, arrival.single_peer_connection);
    greet(turn, who);
    if arrival.single_peer_connection {
        subscribing::take_up(turn, who);
        for request in &arrival.add_track_requests {
            publishing::add_track(turn, who, request.clone());
        }
        if let Some(offer) = &arrival.publisher_offer {
            negotiating::offer(turn, who, offer);
        }
    } else {
        // Data channels only: the first tracks come with the offer after its answer.
        offering::offer(turn, who, &[]);
        subscribing::take_up(turn, who);
    }
    data_tracks::take_up(turn, who);
    turn.say(Say::Joined { connection, participant: who.clone() });
}

/// Agents and recorders are not counted: they come because of somebody else.
fn is_full(room: &Room) -> bool {
    let max = usize::try_from(room.record.max_participants).unwrap_or(usize::MAX);
    let participants = room.participants.values();
    max > 0 && participants.filter(|participant| !participant.profile.claims.is_dependent()).count() >= max
}

/// The response to the join, a token for later, and word to the others.
fn greet(turn: &mut Turn<'_>, who: &ParticipantSid) {
    let Some(participant) = turn.participant(who) else { return };
    let response = welcome::join(turn.now, turn.room, turn.surroundings, participant);
    turn.send(who, signal_response::Message::Join(response));
    if let Some(participant) = turn.participant_mut(who) {
        participant.profile.stage = Stage::Joined;
    }
    refreshing::refresh(turn, who);
    updating::announce(turn, who, Urgency::Batch);
    updating::recount(turn);
}

fn admit(turn: &mut Turn<'_>, connection: ConnectionId, profile: Profile, single_peer_connection: bool) {
    // Both on one worker: what one receives may concern the other.
    let worker = turn.surroundings.next_worker;
    let publisher = mint_peer(turn, |turn| Session::answerer(turn.mint.ice_credentials(worker)));
    let subscriber = (!single_peer_connection)
        .then(|| mint_peer(turn, |turn| Session::offerer(turn.mint.ice_credentials(worker), true)));
    let sid = profile.sid.clone();
    let participant = Participant {
        publisher,
        subscriber,
        subscriptions: IndexMap::new(),
        tracks: Vec::new(),
        connection: Some(connection),
        absent_since: None,
        timers: Timers { join: Some(turn.now.after(JOIN_TIMEOUT)), ..Timers::default() },
        denied: Vec::new(),
        wishes: BTreeMap::new(),
        queued: Vec::new(),
        score: quality::SCORE_MAX,
        sabotage: None,
        profile,
    };
    let peers: Vec<u64> = participant.peers().map(|peer| peer.id).collect();
    for id in peers {
        turn.room.directory.peers.insert(id, sid.clone());
        turn.touch_peer(id);
    }
    turn.room.directory.routes.insert(participant.profile.route, sid.clone());
    turn.room.connections.insert(connection, sid.clone());
    turn.touch_participant(&sid);
    turn.room.participants.insert(sid, participant);
    turn.room.timers.close = None;
    let quality = turn.now.after(quality::INTERVAL);
    turn.room.timers.quality.get_or_insert(quality);
}

fn mint_peer(turn: &mut Turn<'_>, session: impl Fn(&mut Turn<'_>) -> Session) -> Peer {
    let session = session(turn);
    let (id, worker) = (turn.mint.resource_id(), turn.surroundings.next_worker);
    Peer::new(id, worker, session, turn.mint.ssrc(|_| false), turn.mint.description_id())
}

fn profile(turn: &mut Turn<'_>, arrival: &Arrival) -> Profile {
    let mut settings = arrival.settings;
    // A second connection that only publishes.
    settings.auto_subscribe &= arrival.publish.is_none();
    settings.auto_subscribe_data_track =
        settings.auto_subscribe_data_track.filter(|_| arrival.publish.is_none());
    let mut client = arrival.client.clone();
    client.address = arrival.remote_address.to_string();
    // Others are told of them, some in JSON, which has no words for the unknown.
    client.capabilities.retain(|capability| Capability::try_from(*capability).is_ok());
    client.capabilities.truncate(CAPABILITIES_MAX);
    Profile {
        sid: ParticipantSid(turn.mint.sid("PA_")),
        identity: admission::identity(arrival),
        name: arrival.claims.name.clone(),
        metadata: admission::metadata(arrival).to_owned(),
        attributes: admission::attributes(arrival),
        client,
        settings,
        joined_at: turn.now,
        stage: Stage::Joining,
        version: 0,
        publishes: false,
        route: turn.mint.resource_id(),
        permission: None,
        one_shot: arrival.one_shot,
        choices: BTreeMap::new(),
        data: Data::default(),
        claims: arrival.claims.clone(),
    }
}

fn deny(turn: &mut Turn<'_>, connection: ConnectionId, error: JoinError) {
    turn.refuse(Refused::Join);
    turn.say(Say::Denied { connection, error });
}

/// More than there are.
const CAPABILITIES_MAX: usize = 16;
/// LiveKit's: a participant without a transport is removed after this.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(60);

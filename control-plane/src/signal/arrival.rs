//! From an HTTP request to a room's door: token, query and join request become one [`Arrival`].
//!
//! Order and texts of the checks follow LiveKit v1.13.5 (`pkg/service/rtcservice.go`, `utils.go`), but nothing is
//! unpacked for a client without a valid token.

use std::net::IpAddr;

use axum::http::HeaderMap;
use livekit_protocol::{AddTrackRequest, ClientInfo, ConnectionSettings, JoinRequest, SessionDescription};

use crate::auth::grants::Claims;
use crate::room::join::Arrival;
use crate::signal::client;
use crate::signal::query::Query;
use crate::signal::status::Rejection;
use crate::signal::wrapped_join;

/// `/rtc` or `/rtc/v1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    V0,
    V1,
}

/// What the attributes parameter gets when it cannot be read: `validate` tells, a join goes on without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    Strict,
    Lenient,
}

pub fn arrival(
    path: Path,
    strictness: Strictness,
    query: &Query,
    claims: Option<Claims>,
    headers: &HeaderMap,
    remote_address: IpAddr,
) -> Result<Arrival, Rejection> {
    let join_request = query.text("join_request");
    // Before the token is looked at: deployments probe `/rtc/v1/validate` without one and expect this text.
    if path == Path::V1 && join_request.is_empty() {
        return Err(Rejection::NO_JOIN_REQUEST);
    }
    let claims = claims.ok_or(Rejection::NO_PERMISSION)?;
    if !claims.video.room_join {
        return Err(Rejection::PERMISSIONS_DENIED);
    }
    let mut arrival = if join_request.is_empty() {
        from_query(query, strictness, claims, remote_address)?
    } else {
        from_join_request(wrapped_join::decode(join_request)?, claims, remote_address)
    };
    client::augment(&mut arrival.client, headers, remote_address);
    arrival.room = room_name(&arrival.claims, query)?;
    // An empty value deletes an attribute, and a client may not delete what its token says.
    arrival.participant_attributes.retain(|_, value| !value.is_empty());
    check(&arrival)?;
    Ok(arrival)
}

/// A client whose only words are an offer: WHIP and WHEP.
#[derive(Clone, Debug)]
pub struct OneShot {
    pub offer: String,
    pub tracks: Vec<AddTrackRequest>,
    pub subscribes: bool,
}

pub fn one_shot(
    query: &Query,
    claims: Claims,
    headers: &HeaderMap,
    remote_address: IpAddr,
    said: OneShot,
) -> Result<Arrival, Rejection> {
    let offer = SessionDescription {
        r#type: "offer".to_owned(),
        sdp: said.offer,
        id: 1,
        ..SessionDescription::default()
    };
    let request = JoinRequest {
        client_info: Some(ClientInfo { protocol: ONE_SHOT_PROTOCOL, ..ClientInfo::default() }),
        connection_settings: Some(ConnectionSettings {
            auto_subscribe: said.subscribes,
            ..ConnectionSettings::default()
        }),
        add_track_requests: said.tracks,
        publisher_offer: Some(offer),
        ..JoinRequest::default()
    };
    let mut arrival = Arrival { one_shot: true, ..from_join_request(request, claims, remote_address) };
    client::augment(&mut arrival.client, headers, remote_address);
    arrival.room = room_name(&arrival.claims, query)?;
    check(&arrival)?;
    Ok(arrival)
}

/// A join request means one peer connection, on `/rtc` too.
fn from_join_request(request: JoinRequest, claims: Claims, remote_address: IpAddr) -> Arrival {
    let reconnect_reason = request.reconnect_reason();
    Arrival {
        room: String::new(),
        claims,
        client: request.client_info.unwrap_or_default(),
        settings: request.connection_settings.unwrap_or_default(),
        single_peer_connection: true,
        one_shot: false,
        publish: None,
        participant_attributes: request.participant_attributes,
        metadata: request.metadata,
        add_track_requests: request.add_track_requests,
        publisher_offer: request.publisher_offer,
        reconnect: request.reconnect,
        reconnect_reason,
        participant_sid: request.participant_sid,
        sync_state: request.sync_state,
        remote_address,
    }
}

fn from_query(
    query: &Query,
    strictness: Strictness,
    claims: Claims,
    remote_address: IpAddr,
) -> Result<Arrival, Rejection> {
    let reconnect = query.flag("reconnect");
    let attributes = query.attributes();
    if attributes.is_none() && strictness == Strictness::Strict {
        return Err(Rejection::BAD_ATTRIBUTES);
    }
    Ok(Arrival {
        room: String::new(),
        claims,
        client: client::from_query(query),
        settings: query.settings(),
        single_peer_connection: false,
        one_shot: false,
        publish: Some(query.text("publish").to_owned()).filter(|publish| !publish.is_empty()),
        participant_attributes: attributes.unwrap_or_default(),
        metadata: String::new(),
        add_track_requests: Vec::new(),
        publisher_offer: None,
        reconnect,
        reconnect_reason: query.reconnect_reason(),
        participant_sid: if reconnect { query.text("sid").to_owned() } else { String::new() },
        sync_state: None,
        remote_address,
    })
}

/// A token for one room goes before the parameter.
fn room_name(claims: &Claims, query: &Query) -> Result<String, Rejection> {
    let granted = claims.video.room.as_str();
    let name = if granted.is_empty() { query.text("room") } else { granted };
    if name.is_empty() {
        return Err(Rejection::NO_ROOM_NAME);
    }
    Ok(name.to_owned())
}

fn check(arrival: &Arrival) -> Result<(), Rejection> {
    let grant = &arrival.claims.video;
    if arrival.claims.identity.is_empty() {
        return Err(Rejection::NO_IDENTITY);
    }
    if arrival.publish.is_some() && !grant.can_publish() {
        return Err(Rejection::NO_PERMISSION);
    }
    let changes_itself = !arrival.metadata.is_empty() || !arrival.participant_attributes.is_empty();
    if changes_itself && !grant.can_update_own_metadata() {
        return Err(Rejection::NO_PERMISSION);
    }
    Ok(())
}

/// Nothing that depends on it is ever said to such a client.
const ONE_SHOT_PROTOCOL: i32 = 16;

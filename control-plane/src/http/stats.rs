//! `GET /stats`: what this server does now, by room and by participant, as JSON. Metrics have no such labels.
//!
//! With `roomList`: the server, its rooms, and the counts of each of them by `?room=`. With `roomAdmin` and `room`: that
//! room and who is in it. `?participant=` leaves out the others.

use axum::extract::{Extension, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::auth::grants::{Claims, VideoGrant};
use crate::http::Site;
use crate::http::health;
use crate::room::call::{Answer, Call, CallError};
use crate::room::census::Counts;
use crate::signal::query::Query;
use crate::signal::status::{Rejection, text};

pub async fn stats(
    State(site): State<Site>,
    claims: Option<Extension<Claims>>,
    RawQuery(query): RawQuery,
) -> Response {
    let grant = claims.map(|Extension(claims)| claims.video).unwrap_or_default();
    let query = Query::parse(&query.unwrap_or_default());
    match subject(&grant, query.text("room")) {
        Some(Subject::Server) => axum::Json(server(&site)).into_response(),
        Some(Subject::Counts(name)) => counts(&site, &name),
        Some(Subject::Room(name)) => room(&site, &name, query.text("participant")).await,
        None => Rejection::PERMISSIONS_DENIED.into_response(),
    }
}

/// What a request is about.
#[derive(Debug, PartialEq, Eq)]
enum Subject {
    Server,
    /// Of a room, without who is in it.
    Counts(String),
    Room(String),
}

/// `None`: the token does not allow it.
fn subject(grant: &VideoGrant, room: &str) -> Option<Subject> {
    let administers = grant.room_admin && !grant.room.is_empty();
    match room {
        "" if grant.room_list => Some(Subject::Server),
        "" => administers.then(|| Subject::Room(grant.room.clone())),
        room if administers && room == grant.room => Some(Subject::Room(room.to_owned())),
        room => grant.room_list.then(|| Subject::Counts(room.to_owned())),
    }
}

fn server(site: &Site) -> Value {
    let mut rooms = site.registry.rooms();
    let all = rooms.len();
    rooms.sort_by(|(one, _), (other, _)| one.cmp(other));
    rooms.truncate(ROOMS_MAX);
    let rooms: Vec<Value> =
        rooms.iter().map(|(name, counts)| with_counts(json!({ "name": name }), counts)).collect();
    let info = site.registry.server_info();
    let planes = site.registry.planes().all().iter().map(|plane| {
        let workers = plane.load();
        let workers = workers.iter().map(|worker| {
            json!({ "rooms": worker.rooms, "peers": worker.peers, "busy_permille": worker.busy_permille })
        });
        json!({
            "attached": plane.attached().is_some(),
            "bytes_per_second": plane.bytes_per_second().round(),
            "workers": workers.collect::<Vec<_>>(),
        })
    });
    let node = json!({
        "node_id": info.node_id,
        "region": info.region,
        "version": env!("CARGO_PKG_VERSION"),
        "ready": health::is_ready(site),
        "rooms": all,
        "connections": site.connections.len(),
    });
    json!({
        "server": with_counts(node, &site.registry.counts()),
        "media_planes": planes.collect::<Vec<_>>(),
        "rooms": rooms,
        "rooms_left_out": all.saturating_sub(ROOMS_MAX),
    })
}

fn with_counts(mut value: Value, counts: &Counts) -> Value {
    value["participants"] = counts.participants.into();
    value["tracks"] = counts.tracks.into();
    value["video_tracks"] = counts.video_tracks.into();
    value["subscriptions"] = counts.subscriptions.into();
    value
}

fn counts(site: &Site, name: &str) -> Response {
    match site.registry.rooms().iter().find(|(known, _)| known == name) {
        Some((name, counts)) => axum::Json(with_counts(json!({ "name": name }), counts)).into_response(),
        None => text(StatusCode::NOT_FOUND, "requested room does not exist"),
    }
}

async fn room(site: &Site, name: &str, identity: &str) -> Response {
    let identity = Some(identity.to_owned()).filter(|identity| !identity.is_empty());
    match site.registry.call(name, Call::Statistics { identity }).await {
        Ok(Answer::Statistics(statistics)) => axum::Json(statistics).into_response(),
        Err(CallError::Unavailable) => text(StatusCode::SERVICE_UNAVAILABLE, "no media plane is attached"),
        Ok(_) | Err(_) => text(StatusCode::NOT_FOUND, "requested room does not exist"),
    }
}

const ROOMS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_see_what() {
        let list = VideoGrant { room_list: true, ..VideoGrant::default() };
        let admin = VideoGrant { room_admin: true, room: "r".into(), ..VideoGrant::default() };
        let join = VideoGrant { room_join: true, room: "r".into(), ..VideoGrant::default() };
        let both = VideoGrant { room_list: true, ..admin.clone() };
        let nowhere = VideoGrant { room_admin: true, ..VideoGrant::default() };
        let room = |name: &str| Some(Subject::Room(name.to_owned()));
        for (name, grant, asked, expected) in [
            ("no token", &VideoGrant::default(), "", None),
            ("who lists sees the server", &list, "", Some(Subject::Server)),
            ("and how many are in every room", &list, "r", Some(Subject::Counts("r".to_owned()))),
            ("who does both sees who is in that room", &both, "r", room("r")),
            ("and how many are in another", &both, "s", Some(Subject::Counts("s".to_owned()))),
            ("and the server", &both, "", Some(Subject::Server)),
            ("who administers sees that room", &admin, "r", room("r")),
            ("by itself", &admin, "", room("r")),
            ("and no other", &admin, "s", None),
            ("of a room with a name", &nowhere, "", None),
            ("who joins sees nothing", &join, "r", None),
        ] {
            assert_eq!(subject(grant, asked), expected, "{name}");
        }
    }
}

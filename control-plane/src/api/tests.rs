//! Statuses and texts of the server API, as a client sees them: without a media plane, so without rooms.

use std::time::{Duration, SystemTime};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use livekit_protocol::{ListRoomsRequest, ListRoomsResponse};
use prost::Message;
use serde_json::{Value, json};

use crate::auth::grants::{Claims, SipGrant, VideoGrant};
use crate::auth::revocation::{Bearer, Subject};
use crate::config::Config;
use crate::http::fixture::{self, keys};
use crate::http::{Site, answer, routes};
use crate::metrics;

fn site() -> Site {
    fixture::site(Config::default(), "ND_us")
}

fn token(claims: Claims) -> String {
    keys().sign(SystemTime::now(), "key", &claims, Duration::from_secs(60)).unwrap()
}

/// May do everything, in room `r`.
fn master() -> Claims {
    let video = VideoGrant {
        room_create: true,
        room_list: true,
        room_record: true,
        room_admin: true,
        ingress_admin: true,
        room: "r".to_owned(),
        ..VideoGrant::default()
    };
    Claims { video, sip: Some(SipGrant { admin: true, call: true }), ..Claims::default() }
}

/// A request that is right in everything: cases change one thing.
struct Call {
    verb: &'static str,
    path: String,
    content_type: &'static str,
    claims: Option<Claims>,
    body: Vec<u8>,
}

impl Call {
    fn of(method: &str, body: &Value) -> Self {
        Self {
            verb: "POST",
            path: format!("/twirp/livekit.{method}"),
            content_type: "application/json",
            claims: Some(master()),
            body: body.to_string().into_bytes(),
        }
    }

    fn with(self, claims: Claims) -> Self {
        Self { claims: Some(claims), ..self }
    }

    async fn send(self, site: &Site) -> (u16, String, Vec<u8>) {
        let mut request =
            Request::builder().method(self.verb).uri(&self.path).header("content-type", self.content_type);
        if let Some(claims) = self.claims {
            request = request.header("authorization", format!("Bearer {}", token(claims)));
        }
        let request = request.body(Body::from(self.body)).unwrap();
        let response = answer(site.clone(), routes(site.clone()), request).await.unwrap();
        let status = response.status().as_u16();
        let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        (status, content_type, to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec())
    }
}

fn denied() -> (u16, Value) {
    (401, json!({ "code": "unauthenticated", "msg": "permissions denied" }))
}

fn error(status: u16, code: &str, msg: &str) -> (u16, Value) {
    (status, json!({ "code": code, "msg": msg }))
}

fn argument(argument: &str, limit: &str) -> (u16, Value) {
    let msg = format!("{argument} {limit}");
    (400, json!({ "code": "invalid_argument", "msg": msg, "meta": { "argument": argument } }))
}

fn bad_route(msg: &str, route: &str) -> (u16, Value) {
    (404, json!({ "code": "bad_route", "msg": msg, "meta": { "twirp_invalid_route": route } }))
}

#[tokio::test]
async fn statuses_and_texts_are_livekits() {
    let site = site();
    let room = json!({ "room": "r" });
    let alice = json!({ "room": "r", "identity": "alice" });
    let participant = || Call::of("RoomService/GetParticipant", &alice);
    let nobody = || Claims::default();
    let without = |change: fn(&mut VideoGrant)| {
        let mut claims = master();
        change(&mut claims.video);
        claims
    };
    let long = |len: usize| "x".repeat(len);
    let no_redis = |what: &str| {
        error(500, "internal", &format!("twirp error unknown: {what} not connected (redis required)"))
    };
    let missing = error(404, "not_found", "twirp error unknown: requested room does not exist");
    let unknown = error(404, "not_found", "twirp error unknown: participant does not exist");
    let malformed = error(400, "malformed", "the json request could not be decoded");
    let path = "/twirp/livekit.RoomService/GetParticipant";
    for (name, call, expected) in [
        ("no token", Call { claims: None, ..participant() }, denied()),
        ("no grant", participant().with(nobody()), denied()),
        ("no admin", participant().with(without(|video| video.room_admin = false)), denied()),
        ("another room", participant().with(without(|video| video.room = "s".to_owned())), denied()),
        ("no room", participant().with(without(|video| video.room = String::new())), denied()),
        (
            "no right to create",
            Call::of("RoomService/CreateRoom", &room).with(without(|video| video.room_create = false)),
            denied(),
        ),
        (
            "no right to delete",
            Call::of("RoomService/DeleteRoom", &room).with(without(|video| video.room_create = false)),
            denied(),
        ),
        (
            "no right to list",
            Call::of("RoomService/ListRooms", &json!({})).with(without(|video| video.room_list = false)),
            denied(),
        ),
        ("egress without the right", Call::of("Egress/ListEgress", &json!({})).with(nobody()), denied()),
        ("ingress without the right", Call::of("Ingress/ListIngress", &json!({})).with(nobody()), denied()),
        ("SIP without the right", Call::of("SIP/ListSIPInboundTrunk", &json!({})).with(nobody()), denied()),
        ("egress", Call::of("Egress/ListEgress", &json!({})), no_redis("egress")),
        ("ingress", Call::of("Ingress/ListIngress", &json!({})), no_redis("ingress")),
        ("SIP", Call::of("SIP/ListSIPDispatchRule", &json!({})), no_redis("sip")),
        ("SIP call", Call::of("SIP/CreateSIPParticipant", &json!({})), no_redis("sip")),
        (
            "a room with egress",
            Call::of("RoomService/CreateRoom", &json!({ "name": "r", "egress": {} })),
            no_redis("egress"),
        ),
        (
            "GET",
            Call { verb: "GET", ..participant() },
            bad_route(r#"unsupported method "GET" (only POST is allowed)"#, &format!("GET {path}")),
        ),
        (
            "unknown method",
            Call::of("RoomService/BurnRoom", &room),
            bad_route(
                r#"no handler for path "/twirp/livekit.RoomService/BurnRoom""#,
                "POST /twirp/livekit.RoomService/BurnRoom",
            ),
        ),
        (
            "wrong content type",
            Call { content_type: "text/plain", ..participant() },
            bad_route(r#"unexpected Content-Type: "text/plain""#, &format!("POST {path}")),
        ),
        ("bad JSON", Call { body: b"{".to_vec(), ..participant() }, malformed.clone()),
        ("bad JSON of a stranger", Call { body: b"{".to_vec(), claims: None, ..participant() }, denied()),
        (
            "bad protobuf",
            Call { body: vec![0xff; 9], content_type: "application/protobuf", ..participant() },
            error(400, "malformed", "the protobuf request could not be decoded"),
        ),
        (
            "too large",
            Call { body: vec![b' '; 1024 * 1024 + 1], ..participant() },
            error(400, "invalid_argument", "the request is larger than 1048576 bytes"),
        ),
        ("GetParticipant of nobody", participant(), unknown.clone()),
        (
            "parameters of the content type",
            Call { content_type: "Application/JSON;charset=UTF-8", ..participant() },
            unknown.clone(),
        ),
        ("double slash", Call { path: format!("/{path}"), ..participant() }, unknown.clone()),
        (
            "RemoveParticipant of nobody",
            Call::of("RoomService/RemoveParticipant", &alice),
            error(404, "not_found", "participant not found"),
        ),
        ("UpdateParticipant of nobody", Call::of("RoomService/UpdateParticipant", &alice), unknown),
        ("DeleteRoom", Call::of("RoomService/DeleteRoom", &room), missing.clone()),
        ("UpdateRoomMetadata", Call::of("RoomService/UpdateRoomMetadata", &room), missing.clone()),
        ("MutePublishedTrack", Call::of("RoomService/MutePublishedTrack", &alice), missing.clone()),
        ("UpdateSubscriptions", Call::of("RoomService/UpdateSubscriptions", &alice), missing.clone()),
        ("SendData", Call::of("RoomService/SendData", &room), missing.clone()),
        ("ListDispatch", Call::of("AgentDispatchService/ListDispatch", &room), missing.clone()),
        ("DeleteDispatch", Call::of("AgentDispatchService/DeleteDispatch", &room), missing),
        (
            "a dispatch for another room",
            Call::of("AgentDispatchService/CreateDispatch", &json!({ "room": "s", "agent_name": "a" })),
            denied(),
        ),
        (
            "a nonce of 2 bytes",
            Call::of("RoomService/SendData", &json!({ "room": "r", "nonce": "aGk=" })),
            error(400, "invalid_argument", "nonce should be 16-bytes or not present, got: 2 bytes"),
        ),
        (
            "a room without a name",
            Call::of("RoomService/CreateRoom", &json!({})),
            error(400, "invalid_argument", "twirp error unknown: no room name"),
        ),
        (
            "a room with a long name",
            Call::of("RoomService/CreateRoom", &json!({ "name": long(257) })),
            error(400, "invalid_argument", "twirp error unknown: room name length exceeds limits"),
        ),
        (
            "a room with much metadata",
            Call::of("RoomService/CreateRoom", &json!({ "name": "r", "metadata": long(524_289) })),
            argument("metadata size exceeds limits", "524288"),
        ),
        (
            "a room of an unknown preset",
            Call::of("RoomService/CreateRoom", &json!({ "name": "r", "roomPreset": "x" })),
            error(
                400,
                "invalid_argument",
                "twirp error unknown: unknown room configuration in create room request",
            ),
        ),
        (
            "a room on another node",
            Call::of("RoomService/CreateRoom", &json!({ "name": "r", "node_id": "ND_other" })),
            error(404, "not_found", "twirp error unknown: could not find object"),
        ),
        (
            "a room where there is no media plane",
            Call::of("RoomService/CreateRoom", &json!({ "name": "r", "nodeId": "ND_us" })),
            error(503, "unavailable", "twirp error unknown: no media plane is attached"),
        ),
        (
            "long name",
            Call::of("RoomService/UpdateParticipant", &json!({ "room": "r", "name": long(257) })),
            argument("name length exceeds limits", "256"),
        ),
        (
            "much metadata",
            Call::of("RoomService/UpdateParticipant", &json!({ "room": "r", "metadata": long(524_289) })),
            argument("metadata size exceeds limits", "524288"),
        ),
        (
            "many attributes",
            Call::of(
                "RoomService/UpdateParticipant",
                &json!({ "room": "r", "attributes": { "a": long(65_536) } }),
            ),
            argument("attribute size exceeds limits", "65536"),
        ),
        (
            "much metadata of a room",
            Call::of("RoomService/UpdateRoomMetadata", &json!({ "room": "r", "metadata": long(524_289) })),
            argument("metadata size exceeds limits", "524288"),
        ),
        ("no rooms", Call::of("RoomService/ListRooms", &json!({})), (200, json!({ "rooms": [] }))),
        (
            "nobody in a room that is not there",
            Call::of("RoomService/ListParticipants", &room),
            (200, json!({ "participants": [] })),
        ),
    ] {
        let (status, content_type, body) = call.send(&site).await;
        let body: Value = serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((status, body), expected, "{name}");
        assert_eq!(content_type, "application/json", "{name}");
    }
}

#[tokio::test]
async fn what_is_not_served_is_no_path() {
    let site = site();
    for method in ["Connector/DialWhatsAppCall", "PhoneNumberService/ListPhoneNumbers", "RoomService"] {
        let (status, content_type, body) = Call::of(method, &json!({})).send(&site).await;
        assert_eq!((status, body.as_slice()), (404, &b"404 page not found\n"[..]), "{method}");
        assert_eq!(content_type, "text/plain; charset=utf-8", "{method}");
    }
}

#[tokio::test]
async fn protobuf_is_answered_with_protobuf() {
    let site = site();
    let body = ListRoomsRequest { names: vec!["r".to_owned()] }.encode_to_vec();
    let call = Call::of("RoomService/ListRooms", &json!({}));
    let call = Call { content_type: "application/protobuf", body, ..call };
    let (status, content_type, body) = call.send(&site).await;
    assert_eq!((status, content_type.as_str()), (200, "application/protobuf"));
    assert_eq!(ListRoomsResponse::decode(body.as_slice()).unwrap(), ListRoomsResponse::default());
}

fn revoke(body: &Value) -> Call {
    let call = Call::of("", body);
    Call { path: "/twirp/millrace.RevocationService/Revoke".to_owned(), ..call }
}

#[tokio::test]
async fn a_revoked_token_is_good_for_nothing_until_that_is_lifted() {
    let site = site();
    let bearer = || Claims { token_id: "t1".to_owned(), ..master() };
    let list = || Call::of("RoomService/ListRooms", &json!({})).with(bearer());
    assert_eq!(list().send(&site).await.0, 200);
    for (name, body, expected) in [
        ("of nobody", json!({ "until": "4102444800" }), 400),
        ("of two", json!({ "identity": "a", "tokenId": "t1", "until": 4_102_444_800_u64 }), 400),
        ("by a name too long", json!({ "identity": "x".repeat(1_025), "until": 4_102_444_800_u64 }), 400),
        ("in another room", json!({ "room": "s", "token_id": "t1", "until": 0 }), 401),
        ("without a time", json!({ "room": "r", "token_id": "t1" }), 400),
        ("without a time, said", json!({ "room": "r", "token_id": "t1", "until": null }), 400),
        ("in the room of the grant", json!({ "room": "r", "token_id": "t1", "until": "4102444800" }), 200),
    ] {
        assert_eq!(revoke(&body).send(&site).await.0, expected, "{name}");
    }
    assert_eq!(list().send(&site).await.0, 200, "it is one room's ban");
    let (status, _, body) = revoke(&json!({ "tokenId": "t1", "until": 4_102_444_800_u64 })).send(&site).await;
    assert_eq!((status, body.as_slice()), (200, &br#"{"removed":0}"#[..]));
    let (status, _, body) = list().send(&site).await;
    assert_eq!((status, body.as_slice()), (401, &b"invalid token, error: token is revoked"[..]));
    assert_eq!(revoke(&json!({ "tokenId": "t1", "until": 0 })).send(&site).await.0, 200);
    assert_eq!(list().send(&site).await.0, 200);
}

#[tokio::test]
async fn who_is_not_kept_from_coming_back_is_an_error() {
    let site = site();
    let remove = |name: &str| json!({ "room": "r", "identity": name, "revokeTokenTs": "1800000000" });
    let ban = |name: &str| json!({ "room": "r", "identity": name, "until": "4102444800" });
    let long = "x".repeat(1_025);
    let removal = |name: &str| Call::of("RoomService/RemoveParticipant", &remove(name));
    assert_eq!(removal(&long).send(&site).await.0, 400);
    assert_eq!(revoke(&ban(&long)).send(&site).await.0, 400);
    assert!(site.registry.revocations().is_empty());
    for index in 0..4_096 {
        let bearer = Bearer::Identity(index.to_string());
        let subject = Subject { room: "r".to_owned(), bearer };
        site.registry.revocations().ban(SystemTime::now(), subject, u64::MAX).unwrap();
    }
    assert_eq!(removal("alice").send(&site).await.0, 429);
    assert_eq!(revoke(&ban("alice")).send(&site).await.0, 429);
    assert_eq!(removal("7").send(&site).await.0, 404, "it is kept, and nobody is there");
}

#[tokio::test]
async fn calls_are_counted_by_names_that_we_gave() {
    let site = site();
    Call::of("RoomService/ListRooms", &json!({})).send(&site).await;
    Call::of("RoomService/ListRooms", &json!({})).with(Claims::default()).send(&site).await;
    Call::of("RoomService/x", &json!({})).send(&site).await;
    Call::of("x/x", &json!({})).send(&site).await;
    let text = metrics::render(&site).await.unwrap();
    let rows: Vec<&str> =
        text.lines().filter(|line| line.starts_with("livekit_node_twirp_request_status{")).collect();
    let has = |method: &str, status: &str, code: &str| {
        let wanted = [
            format!("method=\"{method}\""),
            format!("status=\"{status}\""),
            format!("code=\"{code}\""),
            "service=\"RoomService\"".to_owned(),
        ];
        rows.iter().any(|row| wanted.iter().all(|label| row.contains(label)) && row.ends_with(" 1"))
    };
    assert!(has("ListRooms", "200", ""), "{rows:?}");
    assert!(has("ListRooms", "4xx", "unauthenticated"), "{rows:?}");
    assert!(has("", "4xx", "bad_route"), "{rows:?}");
    assert!(text.contains("livekit_node_twirp_request_latency_ms_count{"));
}

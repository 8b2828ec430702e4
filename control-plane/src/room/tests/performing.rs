//! Calls of participants' methods: what is sent, and what the caller is told in each case.

use std::time::Duration;

use livekit_protocol::{
    DataPacket, PerformRpcRequest, RpcAck, RpcError, RpcRequest, RpcResponse, data_packet, rpc_response,
};
use prost::Message;
use proto::command::Command;
use proto::event::Event;
use proto::media::v1 as proto;

use crate::room::call::{Answer, Call, CallError, CallId};
use crate::room::tests::client::Client;
use crate::room::tests::{World, arrival};

fn greet(world: &mut World, payload: &str, response_timeout_ms: u32) -> Option<Result<Answer, CallError>> {
    world.call(Call::PerformRpc(PerformRpcRequest {
        room: "room".into(),
        destination_identity: "alice".into(),
        method: "greet".into(),
        payload: payload.into(),
        response_timeout_ms,
    }))
}

/// What was sent, and how it is answered.
fn request(world: &mut World) -> (proto::SendData, DataPacket, RpcRequest) {
    let Some(Command::SendData(data)) = world.orders.pop() else { panic!("nothing was sent") };
    let packet = DataPacket::decode(data.packet.as_slice()).unwrap();
    let Some(data_packet::Value::RpcRequest(request)) = packet.value.clone() else { panic!("no request") };
    (data, packet, request)
}

fn reply(world: &mut World, from: &Client, value: data_packet::Value) {
    let route = world.participant(from).profile.route;
    let packet = DataPacket { value: Some(value), ..DataPacket::default() }.encode_to_vec();
    world.media(Event::DataReplied(proto::DataReplied { route, packet }));
}

fn acknowledge(world: &mut World, from: &Client, request_id: &str) {
    reply(world, from, data_packet::Value::RpcAck(RpcAck { request_id: request_id.into() }));
}

fn respond(world: &mut World, from: &Client, request_id: &str, value: rpc_response::Value) {
    let response = RpcResponse { request_id: request_id.into(), value: Some(value) };
    reply(world, from, data_packet::Value::RpcResponse(response));
}

fn answer(world: &mut World) -> Option<Result<Answer, CallError>> {
    world.answers.pop_first().map(|(_, answer): (CallId, _)| answer)
}

fn code(answer: Option<Result<Answer, CallError>>) -> u32 {
    match answer {
        Some(Ok(Answer::Rpc(Err(error)))) => error.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn method_is_called_by_the_calls_own_name_and_its_response_is_the_answer() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    let bob = world.connect(arrival("bob"));
    assert_eq!(greet(&mut world, "hello", 0), None);
    let (data, packet, request) = request(&mut world);
    assert_eq!(data.routes, [world.participant(&alice).profile.route]);
    assert!(data.reliable && !request.id.is_empty());
    assert_eq!((&data.reply_to, &packet.participant_identity), (&request.id, &request.id));
    assert_eq!(packet.destination_identities, ["alice"]);
    let told =
        (request.method.as_str(), request.payload.as_str(), request.response_timeout_ms, request.version);
    assert_eq!(told, ("greet", "hello", 10_000, 1));

    let payload = rpc_response::Value::Payload("hi".into());
    respond(&mut world, &bob, &request.id, payload.clone());
    respond(&mut world, &alice, "another", payload.clone());
    assert_eq!(answer(&mut world), None, "nobody's business");
    acknowledge(&mut world, &alice, &request.id);
    respond(&mut world, &alice, &request.id, payload.clone());
    assert_eq!(answer(&mut world), Some(Ok(Answer::Rpc(Ok("hi".into())))));
    respond(&mut world, &alice, &request.id, payload);
    assert_eq!(answer(&mut world), None, "once");
    world.advance(Duration::from_secs(20));
    assert_eq!(answer(&mut world), None);
}

#[test]
fn errors_of_the_method_are_the_callers() {
    let error = RpcError { code: 42, message: "no".into(), data: "why".into() };
    let long = RpcError { code: 42, message: "\u{e9}".repeat(200), data: "d".repeat(16_000) };
    let cut = RpcError { code: 42, message: "\u{e9}".repeat(128), data: "d".repeat(15 * 1024) };
    for (name, value, expected) in [
        ("an error", rpc_response::Value::Error(error.clone()), Err(error)),
        ("a long one", rpc_response::Value::Error(long), Err(cut)),
        ("an empty payload", rpc_response::Value::Payload(String::new()), Ok(String::new())),
    ] {
        let mut world = World::new();
        let alice = world.connect(arrival("alice"));
        greet(&mut world, "", 0);
        let (_, _, request) = request(&mut world);
        respond(&mut world, &alice, &request.id, value);
        assert_eq!(answer(&mut world), Some(Ok(Answer::Rpc(expected))), "{name}");
    }
    let large = rpc_response::Value::Payload("p".repeat(15 * 1024 + 1));
    let compressed = rpc_response::Value::CompressedPayload(vec![1]);
    for (name, value, expected) in [("large", large, 1504), ("of a later version", compressed, 1404)] {
        let mut world = World::new();
        let alice = world.connect(arrival("alice"));
        greet(&mut world, "", 0);
        let (_, _, request) = request(&mut world);
        respond(&mut world, &alice, &request.id, value);
        assert_eq!(code(answer(&mut world)), expected, "{name}");
    }
}

#[test]
fn what_cannot_be_called_is_refused_at_once() {
    let mut world = World::new();
    assert_eq!(greet(&mut world, "", 0), Some(Err(CallError::ParticipantNotFound)));
    let _alice = world.connect(arrival("alice"));
    assert_eq!(code(greet(&mut world, &"p".repeat(15 * 1024 + 1), 0)), 1402);
    assert!(world.orders.is_empty());
    for _ in 0..1_024 {
        assert_eq!(greet(&mut world, &"p".repeat(15 * 1024), 0), None);
    }
    assert_eq!(code(greet(&mut world, "", 0)), 1505);
}

#[test]
fn who_does_not_answer_in_time_or_leaves_is_reported() {
    for (name, acknowledged, timeout, seconds, expected) in [
        ("no word", false, 0, 7, 1501),
        ("acknowledged only", true, 0, 10, 1502),
        ("short patience", false, 3_000, 3, 1502),
        ("long patience", true, 60_000, 60, 1502),
    ] {
        let mut world = World::new();
        let alice = world.connect(arrival("alice"));
        greet(&mut world, "", timeout);
        let (_, _, request) = request(&mut world);
        if acknowledged {
            acknowledge(&mut world, &alice, &request.id);
        }
        world.advance(Duration::from_millis(seconds * 1_000 - 10));
        assert_eq!(answer(&mut world), None, "{name}");
        world.advance(Duration::from_millis(20));
        assert_eq!(code(answer(&mut world)), expected, "{name}");
    }
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    greet(&mut world, "", 0);
    world.say(&alice, livekit_protocol::signal_request::Message::Leave(Default::default()));
    assert_eq!(code(answer(&mut world)), 1503);
}

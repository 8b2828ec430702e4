//! Performing: the server API calls a method of a participant, over its data channel as participants do.
//!
//! The caller goes by the call's own id, so what the participant answers is addressed to that; the media plane tells it
//! (`SendData.reply_to`). Codes and words are those of LiveKit's SDKs, the times those of `livekit-server`.

use std::time::Duration;

use livekit_protocol::{DataPacket, PerformRpcRequest, RpcError, RpcRequest, data_packet, rpc_response};
use prost::Message;
use proto::media::v1 as proto;

use crate::room::call::{self, Answer, CallError, CallId};
use crate::room::clock::Time;
use crate::room::names::ParticipantSid;
use crate::room::turn::Turn;

/// A call that is not answered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    call: CallId,
    callee: ParticipantSid,
    /// It must have said that the request arrived; absent: it has.
    acknowledge_by: Option<Time>,
    respond_by: Time,
}

impl Pending {
    #[must_use]
    pub fn deadline(&self) -> Time {
        self.acknowledge_by.map_or(self.respond_by, |by| by.min(self.respond_by))
    }
}

/// Sends the request. `None`: the answer comes later.
pub fn perform(
    turn: &mut Turn<'_>,
    call: CallId,
    request: PerformRpcRequest,
) -> Option<Result<Answer, CallError>> {
    let callee = match call::participant(turn, &request.destination_identity) {
        Ok(callee) => callee,
        Err(error) => return Some(Err(error)),
    };
    if request.payload.len() > PAYLOAD_LEN_MAX {
        return Some(failed(Failure::RequestPayloadTooLarge));
    }
    if turn.room.rpcs.len() >= PENDING_MAX {
        return Some(failed(Failure::SendFailed));
    }
    let timeout = match request.response_timeout_ms {
        0 => RESPONSE_TIMEOUT,
        milliseconds => Duration::from_millis(milliseconds.into()).min(RESPONSE_TIMEOUT_MAX),
    };
    let id = turn.mint.sid("RPC_");
    let packet = packet(&id, request, timeout);
    let route = turn.participant(&callee)?.profile.route;
    turn.send_data(proto::SendData {
        room: turn.room.record.id,
        packet,
        reliable: true,
        routes: vec![route],
        reply_to: id.clone(),
    });
    let pending = Pending {
        call,
        callee,
        acknowledge_by: Some(turn.now.after(ACKNOWLEDGE_TIMEOUT)),
        respond_by: turn.now.after(timeout),
    };
    turn.room.rpcs.insert(id, pending);
    None
}

fn packet(id: &str, request: PerformRpcRequest, timeout: Duration) -> Vec<u8> {
    let value = RpcRequest {
        id: id.to_owned(),
        method: request.method,
        payload: request.payload,
        response_timeout_ms: u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX),
        // With the payload as text in the packet.
        version: 1,
        compressed_payload: Vec::new(),
    };
    let packet = DataPacket {
        participant_identity: id.to_owned(),
        destination_identities: vec![request.destination_identity],
        value: Some(data_packet::Value::RpcRequest(value)),
        ..DataPacket::default()
    };
    packet.encode_to_vec()
}

/// A participant answered something.
pub fn replied(turn: &mut Turn<'_>, reply: &proto::DataReplied) {
    let Ok(packet) = DataPacket::decode(reply.packet.as_slice()) else { return };
    let Some(callee) = turn.room.directory.routes.get(&reply.route).cloned() else { return };
    match packet.value {
        Some(data_packet::Value::RpcAck(acknowledged)) => {
            let pending = turn.room.rpcs.get_mut(&acknowledged.request_id);
            if let Some(pending) = pending.filter(|pending| pending.callee == callee) {
                pending.acknowledge_by = None;
            }
        }
        Some(data_packet::Value::RpcResponse(response)) => {
            let pending = turn.room.rpcs.get(&response.request_id);
            if pending.is_some_and(|pending| pending.callee == callee) {
                settle(turn, &response.request_id, outcome(response.value));
            }
        }
        _ => {}
    }
}

fn outcome(value: Option<rpc_response::Value>) -> Result<Answer, CallError> {
    match value {
        Some(rpc_response::Value::Payload(payload)) if payload.len() > PAYLOAD_LEN_MAX => {
            failed(Failure::ResponsePayloadTooLarge)
        }
        Some(rpc_response::Value::Payload(payload)) => Ok(Answer::Rpc(Ok(payload))),
        Some(rpc_response::Value::Error(error)) => Ok(Answer::Rpc(Err(bounded(error)))),
        // To a request of the first version nobody answers with the later ones' form.
        Some(rpc_response::Value::CompressedPayload(_)) => failed(Failure::UnsupportedVersion),
        None => Ok(Answer::Rpc(Ok(String::new()))),
    }
}

/// As long as LiveKit lets them be.
fn bounded(mut error: RpcError) -> RpcError {
    cut(&mut error.message, ERROR_LEN_MAX);
    cut(&mut error.data, PAYLOAD_LEN_MAX);
    error
}

fn cut(text: &mut String, mut len: usize) {
    if text.len() > len {
        while !text.is_char_boundary(len) {
            len -= 1;
        }
        text.truncate(len);
    }
}

/// Nobody answered in time.
pub fn expire(turn: &mut Turn<'_>) {
    let now = turn.now;
    let due: Vec<(String, Failure)> = turn
        .room
        .rpcs
        .iter()
        .filter(|(_, pending)| pending.deadline() <= now)
        .map(|(id, pending)| {
            let responds = pending.respond_by <= now;
            (id.clone(), if responds { Failure::ResponseTimeout } else { Failure::ConnectionTimeout })
        })
        .collect();
    for (id, failure) in due {
        settle(turn, &id, failed(failure));
    }
}

/// Whoever was called is gone.
pub fn abandon(turn: &mut Turn<'_>, callee: &ParticipantSid) {
    let of_callee = turn.room.rpcs.iter().filter(|(_, pending)| pending.callee == *callee);
    let abandoned: Vec<String> = of_callee.map(|(id, _)| id.clone()).collect();
    for id in abandoned {
        settle(turn, &id, failed(Failure::RecipientDisconnected));
    }
}

fn settle(turn: &mut Turn<'_>, id: &str, answer: Result<Answer, CallError>) {
    if let Some(pending) = turn.room.rpcs.remove(id) {
        turn.answer(pending.call, answer);
    }
}

fn failed(failure: Failure) -> Result<Answer, CallError> {
    let error = RpcError { code: failure as u32, message: failure.text().to_owned(), data: String::new() };
    Ok(Answer::Rpc(Err(error)))
}

/// What LiveKit's SDKs know as built-in errors, by their codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    RequestPayloadTooLarge = 1402,
    UnsupportedVersion = 1404,
    ConnectionTimeout = 1501,
    ResponseTimeout = 1502,
    RecipientDisconnected = 1503,
    ResponsePayloadTooLarge = 1504,
    SendFailed = 1505,
}

impl Failure {
    const fn text(self) -> &'static str {
        match self {
            Self::RequestPayloadTooLarge => "Request payload too large",
            Self::UnsupportedVersion => "Unsupported RPC version",
            Self::ConnectionTimeout => "Connection timeout",
            Self::ResponseTimeout => "Response timeout",
            Self::RecipientDisconnected => "Recipient disconnected",
            Self::ResponsePayloadTooLarge => "Response payload too large",
            Self::SendFailed => "Failed to send",
        }
    }
}

const PAYLOAD_LEN_MAX: usize = 15 * 1024;
const ERROR_LEN_MAX: usize = 256;
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(7);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Less than callers over HTTP wait.
const RESPONSE_TIMEOUT_MAX: Duration = Duration::from_secs(110);
/// Of one room.
const PENDING_MAX: usize = 1_024;

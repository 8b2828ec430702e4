//! Sending: data from the server API to everybody, or to some.

use std::collections::VecDeque;

use livekit_protocol::{DataPacket, SendDataRequest, UserPacket, data_packet};
use prost::Message;
use proto::media::v1 as proto;

use crate::room::call::{Answer, CallError};
use crate::room::turn::Turn;

/// What was sent lately: SDKs try again without knowing whether the first attempt arrived.
#[derive(Debug, Default)]
pub struct Nonces(VecDeque<Vec<u8>>);

impl Nonces {
    /// False: it is among the last ones.
    fn is_new(&mut self, nonce: &[u8]) -> bool {
        if nonce.is_empty() {
            return true;
        }
        if self.0.iter().any(|known| known == nonce) {
            return false;
        }
        if self.0.len() >= NONCES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(nonce.to_vec());
        true
    }
}

pub fn send(turn: &mut Turn<'_>, request: SendDataRequest) -> Result<Answer, CallError> {
    let routes = routes(turn, &request);
    let nonce = request.nonce.clone();
    let reliable = request.kind() == data_packet::Kind::Reliable;
    let packet = packet(request).encode_to_vec();
    if packet.len() > PACKET_LEN_MAX {
        return Err(CallError::DataTooLarge);
    }
    if !turn.room.nonces.is_new(&nonce) {
        return Ok(Answer::Done);
    }
    // Nobody is there, or nobody of those that are named.
    let room = turn.room.record.id;
    if let Some(routes) = routes.filter(|_| !turn.room.participants.is_empty()) {
        turn.send_data(proto::SendData { room, packet, reliable, routes, reply_to: String::new() });
    }
    Ok(Answer::Done)
}

/// Whom it is for; none: everybody. `None`: for nobody who is here.
fn routes(turn: &Turn<'_>, request: &SendDataRequest) -> Option<Vec<u64>> {
    #[expect(deprecated, reason = "SDKs of every age name destinations")]
    let sids = &request.destination_sids;
    let identities = &request.destination_identities;
    if sids.is_empty() && identities.is_empty() {
        return Some(Vec::new());
    }
    let profiles = turn.room.participants.values().map(|participant| &participant.profile);
    let named =
        profiles.filter(|profile| identities.contains(&profile.identity) || sids.contains(&profile.sid.0));
    let routes: Vec<u64> = named.map(|profile| profile.route).collect();
    (!routes.is_empty()).then_some(routes)
}

#[expect(deprecated, reason = "SDKs of every age read them where they were")]
fn packet(request: SendDataRequest) -> DataPacket {
    let user = UserPacket {
        payload: request.data,
        destination_sids: request.destination_sids,
        destination_identities: request.destination_identities.clone(),
        topic: request.topic,
        nonce: request.nonce,
        ..UserPacket::default()
    };
    DataPacket {
        kind: request.kind,
        destination_identities: request.destination_identities,
        value: Some(data_packet::Value::User(user)),
        ..DataPacket::default()
    }
}

/// Attempts of one call are seconds apart.
const NONCES_MAX: usize = 256;
/// What the contract takes, and clients' data channels.
const PACKET_LEN_MAX: usize = 64 * 1024 - 1;

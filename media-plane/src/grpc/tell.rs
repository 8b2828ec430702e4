//! From what a worker or the helper tells to what the contract says of it.

use engine::event::{Event, FailureReason, StreamQuality, TransportState};
use engine::path::Path;
use proto::key::Key;
use proto::media::v1::{
    self, DataReady, DataReplied, Quality, SourceStarted, Speaker, Speakers, StreamState,
    SubscriptionStarted, TransportChanged, event,
};

use crate::resource::Table;
use crate::resource::status::{Secured, Status};

/// An event for the control plane of a room.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub room: u64,
    pub event: event::Event,
}

/// Notes in the table what is so now. `None`: the resource has been deleted meanwhile.
pub fn worker_event(table: &mut Table, event: Event) -> Option<Told> {
    let (key, event) = match event {
        // Goes to the helper.
        Event::Dtls { .. } => return None,
        Event::Transport { peer, state } => {
            let key = Key::Peer(peer.0);
            let mut changed = transport(state);
            changed.peer = peer.0;
            if let Status::Peer { state, secured } = table.status(key)? {
                *state = changed.state();
                if let (v1::TransportState::Connected, Some(secured)) = (*state, secured) {
                    changed.srtp_profile = secured.profile.into();
                    changed.dtls_version = secured.version.into();
                }
            }
            (key, event::Event::Transport(changed))
        }
        Event::SourceStarted { publication, layer, ssrc, payload_type } => {
            let key = Key::Publication(publication.0);
            let source = SourceStarted {
                publication: publication.0,
                layer: layer.into(),
                ssrc: ssrc.0,
                payload_type: payload_type.0.into(),
            };
            table.status(key)?.source_started(source);
            (key, event::Event::SourceStarted(source))
        }
        Event::SubscriptionStarted { subscription } => {
            let key = Key::Subscription(subscription.0);
            if let Status::Subscription(status) = table.status(key)? {
                status.started = true;
            }
            (key, event::Event::SubscriptionStarted(SubscriptionStarted { subscription: subscription.0 }))
        }
        Event::StreamState { subscription, stalled } => {
            let key = Key::Subscription(subscription.0);
            if let Status::Subscription(status) = table.status(key)? {
                status.stalled = stalled;
            }
            (key, event::Event::StreamState(StreamState { subscription: subscription.0, stalled }))
        }
        Event::Speakers { room, speakers } => {
            let speakers = speakers
                .into_iter()
                .map(|(publication, level)| Speaker { publication: publication.0, level });
            (Key::Room(room.0), event::Event::Speakers(Speakers { speakers: speakers.collect() }))
        }
        Event::Quality { room, publications, subscriptions } => {
            let quality = Quality {
                publications: publications.iter().map(|one| stream_quality(one.id.0, one)).collect(),
                subscriptions: subscriptions.iter().map(|one| stream_quality(one.id.0, one)).collect(),
            };
            (Key::Room(room.0), event::Event::Quality(quality))
        }
    };
    Some(Told { room: table.room_of(key)?, event })
}

/// Notes what a handshake agreed on; it is told with `CONNECTED`.
pub fn secured(table: &mut Table, peer: u64, what: Secured) {
    if let Some(Status::Peer { secured, .. }) = table.status(Key::Peer(peer)) {
        *secured = Some(what);
    }
}

#[must_use]
pub fn data_ready(table: &Table, route: u64) -> Option<Told> {
    let room = table.room_of(Key::Route(route))?;
    Some(Told { room, event: event::Event::DataReady(DataReady { route }) })
}

#[must_use]
pub fn data_replied(table: &Table, route: u64, packet: &[u8]) -> Option<Told> {
    let room = table.room_of(Key::Route(route))?;
    Some(Told { room, event: event::Event::DataReplied(DataReplied { route, packet: packet.to_vec() }) })
}

/// A peer that went down with its worker's engine.
#[must_use]
pub fn lost_by_panic(peer: u64) -> event::Event {
    event::Event::Transport(TransportChanged {
        peer,
        ..transport(TransportState::Failed(FailureReason::Panic))
    })
}

fn transport(state: TransportState) -> TransportChanged {
    let mut changed = TransportChanged::default();
    let mut at = |path: Path| changed.remote_address = path.remote.to_string();
    let (state, reason) = match state {
        TransportState::Connecting { path } => {
            at(path);
            (v1::TransportState::Connecting, v1::FailureReason::Unspecified)
        }
        TransportState::Connected { path } => {
            at(path);
            (v1::TransportState::Connected, v1::FailureReason::Unspecified)
        }
        TransportState::Disconnected => (v1::TransportState::Disconnected, v1::FailureReason::Unspecified),
        TransportState::Failed(reason) => (v1::TransportState::Failed, failure(reason)),
    };
    changed.set_state(state);
    changed.set_reason(reason);
    changed
}

const fn failure(reason: FailureReason) -> v1::FailureReason {
    match reason {
        FailureReason::ConsentLost => v1::FailureReason::ConsentLost,
        FailureReason::Dtls => v1::FailureReason::Dtls,
        FailureReason::ClosedByPeer => v1::FailureReason::ClosedByPeer,
        FailureReason::Panic => v1::FailureReason::Panic,
    }
}

const fn stream_quality<Id>(id: u64, quality: &StreamQuality<Id>) -> v1::StreamQuality {
    v1::StreamQuality {
        id,
        packets: quality.packets,
        packets_lost: quality.packets_lost,
        bytes: quality.bytes,
        rtt_us: quality.rtt_us,
        jitter_us: quality.jitter_us,
    }
}

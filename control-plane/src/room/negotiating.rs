//! Descriptions of the client: its offers are answered, its answers taken; what they say becomes resources.

use std::collections::HashSet;

use livekit_protocol::{
    DisconnectReason, SessionDescription, SignalTarget, SubscriptionError, SubscriptionResponse,
    leave_request, signal_response,
};

use sdp::attribute::Direction;

use crate::negotiate::error::NegotiationError;
use crate::negotiate::outcome::{Answered, SentSection};
use crate::negotiate::track::AnnouncedTrack;
use crate::room::effect::Refused;
use crate::room::names::ParticipantSid;
use crate::room::participant::Participant;
use crate::room::state::Room;
use crate::room::subscription::Stage;
use crate::room::turn::Turn;
use crate::room::{codecs, leaving, offering, publishing, subscribing};

/// An offer for the publisher's peer connection, or for the only one.
pub fn offer(turn: &mut Turn<'_>, who: &ParticipantSid, offer: &SessionDescription) {
    let now = turn.now;
    let Some(participant) = turn.participant(who) else { return };
    let worker = participant.publisher.worker;
    let setup = turn.surroundings.setup(worker);
    let announced = announced(turn.room, participant);
    let single = participant.single_peer_connection();
    let active_red = turn.surroundings.config.audio.active_red_encoding;
    let sends = if single { offering::sends(turn.room, participant, active_red) } else { Vec::new() };
    let spare = turn.mint.ice_credentials(worker);
    let Some(participant) = turn.participant_mut(who) else { return };
    let peer = &mut participant.publisher;
    let answered = match peer.session.receive_offer(&setup, &offer.sdp, &announced, &sends, &spare) {
        Ok(answered) => answered,
        Err(error) => return fail(turn, who, error),
    };
    peer.description_id = offer.id;
    peer.negotiated = true;
    if single {
        peer.negotiation.settle(now);
        peer.free = free_sections(&offer.sdp, answered.mid_to_track_id.keys());
    }
    let id = peer.id;
    turn.touch_peer(id);
    publishing::receive(turn, who, &answered.received);
    if single {
        apply_sent(turn, who, &answered.sent, &answered.unsupported);
    }
    respond(turn, who, offer.id, answered, single);
}

fn respond(turn: &mut Turn<'_>, who: &ParticipantSid, id: u32, answered: Answered, single: bool) {
    let answer = SessionDescription {
        r#type: "answer".to_owned(),
        sdp: answered.sdp.clone(),
        id,
        mid_to_track_id: answered.mid_to_track_id,
    };
    turn.send(who, signal_response::Message::Answer(answer));
    offering::trickle(turn, who, SignalTarget::Publisher, &answered.sdp);
    tell_unsupported(turn, who, &answered.unsupported);
    if single {
        offering::ask_for_missing(turn, who, answered.missing);
    }
}

/// The answer to our offer on the subscriber's peer connection.
pub fn answer(turn: &mut Turn<'_>, who: &ParticipantSid, answer: &SessionDescription) {
    let now = turn.now;
    let Some(participant) = turn.participant(who) else { return };
    let active_red = turn.surroundings.config.audio.active_red_encoding;
    let sends = offering::sends(turn.room, participant, active_red);
    let Some(subscriber) = turn.participant_mut(who).and_then(|participant| participant.subscriber.as_mut())
    else {
        turn.refuse(Refused::UnexpectedMessage);
        return;
    };
    // To an offer before the last (clients that number their answers say so): ours is still to be answered.
    if answer.id != 0 && answer.id != subscriber.description_id {
        turn.refuse(Refused::UnexpectedMessage);
        return;
    }
    let negotiated = match subscriber.session.receive_answer(&answer.sdp, &sends) {
        Ok(negotiated) => negotiated,
        Err(NegotiationError::UnexpectedAnswer) => {
            turn.refuse(Refused::UnexpectedMessage);
            return;
        }
        Err(error) => return fail(turn, who, error),
    };
    subscriber.negotiated = true;
    subscriber.negotiation.settle(now);
    let id = subscriber.id;
    turn.touch_peer(id);
    apply_sent(turn, who, &negotiated.sent, &negotiated.unsupported);
    tell_unsupported(turn, who, &negotiated.unsupported);
}

/// What the client will receive from now on.
fn apply_sent(turn: &mut Turn<'_>, who: &ParticipantSid, sent: &[SentSection], unsupported: &[u64]) {
    let Some(participant) = turn.participant_mut(who) else { return };
    let mut written = Vec::new();
    let mut deleted = Vec::new();
    let mut changed = Vec::new();
    for subscription in participant.subscriptions.values_mut() {
        let was_negotiated = subscription.is_negotiated();
        let section = sent.iter().find(|section| section.subscription == subscription.id);
        let stage = match section {
            Some(section) => Stage::Negotiated {
                mid: section.mid.clone(),
                payloads: section.payloads.clone(),
                rtx: section.rtx,
            },
            None if unsupported.contains(&subscription.id) => Stage::Unsupported,
            // It was not asked again.
            None if subscription.stage == Stage::Unsupported => Stage::Unsupported,
            None => Stage::Wanted,
        };
        if subscription.stage == stage {
            continue;
        }
        subscription.stage = stage;
        changed.push(subscription.track.clone());
        if section.is_some() {
            written.push(subscription.id);
        } else if was_negotiated {
            (subscription.started, subscription.stalled) = (false, false);
            deleted.push(subscription.id);
        }
    }
    for track in &changed {
        turn.touch_demand(track);
    }
    for id in written {
        turn.touch_subscription(id);
    }
    for id in deleted {
        turn.pause_subscription(id);
        subscribing::change_sources(turn, id);
    }
    for id in unsupported {
        codecs::refused(turn, *id);
    }
}

fn tell_unsupported(turn: &mut Turn<'_>, who: &ParticipantSid, unsupported: &[u64]) {
    for id in unsupported {
        let Some((_, track)) = turn.room.directory.subscriptions.get(id) else { continue };
        // What it gets instead is on its way.
        if codecs::awaits_another(turn, who, track) {
            continue;
        }
        let response = SubscriptionResponse {
            track_sid: track.0.clone(),
            err: SubscriptionError::SeCodecUnsupported.into(),
        };
        turn.send(who, signal_response::Message::SubscriptionResponse(response));
    }
}

/// Without a common description there is nothing to go on with: the client starts over.
fn fail(turn: &mut Turn<'_>, who: &ParticipantSid, error: NegotiationError) {
    tracing::info!(participant = %who, %error, "description refused");
    turn.refuse(Refused::Description);
    leaving::dismiss(turn, who, DisconnectReason::StateMismatch, leave_request::Action::Reconnect);
}

/// How many sections of an offer would receive something but do not: audio and video.
fn free_sections<'a>(offer: &str, used: impl Iterator<Item = &'a String>) -> (u32, u32) {
    let Ok(offer) = sdp::session::Session::parse(offer) else { return (0, 0) };
    let used: HashSet<&str> = used.map(String::as_str).collect();
    let count = |kind| {
        let receiving = offer.sections.iter().filter(|section| {
            let free = section.mid.as_deref().is_some_and(|mid| !used.contains(mid));
            section.kind == kind && section.direction == Direction::RecvOnly && !section.is_rejected() && free
        });
        u32::try_from(receiving.count()).unwrap_or(u32::MAX)
    };
    (count(sdp::section::Kind::Audio), count(sdp::section::Kind::Video))
}

fn announced(room: &Room, participant: &Participant) -> Vec<AnnouncedTrack> {
    let tracks = participant.tracks.iter().filter_map(|sid| room.tracks.get(sid));
    tracks.map(crate::room::track::Track::announced).collect()
}

//! Simulating: clients under test ask for what may go wrong. Only in development.

use livekit_protocol::simulate_scenario::Scenario;
use livekit_protocol::{
    DisconnectReason, SimulateScenario, SpeakerInfo, SpeakersChanged, leave_request, signal_response,
};

use crate::room::effect::Refused;
use crate::room::leaving;
use crate::room::names::ParticipantSid;
use crate::room::participant::Sabotage;
use crate::room::turn::Turn;

pub fn simulate(turn: &mut Turn<'_>, who: &ParticipantSid, scenario: &SimulateScenario) {
    if !turn.surroundings.config.development {
        turn.refuse(Refused::UnexpectedMessage);
        return;
    }
    match &scenario.scenario {
        Some(Scenario::SpeakerUpdate(_)) => speak(turn, who),
        Some(Scenario::DisconnectSignalOnResume(_)) => sabotage(turn, who, Sabotage::AfterMessages),
        Some(Scenario::DisconnectSignalOnResumeNoMessages(_)) => {
            sabotage(turn, who, Sabotage::BeforeMessages)
        }
        // A node that failed says nothing.
        Some(Scenario::NodeFailure(_)) => leaving::remove(turn, who, DisconnectReason::ServerShutdown),
        Some(Scenario::ServerLeave(_)) => {
            leaving::dismiss(turn, who, DisconnectReason::ServerShutdown, leave_request::Action::Disconnect);
        }
        Some(Scenario::LeaveRequestFullReconnect(_)) => {
            leaving::dismiss(turn, who, DisconnectReason::UnknownReason, leave_request::Action::Reconnect);
        }
        other => tracing::info!(participant = %who, scenario = ?other, "scenario not simulated"),
    }
}

/// The client is told that it speaks; the next speakers of the room say otherwise.
fn speak(turn: &mut Turn<'_>, who: &ParticipantSid) {
    let speakers = vec![SpeakerInfo { sid: who.0.clone(), level: 0.9, active: true }];
    turn.room.speakers.insert(who.clone(), 0.9);
    turn.send(who, signal_response::Message::SpeakersChanged(SpeakersChanged { speakers }));
}

fn sabotage(turn: &mut Turn<'_>, who: &ParticipantSid, sabotage: Sabotage) {
    if let Some(participant) = turn.participant_mut(who) {
        participant.sabotage = Some(sabotage);
    }
}

//! Subscription permissions: a publisher says who may have its tracks, and changes its mind.

use livekit_protocol::{SubscriptionPermission, TrackPermission};

use crate::room::names::{ParticipantSid, TrackSid};
use crate::room::participant::{Participant, Profile};
use crate::room::subscribing;
use crate::room::turn::Turn;

/// Replaces what a publisher permitted before. What is no longer allowed ends at once.
pub fn permit(turn: &mut Turn<'_>, who: &ParticipantSid, mut permission: SubscriptionPermission) {
    permission.track_permissions.truncate(PERMISSIONS_MAX);
    let Some(publisher) = turn.participant_mut(who) else { return };
    publisher.profile.permission = Some(permission).filter(|permission| !permission.all_participants);
    let tracks = publisher.tracks.clone();
    turn.touch_participant(who);
    let others: Vec<ParticipantSid> =
        turn.room.participants.keys().filter(|other| *other != who).cloned().collect();
    for other in &others {
        for track in &tracks {
            subscribing::reconcile(turn, other, track);
        }
    }
}

/// Whether a publisher lets a participant have one of its tracks.
#[must_use]
pub fn allows(publisher: &Participant, subscriber: &Profile, track: &TrackSid) -> bool {
    let Some(permission) = &publisher.profile.permission else { return true };
    let of_subscriber = |one: &&TrackPermission| {
        one.participant_sid == subscriber.sid.0
            || (!one.participant_identity.is_empty() && one.participant_identity == subscriber.identity)
    };
    let mut permissions = permission.track_permissions.iter().filter(of_subscriber);
    permissions.any(|one| one.all_tracks || one.track_sids.contains(&track.0))
}

/// More entries than a room can have participants in practice.
const PERMISSIONS_MAX: usize = 4_096;

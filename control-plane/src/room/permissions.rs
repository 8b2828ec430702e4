//! Subscription permissions: a publisher says who may have its tracks, and changes its mind.

use std::collections::HashSet;

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
        let (Some(publisher), Some(subscriber)) = (turn.participant(who), turn.participant(other)) else {
            continue;
        };
        // Looked up once for all tracks: lists are as long as a client likes.
        let granted = granted(publisher, &subscriber.profile);
        let allowed: Vec<bool> = tracks.iter().map(|track| granted.contains(track)).collect();
        for (track, allowed) in tracks.iter().zip(allowed) {
            subscribing::reconcile_by(turn, other, track, |_, _| allowed);
        }
    }
}

/// Whether a publisher lets a participant have one of its tracks.
#[must_use]
pub fn allows(publisher: &Participant, subscriber: &Profile, track: &TrackSid) -> bool {
    granted(publisher, subscriber).contains(track)
}

/// What a publisher lets one participant have.
enum Granted<'a> {
    All,
    Tracks(HashSet<&'a str>),
}

impl Granted<'_> {
    fn contains(&self, track: &TrackSid) -> bool {
        match self {
            Self::All => true,
            Self::Tracks(tracks) => tracks.contains(track.0.as_str()),
        }
    }
}

fn granted<'a>(publisher: &'a Participant, subscriber: &Profile) -> Granted<'a> {
    let Some(permission) = &publisher.profile.permission else { return Granted::All };
    let of_subscriber = |one: &&TrackPermission| {
        one.participant_sid == subscriber.sid.0
            || (!one.participant_identity.is_empty() && one.participant_identity == subscriber.identity)
    };
    let mut tracks = HashSet::new();
    for one in permission.track_permissions.iter().filter(of_subscriber) {
        if one.all_tracks {
            return Granted::All;
        }
        tracks.extend(one.track_sids.iter().map(String::as_str));
    }
    Granted::Tracks(tracks)
}

/// More entries than a room can have participants in practice.
const PERMISSIONS_MAX: usize = 4_096;

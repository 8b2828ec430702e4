//! Subscribing: what a participant wants, may have, and is sent.

use std::collections::HashSet;

use livekit_protocol::{
    SubscriptionError, SubscriptionPermissionUpdate, SubscriptionResponse, TrackSubscribed,
    UpdateSubscription, UpdateTrackSettings, signal_response,
};

use crate::negotiate::codec::Kind;
use crate::room::effect::Refused;
use crate::room::mint::Mint;
use crate::room::names::{ParticipantSid, TrackSid};
use crate::room::offering::{self, Cause};
use crate::room::participant::{Participant, Profile};
use crate::room::permissions;
use crate::room::stalling;
use crate::room::subscription::{Settings, Stage, Subscription};
use crate::room::surroundings::Surroundings;
use crate::room::turn::Turn;

/// The client asks for tracks, or not to have them.
pub fn update(turn: &mut Turn<'_>, who: &ParticipantSid, request: &UpdateSubscription) {
    let others = request.participant_tracks.iter().flat_map(|tracks| &tracks.track_sids);
    for sid in bounded(turn, request.track_sids.iter().chain(others)) {
        let sid = TrackSid(sid.clone());
        if turn.room.tracks.get(&sid).is_none_or(|track| !track.record.live) {
            // What does not exist is not remembered: a client cannot fill our memory with it.
            if request.subscribe {
                refuse(turn, who, &sid);
            }
            continue;
        }
        choose(turn, who, &sid, request.subscribe);
    }
}

/// What a participant wants of a track that is there, whatever it wanted before.
pub fn choose(turn: &mut Turn<'_>, who: &ParticipantSid, sid: &TrackSid, subscribe: bool) {
    let Some(participant) = turn.participant_mut(who) else { return };
    let choices = &mut participant.profile.choices;
    if choices.get(sid) != Some(&subscribe) {
        choices.insert(sid.clone(), subscribe);
        // To ask again is to try again.
        participant.denied.retain(|denied| denied != sid);
        turn.touch_participant(who);
    }
    reconcile(turn, who, sid);
}

/// The client says how it wants to see tracks.
pub fn set(turn: &mut Turn<'_>, who: &ParticipantSid, request: &UpdateTrackSettings) {
    let settings = Settings::of(request);
    for sid in bounded(turn, request.track_sids.iter()) {
        change_settings(turn, who, &TrackSid(sid.clone()), |_| settings);
    }
}

/// As many as one message may name; that there were more is counted.
fn bounded<'a>(turn: &mut Turn<'_>, mut sids: impl Iterator<Item = &'a String>) -> Vec<&'a String> {
    let bounded = sids.by_ref().take(SIDS_MAX).collect();
    if sids.next().is_some() {
        turn.refuse(Refused::SubscriptionLimit);
    }
    bounded
}

/// After a resume: tracks that the client does not show.
pub fn disable(turn: &mut Turn<'_>, who: &ParticipantSid, sid: &TrackSid) {
    change_settings(turn, who, sid, |settings| Settings { disabled: true, ..settings });
}

fn change_settings(
    turn: &mut Turn<'_>,
    who: &ParticipantSid,
    sid: &TrackSid,
    change: impl FnOnce(Settings) -> Settings,
) {
    let exists = turn.room.tracks.contains_key(sid);
    let Some(participant) = turn.participant_mut(who) else { return };
    let Some(subscription) = participant.subscriptions.get_mut(sid) else {
        // It comes before what it is about. As many are remembered as there are tracks.
        if exists {
            let wish = participant.wishes.entry(sid.clone()).or_default();
            *wish = change(*wish);
        }
        return;
    };
    let changed = change(subscription.settings);
    if changed != subscription.settings {
        subscription.settings = changed;
        let id = subscription.id;
        turn.touch_subscription(id);
    }
}

/// Who has just joined takes up what is published.
pub fn take_up(turn: &mut Turn<'_>, who: &ParticipantSid) {
    let tracks: Vec<TrackSid> = turn.room.tracks.keys().cloned().collect();
    for track in &tracks {
        reconcile(turn, who, track);
    }
}

/// Makes what a participant is sent agree with what it wants and may have.
pub fn reconcile(turn: &mut Turn<'_>, who: &ParticipantSid, sid: &TrackSid) {
    reconcile_by(turn, who, sid, |publisher, profile| permissions::allows(publisher, profile, sid));
}

/// The same, where it is known what the publisher permits.
pub fn reconcile_by(
    turn: &mut Turn<'_>,
    who: &ParticipantSid,
    sid: &TrackSid,
    allows: impl FnOnce(&Participant, &Profile) -> bool,
) {
    let Some((wanted, allowed)) = verdict(turn, who, sid, allows) else { return };
    let Some(participant) = turn.participant(who) else { return };
    let subscribed = participant.subscriptions.contains_key(sid);
    match (wanted, allowed) {
        (true, true) if !subscribed => subscribe(turn, who, sid),
        (true, true) => {}
        (true, false) => {
            if subscribed {
                drop(turn, who, sid);
            }
            deny(turn, who, sid);
        }
        (false, _) if subscribed => drop(turn, who, sid),
        (false, _) => {}
    }
}

/// Whether a participant wants a track, and whether it may have it. `None`: there is nothing to subscribe to.
fn verdict(
    turn: &Turn<'_>,
    who: &ParticipantSid,
    sid: &TrackSid,
    allows: impl FnOnce(&Participant, &Profile) -> bool,
) -> Option<(bool, bool)> {
    let track = turn.room.tracks.get(sid)?;
    let participant = turn.participant(who)?;
    let publisher = turn.participant(&track.record.publisher)?;
    if !track.record.live || track.record.publisher == *who || publisher.profile.hidden() {
        return None;
    }
    if !participant.profile.claims.video.can_subscribe() {
        return Some((false, false));
    }
    Some((participant.profile.wants(sid), allows(publisher, &participant.profile)))
}

fn subscribe(turn: &mut Turn<'_>, who: &ParticipantSid, sid: &TrackSid) {
    let Some(track) = turn.room.tracks.get(sid) else { return };
    let (kind, publisher) = (track.kind(), track.record.publisher.clone());
    let Some(publication) = track.forwarded().map(|publication| publication.id) else { return };
    let Some(participant) = turn.room.participants.get_mut(who) else { return };
    if participant.subscriptions.len() >= SUBSCRIPTIONS_MAX
        || is_at_limit(turn.surroundings, participant, kind)
    {
        turn.refuse(Refused::SubscriptionLimit);
        return;
    }
    let (ssrc, rtx_ssrc) = sources(turn.mint, participant, kind);
    let id = turn.mint.resource_id();
    let adaptive = participant.profile.settings.adaptive_stream;
    let usual = if adaptive { Settings::SMALLEST } else { Settings::default() };
    let settings = participant.wishes.remove(sid).unwrap_or(usual);
    let subscription = Subscription {
        id,
        track: sid.clone(),
        publication,
        kind,
        ssrc,
        rtx_ssrc,
        settings,
        refused: Vec::new(),
        stage: Stage::Wanted,
        started: false,
        stalled: false,
    };
    participant.subscriptions.insert(sid.clone(), subscription);
    participant.denied.retain(|denied| denied != sid);
    turn.room.directory.subscriptions.insert(id, (who.clone(), sid.clone()));
    turn.touch_demand(sid);
    tell_permission(turn, who, &publisher, sid, true);
    offering::request(turn, who, Cause::Addition);
}

/// What it wants beyond its limit is not denied: it comes when there is room (`Turn::finish`).
fn is_at_limit(surroundings: &Surroundings, participant: &Participant, kind: Kind) -> bool {
    let limits = &surroundings.config.limit;
    let max = match kind {
        Kind::Video => limits.subscription_limit_video,
        Kind::Audio => limits.subscription_limit_audio,
    };
    max > 0 && participant.subscriptions.values().filter(|one| one.kind == kind).count() >= max
}

/// A subscription goes on with another codec of its track, on the media section that it has.
pub fn switch(turn: &mut Turn<'_>, who: &ParticipantSid, sid: &TrackSid, publication: u64) {
    let fresh = turn.mint.resource_id();
    let Some(participant) = turn.room.participants.get_mut(who) else { return };
    let Some(former) = participant.subscriptions.get(sid).cloned() else { return };
    let (ssrc, rtx_ssrc) = sources(turn.mint, participant, former.kind);
    let receiving = participant.receiving_mut();
    receiving.session.hand_over(former.id, fresh);
    let peer = receiving.id;
    let subscription = Subscription {
        id: fresh,
        publication,
        ssrc,
        rtx_ssrc,
        stage: Stage::Wanted,
        started: false,
        stalled: false,
        ..former.clone()
    };
    participant.subscriptions.insert(sid.clone(), subscription);
    turn.delete_subscription(&former);
    turn.room.directory.subscriptions.insert(fresh, (who.clone(), sid.clone()));
    turn.touch_peer(peer);
    offering::request(turn, who, Cause::Addition);
}

/// What was sent on a source ended, and its packet numbers may never come again under the same keys: whatever the
/// subscription sends next has others.
pub fn change_sources(turn: &mut Turn<'_>, subscription: u64) {
    let Some((who, sid)) = turn.room.directory.subscriptions.get(&subscription) else { return };
    let Some(participant) = turn.room.participants.get_mut(who) else { return };
    let Some(kind) = participant.subscriptions.get(sid).map(|subscription| subscription.kind) else { return };
    let (ssrc, rtx_ssrc) = sources(turn.mint, participant, kind);
    if let Some(subscription) = participant.subscriptions.get_mut(sid) {
        (subscription.ssrc, subscription.rtx_ssrc) = (ssrc, rtx_ssrc);
    }
}

/// SSRCs that nothing else on the connection has, for media and for retransmissions; 0: there are none (audio).
fn sources(mint: &mut Mint, participant: &Participant, kind: Kind) -> (u32, u32) {
    let own = participant.receiving().rtcp_ssrc;
    let others = participant.subscriptions.values();
    let taken: HashSet<u32> =
        others.flat_map(|other| [other.ssrc, other.rtx_ssrc]).chain(std::iter::once(own)).collect();
    let ssrc = mint.ssrc(|ssrc| taken.contains(&ssrc));
    let rtx_ssrc = match kind {
        Kind::Video => mint.ssrc(|other| other == ssrc || taken.contains(&other)),
        Kind::Audio => 0,
    };
    (ssrc, rtx_ssrc)
}

/// Ends a subscription; its media section is free with the next negotiation.
pub fn drop(turn: &mut Turn<'_>, who: &ParticipantSid, sid: &TrackSid) {
    let Some(participant) = turn.participant_mut(who) else { return };
    let Some(subscription) = participant.subscriptions.shift_remove(sid) else { return };
    turn.delete_subscription(&subscription);
    offering::request(turn, who, Cause::Removal);
}

/// The track is published with another codec now: the subscription starts over.
pub fn renew(turn: &mut Turn<'_>, who: &ParticipantSid, sid: &TrackSid) {
    let settings = turn
        .participant(who)
        .and_then(|participant| participant.subscriptions.get(sid))
        .map(|one| one.settings);
    drop(turn, who, sid);
    reconcile(turn, who, sid);
    if let Some(settings) = settings {
        change_settings(turn, who, sid, |_| settings);
    }
}

/// The first packet went to a subscriber: the publisher is told, once.
pub fn started(turn: &mut Turn<'_>, subscription: u64) {
    let Some((who, sid)) = turn.room.directory.subscriptions.get(&subscription).cloned() else { return };
    if let Some(found) =
        turn.participant_mut(&who).and_then(|participant| participant.subscriptions.get_mut(&sid))
    {
        found.started = true;
    }
    stalling::started(turn, &who, &sid);
    let Some(track) = turn.room.tracks.get_mut(&sid) else { return };
    if !std::mem::replace(&mut track.subscribed_told, true) {
        let publisher = track.record.publisher.clone();
        turn.send(
            &publisher,
            signal_response::Message::TrackSubscribed(TrackSubscribed { track_sid: sid.0 }),
        );
    }
}

fn deny(turn: &mut Turn<'_>, who: &ParticipantSid, sid: &TrackSid) {
    let Some(publisher) = turn.room.tracks.get(sid).map(|track| track.record.publisher.clone()) else {
        return;
    };
    let Some(participant) = turn.participant_mut(who) else { return };
    if participant.denied.contains(sid) {
        return;
    }
    participant.denied.push(sid.clone());
    turn.refuse(Refused::Subscribe);
    tell_permission(turn, who, &publisher, sid, false);
}

fn tell_permission(
    turn: &mut Turn<'_>,
    who: &ParticipantSid,
    publisher: &ParticipantSid,
    sid: &TrackSid,
    allowed: bool,
) {
    let update = SubscriptionPermissionUpdate {
        participant_sid: publisher.0.clone(),
        track_sid: sid.0.clone(),
        allowed,
    };
    turn.send(who, signal_response::Message::SubscriptionPermissionUpdate(update));
}

fn refuse(turn: &mut Turn<'_>, who: &ParticipantSid, sid: &TrackSid) {
    turn.refuse(Refused::UnknownTrack);
    let response =
        SubscriptionResponse { track_sid: sid.0.clone(), err: SubscriptionError::SeTrackNotfound.into() };
    turn.send(who, signal_response::Message::SubscriptionResponse(response));
}

/// Tracks named in one message; the rest of a longer list is ignored.
const SIDS_MAX: usize = 1_024;
const SUBSCRIPTIONS_MAX: usize = 1_024;

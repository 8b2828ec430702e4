//! Several codecs of one video: each subscriber gets one that its client understands, and if the publisher would rather
//! not send two, all get the one that everybody understands.

use livekit_protocol::BackupCodecPolicy;

use crate::negotiate::codec::{Codec, Kind};
use crate::room::names::{ParticipantSid, TrackSid};
use crate::room::subscribing;
use crate::room::subscription::{Stage, Subscription};
use crate::room::track::Track;
use crate::room::turn::Turn;
use crate::room::updating::{self, Urgency};
use crate::room::{publishing, track_info};

/// The client does not understand what a subscription would carry.
pub fn refused(turn: &mut Turn<'_>, subscription: u64) {
    let Some((who, sid)) = turn.room.directory.subscriptions.get(&subscription).cloned() else { return };
    let Some(track) = turn.room.tracks.get(&sid).filter(|track| track.kind() == Kind::Video) else { return };
    let Some(participant) = turn.room.participants.get_mut(&who) else { return };
    let Some(subscription) = participant.subscriptions.get_mut(&sid) else { return };
    let carried = track.publications.iter().find(|one| one.id == subscription.publication);
    if let Some(codec) = carried.and_then(|publication| publication.codec())
        && !subscription.refused.contains(&codec)
    {
        subscription.refused.push(codec);
    }
    let understood = |codec: Codec| !subscription.refused.contains(&codec);
    let other = track.publications.iter().find(|one| one.codec().is_some_and(understood));
    if let Some(other) = other.map(|publication| publication.id) {
        subscribing::switch(turn, &who, &sid, other);
        regress(turn, &sid, other);
    }
    turn.touch_demand(&sid);
}

/// The first packet of a codec arrived: who waits for it gets it.
pub fn appeared(turn: &mut Turn<'_>, sid: &TrackSid, publication: u64) {
    let Some(track) = turn.room.tracks.get(sid).filter(|track| track.kind() == Kind::Video) else { return };
    let appeared = track.publications.iter().find(|one| one.id == publication);
    let Some(codec) = appeared.and_then(|publication| publication.codec()) else { return };
    let waits = |one: &Subscription| one.stage == Stage::Unsupported && !one.refused.contains(&codec);
    let waiting: Vec<ParticipantSid> = subscribers(turn, sid, waits);
    for who in &waiting {
        subscribing::switch(turn, who, sid, publication);
    }
    if !waiting.is_empty() {
        regress(turn, sid, publication);
    }
}

/// Somebody needs a further codec, and the publisher does not want to send two: everybody gets this one from now on.
fn regress(turn: &mut Turn<'_>, sid: &TrackSid, publication: u64) {
    let Some(track) = turn.room.tracks.get_mut(sid) else { return };
    if track.record.info.backup_codec_policy() == BackupCodecPolicy::Simulcast {
        return;
    }
    let Some(position) = track.publications.iter().position(|one| one.id == publication) else { return };
    let Some(codec) = track.publications.get(position).and_then(|one| one.codec()) else { return };
    if position > 0 {
        // Whoever comes later gets the first.
        let first = track.publications.remove(position);
        track_info::complete(&mut track.record.info, &first, true);
        track.publications.insert(0, first);
        let publisher = track.record.publisher.clone();
        turn.touch_track(sid);
        publishing::stamp(turn, sid);
        updating::announce(turn, &publisher, Urgency::Now);
    }
    let elsewhere = |one: &Subscription| one.publication != publication && !one.refused.contains(&codec);
    for who in subscribers(turn, sid, elsewhere) {
        subscribing::switch(turn, &who, sid, publication);
    }
}

/// Whether a subscriber that understands no codec that there is may yet get one.
#[must_use]
pub fn awaits_another(turn: &Turn<'_>, who: &ParticipantSid, sid: &TrackSid) -> bool {
    let Some(track) = turn.room.tracks.get(sid) else { return false };
    let subscription = turn.participant(who).and_then(|participant| participant.subscriptions.get(sid));
    subscription.is_some_and(|subscription| awaited(track, subscription).is_some())
}

/// The codec that a subscriber waits for: announced, not sent yet, and not known to be of no use to it.
#[must_use]
pub fn awaited(track: &Track, subscription: &Subscription) -> Option<Codec> {
    if subscription.stage != Stage::Unsupported {
        return None;
    }
    announced(track).find(|codec| !subscription.refused.contains(codec))
}

/// The codecs that the publisher would send if somebody needed them.
pub fn announced(track: &Track) -> impl Iterator<Item = Codec> {
    let sent = |codec: &Codec| track.publications.iter().any(|one| one.codec() == Some(*codec));
    let named = track.record.info.codecs.iter().filter_map(|codec| Codec::from_mime(&codec.mime_type));
    named.filter(move |codec| codec.kind() == Kind::Video && !sent(codec))
}

fn subscribers(
    turn: &Turn<'_>,
    sid: &TrackSid,
    matches: impl Fn(&Subscription) -> bool,
) -> Vec<ParticipantSid> {
    let participants = turn.room.participants.values();
    let matching =
        participants.filter(|participant| participant.subscriptions.get(sid).is_some_and(&matches));
    matching.map(|participant| participant.profile.sid.clone()).collect()
}

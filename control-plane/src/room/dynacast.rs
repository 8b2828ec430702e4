//! Dynacast: a publisher sends of its video what somebody wants, and nothing else.

use livekit_protocol::{
    SubscribedCodec, SubscribedQuality, SubscribedQualityUpdate, VideoQuality, signal_response,
};

use crate::negotiate::codec::{Codec, Kind};
use crate::room::clock::Time;
use crate::room::codecs;
use crate::room::demand::{CodecDemand, Demand, Quality, START_DELAY, Want};
use crate::room::names::{ParticipantSid, TrackSid};
use crate::room::state::Room;
use crate::room::subscription::{Stage, Subscription, layers};
use crate::room::track::{Publication, Track};
use crate::room::turn::Turn;

/// A track went live: from now on its publisher is told what of it is wanted.
pub fn begin(turn: &mut Turn<'_>, sid: &TrackSid) {
    let starts_at = turn.now.after(START_DELAY);
    if let Some(track) = turn.room.tracks.get_mut(sid).filter(|track| track.kind() == Kind::Video) {
        track.demand = Some(Demand::new(starts_at));
    }
}

/// What is wanted of a track may have changed, or time passed.
pub fn settle(turn: &mut Turn<'_>, sid: &TrackSid) {
    let delay = turn.surroundings.config.video.dynacast_pause_delay;
    let Some(track) = turn.room.tracks.get(sid).filter(|track| track.demand.is_some()) else { return };
    let wants = wants(turn.room, track);
    let now = turn.now;
    let demand = turn.room.tracks.get_mut(sid).and_then(|track| track.demand.as_mut());
    if demand.is_some_and(|demand| demand.want(now, &wants, delay)) {
        tell(turn, sid);
    }
}

/// In a room that was rebuilt: a publisher that resumes is told what is wanted now.
pub fn restore(room: &mut Room, now: Time) {
    let live = room.tracks.iter().filter(|(_, track)| track.record.live && track.kind() == Kind::Video);
    let wants: Vec<(TrackSid, Vec<Want>)> =
        live.map(|(sid, track)| (sid.clone(), wants(room, track))).collect();
    for (sid, wants) in wants {
        if let Some(track) = room.tracks.get_mut(&sid) {
            track.demand = Some(Demand::restored(now, &wants));
        }
    }
}

/// A publisher that resumes may have missed what it was told.
pub fn repeat(turn: &mut Turn<'_>, who: &ParticipantSid) {
    let tracks = turn.participant(who).map(|participant| participant.tracks.clone()).unwrap_or_default();
    for sid in &tracks {
        tell(turn, sid);
    }
}

fn tell(turn: &mut Turn<'_>, sid: &TrackSid) {
    let Some(track) = turn.room.tracks.get(sid) else { return };
    let Some(told) = track.demand.as_ref().and_then(Demand::told) else { return };
    let (publisher, update) = (track.record.publisher.clone(), update(sid, told));
    turn.send(&publisher, signal_response::Message::SubscribedQualityUpdate(update));
}

#[expect(deprecated, reason = "clients that know nothing of several codecs read `subscribed_qualities`")]
fn update(sid: &TrackSid, told: &[CodecDemand]) -> SubscribedQualityUpdate {
    let subscribed_codecs: Vec<SubscribedCodec> = told
        .iter()
        .map(|demand| SubscribedCodec {
            codec: demand.codec.name().to_ascii_lowercase(),
            qualities: demand.qualities().map(|(quality, enabled)| subscribed(quality, enabled)).collect(),
        })
        .collect();
    SubscribedQualityUpdate {
        track_sid: sid.0.clone(),
        subscribed_qualities: subscribed_codecs
            .first()
            .map(|codec| codec.qualities.clone())
            .unwrap_or_default(),
        subscribed_codecs,
    }
}

fn subscribed(quality: Quality, enabled: bool) -> SubscribedQuality {
    let quality = match quality {
        Quality::Low => VideoQuality::Low,
        Quality::Medium => VideoQuality::Medium,
        Quality::High => VideoQuality::High,
    };
    SubscribedQuality { quality: quality.into(), enabled }
}

/// What all subscribers together want of each codec of a track.
fn wants(room: &Room, track: &Track) -> Vec<Want> {
    let mut wants: Vec<Want> = Vec::new();
    for publication in &track.publications {
        let Some(codec) = publication.codec() else { continue };
        let quality = best(room, track, publication);
        match wants.iter_mut().find(|want| want.codec == codec) {
            Some(want) => want.quality = want.quality.max(quality),
            None => wants.push(Want { codec, quality, published: true }),
        }
    }
    for codec in codecs::announced(track) {
        let quality = best_of(room, track, |one| codecs::awaited(track, one) == Some(codec));
        if wants.iter().all(|want| want.codec != codec) {
            wants.push(Want { codec, quality, published: false });
        }
    }
    wants
}

/// The best that a subscriber of a publication wants.
fn best(room: &Room, track: &Track, publication: &Publication) -> Option<Quality> {
    let of_it = |one: &Subscription| one.publication == publication.id && one.stage != Stage::Unsupported;
    let best = best_of(room, track, of_it)?;
    // The one stream of a client may go by any name.
    Some(if is_one_picture(publication) { Quality::High } else { best })
}

/// The best that some subscribers want. Nothing is wanted of what is muted.
fn best_of(room: &Room, track: &Track, counts: impl Fn(&Subscription) -> bool) -> Option<Quality> {
    if track.record.info.muted {
        return None;
    }
    let sid = track.sid();
    let participants = room.participants.values();
    let subscriptions = participants.filter_map(|participant| participant.subscriptions.get(&sid));
    let wanted = subscriptions.filter(|one| counts(one));
    wanted.filter_map(|one| one.settings.quality(layers(&track.record.info))).max()
}

/// Whether there is nothing to choose from: one stream, of a codec that has one size of picture in a stream.
fn is_one_picture(publication: &Publication) -> bool {
    publication.encodings.len() < 2 && !matches!(publication.codec(), Some(Codec::Vp9 | Codec::Av1))
}

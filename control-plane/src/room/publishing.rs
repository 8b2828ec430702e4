//! Publishing: a track is announced, negotiated, and live once its first packet arrived.

use livekit_protocol::request_response::{Reason, Request};
use livekit_protocol::{
    AddTrackRequest, TrackPublishedResponse, TrackType, TrackUnpublishedResponse, signal_response,
};
use proto::media::v1 as proto;

use crate::negotiate::outcome::ReceivedSection;
use crate::room::effect::Refused;
use crate::room::names::{ParticipantSid, TrackSid};
use crate::room::track::{Cid, Publication, Record, Track};
use crate::room::turn::Turn;
use crate::room::updating::Urgency;
use crate::room::{answering, codecs, dynacast, leaving, notice, subscribing, track_info, updating};

/// The client will send a track; it learns the track's sid at once.
pub fn add_track(turn: &mut Turn<'_>, who: &ParticipantSid, mut request: AddTrackRequest) {
    track_info::forget_unknown_values(&mut request);
    if let Some((reason, text)) = objection(turn, who, &request) {
        let what = match reason {
            Reason::LimitExceeded => Refused::PublishLimit,
            Reason::NotFound => Refused::UnknownTrack,
            _ => Refused::Publish,
        };
        turn.refuse(what);
        if reason == Reason::Queued {
            enqueue(turn, who, &request);
        }
        return answering::refuse(turn, who, reason, text, Request::AddTrack(request));
    }
    let cid = request.cid.clone();
    let info = if request.sid.is_empty() { announce(turn, who, &request) } else { add_codec(turn, &request) };
    if let Some(track) = info {
        let response = TrackPublishedResponse { cid, track: Some(track) };
        turn.send(who, signal_response::Message::TrackPublished(response));
    }
}

/// A client that unpublishes a track and publishes it again at once does not wait for its own offer in between.
fn enqueue(turn: &mut Turn<'_>, who: &ParticipantSid, request: &AddTrackRequest) {
    let Some(participant) = turn.participant_mut(who) else { return };
    participant.queued.retain(|queued| queued.cid != request.cid);
    if participant.queued.len() < TRACKS_MAX {
        participant.queued.push(request.clone());
    }
}

/// Takes up what waited for the end of a track.
fn dequeue(turn: &mut Turn<'_>, who: &ParticipantSid, ended: &[Cid]) {
    let Some(participant) = turn.participant_mut(who) else { return };
    let waits = |request: &AddTrackRequest| {
        track_info::cids(request).iter().any(|cid| ended.iter().any(|ended| ended.cid == cid.cid))
    };
    let Some(position) = participant.queued.iter().position(waits) else { return };
    let request = participant.queued.remove(position);
    add_track(turn, who, request);
}

/// Why a track may not be published, in LiveKit's words.
fn objection(
    turn: &Turn<'_>,
    who: &ParticipantSid,
    request: &AddTrackRequest,
) -> Option<(Reason, &'static str)> {
    let participant = turn.participant(who)?;
    let tracks = || participant.tracks.iter().filter_map(|sid| turn.room.tracks.get(sid));
    if !participant.profile.claims.video.can_publish_source(request.source()) {
        return Some((Reason::NotAllowed, "does not have permission to publish own tracks"));
    }
    if TrackType::try_from(request.r#type).map_or(true, |kind| kind == TrackType::Data) {
        return Some((Reason::UnsupportedType, "unsupported track type"));
    }
    if !request.sid.is_empty() && !tracks().any(|track| track.record.info.sid == request.sid) {
        return Some((Reason::NotFound, "track not found"));
    }
    if !track_info::is_modest(request) {
        return Some((Reason::LimitExceeded, "too long a description"));
    }
    let cids = track_info::cids(request);
    let known = |cid: &str| tracks().any(|track| track.record.cids.iter().any(|known| known.cid == cid));
    if request.sid.is_empty() && cids.iter().any(|cid| known(&cid.cid)) {
        return Some((Reason::Queued, "track is already published or about to be"));
    }
    if participant.tracks.len() >= TRACKS_MAX && request.sid.is_empty() {
        return Some((Reason::LimitExceeded, "too many tracks"));
    }
    let track = tracks().find(|track| track.record.info.sid == request.sid);
    let (known_cids, known_codecs) =
        track.map_or((0, 0), |track| (track.record.cids.len(), track.record.info.codecs.len()));
    let codecs = if track.is_some() { track_info::codecs(request).len() } else { 0 };
    if known_cids + cids.len() > CIDS_MAX || known_codecs + codecs > CODECS_MAX {
        return Some((Reason::LimitExceeded, "too many codecs"));
    }
    None
}

fn announce(
    turn: &mut Turn<'_>,
    who: &ParticipantSid,
    request: &AddTrackRequest,
) -> Option<livekit_protocol::TrackInfo> {
    let sid = TrackSid(turn.mint.sid(&track_info::sid_prefix(request)));
    let info = track_info::announced(sid.0.clone(), request);
    let record = Record {
        publisher: who.clone(),
        info: info.clone(),
        cids: track_info::cids(request),
        announced_at: turn.now,
        live: false,
    };
    turn.participant_mut(who)?.tracks.push(sid.clone());
    turn.room.tracks.insert(sid.clone(), Track::new(record));
    turn.touch_track(&sid);
    turn.touch_participant(who);
    Some(info)
}

/// A further codec for a track that is published already.
fn add_codec(turn: &mut Turn<'_>, request: &AddTrackRequest) -> Option<livekit_protocol::TrackInfo> {
    let sid = TrackSid(request.sid.clone());
    let record = &mut turn.room.tracks.get_mut(&sid)?.record;
    for codec in track_info::codecs(request) {
        if record.info.codecs.iter().any(|known| !known.cid.is_empty() && known.cid == codec.cid) {
            continue;
        }
        // A codec that was announced without a cid gets it now.
        let waiting = record
            .info
            .codecs
            .iter_mut()
            .find(|known| known.cid.is_empty() && known.mime_type.eq_ignore_ascii_case(&codec.mime_type));
        match waiting {
            Some(known) => known.cid = codec.cid,
            None => record.info.codecs.push(codec),
        }
    }
    for cid in track_info::cids(request) {
        if !record.cids.iter().any(|known| known.cid == cid.cid) {
            record.cids.push(cid);
        }
    }
    let info = record.info.clone();
    turn.touch_track(&sid);
    Some(info)
}

/// What an offer says of the client's sending: new publications, changed ones, ended ones.
pub fn receive(turn: &mut Turn<'_>, who: &ParticipantSid, sections: &[ReceivedSection]) {
    for section in sections {
        let existing = publication_on(turn, who, &section.mid);
        let track = section.track_sid.clone().map(TrackSid).filter(|_| section.active);
        if let Some((former, id)) = existing
            && track.as_ref() != Some(&former)
        {
            end(turn, who, &former, id);
        }
        match track {
            Some(track) => carry(turn, who, &track, section),
            None if section.active => {
                tracing::info!(participant = %who, mid = section.mid, "a media section that no track was announced for");
            }
            None => {}
        }
    }
}

/// A section carries a track.
fn carry(turn: &mut Turn<'_>, who: &ParticipantSid, sid: &TrackSid, section: &ReceivedSection) {
    let Some(peer) = turn.participant(who).map(|participant| participant.publisher.id) else { return };
    let fresh_id = turn.mint.resource_id();
    let Some(track) = turn.room.tracks.get_mut(sid) else { return };
    if track.record.publisher != *who {
        return;
    }
    let former = track.publications.iter().position(|publication| publication.mid == section.mid);
    let publication = Publication {
        id: former
            .and_then(|index| track.publications.get(index))
            .map_or(fresh_id, |publication| publication.id),
        peer,
        mid: section.mid.clone(),
        cid: section.cid.clone(),
        codecs: section.codecs.clone(),
        encodings: section.encodings.clone(),
        nack: section.nack,
        pli: section.pli,
        fir: section.fir,
        payload_type: former
            .and_then(|index| track.publications.get(index))
            .and_then(|former| former.payload_type),
    };
    let id = publication.id;
    let forwarded = former.map_or(track.publications.is_empty(), |index| index == 0);
    track_info::complete(&mut track.record.info, &publication, forwarded);
    match former.and_then(|index| track.publications.get_mut(index)) {
        Some(slot) => *slot = publication,
        None => track.publications.push(publication),
    }
    // Nothing may come from a track that is muted from the start; others still want to know of it.
    let silent_start = track.record.info.muted && !track.record.live;
    turn.room.directory.publications.insert(id, sid.clone());
    turn.touch_track(sid);
    turn.touch_participant(who);
    if silent_start {
        go_live(turn, sid);
    }
}

/// The first packet of an encoding: now the track exists for the others.
pub fn started(turn: &mut Turn<'_>, started: &proto::SourceStarted) {
    let Some(sid) = turn.room.directory.publications.get(&started.publication).cloned() else { return };
    let Some(track) = turn.room.tracks.get_mut(&sid) else { return };
    let Some(index) = track.publications.iter().position(|publication| publication.id == started.publication)
    else {
        return;
    };
    let Some(publication) = track.publications.get_mut(index) else { return };
    publication.payload_type = Some(started.payload_type);
    let publication = publication.clone();
    let before = track.record.info.clone();
    track_info::complete(&mut track.record.info, &publication, index == 0);
    let changed = track.record.info != before;
    let (live, publisher) = (track.record.live, track.record.publisher.clone());
    turn.touch_track(&sid);
    if !live && index == 0 {
        go_live(turn, &sid);
    } else if live && changed {
        stamp(turn, &sid);
        updating::announce(turn, &publisher, Urgency::Now);
    }
    codecs::appeared(turn, &sid, started.publication);
}

fn go_live(turn: &mut Turn<'_>, sid: &TrackSid) {
    let Some(track) = turn.room.tracks.get_mut(sid) else { return };
    track.record.live = true;
    let publisher = track.record.publisher.clone();
    tracing::debug!(participant_sid = %publisher, track = %sid, "track published");
    stamp(turn, sid);
    dynacast::begin(turn, sid);
    turn.touch_track(sid);
    if let Some(participant) = turn.participant_mut(&publisher) {
        participant.profile.publishes = true;
    }
    updating::announce(turn, &publisher, Urgency::Now);
    notice::published(turn, &publisher, sid);
    updating::recount(turn);
    let others: Vec<ParticipantSid> =
        turn.room.participants.keys().filter(|other| **other != publisher).cloned().collect();
    for other in others {
        subscribing::reconcile(turn, &other, sid);
    }
}

/// One section of a track ended; with the last one the track is unpublished.
fn end(turn: &mut Turn<'_>, who: &ParticipantSid, sid: &TrackSid, publication: u64) {
    let Some(track) = turn.room.tracks.get_mut(sid) else { return };
    track.publications.retain(|one| one.id != publication);
    let over = track.publications.is_empty();
    let first = track.forwarded().cloned();
    turn.delete_publication(publication);
    if over {
        return unpublish(turn, who, sid);
    }
    // What subscribers got may be gone: they get the next codec.
    if let (Some(first), Some(track)) = (first, turn.room.tracks.get_mut(sid)) {
        track_info::complete(&mut track.record.info, &first, true);
    }
    turn.touch_track(sid);
    for subscriber in turn.room.subscribers(sid) {
        subscribing::renew(turn, &subscriber, sid);
    }
}

/// Nobody sends or receives the track any more.
pub fn unpublish(turn: &mut Turn<'_>, who: &ParticipantSid, sid: &TrackSid) {
    let record = turn.room.tracks.get(sid).map(|track| &track.record);
    let live = record.is_some_and(|record| record.live);
    let cids = record.map(|record| record.cids.clone()).unwrap_or_default();
    notice::unpublished(turn, who, sid);
    leaving::withdraw(turn, sid);
    if let Some(participant) = turn.participant_mut(who) {
        participant.tracks.retain(|track| track != sid);
    }
    turn.touch_participant(who);
    if live {
        updating::announce(turn, who, Urgency::Now);
    }
    dequeue(turn, who, &cids);
}

/// The server ends a publication: its publisher is told to stop it.
pub fn revoke(turn: &mut Turn<'_>, who: &ParticipantSid, sid: &TrackSid) {
    let unpublished = TrackUnpublishedResponse { track_sid: sid.0.clone() };
    turn.send(who, signal_response::Message::TrackUnpublished(unpublished));
    unpublish(turn, who, sid);
}

pub fn stamp(turn: &mut Turn<'_>, sid: &TrackSid) {
    let now = turn.now;
    if let Some(track) = turn.room.tracks.get_mut(sid) {
        track_info::stamp(&mut track.record.info, now);
    }
}

/// The track, and the publication, that a participant sends on a media section.
fn publication_on(turn: &Turn<'_>, who: &ParticipantSid, mid: &str) -> Option<(TrackSid, u64)> {
    let tracks = turn.participant(who)?.tracks.iter().filter_map(|sid| turn.room.tracks.get(sid));
    tracks
        .flat_map(|track| track.publications.iter().map(|one| (track.sid(), one)))
        .find_map(|(sid, publication)| (publication.mid == mid).then_some((sid, publication.id)))
}

/// Published and announced tracks of one participant.
const TRACKS_MAX: usize = 32;
/// Codecs of one track: a primary, its backup, and room for audio codecs.
const CIDS_MAX: usize = 4;
/// The same with those that have no cid (yet), and with those that are named again.
const CODECS_MAX: usize = 2 * CIDS_MAX;

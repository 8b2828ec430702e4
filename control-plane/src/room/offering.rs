//! What is sent to a participant changes: we offer (two connections), or ask the client for an offer (one).

use std::time::Duration;

use livekit_protocol::{
    MediaSectionsRequirement, SessionDescription, SignalTarget, TrickleRequest, signal_response,
};

use crate::negotiate::codec::Kind;
use crate::negotiate::outcome::MissingSections;
use crate::negotiate::track::SendTrack;
use crate::room::clock::Time;
use crate::room::names::ParticipantSid;
use crate::room::participant::Participant;
use crate::room::peer::Negotiation;
use crate::room::state::Room;
use crate::room::subscription::{Stage, Subscription};
use crate::room::turn::Turn;

/// Something is to be sent, or not any more: negotiates soon.
pub fn request(turn: &mut Turn<'_>, who: &ParticipantSid, cause: Cause) {
    let now = turn.now;
    let Some(participant) = turn.participant_mut(who) else { return };
    // Nobody to negotiate with: a resume does it, or nothing can.
    if participant.connection.is_some() && !participant.profile.one_shot {
        participant.receiving_mut().negotiation.request(now, cause);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There is something new to send.
    Addition,
    /// A section is free: not urgent, and more of them often follow.
    Removal,
}

/// The time has come.
pub fn negotiate(turn: &mut Turn<'_>, who: &ParticipantSid) {
    let Some(participant) = turn.participant_mut(who) else { return };
    let single = participant.single_peer_connection();
    let peer = participant.receiving_mut();
    peer.negotiation.due = None;
    if !single {
        offer_all(turn, who);
    } else if peer.negotiated {
        let (audios, videos) = participant.publisher.free;
        let audios = wanted(participant, Kind::Audio).saturating_sub(audios);
        let videos = wanted(participant, Kind::Video).saturating_sub(videos);
        ask(turn, who, audios, videos);
    }
    // Before its first offer, a client with one connection is about to make one.
}

/// How many subscriptions have no media section yet.
fn wanted(participant: &Participant, kind: Kind) -> u32 {
    let subscriptions = participant.subscriptions.values();
    let session = &participant.receiving().session;
    let waits =
        |one: &&Subscription| one.kind == kind && one.stage == Stage::Wanted && !session.carries(one.id);
    let count = subscriptions.filter(waits).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The media sections that were missing in the client's offer.
pub fn ask_for_missing(turn: &mut Turn<'_>, who: &ParticipantSid, missing: MissingSections) {
    if turn.participant(who).is_some_and(|participant| participant.profile.one_shot) {
        return;
    }
    if missing.audios > 0 || missing.videos > 0 {
        ask(turn, who, missing.audios, missing.videos);
    } else if missing.offer_again {
        request(turn, who, Cause::Addition);
    }
}

/// Asks for an offer; 0 and 0 just ask for one. A client adds the counts to those of an earlier request that it has
/// not answered, but there is none: while we wait for an offer, nothing is asked.
fn ask(turn: &mut Turn<'_>, who: &ParticipantSid, audios: u32, videos: u32) {
    let now = turn.now;
    let Some(participant) = turn.participant_mut(who) else { return };
    participant.publisher.negotiation.wait(now);
    let requirement = MediaSectionsRequirement { num_audios: audios, num_videos: videos };
    turn.send(who, signal_response::Message::MediaSectionsRequirement(requirement));
}

/// Offers everything that the participant is subscribed to.
pub fn offer_all(turn: &mut Turn<'_>, who: &ParticipantSid) {
    let Some(participant) = turn.participant(who) else { return };
    let sends = sends(turn.room, participant, turn.surroundings.config.audio.active_red_encoding);
    offer(turn, who, &sends);
}

/// Offers on the subscriber's connection.
pub fn offer(turn: &mut Turn<'_>, who: &ParticipantSid, sends: &[SendTrack]) {
    let (now, surroundings) = (turn.now, turn.surroundings);
    let Some(subscriber) = turn.participant_mut(who).and_then(|participant| participant.subscriber.as_mut())
    else {
        return;
    };
    let offered = subscriber.session.offer(&surroundings.setup(subscriber.worker), sends);
    subscriber.description_id = subscriber.description_id.wrapping_add(1);
    subscriber.negotiation.wait(now);
    subscriber.negotiation.again |= offered.offer_again;
    let description = SessionDescription {
        r#type: "offer".to_owned(),
        sdp: offered.sdp.clone(),
        id: subscriber.description_id,
        mid_to_track_id: offered.mid_to_track_id,
    };
    let id = subscriber.id;
    turn.touch_peer(id);
    turn.send(who, signal_response::Message::Offer(description));
    trickle(turn, who, SignalTarget::Subscriber, &offered.sdp);
}

/// Tells our candidates, once for each ICE generation; the last one is marked.
pub fn trickle(turn: &mut Turn<'_>, who: &ParticipantSid, target: SignalTarget, sdp: &str) {
    let surroundings = turn.surroundings;
    let Some(participant) = turn.participant_mut(who) else { return };
    let peer = match target {
        SignalTarget::Subscriber => participant.receiving_mut(),
        SignalTarget::Publisher => &mut participant.publisher,
    };
    let Some(ufrag) = peer.session.local_ice().into_iter().next().map(|ice| ice.ufrag) else { return };
    if peer.trickled.as_ref() == Some(&ufrag) {
        return;
    }
    peer.trickled = Some(ufrag.clone());
    let mid = first_mid(sdp);
    let lines = surroundings.setup(peer.worker).candidate_lines(&ufrag);
    let last = lines.len().saturating_sub(1);
    for (index, line) in lines.into_iter().enumerate() {
        let init = serde_json::json!({
            "candidate": format!("candidate:{line}"), "sdpMid": mid, "sdpMLineIndex": 0, "usernameFragment": null
        });
        let request = TrickleRequest {
            candidate_init: init.to_string(),
            target: target.into(),
            r#final: index == last,
        };
        turn.send(who, signal_response::Message::Trickle(request));
    }
}

/// What a participant is to be sent; `active_red` is the configuration's `active_red_encoding`.
#[must_use]
pub fn sends(room: &Room, participant: &Participant, active_red: bool) -> Vec<SendTrack> {
    let subscriptions = participant.subscriptions.values().filter(|one| one.stage != Stage::Unsupported);
    let sends = subscriptions.filter_map(|subscription| {
        let track = room.tracks.get(&subscription.track)?;
        let publication =
            track.publications.iter().find(|publication| publication.id == subscription.publication)?;
        Some(SendTrack {
            subscription: subscription.id,
            track_sid: subscription.track.0.clone(),
            stream: track.stream(room.record.sync_streams, &participant.profile.client),
            kind: subscription.kind,
            ssrc: subscription.ssrc,
            rtx_ssrc: subscription.rtx_ssrc,
            codecs: publication.codecs.clone(),
            carried: publication.codec().filter(|codec| codec.kind() == Kind::Video),
            stereo: track.announced().stereo,
            active_red: active_red && !track.record.info.disable_red && !track.encrypted(),
        })
    });
    sends.collect()
}

impl Negotiation {
    pub fn request(&mut self, now: Time, cause: Cause) {
        if self.awaiting.is_some() {
            self.again = true;
            return;
        }
        let quiet_since = self.last.map_or(Duration::MAX, |last| now.since(last));
        let delay = match cause {
            Cause::Removal => REMOVAL_DELAY,
            Cause::Addition if quiet_since >= DEBOUNCE => FAST_PATH,
            Cause::Addition => DEBOUNCE.saturating_sub(quiet_since).max(FAST_PATH),
        };
        let due = now.after(delay);
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
    }

    /// The client has the word.
    pub fn wait(&mut self, now: Time) {
        self.due = None;
        self.awaiting = Some(now);
        self.last = Some(now);
        self.again = false;
    }

    /// The client answered (or offered).
    pub fn settle(&mut self, now: Time) {
        self.awaiting = None;
        if std::mem::take(&mut self.again) {
            self.request(now, Cause::Addition);
        }
    }

    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let answer = self.awaiting.map(|since| since.after(ANSWER_TIMEOUT));
        [self.due, answer].into_iter().flatten().min()
    }

    #[must_use]
    pub fn is_overdue(&self, now: Time) -> bool {
        self.awaiting.is_some_and(|since| now >= since.after(ANSWER_TIMEOUT))
    }
}

/// Everything is bundled: every candidate belongs to the first section.
fn first_mid(sdp: &str) -> &str {
    sdp.lines().find_map(|line| line.strip_prefix("a=mid:")).unwrap_or("0")
}

/// LiveKit's: changes within it are negotiated together, the first one soon.
const DEBOUNCE: Duration = Duration::from_millis(150);
const FAST_PATH: Duration = Duration::from_millis(10);
const REMOVAL_DELAY: Duration = Duration::from_millis(200);
/// LiveKit's: no answer by then means that the negotiation failed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

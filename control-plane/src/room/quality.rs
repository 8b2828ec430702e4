//! Connection quality: a score from loss, delay and jitter, every five seconds, after the E-model (ITU-T G.107).

use std::collections::HashMap;
use std::time::Duration;

use livekit_protocol::{ConnectionQuality, ConnectionQualityInfo, ConnectionQualityUpdate, signal_response};
use proto::media::v1 as proto;

use crate::negotiate::codec::Kind;
use crate::room::names::ParticipantSid;
use crate::room::participant::Participant;
use crate::room::turn::Turn;

/// LiveKit's.
pub const INTERVAL: Duration = Duration::from_secs(5);
pub const SCORE_MAX: f32 = 100.0;

/// What the media plane measured over the last interval: a participant is as good as its worst stream.
pub fn measured(turn: &mut Turn<'_>, quality: &proto::Quality) {
    turn.room.measurements.add(&turn.room.directory, quality);
    let mut worst: HashMap<ParticipantSid, f32> = HashMap::new();
    for stream in &quality.publications {
        let sid = turn.room.directory.publications.get(&stream.id);
        let Some(track) = sid.and_then(|sid| turn.room.tracks.get(sid)) else { continue };
        let score = match (track.record.info.muted || !track.record.live, stream.packets) {
            // A muted track is as good as can be.
            (true, _) => SCORE_MAX,
            (false, 0) => SCORE_MIN,
            (false, _) => score(stream, track.kind()),
        };
        lower(&mut worst, &track.record.publisher, score);
    }
    for stream in &quality.subscriptions {
        let Some((who, sid)) = turn.room.directory.subscriptions.get(&stream.id) else { continue };
        let Some(track) = turn.room.tracks.get(sid) else { continue };
        // Nothing was sent: paused, muted, or the publisher's fault.
        if stream.packets > 0 {
            lower(&mut worst, who, score(stream, track.kind()));
        }
    }
    for (sid, participant) in &mut turn.room.participants {
        let target = worst.get(sid).copied().unwrap_or(SCORE_MAX);
        participant.score = smoothed(participant.score, target);
    }
}

/// Tells every participant of itself and of those whom it receives.
pub fn tell(turn: &mut Turn<'_>) {
    turn.room.timers.quality = Some(turn.now.after(INTERVAL));
    let everybody: Vec<ParticipantSid> = turn.room.participants.keys().cloned().collect();
    for to in &everybody {
        let Some(participant) = turn.participant(to) else { continue };
        let mut updates = vec![info(participant)];
        for publisher in publishers(turn, participant) {
            updates.extend(turn.participant(&publisher).map(info));
        }
        let update = ConnectionQualityUpdate { updates };
        turn.send(to, signal_response::Message::ConnectionQuality(update));
    }
}

fn publishers(turn: &Turn<'_>, participant: &Participant) -> Vec<ParticipantSid> {
    let tracks = participant.subscriptions.keys().filter_map(|sid| turn.room.tracks.get(sid));
    let mut publishers: Vec<ParticipantSid> = tracks.map(|track| track.record.publisher.clone()).collect();
    publishers.sort();
    publishers.dedup();
    publishers
}

fn info(participant: &Participant) -> ConnectionQualityInfo {
    let lost = participant.primary().transport == proto::TransportState::Disconnected;
    let score = if lost { 0.0 } else { participant.score };
    // Clients before protocol 11 do not know LOST; they are told by what the others see, which is newer.
    ConnectionQualityInfo {
        participant_sid: participant.profile.sid.0.clone(),
        quality: rating(score).into(),
        score: mean_opinion_score(score),
    }
}

/// 30 to 100, from one stream's loss, round trip and jitter.
fn score(stream: &proto::StreamQuality, kind: Kind) -> f32 {
    let total = stream.packets.saturating_add(stream.packets_lost);
    let loss_percent = if total == 0 { 0.0 } else { 100.0 * ratio(stream.packets_lost, total) };
    // Audio conceals and corrects (in-band FEC); a lost video packet freezes a picture until it is repaired.
    let weight = match kind {
        Kind::Audio => 4.0,
        Kind::Video => 10.0,
    };
    let one_way_ms = (f64::from(stream.rtt_us) / 2.0 + f64::from(stream.jitter_us)) / 1_000.0;
    let delay = if one_way_ms < 160.0 { one_way_ms / 40.0 } else { (one_way_ms - 120.0) / 10.0 };
    let score = f64::from(SCORE_MAX) - delay - loss_percent * weight;
    let score = score.clamp(f64::from(SCORE_MIN), f64::from(SCORE_MAX));
    #[expect(clippy::cast_possible_truncation, reason = "30 to 100")]
    let score = score as f32;
    score
}

#[expect(clippy::cast_precision_loss, reason = "packets of five seconds")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// Bad news travels faster than good news: a score falls by four fifths of the difference and rises by two.
fn smoothed(before: f32, target: f32) -> f32 {
    let factor = if target < before { 0.8 } else { 0.4 };
    let next = before + factor * (target - before);
    if (target - next).abs() < 0.5 { target } else { next }
}

fn lower(worst: &mut HashMap<ParticipantSid, f32>, sid: &ParticipantSid, score: f32) {
    let entry = worst.entry(sid.clone()).or_insert(score);
    *entry = entry.min(score);
}

fn rating(score: f32) -> ConnectionQuality {
    match score {
        score if score > 80.0 => ConnectionQuality::Excellent,
        score if score > 40.0 => ConnectionQuality::Good,
        score if score > 20.0 => ConnectionQuality::Poor,
        _ => ConnectionQuality::Lost,
    }
}

/// ITU-T G.107 Annex B: from a rating of 0 to 100 to a mean opinion score of 1 to 4.5.
fn mean_opinion_score(score: f32) -> f32 {
    match score {
        score if score <= 0.0 => 1.0,
        score if score >= 100.0 => 4.5,
        score => 1.0 + 0.035 * score + score * (score - 60.0) * (100.0 - score) * 7e-6,
    }
}

/// As bad as a stream can be; below it there is only a connection that is lost. Also where nothing came from a track
/// that should send.
const SCORE_MIN: f32 = 30.0;

#[cfg(test)]
mod tests {
    use livekit_protocol::ConnectionQuality;
    use proto::media::v1::StreamQuality;

    use super::{mean_opinion_score, rating, score, smoothed};
    use crate::negotiate::codec::Kind;

    #[test]
    fn score_falls_with_loss_and_delay() {
        use ConnectionQuality::{Excellent, Good, Poor};
        for (name, kind, packets, lost, rtt_ms, jitter_ms, expected) in [
            ("perfect", Kind::Audio, 250, 0, 1, 0, Excellent),
            ("200 ms round trip", Kind::Audio, 250, 0, 200, 5, Excellent),
            ("1 s round trip", Kind::Audio, 250, 0, 1_000, 5, Good),
            ("audio, 4 % loss", Kind::Audio, 240, 10, 20, 5, Excellent),
            ("audio, 10 % loss", Kind::Audio, 225, 25, 20, 5, Good),
            ("audio, 18 % loss", Kind::Audio, 205, 45, 20, 5, Poor),
            ("video, 1 % loss", Kind::Video, 990, 10, 20, 5, Excellent),
            ("video, 4 % loss", Kind::Video, 960, 40, 20, 5, Good),
            ("video, 7 % loss", Kind::Video, 930, 70, 20, 5, Poor),
            ("video, half lost", Kind::Video, 500, 500, 20, 5, Poor),
            ("nothing at all", Kind::Video, 0, 0, 0, 0, Excellent),
        ] {
            let stream = StreamQuality {
                id: 1,
                packets,
                packets_lost: lost,
                bytes: 0,
                rtt_us: rtt_ms * 1_000,
                jitter_us: jitter_ms * 1_000,
            };
            assert_eq!(rating(score(&stream, kind)), expected, "{name}");
        }
    }

    #[test]
    fn mean_opinion_score_spans_1_to_4_5() {
        for (score, expected) in [(0.0, 1.0), (100.0, 4.5), (60.0, 3.1), (80.0, 4.024)] {
            assert!((mean_opinion_score(score) - expected).abs() < 0.001, "{score}");
        }
    }

    #[test]
    fn score_falls_fast_and_rises_slowly() {
        assert_eq!(smoothed(100.0, 30.0), 44.0);
        assert_eq!(smoothed(30.0, 100.0), 58.0);
        assert_eq!(smoothed(99.9, 100.0), 100.0, "it arrives");
    }
}

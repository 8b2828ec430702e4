//! Speaking: who is heard, told as differences from what clients know.

use std::collections::BTreeMap;

use livekit_protocol::{SpeakerInfo, SpeakersChanged, signal_response};
use proto::media::v1 as proto;

use crate::room::names::ParticipantSid;
use crate::room::turn::Turn;

/// The media plane tells the speakers of now; a participant speaks as loud as its loudest track.
pub fn heard(turn: &mut Turn<'_>, speakers: &proto::Speakers) {
    let mut now: BTreeMap<ParticipantSid, f32> = BTreeMap::new();
    for speaker in &speakers.speakers {
        let sid = turn.room.directory.publications.get(&speaker.publication);
        let Some(track) = sid.and_then(|sid| turn.room.tracks.get(sid)) else { continue };
        let hidden =
            turn.participant(&track.record.publisher).is_none_or(|publisher| publisher.profile.hidden());
        if !track.record.live || hidden {
            continue;
        }
        let level = now.entry(track.record.publisher.clone()).or_default();
        *level = level.max(quantized(speaker.level));
    }
    let changes = changes(&turn.room.speakers, &now);
    turn.room.speakers = now;
    tell(turn, changes);
}

/// A participant left: it speaks no more, whatever the media plane says next.
pub fn silenced(turn: &mut Turn<'_>, who: &ParticipantSid) {
    if turn.room.speakers.remove(who).is_some() {
        tell(turn, vec![silent(who)]);
    }
}

/// Who began, changed loudness, or ended; the loudest first, as LiveKit sorts them.
fn changes(before: &BTreeMap<ParticipantSid, f32>, now: &BTreeMap<ParticipantSid, f32>) -> Vec<SpeakerInfo> {
    let differs =
        |(sid, level): &(&ParticipantSid, &f32)| before.get(*sid).is_none_or(|known| known != *level);
    let louder = now.iter().filter(differs);
    let mut changes: Vec<SpeakerInfo> = louder
        .map(|(sid, level)| SpeakerInfo { sid: sid.0.clone(), level: *level, active: true })
        .chain(before.keys().filter(|sid| !now.contains_key(*sid)).map(silent))
        .collect();
    changes.sort_by(|one, other| other.level.total_cmp(&one.level));
    changes
}

fn silent(sid: &ParticipantSid) -> SpeakerInfo {
    SpeakerInfo { sid: sid.0.clone(), level: 0.0, active: false }
}

fn tell(turn: &mut Turn<'_>, speakers: Vec<SpeakerInfo>) {
    if speakers.is_empty() {
        return;
    }
    let everybody: Vec<ParticipantSid> = turn.room.participants.keys().cloned().collect();
    for to in &everybody {
        let changed = SpeakersChanged { speakers: speakers.clone() };
        turn.send(to, signal_response::Message::SpeakersChanged(changed));
    }
}

/// In eighths, rounded up: small changes of loudness are not worth a message to everybody.
fn quantized(level: f32) -> f32 {
    (level.clamp(0.0, 1.0) * LEVELS).ceil() / LEVELS
}

const LEVELS: f32 = 8.0;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{changes, quantized};
    use crate::room::names::ParticipantSid;

    #[test]
    fn only_differences_are_told() {
        let map = |entries: &[(&str, f32)]| -> BTreeMap<ParticipantSid, f32> {
            entries.iter().map(|(sid, level)| (ParticipantSid((*sid).into()), *level)).collect()
        };
        for (name, before, now, expected) in [
            ("nobody", vec![], vec![], vec![]),
            ("one begins", vec![], vec![("a", 0.5)], vec![("a", 0.5, true)]),
            ("nothing changes", vec![("a", 0.5)], vec![("a", 0.5)], vec![]),
            ("one gets louder", vec![("a", 0.5)], vec![("a", 1.0)], vec![("a", 1.0, true)]),
            ("one ends", vec![("a", 0.5), ("b", 0.25)], vec![("b", 0.25)], vec![("a", 0.0, false)]),
            (
                "the loudest first",
                vec![("c", 0.5)],
                vec![("a", 0.25), ("b", 0.75)],
                vec![("b", 0.75, true), ("a", 0.25, true), ("c", 0.0, false)],
            ),
        ] {
            let found: Vec<(String, f32, bool)> = changes(&map(&before), &map(&now))
                .into_iter()
                .map(|speaker| (speaker.sid, speaker.level, speaker.active))
                .collect();
            let expected: Vec<(String, f32, bool)> =
                expected.into_iter().map(|(sid, level, active)| (sid.to_owned(), level, active)).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn levels_come_in_eighths() {
        for (level, expected) in
            [(0.0, 0.0), (0.01, 0.125), (0.125, 0.125), (0.9, 1.0), (7.0, 1.0), (-1.0, 0.0)]
        {
            assert_eq!(quantized(level), expected, "{level}");
        }
    }
}

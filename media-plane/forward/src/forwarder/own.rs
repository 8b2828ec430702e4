//! Packets of our own in a subscription's stream: padding, and frames that stand for a publisher who says nothing.

use units::time::Instant;

use crate::facts::Class;
use crate::forwarder::{Forwarder, RESUME_TOLERANCE};
use crate::padding::{NotPadded, Run};
use crate::rewrite::Rewrite;

/// Which packets of nothing but padding are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Padding {
    pub count: u16,
    /// 0: all of them have the timestamp that was sent last.
    pub frames_per_second: u32,
    /// The frame that was sent last may be incomplete: the first packet then ends it.
    pub force: bool,
}

impl Forwarder {
    /// The numbers of packets of nothing but padding, which are to be sent at `at`.
    ///
    /// They stand between two frames: whatever is sent next follows them.
    ///
    /// # Errors
    /// If there is no stream yet, or it is inside of a frame and nobody forces it.
    pub fn pad(&mut self, at: Instant, padding: Padding) -> Result<Run, NotPadded> {
        let stream = self.stream.as_mut().ok_or(NotPadded::NotStarted)?;
        let closes_frame = !stream.frame_ended;
        if closes_frame && !padding.force {
            return Err(NotPadded::InsideFrame);
        }
        let spacing = stream.timeline.spacing(padding.frames_per_second);
        let (sent, base) = (stream.timeline.sent(), stream.timeline.base_of_own(at, spacing));
        let first = stream.sequence.insert(padding.count.into());
        let run = Run::new(first, sent, base, spacing, closes_frame, padding.count);
        if let Some(last) = run.clone().last() {
            stream.frame_ended = true;
            // What comes after a switch is aligned by the clock that it has itself.
            stream.timeline.send_own(at, last.timestamp, self.resume.is_none());
        }
        Ok(run)
    }

    /// The numbers of a frame of one packet that we make ourselves, to be sent at `at`: with the front of a VP8 key
    /// frame as a patch. What the publisher sends next begins anew. `None` if nothing was sent that it could follow.
    pub fn insert(&mut self, at: Instant, frames_per_second: u32) -> Option<Rewrite> {
        self.stream.as_ref()?;
        self.resync(RESUME_TOLERANCE);
        let stream = self.stream.as_mut()?;
        stream.frame_ended = true;
        let padding = Padding { count: 1, frames_per_second, force: false };
        let rewrite = self.pad(at, padding).ok()?.next()?;
        let patch = self.vp8.as_mut().and_then(crate::vp8::Munger::insert);
        // Of audio the marker tells that somebody begins to speak (RFC 3551 §4.1).
        Some(Rewrite { marker: self.class != Class::Audio, patch, ..rewrite })
    }

    /// Whether the packet that was sent last ended its frame.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.frame_ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use core::time::Duration;

    use units::rtp::Ssrc;
    use units::sequence::Seq;
    use wire::picture_id::PictureId;
    use wire::vp8::{Descriptor, Temporal};

    use crate::discard::Reason;
    use crate::facts::Facts;

    const START: Instant = Instant(0);

    const fn ms(milliseconds: u64) -> Instant {
        Instant(milliseconds * 1_000_000)
    }

    fn facts(sequence: u64, timestamp: u32, marker: bool) -> Facts {
        Facts {
            source: Ssrc(1),
            layer: 0,
            sequence: Seq(sequence),
            out_of_order: false,
            timestamp,
            marker,
            payload_len: 10,
            key_frame: false,
            vp8: None,
            reference: None,
        }
    }

    fn picture(sequence: u64, timestamp: u32, id: u16, marker: bool) -> Facts {
        let descriptor = Descriptor {
            len: 6,
            non_reference: false,
            start_of_partition: true,
            partition: 0,
            picture_id: Some(PictureId::Fifteen(id)),
            tl0_picture_index: Some(233),
            temporal: Some(Temporal { id: 0, sync: true }),
            key_index: Some(23),
            key_frame: true,
            dimensions: None,
        };
        Facts { key_frame: true, vp8: Some(descriptor), ..facts(sequence, timestamp, marker) }
    }

    fn started(class: Class, clock_rate: u32, first: &Facts) -> Forwarder {
        let mut forwarder = Forwarder::new(class, clock_rate);
        forwarder.set_target(Some(0), 2);
        forwarder.forward(START, first).unwrap();
        forwarder
    }

    fn numbers(run: Run) -> Vec<(u64, u32, bool)> {
        run.map(|rewrite| (rewrite.sequence.0, rewrite.timestamp, rewrite.marker)).collect()
    }

    #[test]
    fn padding_stands_on_a_frame_boundary_unless_it_is_forced() {
        let key = Facts { key_frame: true, ..facts(23_333, 100, false) };
        let mut forwarder = started(Class::Video, 10, &key);
        let padding = |force| Padding { count: 10, frames_per_second: 5, force };
        assert!(!forwarder.is_between_frames());
        assert_eq!(forwarder.pad(START, padding(false)).unwrap_err(), NotPadded::InsideFrame);
        let forced = numbers(forwarder.pad(START, padding(true)).unwrap());
        let expected = |from: u64, timestamp: u32| {
            move |index: u32| (from + u64::from(index), timestamp + 2 * index, false)
        };
        let mut rows: Vec<_> = (0..10).map(expected(23_334, 100)).collect();
        rows[0].2 = true;
        assert_eq!(forced, rows, "the first one ends the frame");
        assert!(forwarder.is_between_frames());
        let second = numbers(forwarder.pad(START, padding(true)).unwrap());
        assert_eq!(second, (0..10).map(expected(23_344, 120)).collect::<Vec<_>>(), "no timestamp twice");

        let next = forwarder.forward(START, &facts(23_334, 103, true)).unwrap();
        assert_eq!((next.sequence.0, next.timestamp), (23_354, 103 + 38), "as much later as padding was");
        let late = Facts { out_of_order: true, ..facts(23_332, 90, true) };
        assert_eq!(forwarder.forward(START, &late), Err(Reason::TooLate));
        assert!(forwarder.is_between_frames());
        let probe = Padding { count: 2, frames_per_second: 0, force: false };
        assert_eq!(
            numbers(forwarder.pad(START, probe).unwrap()),
            [(23_355, 141, false), (23_356, 141, false)],
            "under the timestamp of what was sent last"
        );
        let next = forwarder.forward(START, &facts(23_335, 105, false)).unwrap();
        assert_eq!((next.sequence.0, next.timestamp), (23_357, 143));
    }

    #[test]
    fn nothing_begins_with_packets_of_our_own() {
        let mut forwarder = Forwarder::new(Class::Video, 90_000);
        let padding = Padding { count: 1, frames_per_second: 0, force: true };
        assert_eq!(forwarder.pad(START, padding).unwrap_err(), NotPadded::NotStarted);
        assert_eq!(forwarder.insert(START, 30), None);
    }

    #[test]
    fn padding_leaves_pictures_alone_and_late_packets_their_numbers() {
        let mut forwarder = started(Class::Vp8, 90_000, &picture(10, 0, 500, true));
        forwarder.forward(START, &picture(12, 6_000, 502, true)).unwrap();
        let probe = Padding { count: 3, frames_per_second: 0, force: false };
        assert_eq!(
            forwarder.pad(START, probe).unwrap().next().map(|rewrite| rewrite.sequence),
            Some(Seq(13))
        );
        for (name, facts, sequence, id) in [
            (
                "late, from before the padding",
                Facts { out_of_order: true, ..picture(11, 3_000, 501, true) },
                11,
                501,
            ),
            ("next", picture(13, 9_000, 503, true), 16, 503),
        ] {
            let rewrite = forwarder.forward(START, &facts).unwrap();
            assert_eq!((rewrite.sequence.0, read(&rewrite).0), (sequence, id), "{name}");
        }
    }

    /// Picture id, TL0PICIDX and KEYIDX.
    fn read(rewrite: &Rewrite) -> (u16, u8, u8) {
        let descriptor = Descriptor::parse(&[rewrite.patch.unwrap().as_bytes(), &[0]].concat()).unwrap();
        assert!(descriptor.key_frame && descriptor.temporal == Some(Temporal { id: 0, sync: true }));
        let picture_id = descriptor.picture_id.unwrap().value();
        (picture_id, descriptor.tl0_picture_index.unwrap(), descriptor.key_index.unwrap())
    }

    #[test]
    fn key_frames_of_our_own_are_pictures_of_the_stream() {
        let mut forwarder = started(Class::Vp8, 90_000, &picture(10, 0, 126, false));
        for (name, at, expected) in [
            ("33 ms on", ms(33), (11, 3_000, (127, 234, 24))),
            ("66 ms on: the picture id grows", ms(66), (12, 6_000, (128, 235, 25))),
            ("at once: not less than a frame later", ms(66), (13, 9_000, (129, 236, 26))),
        ] {
            let rewrite = forwarder.insert(at, 30).unwrap();
            let told = (rewrite.sequence.0, rewrite.timestamp, read(&rewrite));
            assert_eq!((told, rewrite.marker), (expected, true), "{name}");
        }
        assert_eq!(forwarder.needs_key_frame(), Some(0), "what refers to pictures before them is over");
        let delta = picture(11, 3_000, 127, true);
        let delta = Facts {
            key_frame: false,
            vp8: delta.vp8.map(|vp8| Descriptor { key_frame: false, ..vp8 }),
            ..delta
        };
        assert_eq!(forwarder.forward(ms(70), &delta), Err(Reason::AwaitingKeyFrame));
        let resumed = forwarder.forward(ms(133), &picture(12, 12_000, 700, true)).unwrap();
        assert_eq!((resumed.sequence.0, resumed.timestamp, read(&resumed)), (14, 12_000, (130, 237, 27)));
    }

    #[test]
    fn key_frame_has_the_fields_that_the_stream_has() {
        let bare = |vp8: Descriptor| Descriptor { key_index: None, tl0_picture_index: None, ..vp8 };
        let first = picture(10, 0, 500, true);
        let first = Facts { vp8: first.vp8.map(bare), ..first };
        let rewrite = started(Class::Vp8, 90_000, &first).insert(ms(33), 30).unwrap();
        let descriptor = Descriptor::parse(&[rewrite.patch.unwrap().as_bytes(), &[0]].concat()).unwrap();
        assert_eq!(descriptor.picture_id, Some(PictureId::Fifteen(501)));
        assert_eq!(
            (descriptor.tl0_picture_index, descriptor.temporal, descriptor.key_index),
            (None, None, None)
        );
    }

    #[test]
    fn silence_of_our_own_is_followed_by_the_publishers_clock() {
        for (name, resumes_at, theirs, expected) in [
            ("clock ran on", 1_100, 48 * 1_100, 48 * 1_100),
            ("clock ran on, 100 ms early", 1_100, 48 * 1_000 + 1, 48 * 1_000 + 1),
            ("clock stood still", 1_100, 960, 48 * 1_100),
            ("clock stood still, at once", 1_000, 960, 48 * 1_000 + 1),
        ] {
            let mut forwarder = started(Class::Audio, 48_000, &facts(10, 0, false));
            forwarder.set_muted(true);
            for frame in 1..=50 {
                let rewrite = forwarder.insert(ms(20 * frame), 50).unwrap();
                let timestamp = 960 * u32::try_from(frame).unwrap();
                assert_eq!((rewrite.sequence.0, rewrite.timestamp), (10 + frame, timestamp), "{name}");
                assert_eq!((rewrite.marker, rewrite.patch), (false, None), "{name}");
            }
            forwarder.set_muted(false);
            let resumed = forwarder.forward(ms(resumes_at), &facts(61, theirs, false)).unwrap();
            assert_eq!((resumed.sequence.0, resumed.timestamp), (61, expected), "{name}");
        }
    }

    #[test]
    fn first_silence_waits_for_the_time_that_passed() {
        let mut forwarder = started(Class::Audio, 48_000, &facts(10, 0, false));
        let first = forwarder.insert(START + Duration::from_millis(130), 50).unwrap();
        assert_eq!(first.timestamp, 48 * 130);
    }
}

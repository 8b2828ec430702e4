//! A receiver of VP8 that knows nothing but what stands in the packets, and shows what it takes for decodable.
//!
//! The rules are those of libwebrtc's reference finder: a picture of the base layer refers to the one before it by
//! TL0PICIDX, a synced one to its base only, any other to all newer pictures of its layer and below; and where a
//! picture id is missing that one may be referred to. What it shows is judged by the oracle.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use units::sequence::Seq;
use units::time::Instant;
use wire::vp8::Descriptor;

use crate::oracle::Oracle;
use crate::stamp::Stamp;

/// A packet of a picture.
#[derive(Clone, Debug)]
pub struct Part {
    pub sequence: Seq,
    pub timestamp: u32,
    pub marker: bool,
    pub stamp: Stamp,
    /// What a film's packet carries of the picture.
    pub content: Vec<u8>,
}

/// A picture that was put on the screen.
#[derive(Clone, Debug)]
pub struct Shown {
    pub at: Instant,
    /// So long something was there that could not be shown.
    pub waited: Duration,
    /// Of the picture that its first packet belongs to.
    pub number: u32,
    pub temporal: u8,
    pub is_key: bool,
    /// As received and put together.
    pub bytes: Vec<u8>,
}

#[derive(Debug)]
pub struct Decoder {
    subscriber: usize,
    /// By unwrapped picture id: what is not shown yet.
    pictures: BTreeMap<i64, Picture>,
    newest_id: Option<i64>,
    newest_tl0: Option<i64>,
    shown_newest: Option<i64>,
    shown_ids: BTreeSet<i64>,
    /// The temporal layers of pictures of which something came.
    known: BTreeMap<i64, u8>,
    /// What was shown of the base layer, by TL0PICIDX; and the newest of each layer. Both since the last key frame.
    bases: BTreeMap<i64, i64>,
    newest: [Option<i64>; 4],
    waits_since: Option<Instant>,
    /// Of a film: all that was shown.
    pub screen: Vec<Shown>,
}

#[derive(Debug)]
struct Picture {
    temporal: u8,
    sync: bool,
    key: bool,
    tl0: i64,
    first_at: Instant,
    /// With whether the picture begins there.
    parts: BTreeMap<u64, (Part, bool)>,
}

impl Decoder {
    #[must_use]
    pub fn new(subscriber: usize) -> Self {
        Self {
            subscriber,
            pictures: BTreeMap::new(),
            newest_id: None,
            newest_tl0: None,
            shown_newest: None,
            shown_ids: BTreeSet::new(),
            known: BTreeMap::new(),
            bases: BTreeMap::new(),
            newest: [None; 4],
            waits_since: None,
            screen: Vec::new(),
        }
    }

    /// `None` if the packet lacks what it takes.
    pub fn receive(
        &mut self,
        now: Instant,
        descriptor: &Descriptor,
        part: Part,
        oracle: &mut Oracle,
    ) -> Option<()> {
        let id = unwrap(&mut self.newest_id, i64::from(descriptor.picture_id?.value()), 1 << 15);
        let tl0 = unwrap(&mut self.newest_tl0, i64::from(descriptor.tl0_picture_index?), 1 << 8);
        let temporal = descriptor.temporal?;
        oracle.arrived(self.subscriber, part.stamp, part.sequence, id);
        self.known.insert(id, temporal.id);
        if self.shown_newest.is_some_and(|shown| id <= shown) {
            return Some(());
        }
        let picture = self.pictures.entry(id).or_insert_with(|| Picture {
            temporal: temporal.id,
            sync: temporal.sync,
            key: false,
            tl0,
            first_at: now,
            parts: BTreeMap::new(),
        });
        picture.key |= descriptor.key_frame;
        picture.parts.insert(part.sequence.0, (part, descriptor.start_of_picture()));
        self.waits_since.get_or_insert(now);
        self.show(now, oracle);
        Some(())
    }

    pub fn tick(&mut self, now: Instant, oracle: &mut Oracle) {
        self.show(now, oracle);
    }

    /// Nothing was shown for so long that only a key frame helps.
    #[must_use]
    pub fn is_stuck(&self, now: Instant) -> bool {
        self.waits_since.is_some_and(|since| now - since >= STUCK_AFTER)
    }

    fn show(&mut self, now: Instant, oracle: &mut Oracle) {
        while let Some(id) = self.next_to_show(now) {
            let Some(picture) = self.pictures.remove(&id) else { return };
            self.pictures.retain(|&other, _| other > id);
            self.shown_newest = Some(id);
            self.shown_ids.insert(id);
            if picture.key {
                self.bases.clear();
                self.newest = [None; 4];
            }
            if picture.temporal == 0 {
                self.bases.insert(picture.tl0, id);
            }
            if let Some(newest) = self.newest.get_mut(usize::from(picture.temporal)) {
                *newest = Some(id);
            }
            self.forget();
            let waiting = self.waits_since.take().unwrap_or(now);
            self.waits_since = (!self.pictures.is_empty()).then_some(now);
            let stamps: Vec<_> = picture.parts.values().map(|(part, _)| part.stamp).collect();
            oracle.shown(now, self.subscriber, &stamps);
            self.screen.extend(picture.on_screen(now, now - waiting));
        }
    }

    /// The first picture that can be decoded, unless one before it may still come in time.
    fn next_to_show(&self, now: Instant) -> Option<i64> {
        let (&id, picture) = self.pictures.iter().find(|(id, picture)| self.is_decodable(**id, picture))?;
        let follows = self.shown_newest.is_none_or(|shown| shown + 1 == id);
        (follows || now - picture.first_at >= PATIENCE).then_some(id)
    }

    fn is_decodable(&self, id: i64, picture: &Picture) -> bool {
        if !picture.is_complete() {
            return false;
        }
        if picture.key {
            return true;
        }
        if picture.temporal == 0 {
            return self.bases.contains_key(&(picture.tl0 - 1));
        }
        if !self.bases.contains_key(&picture.tl0) {
            return false;
        }
        let mut referred = self.newest.iter().take(usize::from(picture.temporal) + 1);
        picture.sync
            || referred
                .all(|newest| newest.is_some_and(|newest| self.is_newest(newest, id, picture.temporal)))
    }

    /// Between the two nothing can be that is of this layer or below, and was not shown.
    fn is_newest(&self, newest: i64, id: i64, temporal: u8) -> bool {
        (newest + 1..id).all(|between| {
            self.shown_ids.contains(&between)
                || self.known.get(&between).is_some_and(|&other| other > temporal)
        })
    }

    fn forget(&mut self) {
        while self.shown_ids.len() > REMEMBERED {
            self.shown_ids.pop_first();
        }
        while self.known.len() > REMEMBERED {
            self.known.pop_first();
        }
        while self.bases.len() > REMEMBERED {
            self.bases.pop_first();
        }
    }
}

impl Picture {
    /// `None` if it is of no film.
    fn on_screen(self, at: Instant, waited: Duration) -> Option<Shown> {
        let number = self.parts.first_key_value()?.1.0.stamp.picture;
        let bytes: Vec<u8> = self.parts.into_values().flat_map(|(part, _)| part.content).collect();
        let shown = Shown { at, waited, number, temporal: self.temporal, is_key: self.key, bytes };
        (!shown.bytes.is_empty()).then_some(shown)
    }

    fn is_complete(&self) -> bool {
        let (Some((first, (_, starts))), Some((last, (end, _)))) =
            (self.parts.first_key_value(), self.parts.last_key_value())
        else {
            return false;
        };
        *starts && end.marker && last - first + 1 == self.parts.len() as u64
    }
}

/// The number nearest to the newest one that ends in `low`.
fn unwrap(newest: &mut Option<i64>, low: i64, span: i64) -> i64 {
    let reference = *newest.get_or_insert(low);
    let number = reference + (low - reference + span / 2).rem_euclid(span) - span / 2;
    *newest = Some(reference.max(number));
    number
}

/// How long a picture waits for those before it: what a jitter buffer would.
const PATIENCE: Duration = Duration::from_millis(250);
const STUCK_AFTER: Duration = Duration::from_millis(400);
const REMEMBERED: usize = 600;

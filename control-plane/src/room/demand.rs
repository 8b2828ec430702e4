//! Which qualities of a track are wanted, and which its publisher is told to send: more at once, less after a while.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::negotiate::codec::Codec;
use crate::room::clock::Time;

/// What the publisher of a video track was told of it, codec by codec.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// Until then, or until somebody wants the track, nothing is told. Absent: told since.
    starts_at: Option<Time>,
    codecs: Vec<CodecDemand>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CodecDemand {
    pub codec: Codec,
    levels: [Level; 3],
}

/// One quality of a codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Level {
    enabled: bool,
    /// Nobody wants it any more: it is enabled until then.
    off_at: Option<Time>,
}

/// Qualities as LiveKit orders them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    Low,
    Medium,
    High,
}

/// What all subscribers together want of one codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    pub codec: Codec,
    /// The best that somebody wants; absent: nobody wants any of it.
    pub quality: Option<Quality>,
    /// The publisher sends it: all of it, unless told otherwise.
    pub published: bool,
}

impl Demand {
    #[must_use]
    pub fn new(starts_at: Time) -> Self {
        Self { starts_at: Some(starts_at), codecs: Vec::new() }
    }

    /// Of a track that was live before: its publisher was told something, it is not known what.
    #[must_use]
    pub fn restored(now: Time, wants: &[Want]) -> Self {
        let mut restored = Self { starts_at: None, codecs: Vec::new() };
        restored.want(now, wants, Duration::ZERO);
        restored
    }

    /// Takes what is wanted now. Returns whether the publisher has to be told.
    pub fn want(&mut self, now: Time, wants: &[Want], delay: Duration) -> bool {
        let wanted = wants.iter().any(|want| want.quality.is_some());
        let starting = self.starts_at.is_some();
        if self.starts_at.is_some_and(|starts_at| now < starts_at) && !wanted {
            return false;
        }
        self.starts_at = None;
        // Nobody came for so long: there is nobody to wait for.
        let delay = if starting && !wanted { Duration::ZERO } else { delay };
        let before = self.codecs.len();
        self.codecs.retain(|known| wants.iter().any(|want| want.codec == known.codec));
        let mut changed = starting || self.codecs.len() != before;
        for want in wants {
            changed |= self.of(want).want(now, want.quality, delay);
        }
        changed
    }

    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let levels = self.codecs.iter().flat_map(|codec| &codec.levels);
        self.starts_at.or_else(|| levels.filter_map(|level| level.off_at).min())
    }

    /// What the publisher was told, once it was told anything.
    #[must_use]
    pub fn told(&self) -> Option<&[CodecDemand]> {
        self.starts_at.is_none().then_some(&self.codecs)
    }

    fn of(&mut self, want: &Want) -> &mut CodecDemand {
        let position = self.codecs.iter().position(|known| known.codec == want.codec);
        let position = position.unwrap_or_else(|| {
            let level = Level { enabled: want.published, off_at: None };
            self.codecs.push(CodecDemand { codec: want.codec, levels: [level; 3] });
            self.codecs.len() - 1
        });
        // Found, or pushed on this very line above.
        &mut self.codecs[position]
    }
}

impl CodecDemand {
    /// Which qualities the publisher is to send, the lowest first.
    pub fn qualities(&self) -> impl Iterator<Item = (Quality, bool)> {
        Quality::ALL.into_iter().zip(self.levels).map(|(quality, level)| (quality, level.enabled))
    }

    fn want(&mut self, now: Time, wanted: Option<Quality>, delay: Duration) -> bool {
        let mut changed = false;
        for (quality, level) in Quality::ALL.into_iter().zip(&mut self.levels) {
            changed |= level.want(now, wanted.is_some_and(|wanted| quality <= wanted), delay);
        }
        changed
    }
}

impl Level {
    fn want(&mut self, now: Time, wanted: bool, delay: Duration) -> bool {
        let before = self.enabled;
        if wanted {
            *self = Self { enabled: true, off_at: None };
        } else if self.enabled {
            let off_at = *self.off_at.get_or_insert_with(|| now.after(delay));
            if off_at <= now {
                *self = Self { enabled: false, off_at: None };
            }
        }
        self.enabled != before
    }
}

impl Quality {
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];
}

/// LiveKit's: so long after a track went live its publisher is told that nobody wants it.
pub const START_DELAY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DELAY: Duration = Duration::from_secs(5);

    fn at(milliseconds: u64) -> Time {
        Time(milliseconds * 1_000)
    }

    const fn want(quality: Option<Quality>) -> Want {
        Want { codec: Codec::Vp8, quality, published: true }
    }

    /// How many qualities of the first codec are on, from the lowest.
    fn on(demand: &Demand) -> Option<usize> {
        let codec = demand.told()?.first()?;
        let enabled: Vec<bool> = codec.qualities().map(|(_, enabled)| enabled).collect();
        assert!(enabled.is_sorted_by(|lower, higher| lower >= higher), "no quality without those below it");
        Some(enabled.into_iter().filter(|enabled| *enabled).count())
    }

    #[test]
    fn more_is_told_at_once_and_less_after_five_seconds() {
        use Quality::{High, Low, Medium};
        // At each moment in milliseconds: what is wanted, whether that is told, and how many qualities are on then.
        type Moment = (u64, Option<Quality>, bool, Option<usize>);
        let rows: [(&str, &[Moment]); 8] = [
            (
                "nobody comes",
                &[(0, None, false, None), (9_999, None, false, None), (10_000, None, true, Some(0))],
            ),
            ("the first subscriber starts it", &[(0, None, false, None), (700, Some(High), true, Some(3))]),
            (
                "the first subscriber wants little",
                &[
                    (700, Some(Low), true, Some(3)),
                    (5_699, Some(Low), false, Some(3)),
                    (5_700, Some(Low), true, Some(1)),
                ],
            ),
            (
                "a subscriber leaves after ten seconds",
                &[
                    (0, Some(Medium), true, Some(3)),
                    (5_000, Some(Medium), true, Some(2)),
                    (20_000, None, false, Some(2)),
                    (25_000, None, true, Some(0)),
                ],
            ),
            (
                "up again before it went down",
                &[
                    (0, Some(High), true, Some(3)),
                    (1_000, Some(Low), false, Some(3)),
                    (4_000, Some(High), false, Some(3)),
                    (9_000, Some(Low), false, Some(3)),
                    (13_999, Some(Low), false, Some(3)),
                    (14_000, Some(Low), true, Some(1)),
                ],
            ),
            (
                "each quality goes off in its own time",
                &[
                    (0, Some(High), true, Some(3)),
                    (1_000, Some(Medium), false, Some(3)),
                    (4_000, Some(Low), false, Some(3)),
                    (6_000, Some(Low), true, Some(2)),
                    (9_000, Some(Low), true, Some(1)),
                ],
            ),
            (
                "up is at once, also while something goes down",
                &[
                    (0, Some(Low), true, Some(3)),
                    (5_000, Some(Low), true, Some(1)),
                    (6_000, None, false, Some(1)),
                    (7_000, Some(High), true, Some(3)),
                ],
            ),
            ("from nothing", &[(10_000, None, true, Some(0)), (60_000, Some(Medium), true, Some(2))]),
        ];
        for (name, moments) in rows {
            let mut demand = Demand::new(at(10_000));
            for (moment, quality, told, qualities) in moments {
                assert_eq!(demand.want(at(*moment), &[want(*quality)], DELAY), *told, "{name}, {moment} ms");
                assert_eq!(on(&demand), *qualities, "{name}, {moment} ms");
            }
        }
    }

    #[test]
    fn codec_that_is_not_published_yet_is_asked_for_when_it_is_wanted() {
        let primary = |quality| Want { codec: Codec::Vp9, quality, published: true };
        let backup = |quality, published| Want { codec: Codec::Vp8, quality, published };
        let enabled = |demand: &Demand, index: usize| {
            let told = demand.told().unwrap();
            told[index].qualities().filter(|(_, enabled)| *enabled).count()
        };
        let mut demand = Demand::new(at(10_000));
        assert!(demand.want(at(0), &[primary(Some(Quality::High)), backup(None, false)], DELAY));
        assert_eq!((enabled(&demand, 0), enabled(&demand, 1)), (3, 0), "off from the start");
        let both = [primary(Some(Quality::High)), backup(Some(Quality::Medium), false)];
        assert!(demand.want(at(1), &both, DELAY));
        assert_eq!((enabled(&demand, 0), enabled(&demand, 1)), (3, 2));
        let published = [primary(None), backup(Some(Quality::Medium), true)];
        assert!(!demand.want(at(2), &published, DELAY), "to publish it is no news");
        assert!(demand.want(at(5_002), &published, DELAY));
        assert_eq!((enabled(&demand, 0), enabled(&demand, 1)), (0, 2), "the primary codec is off");
        assert!(demand.want(at(5_003), &[backup(Some(Quality::Medium), true)], DELAY), "a codec ended");
        assert_eq!(demand.told().unwrap().len(), 1);
    }

    proptest! {
        /// Against the whole history: a quality is on while it is wanted and for five seconds after, and at no other time.
        #[test]
        fn quality_is_on_while_wanted_and_five_seconds_longer(
            changes in proptest::collection::vec((1_u64..8_000, 0_usize..4), 1..40),
        ) {
            let of = |index: usize| index.checked_sub(1).map(|index| Quality::ALL[index]);
            let mut demand = Demand::new(at(10_000));
            let (mut now, mut wanted) = (0, None);
            // For each quality when it was wanted last: `None` before the start.
            let mut last_wanted: Option<[u64; 3]> = None;
            for (pause, next) in changes {
                // Ticks come when they are due; a change comes after the tick.
                let end = now + pause;
                while let Some(due) = demand.deadline().map(|due| due.0 / 1_000).filter(|due| *due <= end) {
                    now = now.max(due);
                    let told = demand.want(at(now), &[want(wanted)], DELAY);
                    prop_assert!(told, "a tick is not for nothing");
                    last_wanted.get_or_insert([0; 3]);
                    check(&demand, last_wanted, wanted, now)?;
                }
                now = end;
                if let Some(last) = &mut last_wanted {
                    mark(last, wanted, now);
                }
                wanted = of(next);
                let before = on(&demand);
                let told = demand.want(at(now), &[want(wanted)], DELAY);
                prop_assert_eq!(told, on(&demand) != before, "told if there is news, and only then");
                if demand.told().is_some() {
                    mark(last_wanted.get_or_insert([now; 3]), wanted, now);
                }
                check(&demand, last_wanted, wanted, now)?;
            }
            // In the end it is as it is wanted.
            if demand.told().is_some() {
                demand.want(at(now + 5_000), &[want(wanted)], DELAY);
                prop_assert_eq!(on(&demand), Some(wanted.map_or(0, |wanted| wanted as usize + 1)));
                prop_assert_eq!(demand.deadline(), None);
            }
        }
    }

    fn mark(last: &mut [u64; 3], wanted: Option<Quality>, now: u64) {
        for quality in
            Quality::ALL.into_iter().filter(|quality| wanted.is_some_and(|wanted| *quality <= wanted))
        {
            last[quality as usize] = now;
        }
    }

    fn check(
        demand: &Demand,
        last_wanted: Option<[u64; 3]>,
        wanted: Option<Quality>,
        now: u64,
    ) -> Result<(), TestCaseError> {
        let expected = last_wanted.map(|last| {
            let on = |quality: &Quality| {
                wanted.is_some_and(|wanted| *quality <= wanted) || now < last[*quality as usize] + 5_000
            };
            Quality::ALL.iter().filter(|quality| on(quality)).count()
        });
        prop_assert_eq!(on(demand), expected);
        Ok(())
    }
}

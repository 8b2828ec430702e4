//! The film in a world of three subscribers: what each has shown, whether every picture is right, and where it stood still.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::client::decoder::Shown;
use crate::film::{self, Film, ffmpeg};
use crate::link::Conditions;
use crate::scenario::{Scenario, Wish};
use crate::world::Report;

/// How one subscriber fared.
#[derive(Debug)]
pub struct Showing {
    /// Pictures of its layers that were sent and shown, and those above that were shown.
    pub wished: usize,
    pub shown: usize,
    pub above: usize,
    /// Where a picture was never shown that later ones need.
    pub gaps: Vec<Gap>,
    pub longest_freeze: Duration,
}

/// From the first packet of what could not be shown to the picture that ended it.
#[derive(Debug)]
pub struct Gap {
    pub len: Duration,
    pub ends_with_key_frame: bool,
}

/// A film of 15 s for three subscribers: all temporal layers, two, and one.
#[must_use]
pub fn scenario(film: &Arc<Film>, uplink: Conditions, downlink: Conditions) -> Scenario {
    Scenario {
        duration: Duration::from_secs(15),
        uplink,
        downlink,
        subscribers: [2, 1, 0].map(|temporal_layer_max| Wish { layer_max: 0, temporal_layer_max }).into(),
        film: Some(Arc::clone(film)),
        ..Scenario::with_loss(0)
    }
}

#[must_use]
pub fn losing(loss_per_mille: u32) -> Conditions {
    Conditions {
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(8),
        loss_per_mille,
        ..Conditions::default()
    }
}

/// Now and then all is lost for up to 300 ms.
#[must_use]
pub fn bursting() -> Conditions {
    Conditions { outage_per_mille: 4, outage_max: Duration::from_millis(300), ..losing(10) }
}

/// Decodes what was shown, and tells which pictures are not what a decoder makes of them that misses none.
///
/// # Errors
/// If the decoder reports the slightest error, or shows more or fewer pictures.
pub fn wrong_pictures(film: &Film, report: &Report, screen: &[Shown]) -> ffmpeg::Result<Vec<u32>> {
    let pictures: Vec<&[u8]> = screen.iter().map(|shown| shown.bytes.as_slice()).collect();
    let digests = ffmpeg::digests(&pictures)?;
    if digests.len() != screen.len() {
        return Err(format!("{} of {} pictures are decoded", digests.len(), screen.len()));
    }
    let is_wrong = |(shown, digest): &(&Shown, String)| {
        report.takes.get(shown.number as usize).is_none_or(|&take| film.digest(take) != digest.as_str())
    };
    Ok(screen.iter().zip(digests).filter(is_wrong).map(|(shown, _)| shown.number).collect())
}

/// How many pictures were sent and had the time to arrive.
#[must_use]
pub fn sent(report: &Report) -> u32 {
    u32::try_from(report.takes.len()).unwrap_or(u32::MAX).saturating_sub(TAIL)
}

/// How a subscriber fared that wished for these layers and has shown these pictures.
#[must_use]
pub fn judge(report: &Report, wish: Wish, screen: &[Shown]) -> Showing {
    let is_wished = |number: u32| film::place(number).temporal <= wish.temporal_layer_max;
    let end = sent(report);
    let shown: Vec<&Shown> = screen.iter().filter(|shown| shown.number < end).collect();
    let above = shown.iter().filter(|shown| !is_wished(shown.number)).count();
    let pairs: Vec<_> = shown.iter().copied().zip(shown.iter().copied().skip(1)).collect();
    let misses_base = |before: &Shown, after: &Shown| {
        (before.number + 1..after.number).any(|number| film::place(number).temporal == 0)
    };
    Showing {
        wished: (0..end).filter(|&number| is_wished(number)).count(),
        shown: shown.len() - above,
        above,
        gaps: pairs
            .iter()
            .filter(|(before, after)| misses_base(before, after))
            .map(|(_, after)| Gap { len: after.waited, ends_with_key_frame: after.is_key })
            .collect(),
        longest_freeze: pairs.iter().map(|(before, after)| after.at - before.at).max().unwrap_or_default(),
    }
}

impl fmt::Display for Showing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = 100.0 * self.shown as f64 / self.wished as f64;
        let gaps: Vec<_> = self.gaps.iter().map(|gap| gap.len.as_millis()).collect();
        let Self { wished, shown, above, longest_freeze, .. } = self;
        write!(f, "{shown} of {wished} shown ({share:.1} %), {above} of higher layers, ")?;
        write!(f, "longest freeze {} ms, gaps of {gaps:?} ms", longest_freeze.as_millis())
    }
}

/// Frames at the end that need not have been shown: half a second.
const TAIL: u32 = 15;

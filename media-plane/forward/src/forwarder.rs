//! One subscription's forwarding state, and the order of its decisions.

use units::time::{Instant, NtpTime};

use crate::discard::Reason;
use crate::facts::{Class, Facts};
use crate::rewrite::Rewrite;

/// Decides for each packet of one publication what becomes of its copy for one subscriber.
#[derive(Debug)]
pub struct Forwarder {
    class: Class,
    clock_rate: u32,
}

impl Forwarder {
    /// Forwards nothing of video until a target is set.
    #[must_use]
    pub fn new(class: Class, clock_rate: u32) -> Self {
        Self { class, clock_rate }
    }

    /// The copy's rewritten numbers, or why there is no copy.
    ///
    /// # Errors
    /// Each reason ends the packet for this subscriber; none of them is a fault of the caller.
    pub fn forward(&mut self, now: Instant, facts: &Facts) -> Result<Rewrite, Reason> {
        let _ = (now, facts, self.class, self.clock_rate);
        Err(Reason::NoTarget)
    }

    /// The highest simulcast layer (`None`: none at all) and temporal layer that the subscriber may get.
    pub fn set_target(&mut self, layer: Option<u8>, temporal_max: u8) {
        let _ = (layer, temporal_max);
    }

    /// Whether the publisher muted the track.
    pub fn set_muted(&mut self, muted: bool) {
        let _ = muted;
    }

    /// Whether the subscriber paused the track.
    pub fn set_paused(&mut self, paused: bool) {
        let _ = paused;
    }

    /// The simulcast layer that is being forwarded.
    #[must_use]
    pub fn current_layer(&self) -> Option<u8> {
        None
    }

    /// The layer of which a key frame should be asked for, for as long as it is.
    #[must_use]
    pub fn needs_key_frame(&self, now: Instant) -> Option<u8> {
        let _ = now;
        None
    }

    /// What a sender report to the subscriber says at `now`: the publisher's wall clock, and the copy's timestamp.
    ///
    /// `None` until a report of the source that is being forwarded came, and where a report would go back in time.
    pub fn sender_report(&mut self, now: Instant) -> Option<(NtpTime, u32)> {
        let _ = now;
        None
    }
}

//! One subscription's forwarding state, and the order of its decisions.

use core::time::Duration;

use units::rtp::Ssrc;
use units::sequence::Seq;
use units::time::{Instant, NtpTime};

use crate::discard::Reason;
use crate::facts::{Class, Facts};
use crate::order::Order;
use crate::rewrite::{Patch, Rewrite};
use crate::select::{Choice, Selector};
use crate::sequence::{Place, Sequence};
use crate::timestamp::Timeline;
use crate::vp8::{Munger, Plan};

/// Decides for each packet of one publication what becomes of its copy for one subscriber.
///
/// A stage that refuses a packet leaves what later packets depend on untouched: it is decided first, and done at the end.
#[derive(Debug)]
pub struct Forwarder {
    class: Class,
    clock_rate: u32,
    muted: bool,
    paused: bool,
    selector: Selector,
    /// `None` for all classes but [`Class::Vp8`].
    vp8: Option<Munger>,
    /// `None` before the first packet.
    stream: Option<Stream>,
    /// After a pause the next packet begins anew, within this tolerance of the time that passed.
    resume: Option<Duration>,
}

/// What there is from the first packet on.
#[derive(Debug)]
struct Stream {
    source: Ssrc,
    sequence: Sequence,
    timeline: Timeline,
}

impl Forwarder {
    /// Forwards nothing of video until a target is set.
    #[must_use]
    pub fn new(class: Class, clock_rate: u32) -> Self {
        Self {
            class,
            clock_rate,
            muted: false,
            paused: false,
            selector: Selector::new(),
            vp8: (class == Class::Vp8).then(|| Munger::new(0)),
            stream: None,
            resume: None,
        }
    }

    /// The copy's rewritten numbers, or why there is no copy.
    ///
    /// # Errors
    /// Each reason ends the packet for this subscriber; none of them is a fault of the caller.
    pub fn forward(&mut self, now: Instant, facts: &Facts) -> Result<Rewrite, Reason> {
        if self.muted {
            return Err(Reason::Muted);
        }
        if self.paused {
            return Err(Reason::Paused);
        }
        if self.choose(facts)? == Choice::Switch {
            self.switch(now, facts)?;
        }
        let stream = self.stream.as_mut().ok_or(Reason::AwaitingKeyFrame)?;
        let place = stream.sequence.place(facts.sequence)?;
        let patch = if facts.payload_len == 0 {
            pass_padding(&mut stream.sequence, self.vp8.as_mut(), &place)?
        } else if let Some(munger) = &mut self.vp8 {
            pass_vp8(&mut stream.sequence, munger, &place, facts)?
        } else {
            None
        };
        let timestamp = stream.timeline.outgoing(facts.timestamp);
        stream.sequence.send(&place);
        stream.timeline.send(now, facts, timestamp);
        Ok(Rewrite { sequence: place.outgoing, timestamp, marker: facts.marker, patch })
    }

    /// The highest simulcast layer (`None`: none at all) and temporal layer that the subscriber may get.
    pub fn set_target(&mut self, layer: Option<u8>, temporal_max: u8) {
        self.selector.set_target(layer);
        if let Some(munger) = &mut self.vp8 {
            munger.want_temporal(temporal_max);
        }
        if layer.is_none() && self.class != Class::Audio {
            self.resync(RESUME_TOLERANCE);
        }
    }

    /// Whether the publisher muted the track.
    pub fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
        if muted {
            self.resync(UNMUTE_TOLERANCE);
        }
    }

    /// Whether the subscriber paused the track.
    pub fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
        if paused {
            self.resync(RESUME_TOLERANCE);
        }
    }

    /// What a sender report to the subscriber says at `now`: the publisher's wall clock, and the copy's timestamp.
    ///
    /// `None` until a report of the source that is being forwarded came, and where a report would go back in time.
    pub fn sender_report(&mut self, now: Instant) -> Option<(NtpTime, u32)> {
        if self.resume.is_some() {
            return None;
        }
        self.stream.as_mut()?.timeline.report(now)
    }

    /// The simulcast layer that is being forwarded.
    #[must_use]
    pub fn current_layer(&self) -> Option<u8> {
        self.selector.current_layer()
    }

    /// The layer of which a key frame should be asked for, for as long as it is.
    #[must_use]
    pub fn needs_key_frame(&self) -> Option<u8> {
        if self.class == Class::Audio || self.muted || self.paused {
            return None;
        }
        self.selector.needs_key_frame()
    }

    fn choose(&mut self, facts: &Facts) -> Result<Choice, Reason> {
        let choice = if self.class == Class::Audio {
            let goes_on = self.stream.as_ref().is_some_and(|stream| stream.source == facts.source);
            if goes_on && self.resume.is_none() { Choice::Continue } else { Choice::Switch }
        } else {
            self.selector.observe(facts);
            self.selector.choose(facts)?
        };
        match choice {
            // Nothing begins with what is late or empty.
            Choice::Switch if facts.out_of_order => Err(Reason::TooLate),
            Choice::Switch if facts.payload_len == 0 => Err(Reason::Padding),
            Choice::Switch if self.vp8.is_some() && facts.vp8.is_none() => Err(Reason::Malformed),
            choice => Ok(choice),
        }
    }

    /// Begins with, or goes over to, the packet's source.
    fn switch(&mut self, now: Instant, facts: &Facts) -> Result<(), Reason> {
        if let Some(stream) = &mut self.stream {
            let tolerance = self.resume.unwrap_or(RESUME_TOLERANCE);
            let alignment = stream.timeline.align(now, facts, tolerance);
            let lags_behind = self.resume.is_none() && alignment.behind > BEHIND_MAX;
            if lags_behind && self.selector.refuse() {
                return Err(Reason::Behind);
            }
            stream.timeline.switch(facts, &alignment);
            stream.sequence.switch(facts.sequence);
            stream.source = facts.source;
        } else {
            self.stream = Some(Stream {
                source: facts.source,
                sequence: Sequence::new(facts.sequence, first_outgoing(facts.sequence)),
                timeline: Timeline::new(now, self.clock_rate, facts),
            });
        }
        self.resume = None;
        self.selector.switched(facts);
        if let (Some(munger), Some(descriptor)) = (&mut self.vp8, &facts.vp8) {
            munger.switch(descriptor);
        }
        Ok(())
    }

    /// What was sent last is not what comes next: no holes for what was not forwarded meanwhile, no picture without its key frame.
    fn resync(&mut self, tolerance: Duration) {
        self.selector.resync();
        self.resume = Some(self.resume.map_or(tolerance, |before| before.min(tolerance)));
    }
}

/// A packet without payload closes up, unless a gap before it has to be shown.
fn pass_padding(
    sequence: &mut Sequence,
    munger: Option<&mut Munger>,
    place: &Place,
) -> Result<Option<Patch>, Reason> {
    match place.order {
        Order::Contiguous => {
            sequence.skip(place);
            return Err(Reason::Padding);
        }
        Order::Gap => {
            if let Some(munger) = munger {
                munger.note_gap();
            }
        }
        Order::Late => {}
    }
    Ok(None)
}

fn pass_vp8(
    sequence: &mut Sequence,
    munger: &mut Munger,
    place: &Place,
    facts: &Facts,
) -> Result<Option<Patch>, Reason> {
    let Some(descriptor) = &facts.vp8 else {
        if place.order == Order::Gap {
            munger.note_gap();
        }
        sequence.skip(place);
        return Err(Reason::Malformed);
    };
    match munger.plan(descriptor, facts.marker, place.order)? {
        Plan::Late(patch) => Ok(patch),
        Plan::Forward(patch, step) => {
            munger.commit(&step);
            Ok(patch)
        }
        Plan::Drop(step) => {
            munger.commit(&step);
            sequence.skip(place);
            Err(Reason::Temporal)
        }
        Plan::DropWithGap(step) => {
            munger.commit(&step);
            sequence.skip_with_gap(place);
            Err(Reason::Temporal)
        }
    }
}

/// The packet's own number in the lower half of a cycle: if the first packet is lost near a wrap, the receiver would
/// misjudge the roll-over counter and never authenticate anything (RFC 3711 §3.3.1).
fn first_outgoing(incoming: Seq) -> Seq {
    Seq(u64::from(incoming.low().0 & 0x7fff))
}

/// A layer that lags more than this behind what was sent isn't switched to: as upstream.
const BEHIND_MAX: Duration = Duration::from_millis(50);

/// How far a source's clock may differ from the time that passed, after a switch or a pause: as upstream.
const RESUME_TOLERANCE: Duration = Duration::from_secs(2);

/// The same after a publisher's mute, during which its clock may stand still: as upstream.
const UNMUTE_TOLERANCE: Duration = Duration::from_millis(200);

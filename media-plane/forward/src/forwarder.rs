//! One subscription's forwarding state, and the order of its decisions.

mod bare;
pub mod own;
#[cfg(test)]
mod untouched;

use alloc::boxed::Box;
use core::time::Duration;

use units::rtp::Ssrc;
use units::sequence::Seq;
use units::time::{Instant, NtpTime};

use crate::dependency::Limits;
use crate::discard::Reason;
use crate::facts::{Class, Facts};
use crate::order::Order;
use crate::rewrite::{Patch, Rewrite};
use crate::scalable::{Outcome, Scalability, Scalable};
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
    /// `None` for [`Class::Audio`], and for [`Class::Vp8`] until a source leaves its layers to dependency descriptors.
    /// Apart, as it is large.
    scalable: Option<Box<Scalable>>,
    limits: Limits,
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
    /// The packet that was sent last ends its frame.
    frame_ended: bool,
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
            scalable: Scalable::new(class).map(Box::new),
            limits: Limits { spatial: 0, temporal: 0 },
            stream: None,
            resume: None,
        }
    }

    /// The copy's rewritten numbers, or why there is no copy.
    ///
    /// # Errors
    /// Each reason ends the packet for this subscriber; none of them is a fault of the caller.
    pub fn forward(&mut self, now: Instant, facts: &Facts) -> Result<Rewrite, Reason> {
        self.forward_layered(now, facts, &Scalability::NONE)
    }

    /// As [`Self::forward`], of a packet that tells of the layers of its source.
    ///
    /// # Errors
    /// As there.
    pub fn forward_layered(
        &mut self,
        now: Instant,
        facts: &Facts,
        layers: &Scalability,
    ) -> Result<Rewrite, Reason> {
        if self.muted {
            return Err(Reason::Muted);
        }
        if self.paused {
            return Err(Reason::Paused);
        }
        if self.choose(now, facts, layers)? == Choice::Switch {
            self.switch(now, facts, layers)?;
        }
        let stream = self.stream.as_mut().ok_or(Reason::AwaitingKeyFrame)?;
        let place = stream.sequence.place(facts.sequence)?;
        if let Some(scalable) = &mut self.scalable
            && facts.payload_len > 0
            && (self.vp8.is_none() || scalable.decides())
        {
            return stream.forward_layered(now, facts, layers, &place, scalable);
        }
        let patch = if facts.payload_len == 0 {
            pass_padding(&mut stream.sequence, self.vp8.as_mut(), &place)?
        } else if let Some(munger) = &mut self.vp8 {
            pass_vp8(&mut stream.sequence, munger, &place, facts)?
        } else {
            None
        };
        let timestamp = stream.timeline.outgoing(facts.timestamp);
        stream.sequence.send(&place);
        if place.order != Order::Late {
            stream.frame_ended = facts.marker || self.class == Class::Audio;
        }
        stream.timeline.send(now, facts, timestamp);
        Ok(Rewrite { sequence: place.outgoing, timestamp, marker: facts.marker, patch, descriptor: None })
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

    /// The highest layers that the subscriber may get of a source that carries several.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        if let Some(scalable) = &mut self.scalable {
            scalable.set_limits(limits);
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
        let of_current = || {
            let needs = self.scalable.as_ref().is_some_and(|scalable| scalable.needs_key_frame());
            self.selector.current_layer().filter(|_| needs)
        };
        self.selector.needs_key_frame().or_else(of_current)
    }

    fn choose(&mut self, now: Instant, facts: &Facts, layers: &Scalability) -> Result<Choice, Reason> {
        let choice = if self.class == Class::Audio {
            let goes_on = self.stream.as_ref().is_some_and(|stream| stream.source == facts.source);
            if goes_on && self.resume.is_none() { Choice::Continue } else { Choice::Switch }
        } else {
            self.selector.observe(now, facts);
            match self.selector.choose(facts)? {
                Choice::Continue if facts.key_frame && self.is_told_otherwise(facts, layers) => {
                    Choice::Switch
                }
                choice => choice,
            }
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
    #[cold]
    fn switch(&mut self, now: Instant, facts: &Facts, layers: &Scalability) -> Result<(), Reason> {
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
                frame_ended: false,
            });
        }
        self.resume = None;
        self.selector.switched(facts);
        if let (Some(munger), Some(descriptor)) = (&mut self.vp8, &facts.vp8) {
            munger.switch(descriptor);
        }
        self.switch_layers(facts, layers);
        Ok(())
    }

    /// What was sent last is not what comes next: no holes for what was not forwarded meanwhile, no picture without its key frame.
    fn resync(&mut self, tolerance: Duration) {
        self.selector.resync();
        self.resume = Some(self.resume.map_or(tolerance, |before| before.min(tolerance)));
    }
}

impl Stream {
    /// Apart from the rest of the way, so that others do not carry its load.
    #[inline(never)]
    fn forward_layered(
        &mut self,
        now: Instant,
        facts: &Facts,
        layers: &Scalability,
        place: &Place,
        scalable: &mut Scalable,
    ) -> Result<Rewrite, Reason> {
        match scalable.pass(now, facts, layers, place.order)? {
            Outcome::Send { patch, marker, descriptor } => {
                let timestamp = self.timeline.outgoing(facts.timestamp);
                self.sequence.send(place);
                if place.order != Order::Late {
                    self.frame_ended = marker;
                }
                self.timeline.send(now, facts, timestamp);
                Ok(Rewrite { sequence: place.outgoing, timestamp, marker, patch, descriptor })
            }
            Outcome::Drop(reason) => {
                self.sequence.skip(place);
                Err(reason)
            }
            Outcome::DropWithGap(reason) => {
                self.sequence.skip_with_gap(place);
                Err(reason)
            }
        }
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
    if let Some(patch) = munger.go_on(descriptor, facts.marker, place.order) {
        return Ok(Some(patch));
    }
    match munger.plan(descriptor, facts.marker, place.order)? {
        Plan::Late(patch) => Ok(patch),
        Plan::LateEmpty => Ok(Some(Patch::empty(facts.payload_len))),
        Plan::Forward(patch, step) => {
            munger.commit(&step);
            munger.sent(descriptor, patch);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Reference;
    use wire::picture_id::PictureId;
    use wire::vp8::{Descriptor, Temporal};

    const NOW: Instant = Instant(0);

    /// In order, and with payload.
    pub(super) fn audio(sequence: u64) -> Facts {
        Facts {
            source: Ssrc(1),
            layer: 0,
            sequence: Seq(sequence),
            out_of_order: false,
            timestamp: 0xab_cdef,
            marker: false,
            payload_len: 10,
            key_frame: false,
            vp8: None,
            reference: None,
        }
    }

    fn video(sequence: u64, picture: u16, temporal: u8) -> Facts {
        Facts { vp8: Some(descriptor(picture, temporal)), ..audio(sequence) }
    }

    fn descriptor(picture: u16, temporal: u8) -> Descriptor {
        Descriptor {
            len: if picture > 127 { 6 } else { 5 },
            non_reference: false,
            start_of_partition: true,
            partition: 0,
            picture_id: Some(PictureId::shortest(picture)),
            tl0_picture_index: Some(233),
            temporal: Some(Temporal { id: temporal, sync: true }),
            key_index: Some(23),
            key_frame: false,
            dimensions: None,
        }
    }

    fn key(facts: Facts) -> Facts {
        Facts {
            key_frame: true,
            vp8: facts.vp8.map(|descriptor| Descriptor { key_frame: true, ..descriptor }),
            ..facts
        }
    }

    fn late(facts: Facts) -> Facts {
        Facts { out_of_order: true, ..facts }
    }

    fn padding(facts: Facts) -> Facts {
        Facts { payload_len: 0, vp8: None, ..facts }
    }

    #[test]
    fn audio_is_forwarded_without_holes_but_those_of_losses() {
        let mut forwarder = Forwarder::new(Class::Audio, 48_000);
        for (name, facts, expected) in [
            ("late, before the start", late(audio(23_332)), Err(Reason::TooLate)),
            ("start", audio(23_333), Ok(23_333)),
            ("duplicate", audio(23_333), Err(Reason::Duplicate)),
            ("padding is closed up", padding(audio(23_334)), Err(Reason::Padding)),
            ("gap", audio(23_336), Ok(23_335)),
            ("late", late(audio(23_335)), Ok(23_334)),
            ("padding", padding(audio(23_337)), Err(Reason::Padding)),
            ("next", audio(23_338), Ok(23_336)),
            ("padding behind a gap is forwarded", padding(audio(23_340)), Ok(23_338)),
            // Upstream sends it again, under the number it had: here two packets never share a key stream.
            ("once more", late(audio(23_336)), Err(Reason::Duplicate)),
            ("late, in the gap", late(audio(23_339)), Ok(23_337)),
        ] {
            let result = forwarder.forward(NOW, &facts);
            assert_eq!(
                result.map(|rewrite| (rewrite.sequence.0, rewrite.patch)),
                expected.map(|out| (out, None)),
                "{name}"
            );
        }
        let other = Facts { source: Ssrc(2), timestamp: 0x6_7890, ..audio(123) };
        let rewrite = forwarder.forward(NOW, &other).unwrap();
        assert_eq!((rewrite.sequence.0, rewrite.timestamp), (23_339, 0xab_cdf0), "another source goes on");
    }

    #[test]
    fn video_rows_of_upstream() {
        let other_layer = |facts: Facts| Facts { source: Ssrc(2), layer: 1, ..facts };
        let with_tl0 = |facts: Facts, index| {
            let vp8 = facts.vp8.map(|vp8| Descriptor { tl0_picture_index: Some(index), ..vp8 });
            Facts { vp8, ..facts }
        };
        let small = Descriptor { key_index: Some(30), ..descriptor(45, 0) };
        let small = with_tl0(Facts { vp8: Some(small), ..video(45, 45, 0) }, 12);

        let mut forwarder = Forwarder::new(Class::Vp8, 90_000);
        assert_eq!(forwarder.forward(NOW, &key(video(23_333, 13_467, 0))), Err(Reason::NoTarget));
        forwarder.set_target(Some(0), 1);
        for (name, facts, expected) in [
            ("late packet can't start", late(key(video(23_332, 13_467, 0))), Err(Reason::AwaitingKeyFrame)),
            ("nor one without key frame", video(23_332, 13_467, 0), Err(Reason::AwaitingKeyFrame)),
            ("key frame starts", key(video(23_333, 13_467, 0)), Ok((23_333, Some((13_467, 233, 23))))),
            ("duplicate", key(video(23_333, 13_467, 0)), Err(Reason::Duplicate)),
            ("late, unknown", late(video(23_332, 13_466, 0)), Err(Reason::TooLate)),
            ("padding is closed up", padding(video(23_334, 0, 0)), Err(Reason::Padding)),
            ("same picture", video(23_335, 13_467, 0), Ok((23_334, Some((13_467, 233, 23))))),
            ("temporal layer 1 passes", video(23_336, 13_468, 1), Ok((23_335, Some((13_468, 233, 23))))),
            ("temporal layer 2 of that picture does not", video(23_337, 13_468, 2), Err(Reason::Temporal)),
            (
                "so it leaves no hole among ids",
                with_tl0(video(23_338, 13_469, 0), 234),
                Ok((23_336, Some((13_469, 234, 23)))),
            ),
            ("padding behind a gap", padding(video(23_340, 0, 0)), Ok((23_338, None))),
            ("late padding in the gap", late(padding(video(23_339, 0, 0))), Ok((23_337, None))),
        ] {
            assert_eq!(forwarder.forward(NOW, &facts).map(numbers), expected, "{name}");
        }
        forwarder.set_target(Some(1), 1);
        assert_eq!(forwarder.needs_key_frame(), Some(1));
        let switched = forwarder.forward(NOW, &key(other_layer(small))).unwrap();
        assert_eq!(switched.patch.map(|patch| (patch.replaces, patch.len)), Some((5, 6)), "the header grows");
        assert_eq!(numbers(switched), (23_339, Some((13_470, 235, 24))));
        assert_eq!((forwarder.current_layer(), forwarder.needs_key_frame()), (Some(1), None));
    }

    #[test]
    fn malformed_packet_is_closed_up_and_hides_no_gap() {
        let mut forwarder = Forwarder::new(Class::Vp8, 90_000);
        forwarder.set_target(Some(0), 0);
        for (name, facts, expected) in [
            ("start", key(video(10, 500, 0)), Ok((10, Some((500, 233, 23))))),
            ("dropped", video(11, 501, 1), Err(Reason::Temporal)),
            ("malformed is closed up", Facts { vp8: None, ..video(12, 0, 0) }, Err(Reason::Malformed)),
            ("next", video(13, 502, 0), Ok((11, Some((501, 233, 23))))),
            ("malformed behind a gap", Facts { vp8: None, ..video(15, 0, 0) }, Err(Reason::Malformed)),
            ("behind that gap", video(16, 503, 1), Ok((13, Some((502, 233, 23))))),
            ("late, in that gap", late(video(14, 502, 0)), Ok((12, Some((501, 233, 23))))),
        ] {
            assert_eq!(forwarder.forward(NOW, &facts).map(numbers), expected, "{name}");
        }
    }

    /// Sequence number, and picture id, TL0PICIDX and KEYIDX.
    fn numbers(rewrite: Rewrite) -> (u64, Option<(u16, u8, u8)>) {
        let picture = rewrite.patch.map(|patch| {
            let descriptor = Descriptor::parse(&[patch.as_bytes(), &[1]].concat()).unwrap();
            let picture_id = descriptor.picture_id.unwrap().value();
            (picture_id, descriptor.tl0_picture_index.unwrap(), descriptor.key_index.unwrap())
        });
        (rewrite.sequence.0, picture)
    }

    #[test]
    fn pause_and_mute_leave_no_hole_and_need_a_key_frame() {
        let mut forwarder = Forwarder::new(Class::Vp8, 90_000);
        forwarder.set_target(Some(0), 2);
        let reference = Some(Reference { received: NOW, ntp: NtpTime(1_000 << 32), rtp: 0xab_cdef });
        let reported = |facts| Facts { reference, ..facts };
        forwarder.forward(NOW, &reported(key(video(10, 500, 0)))).unwrap();
        assert_eq!(forwarder.sender_report(NOW), Some((NtpTime(1_000 << 32), 0xab_cdef)));
        for (name, reason, set, sequence, expected) in [
            (
                "pause",
                Reason::Paused,
                Forwarder::set_paused as fn(&mut Forwarder, bool),
                20,
                (11, 501, 234, 24),
            ),
            ("mute", Reason::Muted, Forwarder::set_muted, 30, (12, 502, 235, 25)),
            ("no target", Reason::NoTarget, set_without_target, 40, (13, 503, 236, 26)),
        ] {
            set(&mut forwarder, true);
            assert_eq!(forwarder.forward(NOW, &video(sequence, 501, 0)), Err(reason), "{name}");
            assert_eq!(forwarder.needs_key_frame(), None, "{name}");
            assert_eq!(forwarder.sender_report(NOW), None, "{name}");
            set(&mut forwarder, false);
            assert_eq!(forwarder.needs_key_frame(), Some(0), "{name}");
            let waiting = forwarder.forward(NOW, &video(sequence + 1, 501, 0));
            assert_eq!(waiting, Err(Reason::AwaitingKeyFrame), "{name}");
            let resumed = forwarder.forward(NOW, &reported(key(video(sequence + 2, 700, 0)))).map(numbers);
            let (outgoing, picture, tl0_index, key_index) = expected;
            assert_eq!(resumed, Ok((outgoing, Some((picture, tl0_index, key_index)))), "{name}");
        }
    }

    fn set_without_target(forwarder: &mut Forwarder, none: bool) {
        forwarder.set_target((!none).then_some(0), 2);
    }

    #[test]
    fn audio_resumes_with_any_packet_that_is_not_late() {
        let mut forwarder = Forwarder::new(Class::Audio, 48_000);
        forwarder.forward(NOW, &audio(10)).unwrap();
        forwarder.set_muted(true);
        assert_eq!(forwarder.forward(NOW, &audio(11)), Err(Reason::Muted));
        forwarder.set_muted(false);
        assert_eq!(forwarder.forward(NOW, &late(audio(12))), Err(Reason::TooLate));
        assert_eq!(forwarder.forward(NOW, &padding(audio(13))), Err(Reason::Padding));
        let second_later = Facts { timestamp: 0xab_cdef + 48_000, ..audio(60) };
        let rewrite = forwarder.forward(Instant(1_000_000_000), &second_later).unwrap();
        assert_eq!(
            (rewrite.sequence.0, rewrite.timestamp),
            (11, 0xab_cdef + 48_000),
            "no hole, and its own clock"
        );
    }

    #[test]
    fn clock_that_stood_still_while_muted_is_caught_up_with_even_after_a_pause() {
        for (name, muted, expected) in
            [("paused", false, 0xab_cdef + 1), ("muted, too", true, 0xab_cdef + 48_000)]
        {
            let mut forwarder = Forwarder::new(Class::Audio, 48_000);
            forwarder.forward(NOW, &audio(10)).unwrap();
            forwarder.set_muted(muted);
            forwarder.set_paused(true);
            forwarder.set_paused(false);
            forwarder.set_muted(false);
            let resumed = Facts { timestamp: 0xab_cdef + 1, ..audio(60) };
            let rewrite = forwarder.forward(Instant(1_000_000_000), &resumed).unwrap();
            assert_eq!(rewrite.timestamp, expected, "{name}");
        }
    }

    #[test]
    fn first_number_is_in_the_lower_half_of_a_cycle() {
        let mut forwarder = Forwarder::new(Class::Audio, 48_000);
        assert_eq!(forwarder.forward(NOW, &audio(0x3_ffff)).map(|rewrite| rewrite.sequence), Ok(Seq(0x7fff)));
        assert_eq!(forwarder.forward(NOW, &audio(0x4_0001)).map(|rewrite| rewrite.sequence), Ok(Seq(0x8001)));
    }

    #[test]
    fn layer_that_lags_behind_is_refused_without_a_trace() {
        let mut forwarder = Forwarder::new(Class::Vp8, 90_000);
        forwarder.set_target(Some(0), 2);
        let reported = |rtp| Some(Reference { received: NOW, ntp: NtpTime(1_000 << 32), rtp });
        let start = Facts { reference: reported(0xab_cdef), ..key(video(10, 500, 0)) };
        forwarder.forward(NOW, &start).unwrap();
        forwarder.set_target(Some(1), 2);
        let lagging = Facts {
            source: Ssrc(2),
            layer: 1,
            timestamp: 0,
            reference: reported(90 * 60),
            ..key(video(1_000, 7, 0))
        };
        for _ in 0..3 {
            assert_eq!(forwarder.forward(NOW, &lagging), Err(Reason::Behind));
            assert_eq!(forwarder.current_layer(), Some(0));
        }
        assert_eq!(forwarder.forward(NOW, &video(11, 501, 0)).map(numbers), Ok((11, Some((501, 233, 23)))));
        assert_eq!(
            forwarder.forward(NOW, &lagging).map(numbers),
            Ok((12, Some((502, 234, 24)))),
            "lags for good"
        );
    }
}

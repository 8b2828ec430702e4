//! VP8: whole pictures pass or not, and the ones that pass are numbered anew (RFC 7741).
//!
//! After a gap it is not known which picture the missing packets belong to, so:
//! - every picture from the one before the gap through the one behind it, both included, is noted as missing
//!   packets, with the lag that holds now; late packets go by that note only, and otherwise are not sent;
//! - the packet behind a gap is forwarded even if its layer could be dropped, and with it the rest of its picture.
//!   Upstream does so for every picture. One that refers to others of its layer, which were dropped, would be shown
//!   wrongly: the closed-up numbers tell the receiver that it has all it takes. So only a picture that refers to
//!   nothing but the base layer (Y) is exempt; another one is dropped, and what of it comes late goes out empty, to
//!   fill its hole among the sequence numbers.
//!
//! The fate of a picture is decided by its first packet that comes in order. Only the newest picture's fate is ever
//! asked for, since an id that falls back in order starts a new numbering; so it is one value here, and not a cache.

use wire::picture_id::PictureId;
use wire::vp8::{Descriptor, Temporal};

use crate::discard::Reason;
use crate::order::Order;
use crate::picture::Numbers;
use crate::recent::Recent;
use crate::rewrite::{PATCH_LEN_MAX, Patch};
use crate::temporal::Layers;

/// Decides over packets with a payload; those of nothing but padding never come here.
#[derive(Debug)]
pub struct Munger {
    numbers: Numbers,
    layers: Layers,
    newest: Fate,
    /// Pictures of which packets may still come late.
    missing: Recent<Late, MISSING_MAX>,
    /// A gap that ended in a packet of nothing but padding: it lies before the next payload just as well.
    gap_is_pending: bool,
    /// Of the packet that came last in order, if it was forwarded: most packets are the next ones of its picture.
    last: Option<Sent>,
}

/// The numbers of a packet, and the descriptor that it went out with.
#[derive(Clone, Copy, Debug)]
struct Sent {
    picture_id: PictureId,
    tl0_picture_index: Option<u8>,
    temporal: Option<Temporal>,
    key_index: Option<u8>,
    patch: Patch,
}

impl Sent {
    /// The descriptor of the next packet, if it has the same numbers.
    fn next(&self, packet: &Descriptor) -> Option<Patch> {
        let is_same = packet.picture_id == Some(self.picture_id)
            && packet.tl0_picture_index == self.tl0_picture_index
            && packet.temporal == self.temporal
            && packet.key_index == self.key_index
            && packet.len == usize::from(self.patch.replaces);
        let mut patch = self.patch;
        patch.bytes[0] = packet.first_byte(true);
        is_same.then_some(patch)
    }
}

/// What becomes of a picture's late packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Late {
    /// The picture is forwarded with this lag.
    Forwarded(i64),
    /// Nothing of the picture came in order; it has this lag, and these layers passed then.
    Unseen(i64, Layers),
    /// The picture was dropped.
    Empty,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Forwarded,
    /// Forwarded although its layer could be dropped, since a gap lay before it.
    Exempt,
    Dropped,
}

impl Fate {
    fn of_new(is_above: bool, may_be_exempt: bool) -> Self {
        match (is_above, may_be_exempt) {
            (false, _) => Self::Forwarded,
            (true, true) => Self::Exempt,
            (true, false) => Self::Dropped,
        }
    }
}

/// What becomes of a packet, decided but not yet done.
#[derive(Clone, Copy, Debug)]
pub enum Plan {
    /// Out of order: forwarded, and nothing is learnt from it.
    Late(Option<Patch>),
    /// Out of order, and nothing of its payload is to be seen.
    LateEmpty,
    Forward(Option<Patch>, Step),
    /// Its sequence number is closed up.
    Drop(Step),
    /// The gap before the packet lies within the same dropped picture: all of its numbers are closed up.
    DropWithGap(Step),
}

/// What is learnt from a packet that is in order.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    numbers: Numbers,
    layers: Layers,
    newest: Fate,
    /// A new numbering begins.
    restarts: bool,
    gap: Option<Gap>,
}

/// The pictures at both ends of a gap, and the lag that holds in it.
#[derive(Clone, Copy, Debug)]
struct Gap {
    before: i64,
    behind: i64,
    lag: i64,
}

impl Munger {
    #[must_use]
    pub fn new(temporal_max: u8) -> Self {
        Self {
            numbers: Numbers::default(),
            layers: Layers::new(temporal_max),
            newest: Fate::Forwarded,
            missing: Recent::new(),
            gap_is_pending: false,
            last: None,
        }
    }

    pub fn want_temporal(&mut self, layer: u8) {
        self.layers.want(layer);
    }

    /// Another source, or the same one after a pause, goes on with `first`.
    pub fn switch(&mut self, first: &Descriptor) {
        self.numbers.restart(first);
        self.newest = Fate::Forwarded;
        self.missing.clear();
        self.gap_is_pending = false;
        self.last = None;
    }

    /// A packet of nothing but padding was forwarded because it ended a gap.
    pub fn note_gap(&mut self) {
        self.gap_is_pending = true;
    }

    /// The descriptor of a key frame of our own, as a patch that replaces nothing. What comes next has to begin anew.
    pub fn insert(&mut self) -> Option<Patch> {
        let descriptor = self.numbers.insert();
        self.missing.clear();
        self.gap_is_pending = false;
        self.last = None;
        let mut bytes = [0; PATCH_LEN_MAX];
        let len = descriptor.write(&mut bytes).ok()?;
        Some(Patch { replaces: 0, bytes, len: u8::try_from(len).ok()? })
    }

    pub fn commit(&mut self, step: &Step) {
        if step.restarts {
            self.missing.clear();
        }
        if let Some(gap) = step.gap {
            self.note_missing(gap, step);
        }
        self.numbers = step.numbers;
        self.layers = step.layers;
        self.newest = step.newest;
        self.gap_is_pending = false;
        self.last = None;
    }

    /// A packet that came in order goes out with this patch; what is learnt from it is done.
    pub fn sent(&mut self, packet: &Descriptor, patch: Option<Patch>) {
        let Descriptor { tl0_picture_index, temporal, key_index, .. } = *packet;
        let last = packet.picture_id.zip(patch);
        self.last = last.map(|(picture_id, patch)| Sent {
            picture_id,
            tl0_picture_index,
            temporal,
            key_index,
            patch,
        });
    }

    /// The patch of a packet that directly follows one of the same picture, which was forwarded. It is as
    /// [`Self::plan`] would have it, and what is learnt from it is done: that its picture may be at its end.
    pub fn go_on(&mut self, packet: &Descriptor, marker: bool, order: Order) -> Option<Patch> {
        let is_next = order == Order::Contiguous && !self.gap_is_pending;
        let patch = self.last.as_ref().filter(|_| is_next)?.next(packet)?;
        if !self.layers.pass(packet) || self.layers.at(packet) != self.layers {
            return None;
        }
        self.layers = self.layers.after(marker);
        Some(patch)
    }

    /// # Errors
    /// If the packet is late and not of a picture that is known to miss packets. No state has changed.
    pub fn plan(&self, packet: &Descriptor, marker: bool, order: Order) -> Result<Plan, Reason> {
        match order {
            Order::Late => self.plan_late(packet),
            Order::Contiguous => Ok(self.plan_in_order(packet, marker, self.gap_is_pending)),
            Order::Gap => Ok(self.plan_in_order(packet, marker, true)),
        }
    }

    fn plan_late(&self, packet: &Descriptor) -> Result<Plan, Reason> {
        if packet.picture_id.is_none() {
            // No id, no hole among ids: the layer alone decides.
            let passes = self.layers.pass(packet);
            return if passes {
                Ok(Plan::Late(self.numbers.patch(packet, None, 0)))
            } else {
                Err(Reason::Temporal)
            };
        }
        let picture = self.numbers.read(packet).ok_or(Reason::UnknownPicture)?.picture;
        let lag = match self.missing.of(picture).ok_or(Reason::UnknownPicture)? {
            Late::Forwarded(lag) => lag,
            Late::Unseen(lag, layers) if layers.pass(packet) || is_synced(packet) => lag,
            Late::Unseen(..) | Late::Empty => return Ok(Plan::LateEmpty),
        };
        Ok(Plan::Late(self.numbers.patch(packet, Some(picture), lag)))
    }

    fn plan_in_order(&self, packet: &Descriptor, marker: bool, is_after_gap: bool) -> Plan {
        let mut numbers = self.numbers;
        let restarts = self.restarts(packet);
        if restarts {
            numbers.restart(packet);
        }
        let read = numbers.read(packet);
        let highest = numbers.highest();
        let picture = read.map(|read| read.picture);
        let is_first = restarts || picture != highest;
        let layers = self.layers.at(packet);
        let is_above = !layers.pass(packet);
        let fate = match self.newest {
            _ if is_first || picture.is_none() => {
                Fate::of_new(is_above, is_after_gap && picture.is_some() && is_synced(packet))
            }
            Fate::Forwarded if is_above && is_after_gap => Fate::Exempt,
            decided => decided,
        };
        let drops = fate == Fate::Dropped || fate == Fate::Forwarded && is_above;
        let gap_is_inside = is_after_gap && picture.is_some() && !is_first && drops;

        let mut step = Step { numbers, layers: layers.after(marker), newest: fate, restarts, gap: None };
        if let (true, false, Some(behind), Some(before)) = (is_after_gap, gap_is_inside, picture, highest) {
            step.gap = Some(Gap { before, behind, lag: numbers.lag() });
        }
        if !drops {
            step.numbers.send(packet, read);
            return Plan::Forward(numbers.patch(packet, picture, numbers.lag()), step);
        }
        step.numbers.skip(packet, read, is_first);
        if gap_is_inside { Plan::DropWithGap(step) } else { Plan::Drop(step) }
    }

    /// Notes the pictures that may miss packets: those at both ends of the gap, and the run between them.
    fn note_missing(&mut self, gap: Gap, step: &Step) {
        let late = |fate| match fate {
            Fate::Forwarded | Fate::Exempt => Late::Forwarded(gap.lag),
            Fate::Dropped => Late::Empty,
        };
        // What lay before a new numbering has none of its ids.
        if !step.restarts {
            self.missing.insert(gap.before, late(self.newest));
        }
        self.missing.insert_run(gap.before + 1, gap.behind - 1, Late::Unseen(gap.lag, self.layers));
        self.missing.insert(gap.behind, late(step.newest));
    }

    /// Whether the packet, which is in order, begins a new numbering: ids have fallen back, or there were none.
    ///
    /// Going on with the old lag would give a picture the id of another one.
    fn restarts(&self, packet: &Descriptor) -> bool {
        match (self.numbers.highest(), self.numbers.read(packet)) {
            (Some(highest), Some(read)) => read.picture < highest,
            (None, _) => packet.picture_id.is_some(),
            (Some(_), None) => false,
        }
    }
}

/// The picture refers to nothing above the base layer.
fn is_synced(packet: &Descriptor) -> bool {
    packet.temporal.is_none_or(|temporal| temporal.sync)
}

/// As upstream: at 30 pictures a second, those of the last 1.7 s.
const MISSING_MAX: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn packet(picture: u16, temporal: u8) -> Descriptor {
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

    fn started(first: &Descriptor, temporal_max: u8) -> Munger {
        let mut munger = Munger::new(temporal_max);
        munger.switch(first);
        munger.layers = munger.layers.at(&Descriptor { key_frame: true, ..*first });
        munger
    }

    /// The descriptor that goes out, read back; `None` if the packet is dropped.
    fn pass(munger: &mut Munger, packet: &Descriptor, order: Order) -> Result<Option<Descriptor>, Reason> {
        let read = |patch: Option<Patch>| {
            let patch = patch.expect("these have picture ids");
            assert_eq!(usize::from(patch.replaces), packet.len);
            Some(Descriptor::parse(&[patch.as_bytes(), &[1]].concat()).unwrap())
        };
        Ok(match munger.plan(packet, false, order)? {
            Plan::Late(patch) => read(patch),
            Plan::LateEmpty => None,
            Plan::Forward(patch, step) => {
                munger.commit(&step);
                read(patch)
            }
            Plan::Drop(step) | Plan::DropWithGap(step) => {
                munger.commit(&step);
                None
            }
        })
    }

    fn picture(outgoing: Result<Option<Descriptor>, Reason>) -> Result<Option<u16>, Reason> {
        Ok(outgoing?.and_then(|descriptor| descriptor.picture_id).map(PictureId::value))
    }

    #[test]
    fn start_expects_the_first_picture_as_it_is() {
        let first = packet(13_467, 1);
        let mut munger = started(&first, 1);
        assert_eq!((munger.numbers.highest(), munger.numbers.lag()), (Some(13_466), 0));
        assert_eq!(pass(&mut munger, &first, Order::Contiguous), Ok(Some(first)), "unchanged");
        assert_eq!(munger.numbers.highest(), Some(13_467));
    }

    #[test]
    fn switch_goes_on_with_each_number() {
        let mut munger = started(&packet(13_467, 1), 1);
        pass(&mut munger, &packet(13_467, 1), Order::Contiguous).unwrap();
        let other = Descriptor { tl0_picture_index: Some(12), key_index: Some(4), ..packet(345, 0) };
        munger.switch(&other);
        assert_eq!((munger.numbers.highest(), munger.numbers.lag()), (Some(344), 345 - 13_467 - 1));
        let outgoing = pass(&mut munger, &other, Order::Contiguous).unwrap().unwrap();
        assert_eq!(outgoing.picture_id, Some(PictureId::Fifteen(13_468)));
        assert_eq!((outgoing.tl0_picture_index, outgoing.key_index), (Some(234), Some(24)));
    }

    #[test]
    fn switch_leaves_the_numbers_of_missing_pictures_to_them() {
        let base = |id, tl0_index| Descriptor { tl0_picture_index: Some(tl0_index), ..packet(id, 0) };
        let above = Descriptor {
            temporal: Some(Temporal { id: 2, sync: false }),
            tl0_picture_index: Some(11),
            ..packet(103, 2)
        };
        let mut munger = started(&base(100, 10), 0);
        for (name, packet, order, expected) in [
            ("first", base(100, 10), Order::Contiguous, Ok(Some(100))),
            ("above, behind a gap", above, Order::Gap, Ok(None)),
            ("late base, the last that is sent", base(101, 11), Order::Late, Ok(Some(101))),
        ] {
            assert_eq!(picture(pass(&mut munger, &packet, order)), expected, "{name}");
        }
        munger.switch(&base(7, 200));
        let outgoing = pass(&mut munger, &base(7, 200), Order::Contiguous).unwrap().unwrap();
        assert_eq!(outgoing.picture_id.map(PictureId::value), Some(103), "102 is missing, too");
        assert_eq!(outgoing.tl0_picture_index, Some(12));
    }

    #[test]
    fn gap_notes_both_ends_and_late_packets_go_by_the_note_only() {
        let mut munger = started(&packet(13_467, 1), 1);
        for (name, id, order, expected) in [
            ("first", 13_467, Order::Contiguous, Ok(Some(13_467))),
            ("late, nothing noted", 13_466, Order::Late, Err(Reason::UnknownPicture)),
            ("late, of the newest picture, nothing noted", 13_467, Order::Late, Err(Reason::UnknownPicture)),
            ("behind a gap", 13_469, Order::Gap, Ok(Some(13_469))),
            ("late, in the gap", 13_468, Order::Late, Ok(Some(13_468))),
            ("late, in the gap, once more", 13_468, Order::Late, Ok(Some(13_468))),
            ("late, before the gap", 13_467, Order::Late, Ok(Some(13_467))),
            ("late, behind the gap", 13_469, Order::Late, Ok(Some(13_469))),
            ("late, before what is noted", 13_466, Order::Late, Err(Reason::UnknownPicture)),
        ] {
            assert_eq!(picture(pass(&mut munger, &packet(id, 1), order)), expected, "{name}");
        }
        let noted = [13_466, 13_467, 13_468, 13_469, 13_470].map(|id| munger.missing.of(id));
        let forwarded = Some(Late::Forwarded(0));
        assert_eq!(noted, [None, forwarded, Some(Late::Unseen(0, munger.layers)), forwarded, None]);
        let late = packet(13_468, 1);
        assert_eq!(pass(&mut munger, &late, Order::Late), Ok(Some(late)), "the header keeps its length");
    }

    #[test]
    fn picture_is_dropped_whole_and_moves_the_numbers_once() {
        let mut munger = started(&packet(13_467, 1), 0);
        for (name, id, temporal, order, expected, lag) in [
            ("first packet", 13_467, 1, Order::Contiguous, Ok(None), 1),
            ("second packet", 13_467, 1, Order::Contiguous, Ok(None), 1),
            ("third packet", 13_467, 1, Order::Contiguous, Ok(None), 1),
            ("another behind a gap inside of the picture", 13_467, 1, Order::Gap, Ok(None), 1),
            ("late, of the dropped picture", 13_467, 1, Order::Late, Err(Reason::UnknownPicture), 1),
            ("base layer takes its id", 13_468, 0, Order::Contiguous, Ok(Some(13_467)), 1),
            ("next dropped one", 13_469, 2, Order::Contiguous, Ok(None), 2),
            ("base layer behind a gap", 13_471, 0, Order::Gap, Ok(Some(13_469)), 2),
            ("late, of the dropped picture before the gap: empty", 13_469, 2, Order::Late, Ok(None), 2),
            ("late, in the gap, though above", 13_470, 1, Order::Late, Ok(Some(13_468)), 2),
        ] {
            assert_eq!(picture(pass(&mut munger, &packet(id, temporal), order)), expected, "{name}");
            assert_eq!(munger.numbers.lag(), lag, "{name}");
        }
    }

    #[test]
    fn gap_exempts_the_rest_of_its_picture_and_nothing_more() {
        let mut munger = started(&packet(13_467, 0), 0);
        for (name, id, temporal, order, expected) in [
            ("first", 13_467, 0, Order::Contiguous, Ok(Some(13_467))),
            ("same picture behind a gap", 13_467, 0, Order::Gap, Ok(Some(13_467))),
            ("layer above, behind a gap", 13_468, 2, Order::Gap, Ok(Some(13_468))),
            ("its next packet", 13_468, 2, Order::Contiguous, Ok(Some(13_468))),
            ("its next packet behind another gap", 13_468, 2, Order::Gap, Ok(Some(13_468))),
            ("next picture of that layer", 13_469, 2, Order::Contiguous, Ok(None)),
            ("base layer takes its id", 13_470, 0, Order::Contiguous, Ok(Some(13_469))),
        ] {
            assert_eq!(picture(pass(&mut munger, &packet(id, temporal), order)), expected, "{name}");
        }
        assert_eq!(munger.missing.of(13_467), Some(Late::Forwarded(0)));
    }

    #[test]
    fn picture_that_needs_a_dropped_one_is_never_sent() {
        let unsynced = |id, temporal| {
            let packet = packet(id, temporal);
            Descriptor { temporal: Some(Temporal { id: temporal, sync: false }), ..packet }
        };
        let mut munger = started(&packet(100, 0), 1);
        for (name, packet, order, expected) in [
            ("first", packet(100, 0), Order::Contiguous, Ok(Some(100))),
            ("above, behind a gap", unsynced(103, 2), Order::Gap, Ok(None)),
            ("its next packet", unsynced(103, 2), Order::Contiguous, Ok(None)),
            ("next picture takes its id", packet(104, 0), Order::Contiguous, Ok(Some(103))),
            ("late, of the dropped one: empty", unsynced(103, 2), Order::Late, Ok(None)),
            ("late, in the gap, above: empty", unsynced(101, 2), Order::Late, Ok(None)),
            ("late, in the gap, of a layer that passed", unsynced(102, 1), Order::Late, Ok(Some(102))),
            ("late, before the gap", unsynced(100, 0), Order::Late, Ok(Some(100))),
        ] {
            assert_eq!(picture(pass(&mut munger, &packet, order)), expected, "{name}");
        }
    }

    #[test]
    fn late_picture_goes_by_the_layers_of_its_time() {
        let unsynced = Descriptor { temporal: Some(Temporal { id: 1, sync: false }), ..packet(101, 1) };
        for (name, before, now, expected) in [
            ("layer was added since, without this one", 0, 1, Ok(None)),
            ("layer was taken away since", 1, 0, Ok(Some(101))),
        ] {
            let mut munger = started(&packet(100, 0), before);
            pass(&mut munger, &packet(100, 0), Order::Contiguous).unwrap();
            munger.want_temporal(now);
            pass(&mut munger, &packet(102, 1), Order::Gap).unwrap();
            assert_eq!(picture(pass(&mut munger, &unsynced, Order::Late)), expected, "{name}");
        }
    }

    #[test]
    fn padding_behind_a_gap_leaves_the_gap_to_the_next_payload() {
        let mut munger = started(&packet(100, 0), 0);
        pass(&mut munger, &packet(100, 0), Order::Contiguous).unwrap();
        munger.note_gap();
        assert_eq!(picture(pass(&mut munger, &packet(102, 1), Order::Contiguous)), Ok(Some(102)), "exempt");
        assert_eq!(picture(pass(&mut munger, &packet(101, 0), Order::Late)), Ok(Some(101)), "noted");
        assert_eq!(
            picture(pass(&mut munger, &packet(103, 1), Order::Contiguous)),
            Ok(None),
            "no gap any more"
        );
    }

    #[test]
    fn padding_of_a_new_picture_is_the_next_one() {
        let mut munger = started(&packet(13_467, 1), 1);
        pass(&mut munger, &packet(13_467, 1), Order::Contiguous).unwrap();
        let patch = munger.insert().unwrap();
        let made = Descriptor::parse(&[patch.as_bytes(), &[0]].concat()).unwrap();
        let numbers = |packet: Descriptor| {
            (packet.picture_id.map(PictureId::value), packet.tl0_picture_index, packet.key_index)
        };
        assert_eq!(numbers(made), (Some(13_468), Some(234), Some(24)));
        assert_eq!((made.start_of_picture(), made.temporal), (true, Some(Temporal { id: 0, sync: true })));
        let next = pass(&mut munger, &packet(13_468, 1), Order::Contiguous).unwrap().unwrap();
        assert_eq!(numbers(next), (Some(13_469), Some(234), Some(24)), "the source's own goes on behind it");
    }

    #[test]
    fn header_grows_and_shrinks_with_the_picture_id() {
        for (name, sent, id, expected) in [
            ("7 bits stay", 50, 10, PictureId::Seven(51)),
            ("7 bits grow", 127, 10, PictureId::Fifteen(128)),
            ("15 bits shrink", 50, 10_000, PictureId::Seven(51)),
            ("15 bits wrap into 7", 32_767, 10_000, PictureId::Seven(0)),
        ] {
            let mut munger = started(&packet(sent, 0), 0);
            pass(&mut munger, &packet(sent, 0), Order::Contiguous).unwrap();
            let other = Descriptor { non_reference: true, ..packet(id, 0) };
            munger.switch(&other);
            let outgoing = pass(&mut munger, &other, Order::Contiguous).unwrap().unwrap();
            assert_eq!(outgoing.picture_id, Some(expected), "{name}");
            let kept = (outgoing.temporal, outgoing.start_of_picture(), outgoing.non_reference);
            assert_eq!(kept, (Some(Temporal { id: 0, sync: true }), true, true), "{name}: and all else");
        }
    }

    #[test]
    fn id_that_falls_back_in_order_begins_a_new_numbering() {
        let mut munger = started(&packet(5_000, 0), 0);
        for (name, id, temporal, order, expected) in [
            ("first", 5_000, 0, Order::Contiguous, Ok(Some(5_000))),
            ("behind a gap", 5_003, 0, Order::Gap, Ok(Some(5_003))),
            ("fallen back", 4_000, 0, Order::Contiguous, Ok(Some(5_004))),
            ("on from there", 4_001, 0, Order::Contiguous, Ok(Some(5_005))),
            ("late, of the old numbering", 5_001, 0, Order::Late, Err(Reason::UnknownPicture)),
            ("fallen back behind a gap", 3_000, 0, Order::Gap, Ok(Some(5_006))),
            ("late, of that picture", 3_000, 0, Order::Late, Ok(Some(5_006))),
            ("late, of the one before it", 2_999, 0, Order::Late, Err(Reason::UnknownPicture)),
            ("fallen back and dropped", 2_000, 1, Order::Contiguous, Ok(None)),
            ("on from there, without a hole", 2_001, 0, Order::Contiguous, Ok(Some(5_007))),
            ("fallen back by one", 2_000, 0, Order::Contiguous, Ok(Some(5_008))),
        ] {
            assert_eq!(picture(pass(&mut munger, &packet(id, temporal), order)), expected, "{name}");
        }
    }

    #[test]
    fn bogus_jump_is_bounded_by_the_cache() {
        let mut munger = started(&packet(0, 0), 0);
        pass(&mut munger, &packet(0, 0), Order::Contiguous).unwrap();
        assert_eq!(picture(pass(&mut munger, &packet(16_000, 0), Order::Gap)), Ok(Some(16_000)));
        let noted: Vec<_> = (0..=16_001).filter(|&id| munger.missing.of(id).is_some()).collect();
        assert_eq!((noted.len(), noted.first(), noted.last()), (MISSING_MAX, Some(&15_951), Some(&16_000)));
    }

    #[test]
    fn refused_packet_leaves_no_trace() {
        let mut munger = started(&packet(13_467, 0), 0);
        pass(&mut munger, &packet(13_467, 0), Order::Contiguous).unwrap();
        let before = alloc::format!("{munger:?}");
        assert_eq!(picture(pass(&mut munger, &packet(5, 0), Order::Late)), Err(Reason::UnknownPicture));
        assert_eq!(alloc::format!("{munger:?}"), before);
    }

    #[test]
    fn without_picture_ids_the_layer_alone_decides() {
        let bare = |temporal| Descriptor { picture_id: None, len: 4, ..packet(0, temporal) };
        let mut munger = started(&bare(0), 1);
        munger.want_temporal(0);
        for (name, temporal, marker, order, passes) in [
            ("base", 0, false, Order::Contiguous, Ok(true)),
            ("above, but its picture is not over", 1, false, Order::Contiguous, Ok(true)),
            ("above, its last packet", 1, true, Order::Contiguous, Ok(true)),
            ("above, after the picture", 1, false, Order::Contiguous, Ok(false)),
            ("above, behind a gap", 1, false, Order::Gap, Ok(false)),
            ("above, late", 1, false, Order::Late, Err(Reason::Temporal)),
            ("base, late", 0, false, Order::Late, Ok(true)),
        ] {
            let plan = munger.plan(&bare(temporal), marker, order);
            let passed = plan.map(|plan| match plan {
                Plan::Late(patch) => patch.is_some(),
                Plan::Forward(patch, step) => {
                    munger.commit(&step);
                    patch.is_some()
                }
                Plan::Drop(step) => {
                    munger.commit(&step);
                    false
                }
                Plan::LateEmpty | Plan::DropWithGap(_) => panic!("{name}: nobody knows what the gap holds"),
            });
            assert_eq!(passed, passes, "{name}");
        }
    }

    #[test]
    fn descriptor_without_numbers_is_left_alone() {
        let plain = Descriptor {
            len: 1,
            picture_id: None,
            tl0_picture_index: None,
            temporal: None,
            key_index: None,
            ..packet(0, 0)
        };
        let munger = started(&plain, 0);
        assert!(matches!(munger.plan(&plain, false, Order::Contiguous), Ok(Plan::Forward(None, _))));
    }
}

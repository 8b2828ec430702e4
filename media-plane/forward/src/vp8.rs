//! VP8: whole pictures pass or not, and the ones that pass are numbered anew (RFC 7741).
//!
//! After a gap it is not known which picture the missing packets belong to, so:
//! - the packet behind a gap is forwarded even if its layer could be dropped, and with it the rest of its picture;
//! - every picture from the one before the gap through the one behind it, both included, is noted as missing
//!   packets, with the lag that holds now; late packets go by that note only, and otherwise are not sent.
//!
//! The fate of a picture is decided by its first packet that comes in order. Only the newest picture's fate is ever
//! asked for, since an id that falls back in order starts a new numbering; so it is one value here, and not a cache.

use wire::vp8::Descriptor;

use crate::discard::Reason;
use crate::order::Order;
use crate::picture::Numbers;
use crate::recent::Recent;
use crate::rewrite::Patch;
use crate::temporal::Layers;

/// Decides over packets with a payload; those of nothing but padding never come here.
#[derive(Debug)]
pub struct Munger {
    numbers: Numbers,
    layers: Layers,
    newest: Fate,
    /// The lags of pictures of which packets may still come late.
    missing: Recent<i64, MISSING_MAX>,
    /// A gap that ended in a packet of nothing but padding: it lies before the next payload just as well.
    gap_is_pending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Forwarded,
    Dropped,
}

/// What becomes of a packet, decided but not yet done.
#[derive(Clone, Copy, Debug)]
pub enum Plan {
    /// Out of order: forwarded, and nothing is learnt from it.
    Late(Option<Patch>),
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
    forget_missing: bool,
    /// The first and last picture of a gap.
    missing: Option<(i64, i64)>,
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
    }

    /// A packet of nothing but padding was forwarded because it ended a gap.
    pub fn note_gap(&mut self) {
        self.gap_is_pending = true;
    }

    pub fn commit(&mut self, step: &Step) {
        if step.forget_missing {
            self.missing.clear();
        }
        if let Some((first, last)) = step.missing {
            self.missing.insert_run(first, last, step.numbers.lag());
        }
        self.numbers = step.numbers;
        self.layers = step.layers;
        self.newest = step.newest;
        self.gap_is_pending = false;
    }

    /// # Errors
    /// If the packet is late and not of a picture that is known to miss packets. No state has changed.
    pub fn plan(&self, packet: &Descriptor, marker: bool, order: Order) -> Result<Plan, Reason> {
        match order {
            Order::Late => self.plan_late(packet).map(Plan::Late),
            Order::Contiguous => Ok(self.plan_in_order(packet, marker, self.gap_is_pending)),
            Order::Gap => Ok(self.plan_in_order(packet, marker, true)),
        }
    }

    fn plan_late(&self, packet: &Descriptor) -> Result<Option<Patch>, Reason> {
        if packet.picture_id.is_none() {
            // No id, no hole among ids: the layer alone decides.
            let passes = self.layers.pass(packet);
            return if passes { Ok(self.numbers.patch(packet, None, 0)) } else { Err(Reason::Temporal) };
        }
        let read = self.numbers.read(packet).ok_or(Reason::UnknownPicture)?;
        let lag = self.missing.of(read.picture).ok_or(Reason::UnknownPicture)?;
        Ok(self.numbers.patch(packet, Some(read.picture), lag))
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
        let drops = match picture {
            None => !layers.pass(packet),
            Some(_) if is_first => !layers.pass(packet) && !is_after_gap,
            Some(_) => self.newest == Fate::Dropped,
        };

        let mut step = Step {
            numbers,
            layers: layers.after(marker),
            newest: if drops { Fate::Dropped } else { Fate::Forwarded },
            forget_missing: restarts,
            missing: None,
        };
        if drops {
            step.numbers.skip(read, is_first);
            let gap_is_inside = is_after_gap && picture.is_some() && !is_first;
            return if gap_is_inside { Plan::DropWithGap(step) } else { Plan::Drop(step) };
        }
        if let (true, Some(picture), Some(highest)) = (is_after_gap, picture, highest) {
            let first = match self.newest {
                _ if restarts => picture,
                Fate::Forwarded => highest,
                Fate::Dropped => highest + 1,
            };
            step.missing = Some((first, picture));
        }
        step.numbers.send(packet, read);
        Plan::Forward(numbers.patch(packet, picture, numbers.lag()), step)
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

/// As upstream: at 30 pictures a second, those of the last 1.7 s.
const MISSING_MAX: usize = 50;

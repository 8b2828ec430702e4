//! Which simulcast layer is forwarded, and at which packet that changes.

use core::time::Duration;

use units::rtp::Ssrc;
use units::time::Instant;

use crate::discard::Reason;
use crate::facts::{Facts, LAYERS};

/// The layer that is forwarded, the highest that is wanted, and which layers are alive.
#[derive(Debug)]
pub struct Selector {
    target: Option<u8>,
    current: Option<Current>,
    layers: [Activity; LAYERS as usize],
    /// The current layer goes on from another source, whose key frame was lost.
    source_is_gone: bool,
    /// Key frames in a row that were refused because their layer lags behind.
    refused: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Current {
    layer: u8,
    source: Ssrc,
}

/// Signs of life, told by time and by pictures of others: a pause of the whole publisher is nobody's death.
#[derive(Clone, Copy, Debug)]
struct Activity {
    has_come: bool,
    is_dead: bool,
    /// Pictures of other layers since the last packet of this one.
    silent_pictures: u8,
    /// The first of them came then.
    since: Instant,
}

impl Activity {
    const UNKNOWN: Self = Self { has_come: false, is_dead: false, silent_pictures: 0, since: Instant(0) };
}

/// What to do with a packet that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Continue,
    /// Go on with this packet's source: a key frame.
    Switch,
}

impl Selector {
    #[must_use]
    pub fn new() -> Self {
        Self {
            target: None,
            current: None,
            layers: [Activity::UNKNOWN; LAYERS as usize],
            source_is_gone: false,
            refused: 0,
        }
    }

    pub fn set_target(&mut self, layer: Option<u8>) {
        self.target = layer;
    }

    /// What comes next has to begin with a key frame, and what was known of the layers no longer holds.
    pub fn resync(&mut self) {
        *self = Self { target: self.target, ..Self::new() };
    }

    /// Takes note that a packet of a layer came, whether it is forwarded or not.
    pub fn observe(&mut self, now: Instant, facts: &Facts) {
        for (layer, activity) in (0..LAYERS).zip(&mut self.layers) {
            if layer == facts.layer {
                (activity.has_come, activity.is_dead, activity.silent_pictures) = (true, false, 0);
            } else if facts.marker {
                if activity.silent_pictures == 0 {
                    activity.since = now;
                }
                activity.silent_pictures = activity.silent_pictures.saturating_add(1);
                let is_silent = activity.silent_pictures >= SILENT_PICTURES;
                activity.is_dead |= is_silent && now.since(activity.since) > SILENT_AFTER;
            }
        }
    }

    /// The switch that was chosen is done.
    pub fn switched(&mut self, facts: &Facts) {
        self.current = Some(Current { layer: facts.layer, source: facts.source });
        self.source_is_gone = false;
        self.refused = 0;
    }

    /// Whether a key frame that lags behind may be refused; it may not be time after time.
    pub fn refuse(&mut self) -> bool {
        let may = self.current.is_some() && self.refused < REFUSALS_MAX;
        self.refused += u8::from(may);
        may
    }

    /// # Errors
    /// If the packet is not of the source that is forwarded and none that may be switched to.
    pub fn choose(&mut self, facts: &Facts) -> Result<Choice, Reason> {
        let target = self.target.ok_or(Reason::NoTarget)?;
        let is_current = self.current.is_some_and(|current| current.source == facts.source);
        if is_current {
            self.source_is_gone &= !facts.key_frame;
            return Ok(Choice::Continue);
        }
        let is_current_layer = self.current_layer() == Some(facts.layer);
        if !facts.key_frame || facts.out_of_order {
            self.source_is_gone |= is_current_layer && !facts.out_of_order;
            let waits = is_current_layer || self.current.is_none() && facts.layer <= target;
            return Err(if waits { Reason::AwaitingKeyFrame } else { Reason::OtherLayer });
        }
        let is_allowed = facts.layer <= target;
        let is_due = match self.current {
            // The first picture soon, the best one later.
            None => is_allowed,
            Some(current) => {
                is_current_layer || is_allowed && (current.layer > target || !self.is_alive(current.layer))
            }
        };
        if is_due || self.wanted() == Some(facts.layer) {
            Ok(Choice::Switch)
        } else {
            Err(Reason::OtherLayer)
        }
    }

    #[must_use]
    pub fn current_layer(&self) -> Option<u8> {
        self.current.map(|current| current.layer)
    }

    /// The layer of which a key frame has to be asked for.
    #[must_use]
    pub fn needs_key_frame(&self) -> Option<u8> {
        let target = self.target?;
        let Some(current) = self.current else {
            // Ask where something flows: of a layer that never came there may be none.
            let flowing = (0..=target).rev().find(|&layer| self.has_come(layer) && self.is_alive(layer));
            return flowing.or_else(|| self.wanted());
        };
        if self.source_is_gone {
            return Some(current.layer);
        }
        self.wanted().filter(|&wanted| wanted != current.layer)
    }

    /// The best layer to forward: the highest live one up to the target, else the lowest live one above it.
    fn wanted(&self) -> Option<u8> {
        let target = self.target?;
        let up_to_target = (0..=target.min(LAYERS - 1)).rev().find(|&layer| self.is_alive(layer));
        let above = || (target..LAYERS).find(|&layer| self.has_come(layer) && self.is_alive(layer));
        up_to_target.or_else(above).or(Some(target))
    }

    fn is_alive(&self, layer: u8) -> bool {
        self.activity(layer).is_some_and(|activity| !activity.is_dead)
    }

    fn has_come(&self, layer: u8) -> bool {
        self.activity(layer).is_some_and(|activity| activity.has_come)
    }

    fn activity(&self, layer: u8) -> Option<&Activity> {
        self.layers.get(usize::from(layer))
    }
}

impl Default for Selector {
    fn default() -> Self {
        Self::new()
    }
}

/// So many pictures of others without a packet, for so long, and a layer is taken for dead.
const SILENT_PICTURES: u8 = 8;
const SILENT_AFTER: Duration = Duration::from_millis(600);

/// After so many refusals a layer lags behind for good, and is taken as it is.
const REFUSALS_MAX: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use units::sequence::Seq;

    fn facts(layer: u8, key_frame: bool) -> Facts {
        Facts {
            source: Ssrc(u32::from(layer) + 1),
            layer,
            sequence: Seq(0),
            out_of_order: false,
            timestamp: 0,
            marker: true,
            payload_len: 1,
            key_frame,
            vp8: None,
            reference: None,
        }
    }

    const NOW: Instant = Instant(0);

    fn receive(selector: &mut Selector, facts: &Facts) -> Result<Choice, Reason> {
        receive_at(NOW, selector, facts)
    }

    fn receive_at(now: Instant, selector: &mut Selector, facts: &Facts) -> Result<Choice, Reason> {
        selector.observe(now, facts);
        let choice = selector.choose(facts)?;
        if choice == Choice::Switch {
            selector.switched(facts);
        }
        Ok(choice)
    }

    fn forwarding(layer: u8, target: u8) -> Selector {
        let mut selector = Selector::new();
        selector.set_target(Some(layer));
        assert_eq!(receive(&mut selector, &facts(layer, true)), Ok(Choice::Switch));
        selector.set_target(Some(target));
        selector
    }

    #[test]
    fn layer_changes_only_at_a_key_frame_that_leads_to_the_target() {
        const OTHER: Result<Choice, Reason> = Err(Reason::OtherLayer);
        let switch = Ok(Choice::Switch);
        for (name, current, target, layer, key_frame, expected) in [
            ("no current, no key frame", None, 1, 0, false, Err(Reason::AwaitingKeyFrame)),
            ("no current, key frame of the target", None, 1, 1, true, switch),
            ("no current, key frame below: the first picture soon", None, 2, 0, true, switch),
            ("no current, key frame above", None, 0, 1, true, OTHER),
            ("no current, above", None, 0, 1, false, OTHER),
            ("current", Some(1), 1, 1, false, Ok(Choice::Continue)),
            ("up, no key frame", Some(0), 2, 2, false, OTHER),
            ("up to the target", Some(0), 2, 2, true, switch),
            ("up, but not to the target", Some(0), 2, 1, true, OTHER),
            ("down to the target", Some(2), 0, 0, true, switch),
            ("down, above the target", Some(2), 0, 1, true, OTHER),
            ("down below a lower target: at any key frame", Some(2), 1, 0, true, switch),
            ("below, while on target", Some(1), 1, 0, true, OTHER),
            ("current goes on while the target is lower", Some(2), 0, 2, false, Ok(Choice::Continue)),
        ] {
            let mut selector = current.map_or_else(Selector::new, |layer| forwarding(layer, target));
            selector.set_target(Some(target));
            assert_eq!(receive(&mut selector, &facts(layer, key_frame)), expected, "{name}");
        }
    }

    #[test]
    fn nothing_passes_without_a_target() {
        let mut selector = Selector::new();
        assert_eq!(receive(&mut selector, &facts(0, true)), Err(Reason::NoTarget));
        assert_eq!(selector.needs_key_frame(), None);
    }

    #[test]
    fn late_key_frame_begins_nothing() {
        let mut selector = Selector::new();
        selector.set_target(Some(0));
        let late = Facts { out_of_order: true, ..facts(0, true) };
        assert_eq!(receive(&mut selector, &late), Err(Reason::AwaitingKeyFrame));
    }

    /// Pictures of layer 1, from one moment after the start to another, at so many a second.
    fn pass_without_others(selector: &mut Selector, ms: core::ops::Range<u64>, rate: u64) {
        for at in ms.step_by(usize::try_from(1_000 / rate).unwrap()) {
            let passed = receive_at(Instant(at * 1_000_000), selector, &facts(1, false));
            assert_eq!(passed, Err(Reason::OtherLayer));
        }
    }

    #[test]
    fn dead_target_falls_back_and_returns() {
        for (name, rate, early, late) in
            [("many pictures", 30, 0..600, 600..700), ("few pictures", 5, 0..1_400, 1_400..1_401)]
        {
            let mut selector = forwarding(2, 2);
            pass_without_others(&mut selector, early, rate);
            assert_eq!(selector.needs_key_frame(), None, "{name}: it may yet come");
            pass_without_others(&mut selector, late, rate);
            assert_eq!(selector.needs_key_frame(), Some(1), "{name}: the best that lives");
            assert_eq!(receive(&mut selector, &facts(1, true)), Ok(Choice::Switch), "{name}");
            assert_eq!(selector.needs_key_frame(), None, "{name}");
            assert_eq!(receive(&mut selector, &facts(2, false)), Err(Reason::OtherLayer), "{name}");
            assert_eq!(selector.needs_key_frame(), Some(2), "{name}: the target lives again");
            assert_eq!(receive(&mut selector, &facts(2, true)), Ok(Choice::Switch), "{name}");
        }
    }

    #[test]
    fn pause_of_all_is_nobodys_death() {
        let mut selector = forwarding(2, 2);
        receive(&mut selector, &facts(1, false)).unwrap_err();
        pass_without_others(&mut selector, 60_000..60_100, 30);
        assert_eq!(selector.needs_key_frame(), None);
    }

    #[test]
    fn layer_above_is_better_than_nothing() {
        let mut selector = Selector::new();
        selector.set_target(Some(0));
        pass_without_others(&mut selector, 0..700, 30);
        assert_eq!(selector.needs_key_frame(), Some(1));
        assert_eq!(receive(&mut selector, &facts(1, true)), Ok(Choice::Switch));
        assert_eq!(
            receive(&mut selector, &facts(0, true)),
            Ok(Choice::Switch),
            "down as soon as there is one"
        );
    }

    #[test]
    fn first_key_frame_is_asked_for_where_something_flows() {
        let mut selector = Selector::new();
        selector.set_target(Some(2));
        assert_eq!(selector.needs_key_frame(), Some(2), "nothing is known");
        receive(&mut selector, &facts(0, false)).unwrap_err();
        assert_eq!(selector.needs_key_frame(), Some(0));
        receive(&mut selector, &facts(1, false)).unwrap_err();
        assert_eq!(selector.needs_key_frame(), Some(1));
    }

    #[test]
    fn new_source_of_the_layer_needs_its_own_key_frame() {
        let mut selector = forwarding(1, 1);
        let other = Facts { source: Ssrc(99), ..facts(1, false) };
        assert_eq!(receive(&mut selector, &other), Err(Reason::AwaitingKeyFrame));
        assert_eq!(selector.needs_key_frame(), Some(1));
        assert_eq!(receive(&mut selector, &Facts { key_frame: true, ..other }), Ok(Choice::Switch));
        assert_eq!(selector.needs_key_frame(), None);
    }

    #[test]
    fn lagging_layer_is_refused_a_few_times_and_then_taken() {
        let mut selector = forwarding(0, 1);
        let refusals = (0..10).take_while(|_| selector.refuse()).count();
        assert_eq!(refusals, usize::from(REFUSALS_MAX));
        assert!(!Selector::new().refuse(), "there is nothing better");
    }
}

//! A path that loses, loses in bursts, doubles and reorders.

use std::collections::{BTreeMap, HashMap};

use units::rtp::Ssrc;

use crate::camera::Packet;
use crate::random::Random;

#[derive(Debug)]
pub struct Channel {
    loss_per_mille: u64,
    /// How many packets may overtake one.
    reorder_max: u64,
    burst_left: u64,
    sent: u64,
    /// By the position at which they arrive.
    under_way: BTreeMap<(u64, u64), Packet>,
    highest: HashMap<Ssrc, u64>,
}

impl Channel {
    #[must_use]
    pub fn new(random: &mut Random, reorder_max: u64) -> Self {
        Self {
            loss_per_mille: [0, 10, 50, 200][usize::try_from(random.below(4)).unwrap()],
            reorder_max,
            burst_left: 0,
            sent: 0,
            under_way: BTreeMap::new(),
            highest: HashMap::new(),
        }
    }

    pub fn send(&mut self, packet: Packet, random: &mut Random) {
        self.sent += 1;
        if self.loss_per_mille > 0 && random.once_in(400) {
            self.burst_left = 1 + random.below(50);
        }
        if self.burst_left > 0 {
            self.burst_left -= 1;
            return;
        }
        if random.below(1_000) < self.loss_per_mille {
            return;
        }
        let delay = if random.once_in(12) { random.below(self.reorder_max) } else { 0 };
        if random.once_in(50) {
            let again = self.sent + delay + random.below(self.reorder_max);
            self.under_way.insert((again, self.sent), packet.clone());
        }
        self.under_way.insert((self.sent + delay, self.sent), packet);
    }

    /// What arrives by now.
    pub fn receive(&mut self) -> Vec<Packet> {
        let later = self.under_way.split_off(&(self.sent + 1, 0));
        let arrived = std::mem::replace(&mut self.under_way, later);
        arrived.into_values().map(|packet| self.order(packet)).collect()
    }

    fn order(&mut self, mut packet: Packet) -> Packet {
        let sequence = packet.facts.sequence.0;
        let highest = self.highest.entry(packet.facts.source).or_insert(sequence);
        packet.facts.out_of_order = sequence < *highest;
        *highest = sequence.max(*highest);
        packet
    }
}

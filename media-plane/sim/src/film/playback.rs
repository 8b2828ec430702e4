//! A camera that shows the film: its pictures as payloads, numbered as they go out, from whichever encoding is due.

use std::sync::Arc;

use crate::camera::{Captured, Picture, VIDEO_CLOCK_RATE};
use crate::film::payload::{Label, packetise};
use crate::film::{self, Film, LENGTH, Take};
use crate::random::Random;
use crate::stamp::Stamp;

#[derive(Debug)]
pub struct Playback {
    film: Arc<Film>,
    /// By number of the picture.
    takes: Vec<Take>,
    key_wanted: bool,
    picture_id: u16,
    tl0_index: u8,
    key_index: u8,
    /// The newest picture of each temporal layer since the last key frame.
    newest: [Option<u32>; 3],
}

impl Playback {
    #[must_use]
    pub fn new(film: Arc<Film>, mut random: Random) -> Self {
        // It wraps within the film, or grows from 7 bits.
        let first_id = if random.per_mille(500) { 0x7fff - random.below(400) } else { random.below(100) };
        Self {
            film,
            takes: Vec::new(),
            key_wanted: true,
            // It wraps within the film, or grows from 7 bits to 8.
            picture_id: u16::try_from(first_id).unwrap_or(0),
            tl0_index: 250,
            key_index: 30,
            newest: [None; 3],
        }
    }

    pub fn want_key_frame(&mut self) {
        self.key_wanted = true;
    }

    /// The next picture: its packets, and the truth about it.
    pub fn capture(&mut self) -> (Vec<Captured>, Vec<Picture>) {
        let number = u32::try_from(self.takes.len()).expect("a test's film is short");
        let take = self.next_take(number % LENGTH);
        self.takes.push(take);
        let is_key = film::is_key_frame(take);
        let place = film::place(take.frame);

        if is_key {
            self.newest = [None; 3];
            self.key_index = (self.key_index + 1) % 32;
        }
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        self.tl0_index = self.tl0_index.wrapping_add(u8::from(place.temporal == 0));
        let needs = place.needs.iter().filter_map(|&layer| self.newest[usize::from(layer)]).collect();
        let picture = Picture { layer: 0, number, temporal: place.temporal, needs };
        self.newest[usize::from(place.temporal)] = Some(number);

        let label = Label {
            picture_id: self.picture_id,
            tl0_index: self.tl0_index,
            key_index: self.key_index,
            temporal: place.temporal,
            sync: place.sync,
            non_reference: place.temporal == 2,
        };
        let payloads = packetise(self.film.picture(take), label);
        let count = u8::try_from(payloads.len()).expect("a picture of few packets");
        let packets = (0..).zip(payloads).map(|(index, mut payload)| {
            Stamp { layer: 0, picture: number, index, count }.write(&mut payload);
            Captured {
                layer: 0,
                marker: index + 1 == count,
                ticks: number * (VIDEO_CLOCK_RATE / 30),
                payload,
            }
        });
        (packets.collect(), vec![picture])
    }

    /// What it showed, by number of the picture.
    #[must_use]
    pub fn takes(&self) -> &[Take] {
        &self.takes
    }

    /// The present encoding goes on, unless another has a key frame here and it is wanted, or the film begins anew.
    fn next_take(&mut self, frame: u32) -> Take {
        let previous = self.takes.last().map_or(0, |take| take.phase);
        let may_join = film::begins_pattern(frame);
        if may_join && (self.key_wanted || frame == 0) {
            self.key_wanted = false;
            return Take { phase: film::phase_at(frame), frame };
        }
        Take { phase: previous, frame }
    }
}

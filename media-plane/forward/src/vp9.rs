//! The numbers of VP9 pictures as they go out: the publisher's own until its source changes, and then going on from
//! what was sent.
//!
//! They are not closed up where a picture is dropped: in flexible mode pictures refer to each other by differences of
//! their ids (RFC 9628 §4.2).

use units::sequence::Seq;
use wire::picture_id::PictureId;
use wire::vp9::{Descriptor, HEAD_LEN_MAX};

use crate::order::Order;
use crate::rewrite::{PATCH_LEN_MAX, Patch};
use crate::unwrap::Unwrap;

/// By how much the outgoing numbers lag behind the incoming ones.
#[derive(Debug, Default)]
pub struct Numbers {
    unwrap: Option<Unwrap>,
    lag: i64,
    /// The highest picture id, unwrapped, that came, as it goes out.
    sent: Option<i64>,
    tl0_lag: u8,
    tl0_sent: Option<u8>,
}

impl Numbers {
    /// Another source, or the same one after a pause, goes on with `first`.
    pub fn switch(&mut self, first: &Descriptor) {
        self.unwrap = first.picture_id.map(Unwrap::before);
        if let (Some(id), Some(sent)) = (first.picture_id, self.sent) {
            self.lag = i64::from(id.value()) - sent - 1;
        }
        if let (Some(index), Some(sent)) = (first.tl0_picture_index, self.tl0_sent) {
            self.tl0_lag = index.wrapping_sub(sent).wrapping_sub(1);
        }
    }

    /// Which picture the packet is of, if it says so. What is late leaves no trace.
    pub fn read(&mut self, packet: &Descriptor, order: Order) -> Option<Seq> {
        let read = self.unwrap?.read(packet.picture_id?);
        let picture = if order == Order::Late {
            read.picture
        } else if self.unwrap.is_some_and(|unwrap| read.picture < unwrap.highest()) {
            // Ids that fall back in order begin anew: with the old lag one picture would have the id of another.
            self.switch(packet);
            let read = self.unwrap?.read(packet.picture_id?);
            self.unwrap = Some(read.next);
            read.picture
        } else {
            self.unwrap = Some(read.next);
            read.picture
        };
        if order != Order::Late {
            self.sent = self.sent.max(Some(picture - self.lag));
            if let Some(index) = packet.tl0_picture_index {
                self.tl0_sent = Some(index.wrapping_sub(self.tl0_lag));
            }
        }
        // Never below zero: before the first picture there may be one with the id before it.
        Some(Seq((picture + (1 << 32)).cast_unsigned()))
    }

    /// The front of the descriptor with outgoing numbers; `None` where they are the publisher's own.
    #[must_use]
    pub fn patch(&self, packet: &Descriptor, picture: Option<Seq>) -> Option<Patch> {
        if self.lag == 0 && self.tl0_lag == 0 {
            return None;
        }
        let picture_id = picture.map(|picture| {
            let outgoing = picture.0.cast_signed() - self.lag;
            let [.., high, low] = outgoing.to_be_bytes();
            // Wide from then on: what was sent before may have been.
            PictureId::Fifteen(u16::from_be_bytes([high & 0x7f, low]))
        });
        let tl0_picture_index = packet.tl0_picture_index.map(|index| index.wrapping_sub(self.tl0_lag));
        let outgoing = Descriptor { picture_id, tl0_picture_index, ..*packet };
        const { assert!(HEAD_LEN_MAX == PATCH_LEN_MAX - 3) };
        let mut bytes = [0; PATCH_LEN_MAX];
        let head = bytes.first_chunk_mut().map(|head| outgoing.write_head(head));
        #[expect(clippy::cast_possible_truncation, reason = "at most HEAD_LEN_MAX")]
        head.map(|len| Patch { replaces: packet.head_len() as u16, bytes, len: len as u8 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::vp9::Layer;

    fn packet(picture: u16, index: u8) -> Descriptor {
        Descriptor {
            len: 5,
            picture_id: Some(PictureId::Fifteen(picture)),
            inter_picture_predicted: false,
            flexible: false,
            start_of_frame: true,
            end_of_frame: true,
            not_for_inter_layer: false,
            layer: Some(Layer { temporal: 0, switching_up: true, spatial: 0, inter_layer_dependent: false }),
            tl0_picture_index: Some(index),
            structure: None,
        }
    }

    /// Picture id and TL0PICIDX as they go out.
    fn pass(numbers: &mut Numbers, packet: &Descriptor, order: Order) -> (u16, u8) {
        let picture = numbers.read(packet, order);
        let Some(patch) = numbers.patch(packet, picture) else {
            return (packet.picture_id.unwrap().value(), packet.tl0_picture_index.unwrap());
        };
        assert_eq!(usize::from(patch.replaces), packet.head_len());
        let read = Descriptor::parse(patch.as_bytes()).unwrap();
        assert_eq!((read.layer, read.start_of_frame), (packet.layer, packet.start_of_frame));
        (read.picture_id.unwrap().value(), read.tl0_picture_index.unwrap())
    }

    #[test]
    fn ids_are_the_publishers_until_the_source_changes() {
        let mut numbers = Numbers::default();
        for (name, switches, picture, index, order, expected) in [
            ("first", true, 100, 7, Order::Contiguous, (100, 7)),
            ("behind a gap", false, 103, 9, Order::Gap, (103, 9)),
            ("late", false, 101, 8, Order::Late, (101, 8)),
            ("other source goes on", true, 32_767, 200, Order::Contiguous, (104, 10)),
            ("over the wrap", false, 1, 201, Order::Gap, (106, 11)),
            ("late, before the wrap", false, 0, 200, Order::Late, (105, 10)),
            ("fallen back: goes on, too", false, 20_000, 3, Order::Contiguous, (107, 12)),
        ] {
            let packet = packet(picture, index);
            if switches {
                numbers.switch(&packet);
            }
            assert_eq!(pass(&mut numbers, &packet, order), expected, "{name}");
        }
        let narrow = Descriptor { picture_id: Some(PictureId::Seven(5)), len: 4, ..packet(5, 50) };
        numbers.switch(&narrow);
        assert_eq!(pass(&mut numbers, &narrow, Order::Contiguous), (108, 13), "grows by a byte");
    }

    #[test]
    fn streams_without_numbers_are_left_alone() {
        let bare = Descriptor { picture_id: None, tl0_picture_index: None, layer: None, ..packet(0, 0) };
        let mut numbers = Numbers::default();
        for _ in 0..2 {
            numbers.switch(&bare);
            let picture = numbers.read(&bare, Order::Contiguous);
            assert_eq!((picture, numbers.patch(&bare, picture)), (None, None));
        }
    }
}

//! Errors that are made on purpose in what a subscriber received: a canary, without which nobody knows that the oracle sees.

use units::sequence::Seq16;
use wire::vp8::Descriptor;

use crate::scenario::Fault;
use crate::stamp::Stamp;

/// A broken world's state; its links have to keep the order.
#[derive(Debug)]
pub struct Faulty {
    fault: Fault,
    hidden_packets: u16,
    hidden_pictures: u16,
    hidden_newest: Option<u32>,
    before: Option<Stamp>,
}

impl Faulty {
    #[must_use]
    pub const fn new(fault: Fault) -> Self {
        Self { fault, hidden_packets: 0, hidden_pictures: 0, hidden_newest: None, before: None }
    }

    /// Changes the numbers of a video packet; `None` if the packet is hidden.
    pub fn video(
        &mut self,
        sequence: Seq16,
        stamp: &mut Stamp,
        descriptor: &mut Descriptor,
    ) -> Option<Seq16> {
        let before = self.before.replace(*stamp);
        let is_chosen = stamp.picture % 40 == 17;
        let is_base = descriptor.temporal.is_some_and(|temporal| temporal.id == 0);
        match self.fault {
            Fault::HideBasePictures => {
                if stamp.picture % 40 < 4 && stamp.picture > 40 && is_base {
                    self.hidden_packets += 1;
                    if self.hidden_newest.replace(stamp.picture) != Some(stamp.picture) {
                        self.hidden_pictures += 1;
                    }
                    return None;
                }
                self.lower(descriptor, self.hidden_pictures);
                let tl0_index = descriptor.tl0_picture_index.as_mut()?;
                let [.., low] = self.hidden_pictures.to_be_bytes();
                *tl0_index = tl0_index.wrapping_sub(low);
            }
            Fault::RepeatPictureId if is_chosen => self.lower(descriptor, 1),
            Fault::RepeatPacket if is_chosen => *stamp = before.unwrap_or(*stamp),
            Fault::MixPictures if is_chosen && stamp.index > 0 && stamp.index + 1 == stamp.count => {
                stamp.picture -= 1;
            }
            Fault::RepeatPicture if is_chosen => stamp.picture -= 1,
            _ => {}
        }
        Some(Seq16(sequence.0.wrapping_sub(self.hidden_packets)))
    }

    /// As [`Self::video`], for an audio packet.
    pub fn audio(&mut self, sequence: Seq16, stamp: Stamp) -> Option<Seq16> {
        if self.fault == Fault::HideAudio && stamp.picture % 50 == 17 {
            self.hidden_packets += 1;
            return None;
        }
        Some(Seq16(sequence.0.wrapping_sub(self.hidden_packets)))
    }

    fn lower(&self, descriptor: &mut Descriptor, by: u16) {
        let _ = self;
        descriptor.picture_id = descriptor
            .picture_id
            .map(|id| wire::picture_id::PictureId::Fifteen(id.value().wrapping_sub(by) & 0x7fff));
    }
}

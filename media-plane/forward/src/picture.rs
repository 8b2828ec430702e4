//! The numbers of VP8 pictures as they go out: picture id, TL0PICIDX and KEYIDX without a hole where we dropped or switched.

use wire::picture_id::PictureId;
use wire::vp8::{DESCRIPTOR_LEN_MAX, Descriptor, Temporal};

use crate::rewrite::{PATCH_LEN_MAX, Patch};
use crate::unwrap::{Unwrap, Unwrapped};

/// By how much the outgoing numbers lag behind the incoming ones. A value: a plan is a changed copy of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers {
    /// `None` while the source has no picture ids.
    unwrap: Option<Unwrap>,
    /// By how much picture ids lag; unwrapped, negative when ours are ahead.
    lag: i64,
    /// The highest picture id, unwrapped, that was sent or may be sent late.
    sent: Option<i64>,
    tl0_index: Counter,
    key_index: Counter,
}

impl Numbers {
    /// What comes next begins a numbering of its own, and goes out as the successor of what was sent last.
    pub fn restart(&mut self, packet: &Descriptor) {
        self.unwrap = packet.picture_id.map(Unwrap::before);
        if let (Some(id), Some(sent)) = (packet.picture_id, self.sent) {
            self.lag = i64::from(id.value()) - sent - 1;
        }
        self.tl0_index.restart(packet.tl0_picture_index);
        self.key_index.restart(packet.key_index);
    }

    /// The packet, which is in order, is forwarded.
    pub fn send(&mut self, packet: &Descriptor, read: Option<Unwrapped>) {
        if let Some(read) = read {
            self.unwrap = Some(read.next);
            self.sent = Some(read.picture - self.lag);
        }
        self.tl0_index.send(packet.tl0_picture_index);
        self.key_index.send(packet.key_index);
    }

    /// The packet, which is in order, is not forwarded: its picture leaves no hole, and leaves it only once.
    ///
    /// What comes before it counts as sent, even if it is missing: it may come late, and a restart must not take its
    /// numbers for others.
    pub fn skip(&mut self, packet: &Descriptor, read: Option<Unwrapped>, first_of_picture: bool) {
        self.lag += i64::from(first_of_picture && read.is_some());
        self.send(packet, read);
    }

    /// Numbers a key frame of our own, which what comes next lies behind; returns its descriptor, with the fields that
    /// the stream has.
    pub fn insert(&mut self) -> Descriptor {
        let picture_id = self.sent.map(|sent| {
            self.sent = Some(sent + 1);
            self.lag -= 1;
            shortest(sent + 1)
        });
        let tl0_picture_index = self.tl0_index.insert();
        Descriptor {
            len: 0,
            non_reference: false,
            start_of_partition: true,
            partition: 0,
            picture_id,
            tl0_picture_index,
            // RFC 7741 §4.2: no TL0PICIDX without a temporal layer.
            temporal: tl0_picture_index.map(|_| Temporal { id: 0, sync: true }),
            key_index: self.key_index.insert().map(|index| index & 0x1f),
            key_frame: true,
            dimensions: None,
        }
    }

    #[must_use]
    pub fn lag(&self) -> i64 {
        self.lag
    }

    /// The highest picture id that came; `None` while there is none.
    #[must_use]
    pub fn highest(&self) -> Option<i64> {
        self.unwrap.map(|unwrap| unwrap.highest())
    }

    /// `None` if the packet or the source has no picture id.
    #[must_use]
    pub fn read(&self, packet: &Descriptor) -> Option<Unwrapped> {
        Some(self.unwrap?.read(packet.picture_id?))
    }

    /// The packet's descriptor with outgoing numbers, its picture's lag being `lag`; `None` if it has no numbers.
    ///
    /// TL0PICIDX and KEYIDX have one lag between two restarts: pictures that they count are never dropped.
    #[must_use]
    pub fn patch(&self, packet: &Descriptor, picture: Option<i64>, lag: i64) -> Option<Patch> {
        let picture_id = picture.map(|picture| shortest(picture - lag));
        let outgoing = Descriptor {
            picture_id,
            tl0_picture_index: self.tl0_index.outgoing(packet.tl0_picture_index),
            key_index: self.key_index.outgoing(packet.key_index),
            ..*packet
        };
        if (outgoing.picture_id, outgoing.tl0_picture_index, outgoing.key_index) == (None, None, None) {
            return None;
        }
        const { assert!(DESCRIPTOR_LEN_MAX <= PATCH_LEN_MAX) };
        debug_assert!(packet.len <= DESCRIPTOR_LEN_MAX, "as long as its fields");
        let mut bytes = [0; PATCH_LEN_MAX];
        let len = outgoing.write(&mut bytes).ok()?;
        #[expect(clippy::cast_possible_truncation, reason = "at most DESCRIPTOR_LEN_MAX")]
        let patch = Patch { replaces: packet.len as u16, bytes, len: len as u8 };
        Some(patch)
    }
}

/// An unwrapped picture id as it is written.
fn shortest(picture: i64) -> PictureId {
    let [.., high, low] = picture.to_be_bytes();
    PictureId::shortest(u16::from_be_bytes([high, low]))
}

/// A number modulo 2^8, or 2^5 once its upper bits are cut off.
#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    lag: u8,
    sent: Option<u8>,
}

impl Counter {
    fn restart(&mut self, incoming: Option<u8>) {
        if let (Some(incoming), Some(sent)) = (incoming, self.sent) {
            self.lag = incoming.wrapping_sub(sent).wrapping_sub(1);
        }
    }

    fn send(&mut self, incoming: Option<u8>) {
        if let Some(outgoing) = self.outgoing(incoming) {
            self.sent = Some(outgoing);
        }
    }

    /// The number of a picture of our own, if there are numbers.
    fn insert(&mut self) -> Option<u8> {
        let next = self.sent?.wrapping_add(1);
        self.lag = self.lag.wrapping_sub(1);
        self.sent = Some(next);
        Some(next)
    }

    fn outgoing(&self, incoming: Option<u8>) -> Option<u8> {
        Some(incoming?.wrapping_sub(self.lag))
    }
}

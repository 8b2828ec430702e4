//! What a payload really is, written into its last bytes: forwarding never looks there, the oracle does.

/// A packet of a picture, or of audio (with a picture of one packet).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    pub layer: u8,
    /// Numbered from 0, never wrapping.
    pub picture: u32,
    pub index: u8,
    /// How many packets the picture has.
    pub count: u8,
}

impl Stamp {
    pub const LEN: usize = 7;

    pub fn write(self, payload: &mut Vec<u8>) {
        payload.push(self.layer);
        payload.extend(self.picture.to_be_bytes());
        payload.extend([self.index, self.count]);
    }

    /// `None` if the payload is shorter than a stamp.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let &[layer, a, b, c, d, index, count] = payload.last_chunk::<{ Self::LEN }>()?;
        Some(Self { layer, picture: u32::from_be_bytes([a, b, c, d]), index, count })
    }
}

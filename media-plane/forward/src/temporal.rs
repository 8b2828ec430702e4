//! Which temporal layers of VP8 pass (RFC 7741 §4.2), and when that may change without breaking a reference.

use wire::vp8::Descriptor;

/// The highest temporal layer that passes now, and the one that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Layers {
    passing: u8,
    wanted: u8,
}

impl Layers {
    /// Nothing but the base layer passes before a key frame says otherwise.
    #[must_use]
    pub fn new(wanted: u8) -> Self {
        Self { passing: 0, wanted }
    }

    pub fn want(&mut self, layer: u8) {
        self.wanted = layer;
    }

    /// As it is from this packet on, which is in order.
    ///
    /// A layer is added only by a picture that refers to nothing that was dropped: a key frame, after which all
    /// layers are whole, or the next layer's picture with the Y bit, which refers to layer 0 only.
    #[must_use]
    pub fn at(self, packet: &Descriptor) -> Self {
        if packet.key_frame {
            return Self { passing: self.wanted, ..self };
        }
        match packet.temporal {
            Some(temporal)
                if self.passing < self.wanted
                    && temporal.id == self.passing + 1
                    && temporal.sync
                    && packet.start_of_picture() =>
            {
                Self { passing: temporal.id, ..self }
            }
            _ => self,
        }
    }

    /// As it is after this packet, which is in order: a layer is taken away only between pictures.
    #[must_use]
    pub fn after(self, marker: bool) -> Self {
        if marker { Self { passing: self.passing.min(self.wanted), ..self } } else { self }
    }

    /// Whether the packet's picture passes; one without a temporal layer always does.
    #[must_use]
    pub fn pass(self, packet: &Descriptor) -> bool {
        packet.temporal.is_none_or(|temporal| temporal.id <= self.passing)
    }
}

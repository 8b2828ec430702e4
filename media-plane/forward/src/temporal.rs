//! Which temporal layers of VP8 pass (RFC 7741 §4.2), and when that may change without breaking a reference.

use wire::vp8::Descriptor;

/// The highest temporal layer that passes now, and the one that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

#[cfg(test)]
mod tests {
    use super::*;
    use wire::vp8::Temporal;

    fn packet(id: u8, sync: bool, start: bool, key_frame: bool) -> Descriptor {
        Descriptor {
            len: 6,
            non_reference: false,
            start_of_partition: start,
            partition: 0,
            picture_id: None,
            tl0_picture_index: None,
            temporal: Some(Temporal { id, sync }),
            key_index: None,
            key_frame,
            dimensions: None,
        }
    }

    #[test]
    fn layer_is_added_only_where_nothing_dropped_is_referred_to() {
        for (name, passing, wanted, packet, expected) in [
            ("key frame: all", 0, 2, packet(0, false, true, true), 2),
            ("key frame: no more than wanted", 2, 1, packet(0, false, true, true), 1),
            ("next layer, synced", 0, 2, packet(1, true, true, false), 1),
            ("next layer, refers to its own", 0, 2, packet(1, false, true, false), 0),
            ("next layer, its start was lost", 0, 2, packet(1, true, false, false), 0),
            ("two layers up: the one between would be missed", 0, 2, packet(2, true, true, false), 0),
            ("second step", 1, 2, packet(2, true, true, false), 2),
            ("not wanted", 1, 1, packet(2, true, true, false), 1),
            ("base layer", 0, 2, packet(0, true, true, false), 0),
        ] {
            assert_eq!(Layers { passing, wanted }.at(&packet).passing, expected, "{name}");
        }
    }

    #[test]
    fn layer_is_taken_away_only_between_pictures() {
        let mut layers = Layers { passing: 2, wanted: 2 };
        layers.want(0);
        assert!(layers.after(false).pass(&packet(2, false, false, false)), "its picture goes on");
        assert!(!layers.after(true).pass(&packet(2, false, true, false)), "the next one doesn't begin");
        assert!(layers.after(true).pass(&packet(0, false, true, false)));
    }

    #[test]
    fn packet_without_a_layer_passes() {
        assert!(Layers::new(0).pass(&Descriptor { temporal: None, ..packet(0, false, true, false) }));
    }
}

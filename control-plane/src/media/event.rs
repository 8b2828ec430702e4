//! What a room hears from its media plane.

use proto::media::v1::event;

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Media(event::Event),
    /// The media plane lost everything, or was away for too long: no peer of the room exists any more.
    PlaneReset,
}

impl Event {
    /// Whether the next one of its kind says it again, so that this one may be left out when a room is slow.
    #[must_use]
    pub const fn is_repeated(&self) -> bool {
        matches!(self, Self::Media(event::Event::Speakers(_) | event::Event::Quality(_)))
    }
}

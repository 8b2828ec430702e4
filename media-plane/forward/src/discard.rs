//! Why a copy of a packet is not sent.

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The publisher is muted.
    Muted,
    /// The subscriber is paused.
    Paused,
    /// No layer is wanted.
    NoTarget,
    /// A simulcast layer, or an ended source, that is not the one being forwarded.
    OtherLayer,
    /// Nothing can be shown before the next key frame; see `Forwarder::needs_key_frame`.
    AwaitingKeyFrame,
    /// A key frame whose layer lags behind what was already sent.
    Behind,
    /// A temporal layer above the subscriber's.
    Temporal,
    /// A spatial layer above the subscriber's.
    Spatial,
    /// A frame that the subscriber's decode target does not need.
    OtherTarget,
    /// A frame that needs one that was not forwarded; see `Forwarder::needs_key_frame`.
    Undecodable,
    /// Nothing but padding; the gap in the sequence numbers is closed.
    Padding,
    /// Sent before.
    Duplicate,
    /// From before the start, the last switch, or what is remembered.
    TooLate,
    /// Late, and its number was closed up: it belongs to what was not to be sent.
    Closed,
    /// Late, and the picture that it belongs to is not known to miss anything.
    UnknownPicture,
    /// The payload doesn't start with a valid codec header.
    Malformed,
}

//! Offers and answers: SDP on one side, typed sections on the other.

//! Bounded rings between threads, with a doorbell that is rung only when the other side sleeps.

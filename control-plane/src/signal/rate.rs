//! How much a client may send: 100 messages a second, 500 at once; 4 MiB a second, 8 MiB at once.
//!
//! The bytes are for the largest rooms, whose offers describe a thousand tracks and come several times a second while
//! people arrive.

use std::time::{Duration, Instant};

/// What one client has left of both.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    messages: Bucket,
    bytes: Bucket,
}

/// What a client sends too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    Messages,
    Bytes,
}

/// A bucket of allowances that fills with time. An allowance is the time that it takes to come back.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// When the bucket will be full again, as if it had been filling all along.
    full_at: Instant,
}

impl Rate {
    pub fn new(now: Instant) -> Self {
        Self { messages: Bucket { full_at: now }, bytes: Bucket { full_at: now } }
    }

    /// Takes the allowances of a message of so many bytes.
    ///
    /// # Errors
    /// There are not enough of them.
    pub fn admit(&mut self, now: Instant, len: usize) -> Result<(), Excess> {
        if !self.messages.take(now, MESSAGE_TIME, MESSAGE_TIME * MESSAGES_BURST) {
            return Err(Excess::Messages);
        }
        if !self.bytes.take(now, byte_time(len), byte_time(BYTES_BURST)) {
            return Err(Excess::Bytes);
        }
        Ok(())
    }
}

impl Bucket {
    fn take(&mut self, now: Instant, cost: Duration, burst: Duration) -> bool {
        let full_at = self.full_at.max(now) + cost;
        if full_at > now + burst {
            return false;
        }
        self.full_at = full_at;
        true
    }
}

fn byte_time(len: usize) -> Duration {
    Duration::from_secs(1).mul_f64(len as f64 / BYTES_PER_SECOND as f64)
}

const MESSAGE_TIME: Duration = Duration::from_millis(10); // 100 a second
const MESSAGES_BURST: u32 = 500;
const BYTES_PER_SECOND: usize = 4 * 1024 * 1024;
const BYTES_BURST: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_a_hundred_a_second() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        for (name, after_ms, expected) in [
            ("burst", 0, 500),
            ("at once again", 0, 0),
            ("after one interval", 10, 1),
            ("after a second more", 1010, 100),
            ("after a long silence, the burst and no more", 3_600_000, 500),
        ] {
            let now = start + Duration::from_millis(after_ms);
            let admitted = (0..1000).take_while(|_| rate.admit(now, 100).is_ok()).count();
            assert_eq!(admitted, expected, "{name}");
            assert_eq!(rate.admit(now, 100), Err(Excess::Messages), "{name}");
        }
    }

    #[test]
    fn eight_mebibytes_and_then_four_a_second() {
        const MIB: usize = 1024 * 1024;
        let start = Instant::now();
        let mut rate = Rate::new(start);
        for (name, after_ms, len, expected) in [
            ("the largest messages", 0, 2 * MIB, 4),
            ("no byte more", 0, 1, 0),
            ("after a second", 1000, MIB, 4),
            ("after a quarter of one", 1250, MIB, 1),
            ("after a long silence, the burst and no more", 3_600_000, MIB, 8),
        ] {
            let now = start + Duration::from_millis(after_ms);
            let admitted = (0..100).take_while(|_| rate.admit(now, len).is_ok()).count();
            assert_eq!(admitted, expected, "{name}");
            assert_eq!(rate.admit(now, len), Err(Excess::Bytes), "{name}");
        }
        assert_eq!(
            rate.admit(start + Duration::from_secs(3_600), 0),
            Ok(()),
            "an empty message costs no bytes"
        );
    }

    #[test]
    fn a_thousand_tracks_can_be_negotiated_as_fast_as_a_client_does() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        for negotiation in 0..100 {
            let now = start + Duration::from_millis(150) * negotiation;
            assert_eq!(rate.admit(now, 600 * 1024), Ok(()), "{negotiation}");
        }
    }
}

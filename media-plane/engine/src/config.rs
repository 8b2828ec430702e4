//! What an engine is made with: its seed, its clock's relation to the wall, and every bound.

use units::handle::WorkerIndex;
use units::time::NtpTime;

#[derive(Clone, Debug)]
pub struct Config {
    pub worker: WorkerIndex,
    /// Of everything that is drawn at random: the same seed and inputs give the same outputs.
    pub seed: u64,
    /// The wall clock's time at `Instant(0)`.
    pub wall_clock_at_zero: NtpTime,
    pub limits: Limits,
}

impl Config {
    #[must_use]
    pub fn new(worker: WorkerIndex, seed: u64, wall_clock_at_zero: NtpTime) -> Self {
        Self { worker, seed, wall_clock_at_zero, limits: Limits::default() }
    }
}

/// How much of everything there may be. Reaching a bound is a refusal or a counted discard.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub rooms: u32,
    pub peers: u32,
    pub publications: u32,
    pub subscriptions: u32,
    pub publications_per_peer: usize,
    pub subscriptions_per_peer: usize,
    /// Authenticated addresses of one peer that are remembered.
    pub tuples_per_peer: usize,
    /// SSRCs that one peer may send.
    pub sources_per_peer: usize,
    /// Failed connectivity checks per second from one address, and altogether.
    pub failed_checks_per_address: u32,
    pub failed_checks: u32,
    /// Buffers of 256 bytes and of a datagram's size that hold packets for retransmission.
    pub history_small_buffers: u32,
    pub history_large_buffers: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rooms: 10_000,
            peers: 10_000,
            publications: 20_000,
            subscriptions: 100_000,
            publications_per_peer: 32,
            subscriptions_per_peer: 1_024,
            tuples_per_peer: 8,
            sources_per_peer: 256,
            failed_checks_per_address: 50,
            failed_checks: 20_000,
            history_small_buffers: 65_536,  // 16 MiB: 512 audio publications
            history_large_buffers: 131_072, // 192 MiB: 256 video layers; allocated as they are needed
        }
    }
}

//! Names and secrets for new things: session ids, resource ids, SSRCs, ICE credentials.

use std::fmt;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::negotiate::setup::IceCredentials;

/// The one source of chance in a room: a cryptographic generator, for it makes passwords too.
pub struct Mint {
    random: StdRng,
}

impl Mint {
    #[must_use]
    pub fn from_entropy() -> Self {
        Self { random: StdRng::from_os_rng() }
    }

    /// The same seed makes the same names: for tests.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed) }
    }

    /// An id of a resource of the media plane: never 0.
    pub fn resource_id(&mut self) -> u64 {
        self.random.random_range(1..=u64::MAX)
    }

    /// An SSRC that none of `taken` is: unique within its peer, never 0.
    pub fn ssrc(&mut self, taken: impl Fn(u32) -> bool) -> u32 {
        loop {
            let ssrc = self.random.random_range(1..=u32::MAX);
            if !taken(ssrc) {
                return ssrc;
            }
        }
    }

    /// The id of a session description: LiveKit starts anywhere and counts up.
    pub fn description_id(&mut self) -> u32 {
        self.random.random_range(1..1_000)
    }

    /// A session id: a prefix such as `PA_` and 12 characters.
    pub fn sid(&mut self, prefix: &str) -> String {
        format!("{prefix}{}", self.text(12))
    }

    /// Text that cannot be guessed: 43 characters are 256 bits.
    pub fn secret(&mut self) -> String {
        self.text(43)
    }

    /// RFC 8445 §5.3 asks for 24 and 128 bits; the first two characters of the ufrag name the worker.
    pub fn ice_credentials(&mut self, worker: u16) -> IceCredentials {
        let [high, low] = worker_name(worker);
        IceCredentials { ufrag: format!("{high}{low}{}", self.text(14)), password: self.text(32) }
    }

    fn text(&mut self, len: usize) -> String {
        let random = &mut self.random;
        std::iter::repeat_with(|| char::from(random.sample(rand::distr::Alphanumeric))).take(len).collect()
    }
}

impl fmt::Debug for Mint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mint")
    }
}

/// The worker's index in base 36; there are at most 1,296 of them.
fn worker_name(worker: u16) -> [char; 2] {
    let digit = |value: u16| char::from_digit(u32::from(value % 36), 36).unwrap_or('0');
    [digit(worker / 36), digit(worker)]
}

#[cfg(test)]
mod tests {
    use super::{Mint, worker_name};

    #[test]
    fn ufrag_begins_with_the_worker_in_base_36() {
        for (worker, name) in
            [(0, ['0', '0']), (9, ['0', '9']), (35, ['0', 'z']), (36, ['1', '0']), (1295, ['z', 'z'])]
        {
            assert_eq!(worker_name(worker), name);
        }
        let ice = Mint::from_seed(1).ice_credentials(37);
        assert!(ice.ufrag.starts_with("11"));
        assert_eq!((ice.ufrag.len(), ice.password.len()), (16, 32));
    }

    #[test]
    fn ssrc_avoids_what_is_taken() {
        let first = Mint::from_seed(7).ssrc(|_| false);
        assert_ne!(Mint::from_seed(7).ssrc(|ssrc| ssrc == first), first);
    }
}

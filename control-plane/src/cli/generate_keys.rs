//! `millrace generate-keys`: an API key and a secret, as the configuration takes them.

use rand::Rng;
use rand::distr::Alphanumeric;

/// The two lines to print. The lengths are those of LiveKit's.
pub fn run(random: &mut impl Rng) -> String {
    let key = text(random, KEY_LEN);
    let secret = text(random, SECRET_LEN);
    format!("API Key:  API{key}\nAPI Secret:  {secret}")
}

fn text(random: &mut impl Rng, len: usize) -> String {
    (0..len).map(|_| char::from(random.sample(Alphanumeric))).collect()
}

const KEY_LEN: usize = 12;
/// log2(62) * 44 = 262 bits: no weaker than the HMAC-SHA256 that it keys.
const SECRET_LEN: usize = 44;

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn two_lines_that_differ_each_time() {
        let mut random = StdRng::seed_from_u64(1);
        let (first, second) = (run(&mut random), run(&mut random));
        assert_ne!(first, second);
        let lines: Vec<_> = first.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].len(), "API Key:  API".len() + KEY_LEN);
        assert_eq!(lines[1].len(), "API Secret:  ".len() + SECRET_LEN);
    }
}

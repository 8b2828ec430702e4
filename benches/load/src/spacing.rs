//! How the packets of a picture are spread over time: drawn from a histogram of what a browser's pacer does.

use std::time::Duration;

use rand::Rng;

/// Packets of a picture that leave together, and the pauses between such bursts while more packets wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spacing {
    bursts: Histogram,
    pauses_us: Histogram,
}

/// What is wrong with a file of spacings, with the number of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("line {0} is not `burst` or `pause`, a number and a weight, with tabs between them")]
    Line(usize),
    #[error("line {0}: a burst has 1 to 1000 packets")]
    Burst(usize),
    #[error("there is no line with a weight for `burst` or for `pause`")]
    Empty,
}

impl Spacing {
    /// What comes with the program.
    #[must_use]
    pub fn built_in() -> Self {
        Self::parse(include_str!("../spacing.tsv")).expect("a test reads the file")
    }

    /// Lines of `burst PACKETS WEIGHT` and `pause MICROSECONDS WEIGHT`; `#` begins a comment.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let (mut bursts, mut pauses_us) = (Histogram::default(), Histogram::default());
        for (number, line) in (1..).zip(text.lines()) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut fields = line.split('\t');
            let mut field = || fields.next().ok_or(Malformed::Line(number));
            let (kind, value, weight) = (field()?, field()?, field()?);
            let value: u32 = value.parse().map_err(|_| Malformed::Line(number))?;
            let weight: u32 = weight.parse().map_err(|_| Malformed::Line(number))?;
            match kind {
                "burst" if (1..=1_000).contains(&value) => bursts.add(value, weight),
                "burst" => return Err(Malformed::Burst(number)),
                "pause" => pauses_us.add(value, weight),
                _ => return Err(Malformed::Line(number)),
            }
        }
        if bursts.total == 0 || pauses_us.total == 0 {
            return Err(Malformed::Empty);
        }
        Ok(Self { bursts, pauses_us })
    }

    /// Packets of the next burst.
    pub fn burst(&self, random: &mut impl Rng) -> usize {
        self.bursts.draw(random).try_into().unwrap_or(usize::MAX)
    }

    pub fn pause(&self, random: &mut impl Rng) -> Duration {
        Duration::from_micros(self.pauses_us.draw(random).into())
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Histogram {
    /// Each with the weights up to and including its own.
    values: Vec<(u32, u64)>,
    total: u64,
}

impl Histogram {
    fn add(&mut self, value: u32, weight: u32) {
        self.total += u64::from(weight);
        self.values.push((value, self.total));
    }

    /// Not of an empty histogram, which [`Spacing::parse`] refuses.
    fn draw(&self, random: &mut impl Rng) -> u32 {
        let at = random.random_range(0..self.total);
        let index = self.values.partition_point(|&(_, upto)| upto <= at);
        self.values.get(index).map_or(1, |&(value, _)| value)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn what_is_drawn_has_the_weights_of_the_file() {
        let spacing =
            Spacing::parse("# comment\n\nburst\t1\t3\nburst\t8\t1\nburst\t9\t0\npause\t5000\t1\n").unwrap();
        let mut random = StdRng::seed_from_u64(1);
        let drawn: Vec<usize> = (0..4_000).map(|_| spacing.burst(&mut random)).collect();
        let count = |packets| drawn.iter().filter(|&&burst| burst == packets).count();
        assert_eq!(count(1) + count(8), 4_000);
        assert!((900..1_100).contains(&count(8)), "{}", count(8));
        assert_eq!(spacing.pause(&mut random), Duration::from_millis(5));
    }

    #[test]
    fn malformed_files_are_told_by_line() {
        for (name, text, error) in [
            ("nothing", "", Malformed::Empty),
            ("no pause", "burst\t1\t1\n", Malformed::Empty),
            ("no weight at all", "burst\t1\t0\npause\t1\t1\n", Malformed::Empty),
            ("unknown word", "burst\t1\t1\nrest\t1\t1\n", Malformed::Line(2)),
            ("no number", "burst\tmany\t1\n", Malformed::Line(1)),
            ("too few fields", "# first\npause\t1\n", Malformed::Line(2)),
            ("burst of none", "burst\t0\t1\n", Malformed::Burst(1)),
        ] {
            assert_eq!(Spacing::parse(text), Err(error), "{name}");
        }
    }

    #[test]
    fn the_built_in_spacing_sends_a_picture_of_720p_before_the_next_one_is_due() {
        let spacing = Spacing::built_in();
        let mut random = StdRng::seed_from_u64(1);
        let mut time = Duration::ZERO;
        let mut packets = 0;
        while packets < 1_000 {
            packets += spacing.burst(&mut random);
            time += spacing.pause(&mut random);
        }
        // 280 packets a second are what all layers have together.
        assert!(time < Duration::from_millis(2_500), "{time:?}");
    }
}

//! The middle of some measurements, and how far they lie apart.

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Nothing of nothing; what is not a number is left out.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let upper = *values.get(half)?;
        let median = if values.len() % 2 == 1 { upper } else { f64::midpoint(*values.get(half - 1)?, upper) };
        Some(Self { median, min, max })
    }
}

/// Of each round the second by the first, however rounds are named.
#[must_use]
pub fn ratios<Round: Copy + PartialEq>(first: &[(Round, f64)], second: &[(Round, f64)]) -> Option<Spread> {
    let of_round = |round| first.iter().find(|(other, _)| *other == round).map(|(_, value)| *value);
    let pairs = second.iter().filter_map(|&(round, value)| Some(value / of_round(round)?));
    Spread::of(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_lies_in_the_middle() {
        for (name, values, expected) in [
            ("none", vec![], None),
            ("one", vec![3.0], Some((3.0, 3.0, 3.0))),
            ("odd", vec![9.0, 1.0, 2.0], Some((2.0, 1.0, 9.0))),
            ("even", vec![4.0, 1.0, 2.0, 8.0], Some((3.0, 1.0, 8.0))),
            ("with what is no number", vec![f64::NAN, 5.0, f64::INFINITY], Some((5.0, 5.0, 5.0))),
        ] {
            let spread = Spread::of(values).map(|spread| (spread.median, spread.min, spread.max));
            assert_eq!(spread, expected, "{name}");
        }
    }

    #[test]
    fn only_what_was_measured_in_the_same_round_is_compared() {
        let first = [(1, 2.0), (2, 4.0), (3, 1.0)];
        let second = [(2, 2.0), (1, 3.0), (4, 9.0)];
        let ratios = ratios(&first, &second).map(|spread| (spread.median, spread.min, spread.max));
        assert_eq!(ratios, Some((1.0, 0.5, 1.5)));
    }
}

//! How much one server takes: load is doubled until packets are lost, then the limit is narrowed down.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    Lost,
    /// There is no measurement: the server did not start, or somebody could not join or was thrown out.
    Failed,
    /// The load generator could not follow: what was lost says nothing of the server.
    LoaderBusy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The most that passed.
    pub passed: u32,
    /// Why the next step did not.
    pub then: Verdict,
}

/// Tries loads from 1 to `max`; none if not even the first passes.
pub fn search(max: u32, mut attempt: impl FnMut(u32) -> Verdict) -> Option<Limit> {
    let (mut passed, mut failed) = (0, max + 1);
    let mut then = Verdict::Passed;
    let mut next = 2.min(max);
    // To an eighth of the limit.
    while failed - passed > (passed / 8).max(1) {
        match attempt(next) {
            Verdict::Passed => passed = next,
            verdict => (failed, then) = (next, verdict),
        }
        next = if then == Verdict::Passed { (passed * 2).min(max) } else { passed.midpoint(failed) };
        if passed == max {
            break;
        }
    }
    (passed > 0).then_some(Limit { passed, then })
}

/// A share of the loss that still counts as none.
pub const LOSS_MAX: f64 = 0.001;

#[cfg(test)]
mod tests {
    use super::*;

    fn limit_of(capacity: u32, max: u32) -> (Option<Limit>, Vec<u32>) {
        let mut tried = Vec::new();
        let limit = search(max, |load| {
            tried.push(load);
            if load <= capacity { Verdict::Passed } else { Verdict::Lost }
        });
        (limit, tried)
    }

    #[test]
    fn limit_is_narrowed_down() {
        for (name, capacity, max, passed, tried) in [
            ("between doublings", 11, 64, 11, vec![2, 4, 8, 16, 12, 10, 11]),
            ("coarser when large", 50, 64, 48, vec![2, 4, 8, 16, 32, 64, 48, 56, 52]),
            ("less than the first step", 1, 64, 1, vec![2, 1]),
            ("more than can be tried", 99, 16, 16, vec![2, 4, 8, 16]),
            ("a maximum of one", 99, 1, 1, vec![1]),
        ] {
            let (limit, attempts) = limit_of(capacity, max);
            assert_eq!(limit.map(|limit| limit.passed), Some(passed), "{name}: {attempts:?}");
            assert_eq!(attempts, tried, "{name}");
        }
    }

    #[test]
    fn what_never_passes_has_no_limit() {
        assert_eq!(limit_of(0, 64), (None, vec![2, 1]));
    }

    #[test]
    fn a_busy_loader_is_told() {
        let limit = search(64, |load| if load < 5 { Verdict::Passed } else { Verdict::LoaderBusy });
        assert_eq!(limit, Some(Limit { passed: 4, then: Verdict::LoaderBusy }));
    }
}

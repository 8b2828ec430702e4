//! The processors that this process may use: how busy they are with anything, and what their backlogs had no room for.

use std::collections::BTreeSet;
use std::fs;

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

/// What the kernel has counted since it started, of the processors of this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cores {
    /// In clock ticks, of each processor; none if this process has no processors of its own.
    times: Vec<Times>,
    backlog_drops: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Times {
    busy: u64,
    idle: u64,
}

/// What a window has shown of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Window {
    /// Of the busiest one: programs, the kernel, interrupts, and what a hypervisor took.
    pub busy: Option<f64>,
    /// Packets that came in on these processors and that their backlogs (`netdev_max_backlog`) had no room for.
    pub backlog_drops: u64,
}

impl Cores {
    #[must_use]
    pub fn now() -> Self {
        let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
        let own = (0..CpuSet::count()).filter(|core| allowed.is_set(*core) == Ok(true)).collect();
        let text = |file| fs::read_to_string(file).unwrap_or_default();
        Self::of(&own, &text("/proc/stat"), &text("/proc/net/softnet_stat"))
    }

    fn of(own: &BTreeSet<usize>, stat: &str, softnet: &str) -> Self {
        let all: Vec<(usize, Times)> = stat.lines().filter_map(times).collect();
        let mine = |(core, times): &(usize, Times)| own.contains(core).then_some(*times);
        let mut of_own: Vec<Times> = all.iter().filter_map(mine).collect();
        // On processors that the server may use as well, it is no sign of our being busy.
        if of_own.len() == all.len() {
            of_own.clear();
        }
        let dropped = softnet.lines().enumerate().filter_map(|(line, text)| dropped(line, text));
        let backlog_drops = dropped.filter(|(core, _)| own.contains(core)).map(|(_, dropped)| dropped).sum();
        Self { times: of_own, backlog_drops }
    }

    /// Since an earlier moment.
    #[must_use]
    pub fn since(&self, begin: &Self) -> Window {
        let shares = self.times.iter().zip(&begin.times).filter_map(|(end, begin)| {
            let (busy, idle) = (end.busy.saturating_sub(begin.busy), end.idle.saturating_sub(begin.idle));
            #[expect(clippy::cast_precision_loss, reason = "ticks of one run")]
            let share = busy as f64 / (busy + idle) as f64;
            (busy + idle > 0).then_some(share)
        });
        Window {
            busy: shares.max_by(f64::total_cmp),
            backlog_drops: self.backlog_drops.saturating_sub(begin.backlog_drops),
        }
    }
}

/// proc_stat(5): `cpuN user nice system idle iowait irq softirq steal`; guests are in the first two already.
fn times(line: &str) -> Option<(usize, Times)> {
    let mut words = line.strip_prefix("cpu")?.split_ascii_whitespace();
    let core = line.as_bytes().get(3)?.is_ascii_digit().then(|| words.next()?.parse().ok()).flatten()?;
    let values: Vec<u64> = words.take(8).filter_map(|word| word.parse().ok()).collect();
    let idle = values.get(3)? + values.get(4)?;
    Some((core, Times { busy: values.iter().sum::<u64>() - idle, idle }))
}

/// `/proc/net/softnet_stat`, in hexadecimal: the second column is what was dropped, the thirteenth the processor's
/// number (before Linux 5.10, that of the line).
fn dropped(line: usize, text: &str) -> Option<(usize, u64)> {
    let columns: Vec<u64> =
        text.split_ascii_whitespace().filter_map(|word| u64::from_str_radix(word, 16).ok()).collect();
    let core = columns.get(12).and_then(|core| usize::try_from(*core).ok()).unwrap_or(line);
    Some((core, *columns.get(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  30 0 30 300 0 0 0 0 0 0\ncpu0 10 1 10 100 5 1 1 2 9 9\ncpu1 20 0 20 200 0 0 0 0 0 0\n\
                        cpu2 0 0 0 0 0 0 0 0 0 0\nintr 1 2 3\nprocesses 7\n";
    const SOFTNET: &str = "10 2 0 0 0 0 0 0 0 0 0 0 0 0 0\n10 a 0 0 0 0 0 0 0 0 0 0 2 0 0\n";

    #[test]
    fn only_its_own_processors_count() {
        for (name, own, times, backlog_drops) in [
            ("one", vec![0], vec![Times { busy: 25, idle: 105 }], 2),
            ("by its number", vec![2], vec![Times::default()], 10),
            ("one without a line", vec![1], vec![Times { busy: 40, idle: 200 }], 0),
            ("all, which are shared", vec![0, 1, 2], vec![], 12),
        ] {
            let cores = Cores::of(&own.into_iter().collect(), STAT, SOFTNET);
            assert_eq!(cores, Cores { times, backlog_drops }, "{name}");
        }
        assert_eq!(dropped(3, "1 5"), Some((3, 5)), "an older kernel");
    }

    #[test]
    fn a_window_has_the_busiest_one_and_what_was_dropped_in_it() {
        let at = |busy: [u64; 2], backlog_drops| Cores {
            times: busy.map(|busy| Times { busy, idle: 100 - busy }).to_vec(),
            backlog_drops,
        };
        let begin = Cores { times: vec![Times::default(); 2], backlog_drops: 4 };
        assert_eq!(at([20, 97], 9).since(&begin), Window { busy: Some(0.97), backlog_drops: 5 });
        assert_eq!(begin.since(&begin), Window::default());
    }

    #[test]
    fn this_machine_tells_of_its_processors() {
        let stat = fs::read_to_string("/proc/stat").unwrap();
        let cores: Vec<usize> = stat.lines().filter_map(times).map(|(core, _)| core).collect();
        assert!(cores.contains(&0) && !Cores::now().times.iter().any(|times| times.idle == 0), "{stat}");
    }
}

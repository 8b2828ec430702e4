//! What the server's processes have used: CPU time of all threads, and memory.

use std::fs;
use std::time::Duration;

use nix::time::ClockId;
use nix::unistd::Pid;

use crate::clock;

/// Of one process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time of all threads, also of those that have ended.
    pub cpu: Duration,
    pub resident_kb: u64,
}

/// `None` if there is no such process.
#[must_use]
pub fn usage(pid: u32) -> Option<Usage> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let ticks = || cpu(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?);
    Some(Usage { cpu: exact_cpu(pid).or_else(ticks)?, resident_kb: resident_kb(&status)? })
}

/// By the process's own clock (`clock_getcpuclockid`): nanoseconds, where /proc has ticks of 10 ms. It is the sum of
/// what the threads' `schedstat` say, and goes on counting those that have ended.
fn exact_cpu(pid: u32) -> Option<Duration> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(i32::try_from(pid).ok()?)).ok()?;
    clock::read(clock)
}

/// proc(5): fields 14 and 15, counted behind the name, which may itself have spaces and brackets.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * TICK_MS))
}

fn resident_kb(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

const TICK_MS: u64 = 10; // Linux counts for programs in 1/100 s on every machine that we know

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 150 25 9 9 20 0 1 0 100 2000 300 184";
        assert_eq!(cpu(stat), Some(Duration::from_millis(1_750)));
        assert_eq!(cpu("7 (a) S 1"), None);
        assert_eq!(resident_kb("Name:\ta\nVmHWM:\t  900 kB\nVmRSS:\t  612 kB\n"), Some(612));
        assert_eq!(resident_kb("Name:\ta\n"), None);
    }

    #[test]
    fn this_process_uses_memory_and_no_process_has_the_highest_pid() {
        assert!(usage(std::process::id()).is_some_and(|usage| usage.resident_kb > 100));
        assert_eq!(usage(u32::MAX), None);
    }

    #[test]
    fn cpu_time_is_finer_than_ticks_and_keeps_that_of_threads_that_ended() {
        let own = || exact_cpu(std::process::id()).unwrap();
        let before = own();
        let spent = std::thread::spawn(|| {
            while clock::thread_cpu() < Duration::from_millis(3) {
                std::hint::spin_loop();
            }
            clock::thread_cpu()
        });
        let spent = spent.join().unwrap();
        assert!(own() - before >= spent, "{before:?} {spent:?}");
        assert!((0..3).any(|_| own().subsec_nanos() % 1_000_000 != 0), "it has more than milliseconds");
        assert_eq!(exact_cpu(u32::MAX), None);
    }
}

//! What the system says of running processes: their children, their memory.

use std::collections::BTreeSet;
use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// This process and everything that it started.
#[must_use]
pub fn tree(pid: u32) -> Vec<u32> {
    let mut found = BTreeSet::from([pid]);
    let mut waiting = vec![pid];
    while let Some(pid) = waiting.pop() {
        for child in children(pid) {
            if found.insert(child) {
                waiting.push(child);
            }
        }
    }
    found.into_iter().collect()
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Resident memory of all of them together.
#[must_use]
pub fn resident_kb(pids: &[u32]) -> u64 {
    pids.iter().filter_map(|pid| resident_of(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)).sum()
}

fn resident_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Running, and not only waiting to be reaped.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The name before it is in parentheses and may have any character in it.
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// One that has ended meanwhile is no error.
pub fn signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio, id};

    use super::*;

    #[test]
    fn children_belong_to_the_tree_until_they_end() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        assert!(tree(id()).contains(&child.id()));
        assert!(is_alive(child.id()));
        assert!(resident_kb(&[id()]) > 500);
        signal(child.id(), Signal::SIGTERM);
        child.wait().unwrap();
        assert!(!is_alive(child.id()));
        assert!(!tree(id()).contains(&child.id()));
    }

    #[test]
    fn resident_memory_is_read_from_its_line() {
        for (status, expected) in [
            ("Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t   5120 kB\n", Some(5_120)),
            ("Name:\tkthread\n", None),
            ("VmRSS:\n", None),
        ] {
            assert_eq!(resident_of(status), expected, "{status}");
        }
    }
}

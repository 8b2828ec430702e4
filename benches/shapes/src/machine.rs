//! Where and of what a measurement was made: machine, kernel, commit.

use std::fs;
use std::process::Command;
use std::thread;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    #[serde(rename = "virtual")]
    pub is_virtual: bool,
    pub kernel: String,
}

impl Machine {
    #[must_use]
    pub fn this() -> Self {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpu: field(&processors, "model name").unwrap_or("unknown").to_owned(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            is_virtual: field(&processors, "flags")
                .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
            // What a distributor or a host appends says nothing here.
            kernel: kernel.trim().split('-').next().unwrap_or_default().to_owned(),
        }
    }
}

/// How busy the machine was over the last minute.
#[must_use]
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(f64::NAN)
}

/// The commit that is checked out here, with a mark if files of it were changed since.
#[must_use]
pub fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "HEAD"]) else { return String::from("unknown") };
    // Results are written while they are made.
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no", "--", ".", ":!benches/results", ":!docs"]);
    if changed.is_some_and(|files| !files.is_empty()) { format!("{commit}+changes") } else { commit }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "model\t\t: 1\nmodel name\t: A CPU: the best\nflags\t: fpu hypervisor\n";
        assert_eq!(field(text, "model name"), Some("A CPU: the best"));
        assert_eq!(field(text, "name"), None);
    }

    #[test]
    fn this_machine_has_a_kernel_and_a_core() {
        let machine = Machine::this();
        assert!(machine.cores > 0);
        assert!(machine.kernel.starts_with(|c: char| c.is_ascii_digit()), "{}", machine.kernel);
    }
}

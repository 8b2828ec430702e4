//! The memory watermark: joins are refused before the system has to choose whom to kill.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use proto::media::v1::CountersResponse;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::http::Site;

/// Looks at the memory every second and tells the registry, until told to stop.
pub async fn watch(site: Site, stop: CancellationToken) {
    let groups = groups();
    let mut media = Media::default();
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let configured = match site.config.now().limit.memory_bytes {
            0 => None,
            limit => Some(Used { bytes: media.ask(&site).await + own_resident(), limit }),
        };
        let fullest = groups.iter().filter_map(|group| Used::of_group(group)).chain(configured);
        let used = fullest.max_by_key(Used::permille);
        let was_low = site.registry.is_memory_low();
        // A limit may be lifted at any time.
        let low = used.is_some_and(|used| used.is_low(was_low));
        if low != was_low {
            tracing::warn!(
                bytes = used.map(|used| used.bytes),
                limit = used.map(|used| used.limit),
                "memory: joins are {}",
                if low { "refused from now on" } else { "let in again" }
            );
            site.registry.set_memory_low(low);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Used {
    bytes: u64,
    limit: u64,
}

impl Used {
    /// Of a control group (cgroup v2); `None` without a limit. Pages of files that nobody uses would make room.
    fn of_group(group: &Path) -> Option<Self> {
        let number = |name| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
        // "max" is no number.
        let limit = number("memory.max").filter(|limit| *limit > 0)?;
        let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
        let unused = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.parse().ok());
        Some(Self { bytes: number("memory.current")?.saturating_sub(unused.unwrap_or(0)), limit })
    }

    fn permille(&self) -> u64 {
        u64::try_from(u128::from(self.bytes) * 1000 / u128::from(self.limit.max(1))).unwrap_or(u64::MAX)
    }

    /// Once low, memory is low until there is clearly more.
    fn is_low(&self, was_low: bool) -> bool {
        self.permille() >= if was_low { ENOUGH_PERMILLE } else { LOW_PERMILLE }
    }
}

/// The control groups that this process is in, the innermost first.
fn groups() -> Vec<PathBuf> {
    let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    groups_of(&membership)
}

fn groups_of(membership: &str) -> Vec<PathBuf> {
    // Version 2's line has no controllers: `0::/path`.
    let path = membership.lines().find_map(|line| line.strip_prefix("0::/"));
    let root = Path::new(GROUPS);
    let innermost = path.map(|path| root.join(path));
    let all = innermost.iter().flat_map(|innermost| innermost.ancestors());
    all.take_while(|group| group.starts_with(root)).map(Path::to_owned).collect()
}

/// What each media plane used when it last told.
#[derive(Debug, Default)]
struct Media(Vec<u64>);

impl Media {
    /// The sum over all.
    async fn ask(&mut self, site: &Site) -> u64 {
        let planes = site.registry.planes().all();
        let answers = join_all(planes.iter().map(|plane| timeout(PATIENCE, plane.counters()))).await;
        self.0.resize(planes.len(), 0);
        for ((bytes, plane), answer) in self.0.iter_mut().zip(planes).zip(answers) {
            let told = answer.ok().and_then(Result::ok).map(|answer| resident(&answer));
            *bytes = in_use(told, plane.attached().is_some(), *bytes);
        }
        self.0.iter().sum()
    }
}

/// One that is there and does not answer has given nothing back: it is short of something itself.
fn in_use(told: Option<u64>, is_attached: bool, last: u64) -> u64 {
    told.unwrap_or(if is_attached { last } else { 0 })
}

fn resident(counters: &CountersResponse) -> u64 {
    let row = counters.process.iter().find(|counter| counter.name == "process_resident_bytes");
    row.map_or(0, |counter| counter.value)
}

/// 0 if the system does not tell.
fn own_resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

const INTERVAL: Duration = Duration::from_secs(1);
/// More than a media plane waits for its own threads.
const PATIENCE: Duration = Duration::from_secs(2);
const LOW_PERMILLE: u64 = 850;
const ENOUGH_PERMILLE: u64 = 800;
const GROUPS: &str = "/sys/fs/cgroup";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_low_from_85_percent_until_there_is_clearly_more() {
        for (name, bytes, was_low, low) in [
            ("plenty", 500, false, false),
            ("nearly", 849, false, false),
            ("low", 850, false, true),
            ("beyond", 2000, false, true),
            ("a little more", 840, true, true),
            ("enough again", 799, true, false),
        ] {
            assert_eq!(Used { bytes, limit: 1000 }.is_low(was_low), low, "{name}");
        }
    }

    #[test]
    fn a_media_plane_that_does_not_answer_uses_what_it_did() {
        for (name, told, is_attached, expected) in [
            ("answers", Some(3), true, 3),
            ("is slow", None, true, 7),
            ("is gone", None, false, 0),
            ("went while answering", Some(3), false, 3),
        ] {
            assert_eq!(in_use(told, is_attached, 7), expected, "{name}");
        }
    }

    #[test]
    fn groups_are_found_from_the_inside_out() {
        for (name, membership, expected) in [
            ("nested", "0::/a/b\n", vec!["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"]),
            ("in a container", "0::/\n", vec!["/sys/fs/cgroup"]),
            ("version 1 beside it", "12:memory:/x\n0::/y\n", vec!["/sys/fs/cgroup/y", "/sys/fs/cgroup"]),
            ("none", "", vec![]),
        ] {
            let expected: Vec<PathBuf> = expected.into_iter().map(PathBuf::from).collect();
            assert_eq!(groups_of(membership), expected, "{name}");
        }
    }

    #[test]
    fn a_group_without_a_limit_is_none_and_unused_file_pages_do_not_count() {
        let group = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(group.path().join(name), text).unwrap();
        assert_eq!(Used::of_group(group.path()), None);
        write("memory.max", "max\n");
        write("memory.current", "700\n");
        assert_eq!(Used::of_group(group.path()), None);
        write("memory.max", "1000\n");
        assert_eq!(Used::of_group(group.path()), Some(Used { bytes: 700, limit: 1000 }));
        write("memory.stat", "anon 1\ninactive_file 300\nactive_file 2\n");
        assert_eq!(Used::of_group(group.path()), Some(Used { bytes: 400, limit: 1000 }));
    }

    #[test]
    fn a_running_process_is_resident() {
        assert!(own_resident() > 100_000);
    }
}

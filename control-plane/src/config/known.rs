//! Looks keys up in the [`table`]: what is not in it is a typing error, and refused with the nearest name.

use crate::config::kind::Kind;
use crate::config::table::KEYS;

/// What a key does here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Applied,
    /// Accepted, and named once in the log with the reason.
    Idle(&'static str),
}

/// Looks a dotted path up. `*` in the table stands for any name, a trailing `**` for anything below.
pub fn find(path: &[&str]) -> Option<(Kind, Standing)> {
    KEYS.iter().find(|(pattern, ..)| matches(pattern, path)).map(|(_, kind, standing)| (*kind, *standing))
}

/// The keys that one text can set, with what it has to be.
pub fn singles() -> impl Iterator<Item = (&'static str, Kind)> {
    let single = |path: &str, kind: Kind| {
        kind.is_single() && !path.contains('*') && !LISTS.iter().any(|list| path.starts_with(list))
    };
    KEYS.iter().filter(move |(path, kind, _)| single(path, *kind)).map(|(path, kind, _)| (*path, *kind))
}

/// Whether anything lies below this path.
pub fn is_section(path: &[&str]) -> bool {
    KEYS.iter().any(|(pattern, ..)| {
        let mut parts = pattern.split('.');
        path.iter().all(|name| parts.next().is_some_and(|part| part == *name || part == "*"))
            && parts.next().is_some()
    })
}

/// The known name that is most like `name`, beside it.
pub fn nearest(parent: &[&str], name: &str) -> Option<&'static str> {
    let siblings = KEYS.iter().filter_map(|(pattern, ..)| {
        let mut parts = pattern.split('.');
        parent.iter().all(|above| parts.next() == Some(above)).then(|| parts.next())?
    });
    let scored = siblings.map(|sibling| (distance(name, sibling), sibling));
    let (distance, sibling) = scored.min()?;
    (distance <= 1 + name.len() / 3).then_some(sibling)
}

fn matches(pattern: &str, path: &[&str]) -> bool {
    let mut names = path.iter();
    for part in pattern.split('.') {
        if part == "**" {
            return names.next().is_some();
        }
        if !names.next().is_some_and(|name| part == "*" || part == *name) {
            return false;
        }
    }
    names.next().is_none()
}

/// Levenshtein's: insertions, deletions and replacements from one to the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.chars().take(NAME_LEN_MAX).enumerate() {
        let mut diagonal = above;
        let mut left = above + 1;
        for (cell, against) in row.iter_mut().skip(1).zip(&other) {
            let replaced = diagonal + usize::from(letter != *against);
            diagonal = *cell;
            left = replaced.min(*cell + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = above + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

const NAME_LEN_MAX: usize = 64;
/// Sections of which there are several.
const LISTS: [&str; 3] = ["rtc.turn_servers.", "room.enabled_codecs.", "node_selector.regions."];

//! Every message that a server may say has an owner, and the table at the head of `step.rs` tells the truth about it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use livekit_protocol::SignalResponse;
use prost::Message as _;

/// The names of all messages that the protocol has, as its enumeration spells them.
fn all() -> BTreeSet<String> {
    let fields = (1_u16..100).flat_map(|number| [(number, 0), (number, 2)]);
    fields
        .filter_map(|(number, wire_type)| {
            let key = number << 3 | wire_type;
            let [low, high] = [(key & 0x7f).to_le_bytes()[0] | 0x80, (key >> 7).to_le_bytes()[0]];
            let message = SignalResponse::decode([low, high, 0].as_slice()).ok()?.message?;
            let text = format!("{message:?}");
            Some(text.split('(').next().unwrap_or_default().to_owned())
        })
        .collect()
}

/// `MediaSectionsRequirement` is `media_sections_requirement`.
fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_response_has_an_owner_that_says_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/room");
    let source = |module: &str| fs::read_to_string(folder.join(format!("{module}.rs"))).unwrap_or_default();
    let head = source("step");
    let rows: Vec<(&str, &str)> = head
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `")?.split_once(" | "))
        .filter(|(said, _)| !said.contains("SignalResponse"))
        .collect();
    let all = all();
    assert_eq!(all.len(), 30, "as the table says: {all:?}");
    for name in &all {
        let quoted = format!("`{}`", snake_case(name));
        let owner = rows.iter().find(|(said, _)| format!("`{said}").contains(&quoted));
        let (_, by) = owner.unwrap_or_else(|| panic!("nobody is named for {quoted}"));
        if by.starts_with("later") {
            continue;
        }
        let says = |module: &str| source(module).contains(&format!("Message::{name}("));
        let said = code(by).any(|owner| says(owner.split("::").next().unwrap_or(owner)));
        assert!(said, "{quoted} is said by none of: {by}");
    }
}

//! Reads a YAML document into a [`Config`], and says what in it is unknown or without effect.

use crate::config::Config;
use crate::config::known::{self, Standing};
use crate::config::outline::Outline;

/// A document that could be read.
#[derive(Debug)]
pub struct Document {
    pub config: Config,
    /// Dotted names of LiveKit's keys that have no effect yet, in the order of the document.
    pub not_applied: Vec<String>,
    /// A sentence for each key that nobody knows; only without `Strictness::Strict`.
    pub unknown: Vec<String>,
}

/// Whether an unknown key is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    Strict,
    Lenient,
}

/// # Errors
/// A sentence with the line, the key and the value.
pub fn read(text: &str, strictness: Strictness) -> Result<Document, String> {
    let mut document =
        Document { config: Config::default(), not_applied: Vec::new(), unknown: Vec::new() };
    let outline: Option<Outline> = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let Some(outline @ Outline::Mapping(_)) = outline else {
        return if text.trim().is_empty() { Ok(document) } else { Err("not a mapping of keys to values".to_owned()) };
    };
    document.visit(&mut Vec::new(), &outline);
    if strictness == Strictness::Strict && !document.unknown.is_empty() {
        return Err(document.unknown.join("; "));
    }
    document.config = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    Ok(document)
}

impl Document {
    fn visit<'a>(&mut self, path: &mut Vec<&'a str>, outline: &'a Outline) {
        match outline {
            Outline::Scalar => {}
            Outline::Sequence(items) => items.iter().for_each(|item| self.visit(path, item)),
            Outline::Mapping(keys) => {
                for key in keys {
                    path.push(&key.name);
                    match known::standing(path) {
                        Some(Standing::Applied) => {}
                        Some(Standing::NotYet) => self.note(path.join(".")),
                        None if known::is_section(path) => self.visit(path, &key.value),
                        None => self.unknown.push(complaint(path, key.line)),
                    }
                    path.pop();
                }
            }
        }
    }

    fn note(&mut self, name: String) {
        if !self.not_applied.contains(&name) {
            self.not_applied.push(name);
        }
    }
}

fn complaint(path: &[&str], line: u64) -> String {
    let full = path.join(".");
    let Some((name, parent)) = path.split_last() else { return full };
    match known::nearest(parent, name) {
        Some(nearest) => format!("line {line}: unknown key {full:?}; did you mean {nearest:?}?"),
        None => format!("line {line}: unknown key {full:?}"),
    }
}

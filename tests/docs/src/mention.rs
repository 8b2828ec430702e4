//! What prose names between backticks: files, and functions with the module or type that they belong to.

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mention {
    File(String),
    /// The last two names of a path: `Engine::receive`, `offering::offer`.
    Item {
        owner: String,
        name: String,
    },
}

/// Each with its line, counted from one.
#[must_use]
pub fn mentions(document: &str) -> Vec<(usize, Mention)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in document.lines().enumerate() {
        if line.starts_with("```") {
            fenced = !fenced;
        }
        if !fenced {
            let code = line.split('`').skip(1).step_by(2);
            found.extend(code.filter_map(mention).map(|mention| (index + 1, mention)));
        }
    }
    found
}

fn mention(code: &str) -> Option<Mention> {
    let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_');
    if let Some((path, name)) = code.rsplit_once("::") {
        let owner = path.rsplit("::").next().unwrap_or(path);
        return (is_name(owner) && is_name(name))
            .then(|| Mention::Item { owner: owner.to_owned(), name: name.to_owned() });
    }
    let (stem, extension) = code.rsplit_once('.')?;
    let is_path = stem.chars().all(|c| c.is_alphanumeric() || "_-/.".contains(c));
    (is_path && !stem.is_empty() && EXTENSIONS.contains(&extension)).then(|| Mention::File(code.to_owned()))
}

/// Whether a source file defines the name and has to do with its owner.
#[must_use]
pub fn defines(file: &str, source: &str, owner: &str, name: &str) -> bool {
    if !source.contains(name) {
        return false;
    }
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let word =
        |text: &str, word: &str| text.contains(word) && text.split(|c| !is_name(c)).any(|each| each == word);
    let named_for_it = file.strip_suffix(".rs").is_some_and(|path| path.rsplit('/').next() == Some(owner));
    if !named_for_it && !word(source, owner) {
        return false;
    }
    if name.starts_with(char::is_uppercase) {
        return word(source, name);
    }
    [format!("fn {name}("), format!("fn {name}<")].iter().any(|head| source.contains(head))
}

const EXTENSIONS: [&str; 7] = ["rs", "proto", "mjs", "py", "yaml", "toml", "service"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_items_are_told_from_other_code() {
        let file = |name: &str| Some(Mention::File(name.to_owned()));
        let item =
            |owner: &str, name: &str| Some(Mention::Item { owner: owner.to_owned(), name: name.to_owned() });
        for (code, expected) in [
            ("room/step.rs", file("room/step.rs")),
            ("media.proto", file("media.proto")),
            ("Engine::receive", item("Engine", "receive")),
            ("wire::stun::Message::parse", item("Message", "parse")),
            ("rtc.udp_port", None),
            (".rs", None),
            ("room/<verb>.rs", None),
            ("GET /", None),
            ("let x = a::b();", None),
        ] {
            assert_eq!(mention(code), expected, "{code}");
        }
    }

    #[test]
    fn items_are_where_they_are_defined() {
        let source = "impl Engine {\n pub fn receive(&mut self) {}\n}\nenum Event { Dtls }";
        for (file, owner, name, expected) in [
            ("a/b.rs", "Engine", "receive", true),
            ("a/b.rs", "Event", "Dtls", true),
            ("a/b.rs", "b", "receive", true),
            ("a/c.rs", "b", "receive", false),
            ("a/b.rs", "Engine", "receives", false),
            ("a/b.rs", "Eng", "receive", false),
        ] {
            assert_eq!(defines(file, source, owner, name), expected, "{file} {owner} {name}");
        }
    }
}

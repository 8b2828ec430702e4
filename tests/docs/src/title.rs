//! Whether a file has a test of some name, in the three languages that tests are written in.

/// A JavaScript title may be a template whose `${...}` stand for anything.
#[must_use]
pub fn has_test(file: &str, source: &str, name: &str) -> bool {
    let extension = file.rsplit('.').next().unwrap_or_default();
    match extension {
        "rs" => source.contains(&format!("fn {name}(")),
        "py" => source.contains(&format!("def {name}(")),
        _ => source.split("test(").skip(1).filter_map(title).any(|title| fits(title, name)),
    }
}

/// What stands between the quotes at the beginning.
fn title(call: &str) -> Option<&str> {
    let quote = call.chars().next().filter(|first| matches!(first, '\'' | '"' | '`'))?;
    call.get(1..)?.split(quote).next()
}

fn fits(title: &str, name: &str) -> bool {
    let mut parts = title.split("${");
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut literals: Vec<_> = parts.filter_map(|part| Some(part.split_once('}')?.1)).collect();
    let Some(last) = literals.pop() else { return rest.is_empty() };
    for literal in literals {
        let Some((_, after)) = rest.split_once(literal) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_by_their_whole_name() {
        let rust = "fn it_works() {}\nasync fn so_does_this() {}\n";
        let javascript = "test('one thing', () => {});\ntest(`${client}: picture ${n} arrives`, ...);\ntest(`for ${all}`)\n\
            test(`${a} ${b}: one end for all`)";
        for (file, source, name, expected) in [
            ("a.rs", rust, "it_works", true),
            ("a.rs", rust, "so_does_this", true),
            ("a.rs", rust, "it_work", false),
            ("a.py", "def test_it(server):", "test_it", true),
            ("a.py", "def test_it(server):", "test_i", false),
            ("a.test.mjs", javascript, "one thing", true),
            ("a.test.mjs", javascript, "one", false),
            ("a.test.mjs", javascript, "current: picture 7 arrives", true),
            ("a.test.mjs", javascript, "current: picture 7 leaves", false),
            ("a.test.mjs", javascript, "for everybody", true),
            ("a.test.mjs", javascript, "two words: one end for all", true),
            ("a.test.mjs", javascript, "two words: one end for none", false),
        ] {
            assert_eq!(has_test(file, source, name), expected, "{file} {name}");
        }
    }
}

//! The rows of `docs/COMPAT.md`: what they claim, and by which tests.

/// One row of a table.
#[derive(Debug)]
pub struct Row {
    /// Counted from one.
    pub line: usize,
    pub feature: String,
    pub works: bool,
    /// Files and folders that the last column names.
    pub files: Vec<String>,
    pub claims: Vec<Claim>,
}

/// This test is in this file.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim {
    pub file: String,
    pub test: String,
}

#[must_use]
pub fn rows(document: &str) -> Vec<Row> {
    let lines = document.lines().enumerate();
    lines.filter_map(|(index, text)| row(index + 1, text)).collect()
}

fn row(line: usize, text: &str) -> Option<Row> {
    let mut cells = text.strip_prefix("| ")?.trim_end().strip_suffix('|')?.split(" | ");
    let (feature, state) = (cells.next()?, cells.next()?.trim());
    if !["works", "partly", "not yet"].contains(&state) {
        return None;
    }
    let shown = cells.collect::<Vec<_>>().join(" | ");
    let mut row = Row {
        line,
        feature: feature.to_owned(),
        works: state == "works",
        files: Vec::new(),
        claims: Vec::new(),
    };
    // Code and prose take turns between the backticks.
    for (index, part) in shown.split('`').enumerate() {
        if index % 2 == 0 {
            part.split_whitespace().for_each(|word| row.mention(word));
        } else {
            row.name(part);
        }
    }
    Some(row)
}

impl Row {
    /// A word of prose: it may be a file, or a letter that stands for one.
    fn mention(&mut self, word: &str) {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '/');
        if let Some((_, file)) = LETTERS.iter().find(|(letter, _)| *letter == word) {
            return self.files.push((*file).to_owned());
        }
        if !EXTENSIONS.iter().any(|extension| word.ends_with(extension)) {
            return;
        }
        let file = match (word.split_once('/'), self.files.last()) {
            (Some((first, rest)), _) => match FOLDERS.iter().find(|(short, _)| *short == first) {
                Some((_, folder)) => format!("{folder}/{rest}"),
                None => word.to_owned(),
            },
            // A file beside the last one, or in the folder that the letter stands for.
            (None, Some(last)) => {
                let folder = last.rsplit_once('/').map_or("", |(folder, _)| folder);
                format!("{folder}/{word}")
            }
            (None, None) => word.to_owned(),
        };
        self.files.push(file);
    }

    /// Something in backticks: a test of the file before it, if it looks like one.
    fn name(&mut self, code: &str) {
        let Some(file) = self.files.last() else { return };
        let is_test = if file.ends_with(".mjs") {
            code.contains(' ')
        } else {
            code.matches('_').count() >= 2
                && code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        if is_test {
            self.claims.push(Claim { file: file.clone(), test: code.to_owned() });
        }
    }
}

/// As the document introduces them.
const LETTERS: &[(&str, &str)] = &[
    ("B", "tests/e2e/browser/call.test.mjs"),
    ("W", "tests/e2e/browser/whip.test.mjs"),
    ("P", "tests/e2e/python/test_call.py"),
    ("C", "tests/e2e/python/test_crowd.py"),
    ("M", "tests/e2e/python/test_metrics.py"),
    ("H", "tests/e2e/process/http.test.mjs"),
    ("L", "tests/e2e/process/command-line.test.mjs"),
    ("S", "tests/e2e/process/signalling.test.mjs"),
    ("RS", "tests/e2e/process/room-service.test.mjs"),
    ("RP", "tests/e2e/python/test_room_service.py"),
    ("AG", "tests/e2e/python/agents/test_agents.py"),
    ("X", "tests/contract/tests/"),
];
const FOLDERS: &[(&str, &str)] = &[
    ("cp", "control-plane/src"),
    ("mp", "media-plane/src"),
    ("engine", "media-plane/engine"),
    ("forward", "media-plane/forward"),
    ("driver", "media-plane/driver"),
    ("sim", "media-plane/sim"),
    ("wire", "shared/wire"),
    ("srtp", "shared/srtp"),
    ("sdp", "shared/sdp"),
];
const EXTENSIONS: [&str; 3] = [".rs", ".mjs", ".py"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_belong_to_the_file_before_them() {
        let text = "| a `b` | works | B `one thing`, `another`; cp/x.rs, y.rs `it_just_works`, `no_test`; X z.rs `so_does_it` |";
        let row = row(1, text).unwrap();
        let claim = |file: &str, test: &str| Claim { file: file.to_owned(), test: test.to_owned() };
        assert!(row.works);
        assert_eq!(
            row.claims,
            [
                claim("tests/e2e/browser/call.test.mjs", "one thing"),
                claim("control-plane/src/y.rs", "it_just_works"),
                claim("tests/contract/tests/z.rs", "so_does_it"),
            ]
        );
        assert_eq!(row.files.len(), 5);
    }

    #[test]
    fn what_is_no_row_is_passed_over() {
        for text in ["", "text", "| feature | state | shown by |", "|---|---|---|", "- *works*: there"] {
            assert!(row(1, text).is_none(), "{text}");
        }
    }
}

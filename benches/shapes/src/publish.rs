//! Puts tables into a document, between two marks that stay.

use std::path::Path;
use std::{fs, io};

use crate::row::Row;
use crate::{compare, target};

/// Replaces what stands between the marks.
pub fn write(rows: &[Row], document: &Path) -> io::Result<()> {
    let text = fs::read_to_string(document)?;
    let Some(text) = replaced(&text, &section(rows)) else {
        return Err(io::Error::other(format!(
            "{}: the marks {BEGIN} and {END} are not there",
            document.display()
        )));
    };
    fs::write(document, text)
}

fn replaced(text: &str, section: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{section}{END}{after}"))
}

fn section(rows: &[Row]) -> String {
    let Some(row) = rows.last() else { return String::new() };
    let machine = &row.machine;
    let commits = compare::in_order(rows.iter().map(|row| row.commit.as_str()));
    format!(
        "Measured {}, commit {}: {}, {} cores, {}, Linux {}; {}.\n\n{}\n{}\n{}\n",
        row.began.split('T').next().unwrap_or_default(),
        commits.join(", "),
        machine.cpu,
        machine.cores,
        if machine.is_virtual { "virtual" } else { "bare metal" },
        machine.kernel,
        row.layout,
        target::table(rows),
        compare::table(rows),
        compare::comparison(rows),
    )
}

const BEGIN: &str = "<!-- measured: scripts/bench publish writes this -->";
const END: &str = "<!-- end of what was measured -->";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::row;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let text = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let once = replaced(&text, "new\n").unwrap();
        assert_eq!(once, format!("before\n{BEGIN}\nnew\n{END}\nafter\n"));
        assert_eq!(replaced(&once, "new\n").unwrap(), once);
        assert_eq!(replaced("no marks", "new"), None);
    }

    #[test]
    fn a_section_says_where_it_was_measured() {
        let section = section(&[row("2026-11-22T10:00:00Z", "1-50", "epoll", 1, 2.0)]);
        assert!(section.starts_with("Measured 2026-11-22, commit c0ffee: "), "{section}");
    }
}

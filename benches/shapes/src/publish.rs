//! Puts tables into a document, between two marks that stay.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::row::Row;
use crate::{compare, target};

/// Replaces what stands between the marks, by the tables and by what shows these images.
pub fn write(rows: &[Row], images: &[PathBuf], document: &Path) -> io::Result<()> {
    let text = fs::read_to_string(document)?;
    let Some(text) = replaced(&text, &section(rows, &links(images, document))) else {
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

/// As the document finds them, one a paragraph.
fn links(images: &[PathBuf], document: &Path) -> String {
    let folder = document.parent().unwrap_or_else(|| Path::new(""));
    let link = |image: &PathBuf| {
        let name = image.file_stem().unwrap_or_default().to_string_lossy();
        format!("![{name}]({})\n\n", image.strip_prefix(folder).unwrap_or(image).display())
    };
    images.iter().map(link).collect()
}

fn section(rows: &[Row], links: &str) -> String {
    let Some(row) = rows.last() else { return String::new() };
    let machine = &row.machine;
    let looks = if rows.iter().any(|row| row.provisional) {
        " Some of it comes of short runs, or of runs over loopback: for a look only."
    } else {
        ""
    };
    let commits = compare::in_order(rows.iter().map(|row| row.commit.as_str()));
    format!(
        "Measured {}, commit {}: {}, {} cores, {}, Linux {}; {}.{}\n\n{}\n{links}{}\n{}\n",
        row.began.split('T').next().unwrap_or_default(),
        commits.join(", "),
        machine.cpu,
        machine.cores,
        if machine.is_virtual { "virtual" } else { "bare metal" },
        machine.kernel,
        row.layout,
        looks,
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
        let mut rows = [row("2026-11-22T10:00:00Z", "1-50", "epoll", 1, 2.0)];
        let full = section(&rows, "");
        assert!(full.starts_with("Measured 2026-11-22, commit c0ffee: "), "{full}");
        assert!(!full.contains("a look"), "{full}");
        rows[0].provisional = true;
        assert!(section(&rows, "").contains("for a look only"));
    }

    #[test]
    fn images_are_shown_as_the_document_finds_them() {
        let images = ["docs/images/bench-cpu.svg", "/elsewhere/bench-memory.svg"].map(PathBuf::from);
        let links = links(&images, Path::new("docs/BENCHMARKS.md"));
        assert_eq!(
            links,
            "![bench-cpu](images/bench-cpu.svg)\n\n![bench-memory](/elsewhere/bench-memory.svg)\n\n"
        );
        assert!(section(&[row("1", "1-50", "epoll", 1, 2.0)], &links).contains(&links));
    }
}

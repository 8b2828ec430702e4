//! The files of this repository that a document can name.

use std::fs;
use std::path::{Path, PathBuf};

/// Paths from the top, with `/` between, in order.
#[derive(Debug)]
pub struct Repository {
    top: PathBuf,
    files: Vec<String>,
}

impl Repository {
    /// This one.
    #[must_use]
    pub fn here() -> Self {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut repository = Self { top, files: Vec::new() };
        repository.walk("");
        repository.files.sort();
        repository
    }

    fn walk(&mut self, folder: &str) {
        let Ok(entries) = fs::read_dir(self.top.join(folder)) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !GENERATED.contains(&name.as_str()) => self.walk(&path),
                Ok(kind) if kind.is_file() => self.files.push(path),
                _ => {}
            }
        }
    }

    #[must_use]
    pub fn files(&self) -> &[String] {
        &self.files
    }

    #[must_use]
    pub fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.top.join(path)).ok()
    }

    /// Whether a document may call a file so: by the end of its path, and without the `src` folders in it.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        let name = without_src(name);
        self.files.iter().any(|file| {
            let file = without_src(file);
            file.strip_suffix(name.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('/'))
        })
    }
}

fn without_src(path: &str) -> String {
    path.split('/').filter(|part| *part != "src").collect::<Vec<_>>().join("/")
}

const GENERATED: [&str; 7] =
    [".git", ".venv", ".venv-agents", "corpus", "node_modules", "target", "__pycache__"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_the_end_of_their_path() {
        let repository = Repository::here();
        for (name, expected) in [
            ("tests/docs/src/repository.rs", true),
            ("docs/repository.rs", true),
            ("repository.rs", true),
            ("pository.rs", false),
            ("docs/src/repositories.rs", false),
        ] {
            assert_eq!(repository.has(name), expected, "{name}");
        }
    }
}

//! The bodies of the fuzz targets: plain functions, so that tests replay the corpus.

use crate::limit;
use crate::session::Session;

/// Reads arbitrary bytes. What could be read can be written, and reading that changes nothing any more: the first
/// writing leaves out what has no meaning in its place.
pub fn sdp(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(session) = Session::parse(text) else {
        return;
    };
    let written = session.to_string();
    if written.len() > limit::LEN_BASE_MAX {
        return; // line ends and defaults may have carried it over a limit that held
    }
    let Ok(again) = Session::parse(&written) else {
        panic!("what was written cannot be read: {written}");
    };
    assert_eq!(again.to_string(), written);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    fn files(folder: &str) -> Vec<Vec<u8>> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests").join(folder);
        let entries = std::fs::read_dir(path).unwrap();
        entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
    }

    #[test]
    fn corpus_holds() {
        for file in files("fuzz/corpus/sdp").iter().chain(&files("vectors/sdp")) {
            sdp(file);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_hold(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            sdp(&bytes);
        }

        #[test]
        fn mutated_descriptions_hold(
            which in any::<prop::sample::Index>(),
            edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_usize..40), 1..12),
        ) {
            let files = files("vectors/sdp");
            let mut bytes = which.get(&files).clone();
            for (at, byte, remove) in edits {
                let at = at.index(bytes.len());
                let end = (at + remove).min(bytes.len());
                bytes.splice(at..end, [byte]);
                if bytes.is_empty() {
                    bytes.push(b'v');
                }
            }
            sdp(&bytes);
        }

        #[test]
        fn lines_in_any_order_hold(
            which in any::<prop::sample::Index>(),
            swaps in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..30),
        ) {
            let files = files("vectors/sdp");
            let text = String::from_utf8(which.get(&files).clone()).unwrap();
            let mut lines: Vec<&str> = text.lines().collect();
            for (one, other) in swaps {
                let (one, other) = (one.index(lines.len()), other.index(lines.len()));
                lines.swap(one, other);
            }
            sdp(lines.join("\r\n").as_bytes());
        }
    }
}

//! API keys from the command line, the environment, a file or the configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use indexmap::IndexMap;

use crate::auth::token::Keys;

/// Reads `key: secret` lines, LiveKit's form for all of them.
///
/// # Errors
/// A sentence that does not contain the secrets.
pub fn parse(text: &str) -> Result<IndexMap<String, String>, String> {
    let mut pairs = IndexMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (key, secret) = line.split_once(": ").ok_or(FORM)?;
        pairs.insert(unquoted(key).to_owned(), unquoted(secret).to_owned());
    }
    Ok(pairs)
}

/// Reads a key file that others cannot read.
///
/// # Errors
/// A sentence with the path.
pub fn read_file(path: &Path) -> Result<IndexMap<String, String>, String> {
    let shown = path.display();
    let metadata = fs::metadata(path).map_err(|error| format!("key file {shown}: {error}"))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        return Err(format!("key file {shown} has mode {mode:04o}, so that others can use it: chmod 0600"));
    }
    let text = fs::read_to_string(path).map_err(|error| format!("key file {shown}: {error}"))?;
    parse(&text).map_err(|error| format!("key file {shown}: {error}"))
}

/// # Errors
/// A sentence that names the key.
pub fn check(pairs: &IndexMap<String, String>) -> Result<Keys, String> {
    if let Some((key, _)) = pairs.iter().find(|(key, secret)| key.is_empty() || secret.is_empty()) {
        return Err(format!("API key {key:?} is empty or has no secret"));
    }
    Ok(Keys::new(pairs.iter().map(|(key, secret)| (key.clone(), secret.clone()))))
}

/// LiveKit's advice: shorter secrets can be guessed from a token.
pub fn weak(pairs: &IndexMap<String, String>) -> Vec<&str> {
    pairs
        .iter()
        .filter(|(_, secret)| secret.len() < SECRET_LEN_ADVISED)
        .map(|(key, _)| key.as_str())
        .collect()
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let inner = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

const FORM: &str = "keys have to be written as `key: secret`, one on a line, with the space after the colon";
const SECRET_LEN_ADVISED: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_lines_of_key_and_secret() {
        for (name, text, expected) in [
            ("one", "key: secret", Ok(vec![("key", "secret")])),
            (
                "two, a comment and an empty line",
                "a: 1\n# no\n\n  b: 2  \n",
                Ok(vec![("a", "1"), ("b", "2")]),
            ),
            ("quoted", "\"a\": '1'", Ok(vec![("a", "1")])),
            ("no space", "key:secret", Err(FORM.to_owned())),
            ("no secret", "key", Err(FORM.to_owned())),
            ("nothing", "", Ok(vec![])),
        ] {
            let pairs = parse(text);
            let pairs = pairs.as_ref().map_err(String::clone).map(|pairs| {
                pairs.iter().map(|(key, secret)| (key.as_str(), secret.as_str())).collect::<Vec<_>>()
            });
            assert_eq!(pairs, expected, "{name}");
        }
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        fs::write(&path, "key: secret\n").unwrap();
        for (mode, accepted) in [(0o600, true), (0o640, true), (0o604, false), (0o666, false), (0o601, false)]
        {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let read = read_file(&path);
            assert_eq!(read.is_ok(), accepted, "{mode:o}");
            assert!(read.err().is_none_or(|error| error.contains("chmod 0600")), "{mode:o}");
        }
        assert!(read_file(&folder.path().join("none")).unwrap_err().contains("none"));
    }

    #[test]
    fn empty_keys_and_secrets_are_refused() {
        for (key, secret) in [("", "secret"), ("key", "")] {
            let pairs = IndexMap::from([(key.to_owned(), secret.to_owned())]);
            assert!(check(&pairs).is_err(), "{key}: {secret}");
        }
    }
}

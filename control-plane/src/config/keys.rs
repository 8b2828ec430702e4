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
    pairs.iter().filter(|(_, secret)| secret.len() < SECRET_LEN_ADVISED).map(|(key, _)| key.as_str()).collect()
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let inner = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

const FORM: &str = "keys have to be written as `key: secret`, one on a line, with the space after the colon";
const SECRET_LEN_ADVISED: usize = 32;

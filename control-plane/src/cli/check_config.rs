//! `millrace check-config FILE`: everything that a start would say of a configuration, without the start.

use std::path::PathBuf;

use clap::Args;

use crate::cli::{Serve, Source};
use crate::config::settle::{self, NO_KEYS, Read};

#[derive(Clone, Debug, Args)]
pub struct CheckConfig {
    /// The file.
    pub file: PathBuf,
}

/// What is to be said of a file that can be started with.
///
/// # Errors
/// A sentence, if it cannot.
pub fn run(arguments: &CheckConfig, given: &Serve) -> Result<String, String> {
    let source = Source { config: Some(arguments.file.clone()), config_body: None, ..given.source.clone() };
    let serve = Serve { source, ..given.clone() };
    let Read { mut config, idle, warnings } = settle::read_all(&serve)?;
    let keys = settle::keys_of(&serve.source, &mut config)?;
    let mut lines = vec![format!("{}: this can be started with", arguments.file.display())];
    lines.extend(warnings);
    lines.extend(settle::of_idle(&idle));
    if keys.is_empty() && !config.development {
        lines.push(format!("but for {NO_KEYS}"));
    }
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_told_of_without_a_start() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text, expected) in [
            ("sound", "keys: { a: b }\n", Ok("this can be started with")),
            ("without keys", "port: 1\n", Ok("but for no API keys")),
            (
                "with idle keys",
                "keys: { a: b }\nredis: { db: 1 }\n",
                Ok("without effect: redis.db (this server"),
            ),
            ("with a wrong value", "port: many\n", Err("line 1: port: expected a port")),
            ("with a wrong address", "bind_addresses: [here]\n", Err("bind_addresses: \"here\"")),
        ] {
            let file = folder.path().join("millrace.yaml");
            fs::write(&file, text).unwrap();
            let told = run(&CheckConfig { file }, &Serve::default());
            match expected {
                Ok(expected) => assert!(told.as_ref().unwrap().contains(expected), "{name}: {told:?}"),
                Err(expected) => assert!(told.as_ref().unwrap_err().contains(expected), "{name}: {told:?}"),
            }
        }
    }
}

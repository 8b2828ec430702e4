//! A server that is measured: its name, and the command that starts it.

use std::collections::BTreeSet;
use std::path::Path;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contender {
    pub name: String,
    /// For a shell, which finds key, secret and configuration in the environment (see [`crate::server`]).
    pub command: String,
}

impl Contender {
    /// Our own server, doing its I/O by this name.
    #[must_use]
    pub fn own(binaries: &Path, io: &str) -> Self {
        let command = format!("{} --io {io}", quoted(&binaries.join("millrace").to_string_lossy()));
        Self { name: io.to_owned(), command }
    }

    /// Any other server, named for its program.
    #[must_use]
    pub fn peer(command: &str) -> Self {
        let program = command.split_whitespace().find(|word| !word.contains('=')).unwrap_or(command);
        let name = program.rsplit('/').next().unwrap_or(program);
        Self { name: name.to_owned(), command: command.to_owned() }
    }
}

/// Numbers those that have the name of an earlier one.
pub fn tell_apart(contenders: &mut [Contender]) {
    let mut taken = BTreeSet::new();
    for contender in contenders {
        let name = contender.name.clone();
        let mut number = 2;
        while !taken.insert(contender.name.clone()) {
            contender.name = format!("{name}#{number}");
            number += 1;
        }
    }
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_named_for_its_program() {
        for (command, name) in [
            ("/opt/livekit-server --node-ip 10.0.0.1", "livekit-server"),
            ("GOMAXPROCS=1 ./server", "server"),
            ("livekit-server", "livekit-server"),
        ] {
            assert_eq!(Contender::peer(command).name, name, "{command}");
        }
    }

    #[test]
    fn the_same_program_twice_has_two_names() {
        let mut contenders =
            ["/new/server", "/old/server --x", "server#2", "other"].map(Contender::peer).to_vec();
        tell_apart(&mut contenders);
        let names: Vec<_> = contenders.into_iter().map(|contender| contender.name).collect();
        assert_eq!(names, ["server", "server#2", "server#2#2", "other"]);
    }

    #[test]
    fn a_path_stays_one_word() {
        let contender = Contender::own(Path::new("/a b/it's"), "epoll");
        assert_eq!(contender.command, r"'/a b/it'\''s/millrace' --io epoll");
    }
}

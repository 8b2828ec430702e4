//! TURN servers of others, which clients are told of: with what was configured, or with what a shared secret makes.

use std::fmt;
use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use livekit_protocol::IceServer;
use serde::Deserialize;
use sha1::Sha1;

#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TurnServer {
    pub host: String,
    pub port: u16,
    /// `udp`, `tcp` or `tls`.
    pub protocol: String,
    pub username: String,
    pub credential: String,
    /// Shared with the server, which then needs no user names.
    pub secret: String,
    pub secret_file: String,
    /// Seconds for which what the secret makes is good; 0: the default.
    pub ttl: u64,
}

impl TurnServer {
    /// Checks what belongs together, and reads the secret if it is in a file.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn settle(&mut self) -> Result<(), String> {
        let host = &self.host;
        if host.is_empty() {
            return Err("rtc.turn_servers: one of them has no host".to_owned());
        }
        if self.port == 0 {
            return Err(format!("rtc.turn_servers: {host} has no port"));
        }
        if !PROTOCOLS.contains(&self.protocol.as_str()) {
            let protocol = &self.protocol;
            return Err(format!(
                "rtc.turn_servers: {host}: protocol: expected udp, tcp or tls, not {protocol:?}"
            ));
        }
        if self.secret.is_empty() && !self.secret_file.is_empty() {
            let path = &self.secret_file;
            let read = fs::read_to_string(path);
            let text =
                read.map_err(|error| format!("rtc.turn_servers: {host}: secret_file {path}: {error}"))?;
            self.secret = text.trim().to_owned();
        }
        Ok(())
    }

    /// As a client is told: RFC 7065, with user names of draft-uberti-behave-turn-rest-00 §2.2 if there is a secret.
    #[must_use]
    pub fn for_client(&self, now_unix_seconds: u64, who: &str) -> IceServer {
        let Self { host, port, .. } = self;
        let url = match self.protocol.as_str() {
            "tls" => format!("turns:{host}:{port}?transport=tcp"),
            protocol => format!("turn:{host}:{port}?transport={protocol}"),
        };
        let urls = vec![url];
        if self.secret.is_empty() {
            return IceServer { urls, username: self.username.clone(), credential: self.credential.clone() };
        }
        let ttl = if self.ttl == 0 { TTL_BY_DEFAULT } else { self.ttl };
        let username = format!("{}:{who}", now_unix_seconds.saturating_add(ttl));
        let credential = password(&self.secret, &username);
        IceServer { urls, username, credential }
    }
}

/// Without what nobody should see.
impl fmt::Debug for TurnServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, protocol, ttl, .. } = self;
        formatter
            .debug_struct("TurnServer")
            .field("host", host)
            .field("port", port)
            .field("protocol", protocol)
            .field("ttl", ttl)
            .finish_non_exhaustive()
    }
}

fn password(secret: &str, username: &str) -> String {
    // A key of HMAC has any length.
    let Ok(mut mac) = <Hmac<Sha1> as KeyInit>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(username.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

const PROTOCOLS: [&str; 3] = ["udp", "tcp", "tls"];
/// LiveKit's.
const TTL_BY_DEFAULT: u64 = 14_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn server(protocol: &str) -> TurnServer {
        TurnServer {
            host: "turn.example".into(),
            port: 3478,
            protocol: protocol.into(),
            ..TurnServer::default()
        }
    }

    #[test]
    fn clients_are_told_of_each_protocol_in_its_words() {
        for (protocol, url) in [
            ("udp", "turn:turn.example:3478?transport=udp"),
            ("tcp", "turn:turn.example:3478?transport=tcp"),
            ("tls", "turns:turn.example:3478?transport=tcp"),
        ] {
            assert_eq!(server(protocol).for_client(0, "PA_1").urls, [url]);
        }
    }

    #[test]
    fn who_has_a_user_name_is_told_that_and_a_secret_makes_one_for_a_while() {
        let fixed = TurnServer { username: "u".into(), credential: "c".into(), ..server("udp") };
        let told = fixed.for_client(1_000, "PA_1");
        assert_eq!((told.username.as_str(), told.credential.as_str()), ("u", "c"));
        let secret = TurnServer { secret: "key".into(), ..server("udp") };
        let told = secret.for_client(1_000, "PA_1");
        assert_eq!(told.username, "15400:PA_1");
        let short = TurnServer { ttl: 60, ..secret };
        assert_eq!(short.for_client(1_000, "PA_1").username, "1060:PA_1");
        assert!(!format!("{short:?}").contains("key"));
    }

    #[test]
    fn passwords_are_hmacs() {
        // RFC 2202 §3, test case 2.
        let expected = [
            0xef, 0xfc, 0xdf, 0x6a, 0xe5, 0xeb, 0x2f, 0xa2, 0xd2, 0x74, 0x16, 0xd5, 0xf1, 0x84, 0xdf, 0x9c,
            0x25, 0x9a, 0x7c, 0x79,
        ];
        assert_eq!(password("Jefe", "what do ya want for nothing?"), STANDARD.encode(expected));
    }

    #[test]
    fn what_does_not_belong_together_is_refused_and_a_secret_may_be_in_a_file() {
        for (name, mut server, expected) in [
            ("no host", TurnServer { host: String::new(), ..server("udp") }, "has no host"),
            ("no port", TurnServer { port: 0, ..server("udp") }, "turn.example has no port"),
            ("no protocol", server("sctp"), "expected udp, tcp or tls, not \"sctp\""),
            ("no file", TurnServer { secret_file: "/nonexistent".into(), ..server("tls") }, "/nonexistent"),
        ] {
            let error = server.settle().expect_err(name);
            assert!(error.contains(expected), "{name}: {error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "in-a-file\n").unwrap();
        let mut server = TurnServer { secret_file: path.display().to_string(), ..server("tls") };
        server.settle().unwrap();
        assert_eq!(server.secret, "in-a-file");
    }
}

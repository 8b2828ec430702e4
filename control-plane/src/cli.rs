//! The command line of `millrace`: livekit-server's flags and environment, where they apply.

pub mod check_config;
pub mod create_token;
pub mod generate_keys;
pub mod list_nodes;
pub mod overrides;
pub mod ports;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::cli::check_config::CheckConfig;
use crate::cli::create_token::CreateToken;
use crate::cli::overrides::Overrides;
use crate::config::port_range::PortRange;

/// Millrace: WebRTC rooms for LiveKit's clients.
#[derive(Clone, Debug, Parser)]
#[command(name = "millrace", version)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub serve: Serve,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Print a fresh API key and its secret.
    GenerateKeys,
    /// Print a token with which a client can join a room.
    CreateJoinToken(Box<CreateToken>),
    /// Print the ports that are listened on with this configuration.
    Ports,
    /// Ask the server of this configuration, and print what it says of itself.
    ListNodes,
    /// Read a configuration file, say what is wrong with it or what in it has no effect, and start nothing.
    CheckConfig(CheckConfig),
    /// Print help with every flag, those of the configuration's keys too.
    HelpVerbose,
}

/// Help with the flags that `--help` leaves out.
#[must_use]
pub fn verbose_help() -> String {
    Arguments::command().mut_args(|arg| arg.hide(false)).render_long_help().to_string()
}

/// What the server is started with; what is given here goes before the configuration file.
#[derive(Clone, Debug, Default, Args)]
pub struct Serve {
    #[command(flatten)]
    pub source: Source,

    /// Address to listen on, repeatable [default: all].
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Vec<IpAddr>,

    /// Address that clients reach this host at, or an IPv4 and an IPv6 one by a comma.
    #[arg(long, env = "NODE_IP", value_name = "ADDRESS")]
    pub node_ip: Option<String>,

    /// UDP port for media of all workers, or a range with a port for each of them.
    #[arg(long, env = "UDP_PORT", value_name = "PORT|FIRST-LAST")]
    pub udp_port: Option<PortRange>,

    /// Region of this node.
    #[arg(long, env = "LIVEKIT_REGION")]
    pub region: Option<String>,

    /// Development mode: placeholder keys unless some are given, debug logs, a page at / that lets anybody in.
    #[arg(long, global = true)]
    pub dev: bool,

    /// Threads of the media plane that forward packets [default: one per core; with --dev one].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub workers: Option<u16>,

    /// Tie each worker to a core [default: if there are no more workers than cores].
    #[arg(long, conflicts_with = "no_pin")]
    pub pin: bool,

    /// Let the system move workers between cores.
    #[arg(long)]
    pub no_pin: bool,

    /// How the media plane does its I/O.
    #[arg(long, value_enum)]
    pub io: Option<Io>,

    /// Which library the media plane does DTLS with.
    #[arg(long, value_enum)]
    pub dtls: Option<Dtls>,

    /// The secret that media planes on TCP ask for.
    #[arg(long, env = "MILLRACE_MEDIA_TOKEN", value_name = "SECRET", hide_env_values = true)]
    pub media_token: Option<String>,

    #[command(flatten)]
    pub later: NotYet,

    #[command(flatten)]
    pub overrides: Overrides,
}

impl Serve {
    /// Whether workers are tied to cores, if anything was said of it.
    #[must_use]
    pub const fn pin(&self) -> Option<bool> {
        match (self.pin, self.no_pin) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        }
    }
}

/// Where the configuration and the keys come from.
#[derive(Clone, Debug, Default, Args)]
pub struct Source {
    /// Configuration file, in LiveKit's YAML.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The configuration itself.
    #[arg(long, global = true, env = "LIVEKIT_CONFIG", value_name = "YAML", hide_env_values = true)]
    pub config_body: Option<String>,

    /// API keys and their secrets, as `key: secret` lines.
    #[arg(long, global = true, env = "LIVEKIT_KEYS", value_name = "KEYS", hide_env_values = true)]
    pub keys: Option<String>,

    /// File of `key: secret` lines that nobody else may read.
    #[arg(long, alias = "key_file", global = true, env = "LIVEKIT_KEY_FILE", value_name = "FILE")]
    pub key_file: Option<PathBuf>,

    /// Accept keys in the configuration that LiveKit does not have.
    #[arg(long, global = true)]
    pub disable_strict_config: bool,
}

/// Flags of livekit-server that are understood and do nothing here.
#[derive(Clone, Debug, Default, Args)]
pub struct NotYet {
    #[arg(long, env = "REDIS_HOST", hide = true)]
    pub redis_host: Option<String>,
    #[arg(long, env = "REDIS_PASSWORD", hide = true, hide_env_values = true)]
    pub redis_password: Option<String>,
    #[arg(long, env = "LIVEKIT_TURN_CERT", hide = true)]
    pub turn_cert: Option<String>,
    #[arg(long, env = "LIVEKIT_TURN_KEY", hide = true, hide_env_values = true)]
    pub turn_key: Option<String>,
    #[arg(long, hide = true)]
    pub cpuprofile: Option<String>,
    #[arg(long, hide = true)]
    pub memprofile: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Io {
    Auto,
    #[value(name = "io_uring")]
    IoUring,
    Epoll,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Dtls {
    Dimpl,
    Webrtc,
}

impl Io {
    /// As the media plane's flag has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        }
    }
}

impl Dtls {
    pub fn name(self) -> &'static str {
        match self {
            Self::Dimpl => "dimpl",
            Self::Webrtc => "webrtc",
        }
    }
}

impl NotYet {
    /// The flags that were given, for the log.
    pub fn given(&self) -> Vec<&'static str> {
        let flags = [
            ("--redis-host", &self.redis_host),
            ("--redis-password", &self.redis_password),
            ("--turn-cert", &self.turn_cert),
            ("--turn-key", &self.turn_key),
            ("--cpuprofile", &self.cpuprofile),
            ("--memprofile", &self.memprofile),
        ];
        flags.into_iter().filter(|(_, value)| value.is_some()).map(|(flag, _)| flag).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::known;

    #[test]
    fn compat_names_every_flag_and_command() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/COMPAT.md");
        let document = std::fs::read_to_string(path).unwrap();
        let command = Arguments::command();
        let is_key = |name: &str| known::singles().any(|(path, _)| path == name);
        let flags = command.get_arguments().filter_map(|arg| arg.get_long()).filter(|name| !is_key(name));
        for flag in flags.filter(|name| !["help", "version"].contains(name)) {
            assert!(document.contains(&format!("`--{flag}`")), "--{flag}");
        }
        for command in command.get_subcommands() {
            let name = command.get_name();
            assert!(
                document.contains(&format!("`{name}`")) || document.contains(&format!("`{name} ")),
                "{name}"
            );
        }
    }
}

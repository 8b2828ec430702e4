//! The control plane: who, what, may I.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;

use control_plane::cli::{
    Arguments, Command, check_config, create_token, generate_keys, list_nodes, ports, verbose_help,
};
use control_plane::config::settle;
use control_plane::server;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        Some(Command::GenerateKeys) => print(&generate_keys::run(&mut rand::rng())),
        Some(Command::CreateJoinToken(create)) => {
            settle::signing_keys(&arguments.serve.source, arguments.serve.dev)
                .and_then(|keys| create_token::run(SystemTime::now(), create, &keys))
                .and_then(|token| print(&token))
        }
        Some(Command::Ports) => {
            settle::read_all(&arguments.serve).and_then(|read| print(&ports::run(&read.config)))
        }
        Some(Command::ListNodes) => settle::settle(&arguments.serve)
            .and_then(|settled| list_nodes::run(SystemTime::now(), &settled))
            .and_then(|table| print(&table)),
        Some(Command::CheckConfig(check)) => {
            check_config::run(check, &arguments.serve).and_then(|text| print(&text))
        }
        Some(Command::HelpVerbose) => print(&verbose_help()),
        None => settle::settle(&arguments.serve).and_then(|settled| server::run(arguments.serve, settled)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("millrace: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A closed pipe is an error here, not a panic.
fn print(text: &str) -> Result<(), String> {
    use std::io::Write;
    writeln!(std::io::stdout(), "{text}").map_err(|error| format!("cannot write: {error}"))
}

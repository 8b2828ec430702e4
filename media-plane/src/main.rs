//! `millrace-media`: reads the command line, starts the media plane, and waits for a signal.

use std::process::ExitCode;

use clap::Parser;
use driver::pin::allowed_cores;
use logs::stderr;
use media_plane::cli::Arguments;
use media_plane::plane::Plane;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(sentence)) => {
            eprintln!("millrace-media: {sentence}");
            ExitCode::from(2)
        }
        Err(Failure::Start(sentence)) => {
            eprintln!("millrace-media: {sentence}");
            ExitCode::FAILURE
        }
    }
}

enum Failure {
    Usage(String),
    Start(String),
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let cores = allowed_cores().map_or(1, |cores| cores.len());
    let settings = arguments.settings(cores).map_err(Failure::Usage)?;
    if arguments.own_session {
        // Refused only to a process that leads its group already, which is as good.
        let _ = nix::unistd::setsid();
    }
    let logs = stderr::start(&arguments.log_level, arguments.log_json).map_err(Failure::Usage)?;
    // One thread for gRPC: the cores are the workers'.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Start(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let failed = |error: &dyn std::fmt::Display| Failure::Start(error.to_string());
        let mut terminate = signal(SignalKind::terminate()).map_err(|error| failed(&error))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| failed(&error))?;
        let plane = Plane::start(&settings, Some(logs.dropped())).map_err(|error| failed(&error))?;
        let end = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping");
        };
        plane.serve(end).await.map_err(|error| failed(&error))
    })
}

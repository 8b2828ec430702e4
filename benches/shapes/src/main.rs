//! The command line: measure, or print and plot what was measured.

use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use shapes::contender::{Contender, tell_apart};
use shapes::loader::Loader;
use shapes::machine::{self, Machine};
use shapes::server::Place;
use shapes::session::Session;
use shapes::shape::{self, Shape};
use shapes::{compare, plot, publish, row, target};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

#[derive(Parser)]
#[command(name = "scripts/bench", about = "Whole-system benchmarks; scripts/bench starts this.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run servers and the load generator, shape by shape.
    Run(Box<Run>),
    /// Print the tables of what was measured last of each shape with each server.
    Table { files: Vec<PathBuf> },
    /// Draw the plots of it, and write the tables into the document that shows them.
    Publish {
        files: Vec<PathBuf>,
        #[arg(long, default_value = "docs/images")]
        images: PathBuf,
        #[arg(long, default_value = "docs/BENCHMARKS.md")]
        document: PathBuf,
    },
}

#[derive(Args)]
struct Run {
    /// Only these shapes, repeatable [default: all].
    #[arg(long, value_parser = known_shape)]
    shape: Vec<String>,
    /// How our server does its I/O, repeatable: io_uring, epoll, auto [default: io_uring and epoll].
    #[arg(long)]
    io: Vec<String>,
    /// Another server that speaks LiveKit's protocol, repeatable: a command for the shell.
    #[arg(long, value_name = "COMMAND")]
    peer_cmd: Vec<String>,
    /// How often each shape is run with each server [default: 5 with several servers, else 1].
    #[arg(long)]
    rounds: Option<u32>,
    /// What is measured of each run.
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// What is left out before it.
    #[arg(long, default_value_t = 1)]
    warm_up: u32,
    /// Two rounds of two seconds, without a ramp: to see that it works.
    #[arg(long)]
    quick: bool,
    /// Words before the server's command, set by scripts/bench.
    #[arg(long, hide = true, value_delimiter = ' ')]
    server_prefix: Vec<String>,
    #[arg(long, hide = true, value_delimiter = ' ')]
    loader_prefix: Vec<String>,
    /// Where the server is reached; loopback has ports of its own.
    #[arg(long, hide = true, default_value = "127.0.0.1")]
    address: String,
    #[arg(long, hide = true)]
    layout: String,
    #[arg(long, hide = true)]
    binaries: PathBuf,
    #[arg(long, hide = true)]
    directory: PathBuf,
    #[arg(long, hide = true)]
    results: PathBuf,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run(arguments) => run(&arguments),
        Command::Table { files } => read(&files).map(|rows| {
            print_tables(&rows);
            0
        }),
        Command::Publish { files, images, document } => publish(&files, &images, &document),
    };
    match outcome {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failures) => {
            eprintln!("{failures} runs failed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// How many runs failed.
fn run(arguments: &Run) -> io::Result<u32> {
    let own = if arguments.io.is_empty() && arguments.peer_cmd.is_empty() {
        vec!["io_uring", "epoll"]
    } else if arguments.io.is_empty() {
        vec!["auto"]
    } else {
        arguments.io.iter().map(String::as_str).collect()
    };
    let mut contenders: Vec<Contender> =
        own.into_iter().map(|io| Contender::own(&arguments.binaries, io)).collect();
    contenders.extend(arguments.peer_cmd.iter().map(|command| Contender::peer(command)));
    tell_apart(&mut contenders);
    let several = contenders.len() > 1;
    let (rounds, seconds) = match (arguments.quick, arguments.rounds) {
        (true, rounds) => (rounds.unwrap_or(2), 2),
        (false, rounds) => (rounds.unwrap_or(if several { 5 } else { 1 }), arguments.seconds),
    };
    let mut session = session(arguments, seconds)?;
    eprintln!("== {}; commit {}", session.layout, session.commit);

    let wanted = |name: &str| arguments.shape.is_empty() || arguments.shape.iter().any(|shape| shape == name);
    let only = |shapes: Vec<Shape>| -> Vec<Shape> {
        shapes.into_iter().filter(|shape| wanted(&shape.name)).collect()
    };
    session.measure(&only(shape::compared()), &contenders, rounds);
    // A shape that was asked for by name is compared as well.
    let (named, first) = (!arguments.shape.is_empty(), &contenders[..1]);
    let (single_contenders, single_rounds) = if named { (&contenders[..], rounds) } else { (first, 1) };
    session.measure(&only(shape::single()), single_contenders, single_rounds);
    if wanted(shape::RAMP) && (named || !arguments.quick) {
        single_contenders.iter().for_each(|contender| session.ramp(contender));
    }
    print_tables(&session.rows);
    eprintln!("rows were added to {}", session.results.display());
    Ok(session.failures)
}

fn session(arguments: &Run, seconds: u32) -> io::Result<Session> {
    let through_namespaces = arguments.server_prefix.iter().any(|word| word == "netns");
    let (port, udp_port) = if through_namespaces {
        (7_880, 7_882)
    } else {
        let (tcp, udp) =
            (TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
        (tcp.local_addr()?.port(), udp.local_addr()?.port())
    };
    Ok(Session {
        place: Place {
            prefix: arguments.server_prefix.clone(),
            address: arguments.address.clone(),
            port,
            udp_port,
            directory: arguments.directory.clone(),
        },
        loader: Loader {
            prefix: arguments.loader_prefix.clone(),
            program: arguments.binaries.join("millrace-load"),
            warm_up: arguments.warm_up,
            seconds,
        },
        began: OffsetDateTime::now_utc().format(&Rfc3339).map_err(io::Error::other)?,
        provisional: arguments.quick || !through_namespaces,
        commit: machine::commit(),
        machine: Machine::this(),
        layout: arguments.layout.clone(),
        results: arguments.results.clone(),
        rows: Vec::new(),
        failures: 0,
    })
}

fn known_shape(name: &str) -> Result<String, String> {
    let names = shape::names();
    if names.iter().any(|known| known == name) {
        Ok(name.to_owned())
    } else {
        Err(format!("there are {}", names.join(", ")))
    }
}

fn publish(files: &[PathBuf], images: &Path, document: &Path) -> io::Result<u32> {
    let rows = read(files)?;
    let files = plot::write(&rows, images)?;
    publish::write(&rows, &files, document)?;
    for file in files {
        println!("{}", file.display());
    }
    Ok(0)
}

fn read(files: &[PathBuf]) -> io::Result<Vec<row::Row>> {
    let mut rows = Vec::new();
    for file in files {
        rows.extend(row::read(file)?);
    }
    Ok(row::latest(rows))
}

fn print_tables(rows: &[row::Row]) {
    println!("{}\n{}\n{}", compare::table(rows), compare::comparison(rows), target::table(rows));
}

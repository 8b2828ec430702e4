//! `millrace-load`: loads a server and says what came of it.

use std::process::ExitCode;

use clap::Parser;
use load::command_line::Options;
use load::run::run;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options).await {
        Ok(report) => {
            eprintln!("{report}");
            if options.json {
                println!("{}", serde_json::to_string(&report).expect("numbers and words"));
            }
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("millrace-load: {failure}");
            ExitCode::FAILURE
        }
    }
}

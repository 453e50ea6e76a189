//! The command line: what to run, against whom, and what the exit code says.
//!
//! Exit code 0: everything that was acknowledged arrived everywhere, once and in order.
//! 1: it did not. 2: the run could not be made.

use std::io::{Error, Result, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::proc::Process;
use crate::report::Report;
use crate::scenario::{self, Scenario};

/// Measures a running Parley and checks what it delivers.
#[derive(Debug, Parser)]
#[command(name = "load", version)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
    /// Gateways; connections are spread over them round robin.
    #[arg(
        long,
        global = true,
        value_delimiter = ',',
        default_value = "http://127.0.0.1:8080"
    )]
    pub(crate) gateways: Vec<String>,
    /// Processes to measure. Names that start with `gateway` or `standalone` count as gateways.
    #[arg(long, global = true, value_delimiter = ',', value_name = "NAME=PID")]
    pub(crate) pids: Vec<Process>,
    /// How long to send, or to keep quiet.
    #[arg(long, global = true, default_value_t = 10)]
    pub(crate) seconds: u64,
    /// Writes the report as JSON to this file.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// Runs what the command line asks for.
pub(crate) fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(report) if report.sound() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "load: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<Report> {
    // One thread: it is the cheapest way to serve thousands of small reads, leaves the
    // other cores to what is measured, and turns a burst into few system calls.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(scenario::run(options))?;
    write!(std::io::stdout().lock(), "{report}")?;
    if let Some(file) = &options.json {
        let json = serde_json::to_string_pretty(&report).map_err(Error::other)?;
        std::fs::write(file, json + "\n")?;
    }
    Ok(report)
}

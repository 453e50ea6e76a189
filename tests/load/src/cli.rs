//! The command line: what to run, against whom, and what the exit code says.
//!
//! Exit code 0: everything that was acknowledged arrived everywhere, once and in order,
//! and all goals were met. 1: it did not arrive so. 2: the run could not be made.
//! 3: sound, but a goal was missed, or a bar of a comparison.

use std::fmt::Display;
use std::io::{Error, Result, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use serde::Serialize;

use crate::compare::Compare;
use crate::interrupt::interrupted;
use crate::proc::Process;
use crate::scenario::{Bench, GRACE, Scenario};
use crate::suite::All;
use crate::system::{System, Wanted};

/// Where a gateway listens that was told nothing else.
const GATEWAY: &str = "http://127.0.0.1:8080";

/// Measures Parley and checks what it delivers.
#[derive(Debug, Parser)]
#[command(name = "load", version)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Start this system and end it afterwards: dev[=TARGET] or standalone[=PATH].
    #[arg(long, global = true, conflicts_with_all = ["gateways", "pids"])]
    system: Option<Wanted>,
    /// Gateways that run; connections are spread over them round robin.
    #[arg(long, global = true, value_delimiter = ',', value_name = "URL")]
    gateways: Vec<String>,
    /// Processes to measure. Names that start with `gateway` or `standalone` count as gateways.
    #[arg(long, global = true, value_delimiter = ',', value_name = "NAME=PID")]
    pids: Vec<Process>,
    /// How long to send, or to keep quiet.
    #[arg(long, global = true, default_value_t = 10)]
    seconds: u64,
    /// Writes what was found as JSON to this file.
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Scenario(Scenario),
    All(All),
    Compare(Compare),
}

/// Runs what the command line asks for.
pub(crate) fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "load: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<ExitCode> {
    raise_open_files();
    // One thread: it is the cheapest way to serve thousands of small reads, leaves the
    // other cores to what is measured, and turns a burst into few system calls.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(options.run())
}

impl Options {
    async fn run(&self) -> Result<ExitCode> {
        let length = Duration::from_secs(self.seconds);
        if let Command::Compare(compare) = &self.command {
            let outcome = compare.run(&self.wanted(), length).await?;
            self.show(&outcome)?;
            return Ok(code(outcome.sound(), outcome.held()));
        }
        let mut bench = self.bench().await?;
        let done = tokio::select! {
            done = self.run_on(&mut bench) => done,
            // What was started is ended then, too.
            error = interrupted() => Err(error),
        };
        bench.system.stop().await?;
        done
    }

    async fn run_on(&self, bench: &mut Bench) -> Result<ExitCode> {
        match &self.command {
            Command::All(all) => {
                let outcome = all.run(bench).await?;
                self.show(&outcome)?;
                Ok(code(outcome.sound(), outcome.met()))
            }
            Command::Scenario(scenario) => {
                let report = scenario.run(bench).await?;
                self.show(&report)?;
                Ok(code(report.sound(), true))
            }
            Command::Compare(_) => Err(Error::other("a comparison has its own systems")),
        }
    }

    /// The system to run on: what was asked for, or what runs. If nothing was said, a
    /// scenario is for what runs at the usual address, and all of them for a system of
    /// their own.
    async fn bench(&self) -> Result<Bench> {
        let given = !self.gateways.is_empty() || !self.pids.is_empty();
        let one = self.system.is_none() && matches!(self.command, Command::Scenario(_));
        let system = if given || one {
            let usual = [GATEWAY.to_owned()];
            let gateways = Some(&self.gateways[..]).filter(|gateways| !gateways.is_empty());
            System::given(gateways.unwrap_or(&usual), &self.pids)
        } else {
            System::start(&self.wanted()).await?
        };
        Ok(Bench {
            system,
            length: Duration::from_secs(self.seconds),
            grace: GRACE,
        })
    }

    fn wanted(&self) -> Wanted {
        self.system.clone().unwrap_or(Wanted::Dev(None))
    }

    fn show<T: Display + Serialize>(&self, outcome: &T) -> Result<()> {
        write!(std::io::stdout().lock(), "{outcome}")?;
        if let Some(file) = &self.json {
            let json = serde_json::to_string_pretty(outcome).map_err(Error::other)?;
            std::fs::write(file, json + "\n")?;
        }
        Ok(())
    }
}

fn code(sound: bool, met: bool) -> ExitCode {
    match (sound, met) {
        (true, true) => ExitCode::SUCCESS,
        (false, _) => ExitCode::FAILURE,
        (true, false) => ExitCode::from(3),
    }
}

/// Each connection is an open file, and the usual limit is far below the most there may be.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it is refused, the scenarios that need more say so themselves.
    let _ = setrlimit(Resource::Nofile, limit);
}

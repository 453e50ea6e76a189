//! The command line, and what the exit code says: 0 every promise was kept; 1 one was
//! not, and a file has the evidence; 2 the run could not be made.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::options::Options;
use crate::plan::Shape;
use crate::report::Report;
use crate::rig::{Binaries, Profile, Settings};
use crate::{load, run};

/// Breaks a Parley of its own in every way it promises to survive, and checks what
/// clients were told against what the rooms' logs say.
#[derive(Debug, Clone, Parser)]
#[command(name = "faults", version)]
struct Arguments {
    /// How many faults, one after the other; in some cycles two come at once.
    #[arg(long, default_value_t = 60)]
    cycles: u64,
    /// Determines which faults come when.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Break the standalone binary, by kill -9 alone.
    #[arg(long)]
    embedded: bool,
    /// Build the binaries under test with this profile.
    #[arg(long, value_enum, default_value_t = Profile::Dist)]
    profile: Profile,
    /// Test the binaries in this folder of cargo's, called debug, release or dist.
    #[arg(long, value_name = "FOLDER", conflicts_with = "profile")]
    bin_dir: Option<PathBuf>,
    /// State, data and logs of the system; dropped in the end unless something was found.
    #[arg(long, value_name = "FOLDER", env = "PARLEY_DEV_DIR")]
    dir: Option<PathBuf>,
    /// Cycles between checkpoints.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint: u64,
    /// Messages a second that writers try, over all rooms.
    #[arg(long, default_value_t = 900, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Rooms of a block.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..100))]
    rooms: u8,
    /// Unanswered messages of a writer.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    window: u16,
    /// Write the figures as JSON to this file.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the evidence to this file when something was found.
    #[arg(long, value_name = "FILE", default_value = "faults-evidence.json")]
    evidence: PathBuf,
    /// Tell each cycle's plan.
    #[arg(long)]
    verbose: bool,
}

/// Runs what the command line asks for.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match start(&arguments) {
        Ok(Some(report)) => conclude(&arguments, &report).unwrap_or_else(|error| {
            tell(&error.to_string());
            ExitCode::from(2)
        }),
        // Told to end, and the system has ended too.
        Ok(None) => ExitCode::from(130),
        Err(error) => {
            tell(&error.to_string());
            ExitCode::from(2)
        }
    }
}

fn start(arguments: &Arguments) -> Result<Option<Report>, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let options = options(arguments)?;
    runtime.block_on(async {
        let (mut interrupt, mut end) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        // Whichever ends first, what is dropped takes the system down.
        tokio::select! {
            report = run::run(&options, tell) => Ok(Some(report?)),
            _ = interrupt.recv() => Ok(None),
            _ = end.recv() => Ok(None),
        }
    })
}

fn options(arguments: &Arguments) -> std::io::Result<Options> {
    let folder = arguments.dir.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("parley-faults-{}", std::process::id()))
    });
    let system = if arguments.embedded {
        Shape::Embedded
    } else {
        Shape::Distributed {
            gateways: 2,
            messages: 2,
        }
    };
    Ok(Options {
        cycles: arguments.cycles,
        seed: arguments.seed,
        block: arguments.checkpoint,
        verbose: arguments.verbose,
        load: load::Shape {
            rooms: usize::from(arguments.rooms),
            rate: arguments.rate,
            window: usize::from(arguments.window),
            seed: arguments.seed,
        },
        system,
        settings: Settings {
            folder: std::path::absolute(folder)?,
            binaries: match &arguments.bin_dir {
                Some(folder) => Binaries::Folder(std::path::absolute(folder)?),
                None => Binaries::Build(arguments.profile),
            },
        },
    })
}

fn conclude(arguments: &Arguments, report: &Report) -> std::io::Result<ExitCode> {
    let figures = report.figures();
    write!(std::io::stdout(), "{figures}")?;
    if let Some(file) = &arguments.report {
        let json = serde_json::to_string_pretty(&figures).map_err(std::io::Error::other)?;
        std::fs::write(file, json + "\n")?;
    }
    if report.sound() {
        return Ok(ExitCode::SUCCESS);
    }
    for violation in report.violations.iter().take(10) {
        writeln!(std::io::stdout(), "{violation:?}")?;
    }
    report.write_evidence(&arguments.evidence)?;
    let evidence = arguments.evidence.display();
    writeln!(std::io::stdout(), "the evidence is in {evidence}")?;
    if let Some(state) = &report.state {
        let state = state.display();
        writeln!(
            std::io::stdout(),
            "the logs of the processes are in {state}"
        )?;
    }
    Ok(ExitCode::FAILURE)
}

fn tell(line: &str) {
    // Whoever closed the terminal wants no more words.
    let _ = writeln!(std::io::stderr(), "faults: {line}");
}

//! `bench [--update]`: counts all cases, and compares them or writes the baseline.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;

use crate::baseline::{Baseline, TOLERANCE, Verdict};
use crate::{Case, counted_by_valgrind, valgrind};

/// Counts the instructions of the hot paths and compares them with the baseline.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Write the baseline instead of comparing with it.
    #[arg(long)]
    update: bool,
    /// Do one case in this process, uncounted: for a profiler.
    #[arg(long, value_name = "CASE", conflicts_with = "update")]
    alone: Option<String>,
    /// Where the baseline is.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/baseline.json"))]
    baseline: PathBuf,
}

/// Does what the command line says with these cases.
pub fn main(cases: &[Case]) -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.alone {
        Some(name) => alone(cases, name),
        None if arguments.update => update(cases, &arguments.baseline),
        None => compare(cases, &arguments.baseline),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("bench: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn alone(cases: &[Case], name: &str) -> Result<(), String> {
    let case = cases.iter().find(|case| case.name == name);
    let case = case.ok_or_else(|| format!("no case is called {name}"))?;
    let mut work = (case.prepare)();
    counted_by_valgrind(&mut work);
    Ok(())
}

fn update(cases: &[Case], path: &Path) -> Result<(), String> {
    let baseline = Baseline {
        compiler: compiler(),
        instructions: count(cases)?,
    };
    baseline.write(path)?;
    say(&format!("{} is written", path.display()));
    Ok(())
}

fn compare(cases: &[Case], path: &Path) -> Result<(), String> {
    let baseline = Baseline::read(path)?;
    let counts = count(cases)?;
    say(&format!(
        "{:<32} {:>12} {:>12} {:>7}",
        "case", "baseline", "now", "ratio"
    ));
    let mut failed = false;
    for (name, &now) in &counts {
        let before = baseline.instructions.get(name).copied();
        let verdict = Verdict::of(name, now, before);
        failed |= verdict.fails();
        let (before, ratio) = match before {
            Some(before) => (before.to_string(), ratio(now, before)),
            None => ("-".to_owned(), "-".to_owned()),
        };
        let line = format!(
            "{name:<32} {before:>12} {now:>12} {ratio:>7} {}",
            verdict.as_str()
        );
        say(line.trim_end());
    }
    for gone in baseline.missing_in(&counts) {
        failed = true;
        say(&format!("{gone:<32} IN THE BASELINE ALONE"));
    }
    let compiler = compiler();
    if compiler != baseline.compiler {
        say(&format!(
            "counted with {compiler}, the baseline with {}",
            baseline.compiler
        ));
    }
    if failed {
        return Err(format!(
            "a case costs over {TOLERANCE} % more than the baseline, or only one of the two has it; \
             where that is meant, write the baseline with --update and say why in the commit"
        ));
    }
    Ok(())
}

fn count(cases: &[Case]) -> Result<BTreeMap<String, u64>, String> {
    let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
    let counted = cases.iter().map(|case| {
        let count = valgrind::count(case.name, scratch.path())?;
        Ok((case.name.to_owned(), count))
    });
    counted.collect()
}

/// `now / before` in thousandths, rounded.
fn ratio(now: u64, before: u64) -> String {
    let before = u128::from(before.max(1));
    let thousandths = (u128::from(now) * 1_000 + before / 2) / before;
    format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000)
}

/// The compiler's name for itself, and what it compiles for.
fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    let name = output.map_or_else(
        |_| "an unknown compiler".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    );
    format!("{name} for {}", std::env::consts::ARCH)
}

#[expect(clippy::print_stdout, reason = "what the program is for")]
fn say(line: &str) {
    println!("{line}");
}

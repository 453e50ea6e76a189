//! Counts the instructions of the cases and compares them with the baseline: see the library.

mod cases;

use std::process::ExitCode;

fn main() -> ExitCode {
    bench::cli::main(&cases::CASES)
}

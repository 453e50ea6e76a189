//! `faults --cycles N --seed S`: breaks a Parley of its own and checks its promises.

use std::process::ExitCode;

fn main() -> ExitCode {
    faults::cli::main()
}

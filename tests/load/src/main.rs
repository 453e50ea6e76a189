//! Load tests of Parley: `load <scenario>` against a running system, or one of its own.

mod bars;
mod cli;
mod compare;
mod fill;
mod goals;
mod http;
mod interrupt;
mod ledger;
mod member;
mod proc;
mod regression;
mod report;
mod room;
mod scan;
mod scenario;
mod stamp;
mod suite;
mod system;
mod table;
mod world;
mod ws;

#[cfg(test)]
mod stand_in;

fn main() -> std::process::ExitCode {
    cli::main()
}

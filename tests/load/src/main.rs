//! Load tests of Parley: `load <scenario>` against running gateways.

mod cli;
mod http;
mod ledger;
mod member;
mod proc;
mod report;
mod room;
mod scan;
mod scenario;
mod stamp;
mod world;
mod ws;

#[cfg(test)]
mod stand_in;

fn main() -> std::process::ExitCode {
    cli::main()
}

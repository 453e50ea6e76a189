//! Runs all of Parley in one process.

use std::process::ExitCode;

use clap::Parser;
use standalone::{Arguments, Options, announce, new_epoch, start};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.health {
        return runtime::ask_health("standalone", arguments.admin);
    }
    if arguments.new_epoch {
        let options = Options::from(&arguments);
        return runtime::perform("standalone", async move |lifecycle| {
            new_epoch(&options, &lifecycle).await
        });
    }
    runtime::run("standalone", &arguments.process(), async move |lifecycle| {
        let options = Options::from(&arguments);
        let running = start(&options, &lifecycle).await?;
        announce(&options, running.addr())?;
        lifecycle.spawn("data-lock", running.until_stopped());
        Ok(())
    })
}

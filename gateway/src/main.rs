//! Serves the gateway in front of the services on the network.

use std::process::ExitCode;

use gateway::{Config, Ports};
use runtime::Lifecycle;

fn main() -> ExitCode {
    runtime::service(|config: Config, lifecycle: Lifecycle| async move {
        let ports = Ports::connect(&config, &lifecycle)?;
        let address = gateway::start(config, ports, &lifecycle).await?;
        tracing::info!(%address, "listening");
        Ok(())
    })
}

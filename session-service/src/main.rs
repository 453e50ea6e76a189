//! Serves session-service on PostgreSQL.

use std::process::ExitCode;

use runtime::Lifecycle;
use session_service::{Config, Ports};

fn main() -> ExitCode {
    runtime::service(|config: Config, lifecycle: Lifecycle| async move {
        let ports = Ports::connect(&config, &lifecycle)?;
        let routes = session_service::build(&config, ports, &lifecycle)?;
        let process = &config.process;
        let token = process.service_token()?;
        runtime::serve(config.listen, routes, token, &process.tls, &lifecycle).await
    })
}

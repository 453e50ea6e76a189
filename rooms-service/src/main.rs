//! Serves rooms-service on PostgreSQL and Redis.

use std::process::ExitCode;

use rooms_service::{Config, Ports};
use runtime::Lifecycle;

fn main() -> ExitCode {
    runtime::service(|config: Config, lifecycle: Lifecycle| async move {
        let ports = Ports::connect(&config, &lifecycle)?;
        let routes = rooms_service::build(&config, ports, &lifecycle);
        let process = &config.process;
        let token = process.service_token()?;
        runtime::serve(config.listen, routes, token, &process.tls, &lifecycle).await
    })
}

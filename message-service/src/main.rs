//! Serves message-service on PostgreSQL and Kafka.

use std::process::ExitCode;

use message_service::{Config, Ports, build};

fn main() -> ExitCode {
    runtime::service(|config: Config, lifecycle| async move {
        let ports = Ports::connect(&config, &lifecycle)?;
        let routes = build(&config.writing, ports, &lifecycle);
        let process = &config.process;
        runtime::serve(
            config.listen,
            routes,
            process.service_token()?,
            &process.tls,
            &lifecycle,
        )
        .await
    })
}

//! Serves message-service as a release to come might be: with one migration and one kind
//! of event more than this one. Otherwise it is this one, made of its public parts.

mod sparkling;

use std::process::ExitCode;
use std::sync::Arc;

use message_service::{Config, Ports, serve};
use sparkling::SparklingStore;

fn main() -> ExitCode {
    runtime::service(|config: Config, lifecycle| async move {
        let this = Ports::connect(&config, &lifecycle)?;
        let store = SparklingStore::connect(&config.postgres, &this, &lifecycle)?;
        let ports = Ports {
            store: Arc::new(store),
            ..this
        };
        serve(config, ports, &lifecycle).await
    })
}

//! Serves message-service on PostgreSQL and Kafka.

use std::process::ExitCode;

use message_service::store::postgres::PostgresStore;
use message_service::{Config, Ports, new_epoch, serve};

fn main() -> ExitCode {
    let after_restore = runtime::Task {
        flag: "new-epoch",
        help: "After a restore from backup: begin a new life of all logs, and exit",
        perform: |config: Config, lifecycle| {
            Box::pin(async move {
                let store = PostgresStore::connect(&config.postgres, "message", &lifecycle)?;
                new_epoch(&store, &lifecycle).await
            })
        },
    };
    runtime::service_with(after_restore, |config: Config, lifecycle| async move {
        let ports = Ports::connect(&config, &lifecycle)?;
        serve(config, ports, &lifecycle).await
    })
}

//! The configuration of message-service.

use std::net::SocketAddr;

use base::Error;
use runtime::config::{Kafka, Postgres, Process, ServiceConfig};
use serde::{Deserialize, Serialize};

/// Everything that can be set; `config.default.toml` explains each key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where gRPC is served.
    pub listen: SocketAddr,
    /// What every process has.
    pub process: Process,
    /// The logs' database.
    pub postgres: Postgres,
    /// The bus.
    pub kafka: Kafka,
    /// How the log is written.
    pub writing: Writing,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Writing {
    /// Tasks that write; 1 to 64.
    pub writers: usize,
    /// Entries that wait for one writer, most.
    pub queue: usize,
    /// Entries of one transaction, most.
    pub batch: usize,
}

impl Writing {
    /// The settings for a store with one writer connection.
    pub const fn single() -> Self {
        Self {
            writers: 1,
            queue: 8_192,
            batch: 512,
        }
    }
}

impl ServiceConfig for Config {
    const NAME: &'static str = "message";
    const DEFAULTS: &'static str = include_str!("../config.default.toml");

    fn process(&self) -> &Process {
        &self.process
    }

    fn check(&self) -> base::Result<()> {
        if !(1..=64).contains(&self.writing.writers) {
            return Err(Error::invalid("writing.writers", "must be 1 to 64"));
        }
        if self.writing.queue == 0 || self.writing.batch == 0 {
            return Err(Error::invalid(
                "writing",
                "queue and batch must be 1 or more",
            ));
        }
        Ok(())
    }
}

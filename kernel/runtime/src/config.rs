//! Configuration: typed, layered, and loud about mistakes.
//!
//! A process reads its embedded defaults, then one file, then the environment.
//! Unknown keys are errors, except those of the original system's files, which are
//! warned about. The sections here are those that several services share;
//! `config.shared.toml` describes their keys.

mod load;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use base::Error;
use serde::{Deserialize, Serialize};

pub use load::{Environment, Loaded, environment, load};
pub use values::{Address, List, Secret, Span};

/// What the configuration of every process has.
pub trait ServiceConfig: serde::de::DeserializeOwned + Serialize + Send + Sync + 'static {
    /// The service's short name: `user`, `gateway` …
    const NAME: &'static str;
    /// The embedded defaults, in TOML, every key commented. A shared section takes the
    /// defaults of `config.shared.toml` when it is named here, even without keys.
    const DEFAULTS: &'static str;
    /// The sections of every process.
    fn process(&self) -> &Process;
    /// Refuses what is well formed and yet cannot work.
    ///
    /// # Errors
    /// Says which key, and why.
    fn check(&self) -> base::Result<()> {
        Ok(())
    }
}

/// The sections of every process: `[process]` in a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Shared by all processes of one system; 16 characters at least.
    pub service_token: Option<Secret>,
    /// How long a process that was told to end may take for it.
    pub grace: Span,
    /// Where health and metrics are served.
    pub admin: Admin,
    /// What is logged, and how.
    pub log: Log,
    /// Certificates between services.
    pub tls: Tls,
}

impl Process {
    /// The service token.
    ///
    /// # Errors
    /// When there is none, or it is too short to be a secret.
    pub fn service_token(&self) -> base::Result<&Secret> {
        match &self.service_token {
            Some(token) if token.expose().len() >= 16 => Ok(token),
            _ => Err(Error::invalid(
                "service_token",
                "set SERVICE_TOKEN to 16 characters or more, the same in every process",
            )),
        }
    }
}

/// Where operators look.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// The address of the admin port.
    pub listen: SocketAddr,
}

/// Logging.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// A level (`info`) or directives (`info,sqlx=warn`).
    pub level: String,
    /// One JSON object a line, or lines for people.
    pub format: LogFormat,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// Certificates for gRPC between services. Without them the channel is plain and
/// the network must be private.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the authority that peers' certificates are checked against.
    pub ca: Option<PathBuf>,
    /// PEM file with this process's own certificate.
    pub certificate: Option<PathBuf>,
    /// PEM file with its key.
    pub key: Option<PathBuf>,
}

impl Tls {
    pub(crate) fn enabled(&self) -> bool {
        self.ca.is_some()
    }

    pub(crate) fn read_ca(&self) -> base::Result<Option<Vec<u8>>> {
        self.ca.as_ref().map(read_pem).transpose()
    }

    pub(crate) fn read_identity(&self) -> base::Result<Option<(Vec<u8>, Vec<u8>)>> {
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Ok(Some((read_pem(certificate)?, read_pem(key)?))),
            (None, None) => Ok(None),
            _ => Err(Error::invalid("tls", "certificate and key come together")),
        }
    }
}

fn read_pem(path: &PathBuf) -> base::Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|error| Error::invalid("tls", format!("cannot read {}: {error}", path.display())))
}

/// How to reach PostgreSQL.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// `postgres://user:password@host:port/db`; when set, the rest does not count.
    pub url: Option<Secret>,
    /// Name or address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The role to log in as.
    pub user: String,
    /// Its password.
    pub password: Option<Secret>,
    /// The database.
    pub db: String,
    /// Connections of the pool of one process, most.
    pub connections: u32,
}

/// How to reach Redis.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// Name or address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its password, if it wants one.
    pub password: Option<Secret>,
    /// The number of the database.
    pub db: u16,
}

/// How to reach Kafka.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// `host:port` of some brokers; the rest are learned from them.
    pub brokers: List<Address>,
    /// How many replicas the topics get that Parley makes: 1 to the number of brokers.
    pub replication: u16,
}

//! The command line, and what it says when all is up.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use base::Error;
use clap::Parser;
use runtime::config::{Admin, Log, LogFormat, Process, Secret, Span, Tls};

/// All of Parley in one process.
#[derive(Debug, Clone, Parser)]
#[command(version)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Arguments {
    /// Where clients connect.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where everything is kept; made when it is not there.
    #[arg(long, default_value = "data")]
    pub data: PathBuf,
    /// Keep everything in this PostgreSQL instead: `postgres://user:password@host/db`
    #[arg(long)]
    pub database_url: Option<String>,
    /// Where operators look: health and metrics.
    #[arg(long, default_value = "127.0.0.1:9180")]
    pub admin: SocketAddr,
    /// No limits of rate, for load tests.
    #[arg(long)]
    pub no_limits: bool,
    /// What is logged: a level, or directives such as info,sqlx=warn.
    #[arg(long, default_value = "warn")]
    pub log: String,
    /// Log JSON, one object a line.
    #[arg(long)]
    pub log_json: bool,
    /// After a restore from backup, before anything is started on it: begin a new life of
    /// all logs, so that clients which have more than the backup are told, and exit.
    #[arg(long)]
    pub new_epoch: bool,
    /// Ask the running process whether it is ready; exit 0 or 1.
    #[arg(long)]
    pub health: bool,
}

impl Arguments {
    /// The settings that every process of Parley has.
    pub fn process(&self) -> Process {
        let format = if self.log_json {
            LogFormat::Json
        } else {
            LogFormat::Pretty
        };
        Process {
            service_token: None,
            grace: Span(std::time::Duration::from_secs(10)),
            admin: Admin { listen: self.admin },
            log: Log {
                level: self.log.clone(),
                format,
            },
            tls: Tls::default(),
        }
    }
}

/// What a system in one process is told.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where everything is kept.
    pub data: PathBuf,
    /// Where clients connect; port 0 is any free one.
    pub listen: SocketAddr,
    /// Whether the limits of rate of the configuration hold.
    pub limits: bool,
    /// The PostgreSQL to keep everything in, instead of SQLite files.
    pub database: Option<Secret>,
}

impl From<&Arguments> for Options {
    fn from(arguments: &Arguments) -> Self {
        Self {
            data: arguments.data.clone(),
            listen: arguments.listen,
            limits: !arguments.no_limits,
            database: arguments.database_url.clone().map(Secret::new),
        }
    }
}

/// Says in three lines where it listens, where its data is, and what to try.
///
/// # Errors
/// When nobody takes the lines.
pub fn announce(options: &Options, addr: SocketAddr) -> base::Result<()> {
    let data = match &options.database {
        Some(_) => "PostgreSQL".to_owned(),
        None => options
            .data
            .canonicalize()
            .unwrap_or(options.data.clone())
            .display()
            .to_string(),
    };
    let body = r#"{"Username":"ann","Email":"ann@example.org","Password":"correct horse"}"#;
    let mut out = std::io::stdout().lock();
    writeln!(out, "Parley listens on http://{addr}")
        .and_then(|()| writeln!(out, "Open it in a browser to chat"))
        .and_then(|()| writeln!(out, "Its data is in {data}"))
        .and_then(|()| writeln!(out, "Or: curl -d '{body}' http://{addr}/register"))
        .and_then(|()| out.flush())
        .map_err(Error::internal)
}

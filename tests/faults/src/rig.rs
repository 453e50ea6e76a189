//! The system under test: started here, broken here, and always taken down again.
//! Whoever drops it waits until all its processes are gone.

mod dev;
mod distributed;
mod embedded;
mod signal;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{interval, timeout};

use crate::plan::{Fault, Process, Shape};
pub use distributed::Distributed;
pub use embedded::Embedded;

/// How long the system may take to be ready, whatever was done to it.
const READY: Duration = Duration::from_mins(1);

/// What a run is made on.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where its state, its data and its logs are.
    pub folder: PathBuf,
    /// The binaries it runs.
    pub binaries: Binaries,
}

/// The binaries of a system under test.
#[derive(Debug, Clone)]
pub enum Binaries {
    /// Built from the sources, if they are not there, with this profile.
    Build(Profile),
    /// Those in cargo's folder of a profile. A binary that is not there is an error.
    Folder(PathBuf),
}

/// A profile of the workspace's Cargo.toml.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// Cargo's `dev`, whose folder is called debug.
    Debug,
    /// The quick build.
    Release,
    /// The build that is shipped.
    Dist,
}

impl Profile {
    /// The profile whose binaries lie in a folder of this name.
    pub(crate) fn of_folder(name: &str) -> Option<Self> {
        clap::ValueEnum::from_str(name, false).ok()
    }

    /// The name of cargo's folder.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Release => "release",
            Self::Dist => "dist",
        }
    }

    /// The name that `cargo build --profile` takes.
    pub(crate) fn cargo(self) -> &'static str {
        match self {
            Self::Debug => "dev",
            Self::Release | Self::Dist => self.folder(),
        }
    }
}

/// Why the rig could not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program that it uses failed.
    #[error("{program}: {reason}")]
    Program {
        /// Which.
        program: String,
        /// The end of what it said.
        reason: String,
    },
    /// The machine refused.
    #[error("{0}: {1}")]
    Io(&'static str, std::io::Error),
    /// A process is not ready in time.
    #[error("{process} is not ready: {answer}")]
    NotReady {
        /// Which.
        process: String,
        /// What it says.
        answer: String,
    },
    /// There is no such process in this system.
    #[error("there is no {0} here")]
    NoSuch(String),
}

/// The result of doing something to the system.
pub type Result<T> = std::result::Result<T, Error>;

/// A running system.
pub enum Rig {
    /// Many processes.
    Distributed(Box<Distributed>),
    /// One.
    Embedded(Box<Embedded>),
}

impl Rig {
    /// Starts a system of this shape and waits until it is ready.
    pub async fn start(shape: Shape, settings: &Settings) -> Result<Self> {
        Ok(match shape {
            Shape::Distributed { gateways, messages } => Self::Distributed(Box::new(
                Distributed::start(gateways, messages, settings).await?,
            )),
            Shape::Embedded => Self::Embedded(Box::new(Embedded::start(settings).await?)),
        })
    }

    /// Where clients go, as `http` addresses.
    pub fn gateways(&self) -> Vec<String> {
        match self {
            Self::Distributed(system) => system.gateways(),
            Self::Embedded(system) => vec![system.address()],
        }
    }

    /// Makes `fault`, and what ends it; `killed` hears of each kill just before.
    pub async fn perform(&self, fault: &Fault, killed: impl Fn(Process)) -> Result<()> {
        match self {
            Self::Distributed(system) => system.perform(fault, killed).await,
            Self::Embedded(system) => system.perform(fault, killed).await,
        }
    }

    /// Waits until every process says that it is ready, and lacks nothing if `whole`.
    pub async fn ready(&self, needs: Needs) -> Result<()> {
        let admins = match self {
            Self::Distributed(system) => system.admins(),
            Self::Embedded(system) => vec![(Process::Standalone.to_string(), system.admin())],
        };
        for (name, admin) in admins {
            ready(&name, &admin, needs).await?;
        }
        Ok(())
    }

    /// Keeps data and logs when the system is taken down.
    pub fn keep_state(&mut self) -> &Path {
        match self {
            Self::Distributed(system) => system.keep_state(),
            Self::Embedded(system) => system.keep_state(),
        }
    }
}

/// What one waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// That it serves.
    Ready,
    /// That it serves and has all that it works with.
    Whole,
}

async fn ready(name: &str, admin: &str, needs: Needs) -> Result<()> {
    let mut answer = String::new();
    let asking = async {
        // The process has no other way to tell.
        let mut again = interval(Duration::from_millis(50));
        loop {
            again.tick().await;
            match ask(admin, needs).await {
                Ok(()) => return,
                Err(said) => answer = said,
            }
        }
    };
    match timeout(READY, asking).await {
        Ok(()) => Ok(()),
        Err(_) => Err(Error::NotReady {
            process: name.to_owned(),
            answer,
        }),
    }
}

async fn ask(admin: &str, needs: Needs) -> std::result::Result<(), String> {
    let api = client::Api::new(admin).map_err(|error| error.to_string())?;
    let api = api.with_deadline(Duration::from_secs(2));
    let asked = api.raw(
        client::Method::GET,
        "/health/ready",
        http::HeaderMap::new(),
        "",
    );
    let answer = asked.await.map_err(|error| error.to_string())?;
    let body: serde_json::Value = answer.json().map_err(|error| error.to_string())?;
    let lacks = needs == Needs::Whole
        && body["Degraded"]
            .as_object()
            .is_some_and(|degraded| !degraded.is_empty());
    if answer.status == 200 && !lacks {
        return Ok(());
    }
    Err(body.to_string())
}

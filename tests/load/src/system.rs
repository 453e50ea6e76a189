//! The system under test: where its gateways are, which processes it is made of, and,
//! if it is the generator's own, how to renew, kill and bring back one of them.

mod dev;
mod standalone;

use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;

use crate::proc::Process;
pub(crate) use standalone::{Running, binary};

/// The profile whose binaries are measured, and the name of their folder.
const PROFILE: &str = "dist";

/// What to measure, as the command line says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// `dev[=TARGET]`: what `deploy/dev/up` starts of the binaries in that target directory.
    Dev(Option<PathBuf>),
    /// `standalone[=PATH]`: a process of that binary.
    Standalone(Option<PathBuf>),
}

/// How a system is made up, on which depends what is expected of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Shape {
    Distributed,
    Embedded,
}

/// Where clients connect.
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    pub(crate) name: String,
    /// `http://host:port`
    pub(crate) url: String,
    /// host:port of health and metrics, where it is known.
    pub(crate) admin: Option<String>,
}

/// The database in which rooms keep their logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Database {
    /// A URL.
    Postgres(String),
    /// A file.
    Sqlite(PathBuf),
}

/// A running system.
#[derive(Debug)]
pub(crate) struct System {
    gateways: Vec<Gateway>,
    processes: Vec<Process>,
    owner: Owner,
}

#[derive(Debug)]
enum Owner {
    /// Somebody else, who said no more than where it is.
    Stranger,
    Dev(dev::Dev),
    Standalone(standalone::Standalone),
}

impl System {
    /// One that already runs. If as many of the processes are gateways as there are
    /// gateways, these are those, in the same order.
    pub(crate) fn given(gateways: &[String], processes: &[Process]) -> Self {
        let names = processes.iter().filter(|process| process.is_gateway());
        let names: Vec<&str> = names.map(|process| process.name.as_str()).collect();
        let gateway = |(index, url): (usize, &String)| Gateway {
            name: match names.get(index) {
                Some(name) if names.len() == gateways.len() => (*name).to_owned(),
                _ => url.clone(),
            },
            url: url.clone(),
            admin: None,
        };
        Self {
            gateways: gateways.iter().enumerate().map(gateway).collect(),
            processes: processes.to_vec(),
            owner: Owner::Stranger,
        }
    }

    /// Starts what is wanted.
    pub(crate) async fn start(wanted: &Wanted) -> Result<Self> {
        match wanted {
            Wanted::Dev(target) => Self::of_dev(dev::Dev::find(target.clone())?).await,
            Wanted::Standalone(path) => {
                Self::of_standalone(standalone::Standalone::find(path.clone())?).await
            }
        }
    }

    /// As `start`, in a place of its own, which is gone afterwards.
    pub(crate) async fn start_apart(wanted: &Wanted) -> Result<Self> {
        match wanted {
            Wanted::Dev(target) => Self::of_dev(dev::Dev::find(target.clone())?.apart()?).await,
            // It always has one.
            Wanted::Standalone(_) => Self::start(wanted).await,
        }
    }

    async fn of_dev(mut dev: dev::Dev) -> Result<Self> {
        let (gateways, processes) = dev.up().await?;
        let owner = Owner::Dev(dev);
        Ok(Self {
            gateways,
            processes,
            owner,
        })
    }

    async fn of_standalone(mut standalone: standalone::Standalone) -> Result<Self> {
        let (gateway, process) = standalone.up().await?;
        Ok(Self {
            gateways: vec![gateway],
            processes: vec![process],
            owner: Owner::Standalone(standalone),
        })
    }

    pub(crate) fn gateways(&self) -> &[Gateway] {
        &self.gateways
    }

    /// Where the gateways are, as URLs.
    pub(crate) fn urls(&self) -> Vec<String> {
        let urls = self.gateways.iter().map(|gateway| gateway.url.clone());
        urls.collect()
    }

    /// What to measure.
    pub(crate) fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// How it is made up; a stranger's is told by its number of gateways.
    pub(crate) fn shape(&self) -> Shape {
        match &self.owner {
            Owner::Dev(_) => Shape::Distributed,
            Owner::Stranger if self.gateways.len() > 1 => Shape::Distributed,
            Owner::Stranger | Owner::Standalone(_) => Shape::Embedded,
        }
    }

    /// Whether its processes are ours to end.
    pub(crate) fn is_own(&self) -> bool {
        !matches!(self.owner, Owner::Stranger)
    }

    /// The logs' database, where it is known.
    pub(crate) fn database(&self) -> Result<Option<Database>> {
        match &self.owner {
            Owner::Stranger => Ok(None),
            Owner::Dev(dev) => Ok(Some(Database::Postgres(dev.postgres()?))),
            Owner::Standalone(standalone) => Ok(Some(Database::Sqlite(standalone.logs()))),
        }
    }

    /// Some address of the bus, where it is known.
    #[cfg(feature = "distributed")]
    pub(crate) fn kafka(&self) -> Option<String> {
        match &self.owner {
            Owner::Dev(dev) => dev.address("kafka").map(str::to_owned),
            Owner::Stranger | Owner::Standalone(_) => None,
        }
    }

    /// Where it keeps its data, if that is known.
    pub(crate) fn data(&self) -> Option<PathBuf> {
        match &self.owner {
            Owner::Stranger => None,
            Owner::Dev(dev) => Some(dev.data()),
            Owner::Standalone(standalone) => standalone.data().map(Path::to_owned),
        }
    }

    /// The binary of a system in one process.
    pub(crate) fn standalone(&self) -> Option<PathBuf> {
        match &self.owner {
            Owner::Standalone(standalone) => Some(standalone.binary().to_owned()),
            Owner::Stranger | Owner::Dev(_) => None,
        }
    }

    /// Starts the gateway `name` afresh, so that it has no memory of earlier runs. That of
    /// a stranger is left as it is.
    pub(crate) async fn renew(&mut self, name: &str) -> Result<()> {
        match &mut self.owner {
            Owner::Stranger => Ok(()),
            Owner::Dev(dev) => {
                dev.down_one(name).await?;
                let process = dev.up_one(name).await?;
                self.replace(process)
            }
            Owner::Standalone(standalone) => {
                let (gateway, process) = standalone.up().await?;
                self.gateways = vec![gateway];
                self.replace(process)
            }
        }
    }

    /// Kills the process `name` with SIGKILL.
    pub(crate) fn kill(&self, name: &str) -> Result<()> {
        let process = self
            .processes
            .iter()
            .find(|process| process.name == name)
            .ok_or_else(|| Error::other(format!("no process is known as {name}")))?;
        let pid = i32::try_from(process.pid).map_err(Error::other)?;
        let pid = rustix::process::Pid::from_raw(pid)
            .ok_or_else(|| Error::other("a process has no pid"))?;
        rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
        Ok(())
    }

    /// Brings back what was killed.
    pub(crate) async fn revive(&mut self, name: &str) -> Result<()> {
        if let Owner::Dev(dev) = &mut self.owner {
            let process = dev.up_one(name).await?;
            self.replace(process)?;
        }
        Ok(())
    }

    /// Ends what was started for this.
    pub(crate) async fn stop(self) -> Result<()> {
        match self.owner {
            Owner::Stranger => Ok(()),
            Owner::Dev(dev) => dev.down().await,
            Owner::Standalone(standalone) => standalone.down().await,
        }
    }

    fn replace(&mut self, new: Process) -> Result<()> {
        let old = self
            .processes
            .iter_mut()
            .find(|process| process.name == new.name)
            .ok_or_else(|| Error::other(format!("{} was not there before", new.name)))?;
        *old = new;
        Ok(())
    }
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (kind, path) = match text.split_once('=') {
            Some((kind, path)) => (kind, Some(PathBuf::from(path))),
            None => (text, None),
        };
        match kind {
            "dev" => Ok(Self::Dev(path)),
            "standalone" => Ok(Self::Standalone(path)),
            _ => Err("expected dev[=TARGET] or standalone[=PATH]".to_owned()),
        }
    }
}

impl Wanted {
    /// The same of another build: of a target directory, or a folder with its binaries.
    pub(crate) fn of_build(&self, build: PathBuf) -> Self {
        match self {
            Self::Dev(_) => Self::Dev(Some(build)),
            Self::Standalone(_) => {
                let dist = build.join(PROFILE);
                let folder = if dist.is_dir() { dist } else { build };
                Self::Standalone(Some(folder.join("standalone")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateways_of_a_stranger_go_by_the_names_of_their_processes() {
        let urls = ["http://a", "http://b"].map(str::to_owned);
        let names = |pids: &[&str]| {
            let pids: Vec<Process> = pids.iter().map(|pid| pid.parse().unwrap()).collect();
            let system = System::given(&urls, &pids);
            let names = system.gateways().iter().map(|gateway| gateway.name.clone());
            names.collect::<Vec<String>>()
        };
        assert_eq!(
            names(&["gateway-1=7", "x=8", "gateway-2=9"]),
            ["gateway-1", "gateway-2"]
        );
        assert_eq!(names(&["gateway-1=7"]), urls);
    }

    #[test]
    fn a_system_is_written_kind_and_path() {
        assert_eq!("dev".parse(), Ok(Wanted::Dev(None)));
        assert_eq!("dev=a/b".parse(), Ok(Wanted::Dev(Some("a/b".into()))));
        assert!("else".parse::<Wanted>().is_err());
        let wanted: Wanted = "standalone=bin/x".parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let of_folder = wanted.of_build(folder.path().to_owned());
        assert_eq!(
            of_folder,
            Wanted::Standalone(Some(folder.path().join("standalone")))
        );
        std::fs::create_dir(folder.path().join(PROFILE)).unwrap();
        let of_target = wanted.of_build(folder.path().to_owned());
        let expected = folder.path().join(PROFILE).join("standalone");
        assert_eq!(of_target, Wanted::Standalone(Some(expected)));
    }
}

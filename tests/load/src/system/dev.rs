//! The distributed system, through `deploy/dev/up` and `deploy/dev/down`.
//!
//! What was up before stays up, and data that were there before stay there.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::{Gateway, PROFILE};
use crate::proc::Process;

/// As large as `deploy/dev/up` makes a system.
const OPTIONS: [&str; 3] = ["--profile", PROFILE, "--no-limits"];

#[derive(Debug)]
pub(super) struct Dev {
    /// The folder of `up` and `down`.
    scripts: PathBuf,
    /// Where the system keeps its state.
    state: PathBuf,
    /// The target directory with the binaries.
    target: Option<PathBuf>,
    /// What `target` points to, when it had to be made.
    _made: Option<tempfile::TempDir>,
    /// Whether anything was there before us.
    data_were_there: bool,
    was_up: bool,
    /// Who listens where.
    addresses: BTreeMap<String, String>,
}

impl Dev {
    /// Finds the scripts from here upwards. The state is in `PARLEY_DEV_DIR`, or in a
    /// folder that a developer's own system does not use.
    pub(super) fn find(target: Option<PathBuf>) -> Result<Self> {
        let here = std::env::current_dir()?;
        let repository = here
            .ancestors()
            .find(|folder| folder.join("deploy/dev/up").is_file())
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "no deploy/dev/up from here upwards"))?;
        let state = std::env::var_os("PARLEY_DEV_DIR").map_or_else(
            || repository.join(".dev/load"),
            |state| here.join(PathBuf::from(state)),
        );
        let (target, made) = match target {
            Some(target) => built(&here.join(target))?,
            None => (None, None),
        };
        Ok(Self {
            scripts: repository.join("deploy/dev"),
            data_were_there: state.exists(),
            was_up: state.join("conf/settings").exists(),
            state,
            target,
            _made: made,
            addresses: BTreeMap::new(),
        })
    }

    /// The same in a folder beside, which must not be there.
    pub(super) fn apart(mut self) -> Result<Self> {
        let mut name = self.state.into_os_string();
        name.push("-apart");
        self.state = name.into();
        (self.data_were_there, self.was_up) = (false, false);
        if self.state.exists() {
            let what = format!("{} is left from another run", self.state.display());
            return Err(Error::new(ErrorKind::AlreadyExists, what));
        }
        Ok(self)
    }

    /// Starts all of it.
    pub(super) async fn up(&mut self) -> Result<(Vec<Gateway>, Vec<Process>)> {
        let lines = match self.call("up", &OPTIONS).await {
            Ok(lines) => lines,
            Err(error) => {
                self.clear().await?;
                return Err(error);
            }
        };
        let lines = lines.iter().map(|line| Line::parse(line));
        let lines = lines.collect::<Result<Vec<Line>>>()?;
        let mut gateways = Vec::new();
        for line in &lines {
            let (name, address) = (line.process.name.clone(), line.address.clone());
            self.addresses.insert(name, address);
            if line.process.name.starts_with("gateway-") {
                gateways.push(line.gateway()?);
            }
        }
        let processes = lines.into_iter().map(|line| line.process);
        Ok((gateways, processes.collect()))
    }

    /// Starts the process `name`, as it was before.
    pub(super) async fn up_one(&self, name: &str) -> Result<Process> {
        let lines = self.call("up", &[name]).await?;
        let line = lines.first().ok_or(ErrorKind::UnexpectedEof)?;
        Ok(Line::parse(line)?.process)
    }

    pub(super) async fn down_one(&self, name: &str) -> Result<()> {
        self.call("down", &[name]).await.map(drop)
    }

    /// Ends all of it, unless it was up before.
    pub(super) async fn down(self) -> Result<()> {
        self.clear().await
    }

    async fn clear(&self) -> Result<()> {
        if self.was_up {
            return Ok(());
        }
        let wipe: &[&str] = if self.data_were_there {
            &[]
        } else {
            &["--wipe"]
        };
        self.call("down", wipe).await.map(drop)
    }

    /// The URL of the database, with the password that `up` made for it.
    pub(super) fn postgres(&self) -> Result<String> {
        let secrets = std::fs::read_to_string(self.state.join("conf/secrets"))?;
        let password = secrets
            .lines()
            .find_map(|line| line.strip_prefix("POSTGRES_PASSWORD="))
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "no password of PostgreSQL"))?;
        let address = self.address("postgres").unwrap_or_default();
        Ok(format!("postgres://parley:{password}@{address}/parley"))
    }

    /// Where the process `name` listens.
    pub(super) fn address(&self, name: &str) -> Option<&str> {
        self.addresses.get(name).map(String::as_str)
    }

    /// The folder in which the backends keep their data, where they are native.
    pub(super) fn data(&self) -> PathBuf {
        self.state.join("data")
    }

    /// Runs a script and gives its lines.
    async fn call(&self, script: &str, arguments: &[&str]) -> Result<Vec<String>> {
        let mut command = Command::new(self.scripts.join(script));
        command
            .args(arguments)
            .env("PARLEY_DEV_DIR", &self.state)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        if let Some(target) = &self.target {
            command.env("CARGO_TARGET_DIR", target);
        }
        let output = command.output().await?;
        if !output.status.success() {
            return Err(Error::other(format!("deploy/dev/{script} failed")));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().map(str::to_owned).collect())
    }
}

/// `folder` as a target directory: if it holds the binaries themselves, one is made that
/// points to it.
fn built(folder: &Path) -> Result<(Option<PathBuf>, Option<tempfile::TempDir>)> {
    if folder.join(PROFILE).join("gateway").is_file() {
        return Ok((Some(folder.to_owned()), None));
    }
    if !folder.join("gateway").is_file() {
        let what = format!("{} has no gateway", folder.display());
        return Err(Error::new(ErrorKind::NotFound, what));
    }
    let made = tempfile::tempdir()?;
    std::os::unix::fs::symlink(folder, made.path().join(PROFILE))?;
    Ok((Some(made.path().to_owned()), Some(made)))
}

/// `NAME PID HOST:PORT`
struct Line {
    process: Process,
    address: String,
}

impl Line {
    fn parse(line: &str) -> Result<Self> {
        let unfamiliar = || Error::other(format!("deploy/dev/up says {line}"));
        let [name, pid, address] = line
            .split(' ')
            .collect::<Vec<_>>()
            .try_into()
            .map_err(|_| unfamiliar())?;
        Ok(Self {
            process: Process {
                name: name.to_owned(),
                pid: pid.parse().map_err(|_| unfamiliar())?,
            },
            address: address.to_owned(),
        })
    }

    fn gateway(&self) -> Result<Gateway> {
        let (host, port) = self.address.rsplit_once(':').unwrap_or_default();
        let port: u16 = port.parse().map_err(Error::other)?;
        let name = &self.process.name;
        let offset = port.saturating_sub(registry::port(name));
        let admin = registry::admin_port(name);
        Ok(Gateway {
            name: self.process.name.clone(),
            url: format!("http://{}", self.address),
            admin: admin.map(|admin| format!("{host}:{}", admin + offset)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_up_is_read() {
        let line = Line::parse("gateway-1 77 127.0.0.1:10080").unwrap();
        assert_eq!(line.process.pid, 77);
        let gateway = line.gateway().unwrap();
        assert_eq!(gateway.url, "http://127.0.0.1:10080");
        assert_eq!(gateway.admin.unwrap(), "127.0.0.1:11181");
        assert!(Line::parse("gateway-1 77").is_err());
    }

    #[test]
    fn a_folder_of_binaries_serves_as_a_target_directory() {
        let folder = tempfile::tempdir().unwrap();
        assert!(built(folder.path()).is_err());
        std::fs::write(folder.path().join("gateway"), "").unwrap();
        let (target, _made) = built(folder.path()).unwrap();
        assert!(target.unwrap().join(PROFILE).join("gateway").is_file());
    }
}

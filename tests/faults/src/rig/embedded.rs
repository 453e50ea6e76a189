//! One process on a data directory.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::{Binaries, Error, Needs, Profile, Result, Settings, ready};
use crate::plan::{Act, Fault, Process};

const BUILDING: Duration = Duration::from_mins(30);

/// The standalone binary. Dropping it kills the process.
pub struct Embedded {
    binary: PathBuf,
    folder: PathBuf,
    port: u16,
    admin_port: u16,
    /// `None` only while it is started again.
    process: Mutex<Option<Child>>,
    keep: bool,
}

impl Embedded {
    pub(super) async fn start(settings: &Settings) -> Result<Self> {
        let binary = match &settings.binaries {
            Binaries::Folder(folder) => folder.join("standalone"),
            Binaries::Build(profile) => build(*profile).await?,
        };
        std::fs::create_dir_all(&settings.folder)
            .map_err(|error| Error::Io("the folder of the run", error))?;
        let data = settings.folder.join("data");
        if data.exists() {
            return Err(Error::Program {
                program: "faults".to_owned(),
                reason: format!("{} is there already", data.display()),
            });
        }
        let system = Self {
            binary,
            folder: settings.folder.clone(),
            port: free_port()?,
            admin_port: free_port()?,
            process: Mutex::new(None),
            keep: false,
        };
        system.spawn().await?;
        Ok(system)
    }

    async fn spawn(&self) -> Result<()> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("standalone.log"))
            .map_err(|error| Error::Io("the log file", error))?;
        let process = Command::new(&self.binary)
            .arg("--data")
            .arg(self.folder.join("data"))
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .args(["--admin", &format!("127.0.0.1:{}", self.admin_port)])
            .args(["--no-limits", "--log-json"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Error::Io("the standalone binary", error))?;
        *self.process.lock().await = Some(process);
        let name = Process::Standalone.to_string();
        ready(&name, &self.admin(), Needs::Ready).await
    }

    pub(super) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn admin(&self) -> String {
        format!("http://127.0.0.1:{}", self.admin_port)
    }

    pub(super) async fn perform(&self, fault: &Fault, killed: impl Fn(Process)) -> Result<()> {
        let Act::Kill(process @ Process::Standalone) = fault.act else {
            return Err(Error::NoSuch(fault.act.target()));
        };
        sleep(fault.after).await;
        let running = self.process.lock().await.take();
        let mut running = running.ok_or_else(|| Error::NoSuch(process.to_string()))?;
        // Clients hear of the end before it can be told here.
        killed(process);
        let dying = running.kill();
        dying
            .await
            .map_err(|error| Error::Io("killing the process", error))?;
        sleep(fault.lasts).await;
        self.spawn().await
    }

    pub(super) fn keep_state(&mut self) -> &Path {
        self.keep = true;
        &self.folder
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // The process goes with its handle; without a log to look at, so does its data.
        if let Some(mut process) = self.process.get_mut().take() {
            let _ = process.start_kill();
            for _ in 0..100 {
                if !matches!(process.try_wait(), Ok(None)) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        if !self.keep {
            let _ = std::fs::remove_dir_all(self.folder.join("data"));
            let _ = std::fs::remove_file(self.folder.join("standalone.log"));
            let _ = std::fs::remove_dir(&self.folder);
        }
    }
}

/// Builds the binary, so that what is tested is what the sources say.
async fn build(profile: Profile) -> Result<PathBuf> {
    let failed = |reason: String| Error::Program {
        program: "cargo build --bin standalone".to_owned(),
        reason,
    };
    let own = std::env::current_exe().map_err(|error| Error::Io("this program", error))?;
    // cargo's target folder, then the profile, then this program.
    let target = own.ancestors().nth(2).map(Path::to_owned);
    let target = target.ok_or_else(|| failed("no target folder".to_owned()))?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["build", "--locked", "--bin", "standalone"])
        .arg("--target-dir")
        .arg(&target)
        .args(["--profile", profile.cargo()])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let status = timeout(BUILDING, command.status())
        .await
        .map_err(|_| failed("takes too long".to_owned()))?
        .map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(status.to_string()));
    }
    Ok(target.join(profile.folder()).join("standalone"))
}

/// A port below those that the kernel gives to outgoing connections, so that it is
/// still free when the process comes back to it.
fn free_port() -> Result<u16> {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 4_000).unwrap_or(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        if step == 4_000 {
            return Err(Error::NoSuch("free port".to_owned()));
        }
        let port = 21_000 + (first + step) % 4_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::signal;
    use super::*;

    #[tokio::test]
    async fn a_kill_is_told_of_before_anybody_can_meet_it() {
        let mut command = Command::new("sleep");
        let process = command.arg("60").kill_on_drop(true).spawn().unwrap();
        let pid = process.id().unwrap();
        let system = Embedded {
            binary: PathBuf::new(),
            folder: PathBuf::new(),
            port: 0,
            admin_port: 0,
            process: Mutex::new(Some(process)),
            keep: true,
        };
        let fault = Fault {
            act: Act::Kill(Process::Standalone),
            after: Duration::ZERO,
            lasts: Duration::MAX,
        };
        let (tell, mut told) = tokio::sync::mpsc::channel(1);
        let killed = |_| tell.try_send(signal::alive(pid)).unwrap();
        tokio::select! {
            ended = system.perform(&fault, killed) => panic!("{ended:?}"),
            alive = told.recv() => assert_eq!(alive, Some(true)),
        }
    }
}

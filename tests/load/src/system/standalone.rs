//! All of Parley in one process, on an empty data directory.

use std::io::{Error, ErrorKind, Result};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::{Gateway, PROFILE};
use crate::http::Http;
use crate::proc::Process;

const NAME: &str = "standalone";
/// Below the range from which the kernel takes ports for outgoing connections.
const PORTS: std::ops::Range<u16> = 17_000..18_000;
const READY: Duration = Duration::from_secs(30);
/// Longer than it takes to drain.
const END: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Standalone {
    binary: PathBuf,
    running: Option<Running>,
}

/// A process with the directory it works on.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    data: tempfile::TempDir,
    pub(crate) address: SocketAddr,
}

impl Standalone {
    /// The binary at `path`, or that of this build.
    pub(super) fn find(path: Option<PathBuf>) -> Result<Self> {
        let binary = binary(path)?;
        Ok(Self {
            binary,
            running: None,
        })
    }

    /// Starts it, in place of one that runs.
    pub(super) async fn up(&mut self) -> Result<(Gateway, Process)> {
        if let Some(running) = self.running.take() {
            running.end().await?;
        }
        let running = Running::spawn(&self.binary)?;
        timeout(READY, running.ready(Duration::from_millis(20)))
            .await
            .map_err(|_| Error::new(ErrorKind::TimedOut, "standalone is not ready in time"))??;
        let gateway = Gateway {
            name: NAME.to_owned(),
            url: format!("http://{}", running.address),
            admin: None,
        };
        let process = Process {
            name: NAME.to_owned(),
            pid: running.child.id().ok_or(ErrorKind::NotFound)?,
        };
        self.running = Some(running);
        Ok((gateway, process))
    }

    pub(super) async fn down(mut self) -> Result<()> {
        match self.running.take() {
            Some(running) => running.end().await,
            None => Ok(()),
        }
    }

    pub(super) fn binary(&self) -> &Path {
        &self.binary
    }

    /// The directory it works on.
    pub(super) fn data(&self) -> Option<&Path> {
        self.running.as_ref().map(|running| running.data.path())
    }

    /// The file in which rooms keep their logs.
    pub(super) fn logs(&self) -> PathBuf {
        self.data().unwrap_or(Path::new("")).join("message.db")
    }
}

impl Running {
    /// Starts `binary` on an empty directory.
    pub(crate) fn spawn(binary: &Path) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let (address, admin) = (free_address()?, free_address()?);
        let child = Command::new(binary)
            .arg("--no-limits")
            .args(["--listen", &address.to_string()])
            .args(["--admin", &admin.to_string()])
            .arg("--data")
            .arg(data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                let what = format!("{}: {error}", binary.display());
                Error::new(error.kind(), what)
            })?;
        Ok(Self {
            child,
            data,
            address,
        })
    }

    /// Asks every `pause` until it is ready.
    pub(crate) async fn ready(&self, pause: Duration) -> Result<()> {
        loop {
            let mut http = Http::new(self.address);
            let answer = http.ask(("GET", "/health/ready"), None, "").await;
            if answer.is_ok_and(|(status, _)| status == 200) {
                return Ok(());
            }
            sleep(pause).await;
        }
    }

    /// Asks it to end, and waits.
    pub(crate) async fn end(mut self) -> Result<()> {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        match timeout(END, self.child.wait()).await {
            Ok(ended) => ended.map(drop),
            Err(_) => self.child.kill().await,
        }
    }
}

/// The binary at `path`; without one, that of this build.
pub(crate) fn binary(path: Option<PathBuf>) -> Result<PathBuf> {
    let here = std::env::current_dir()?;
    let target = || std::env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into());
    let path = path.unwrap_or_else(|| PathBuf::from(target()).join(PROFILE).join("standalone"));
    let path = here.join(path);
    if path.is_file() {
        Ok(path)
    } else {
        let what = format!("no binary at {}", path.display());
        Err(Error::new(ErrorKind::NotFound, what))
    }
}

/// An address at which nobody listens, and that was not given out before.
fn free_address() -> Result<SocketAddr> {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in PORTS {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start);
        let address = SocketAddr::from(([127, 0, 0, 1], PORTS.start + step));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(Error::new(ErrorKind::AddrInUse, "no free port"))
}

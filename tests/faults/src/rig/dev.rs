//! `deploy/dev/{up,down}` and the state that they keep.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::{Error, Result, signal};
use crate::links::Pids;
use crate::plan::Process;

/// A first start creates a cluster and formats a disk; a first build takes long.
const PATIENCE: Duration = Duration::from_mins(20);

/// How long a script that was under way when the run ended may take to end by itself.
const ENDING: Duration = Duration::from_secs(130);
const LOOK: Duration = Duration::from_millis(50);

/// The scripts, and what every call of them is told.
#[derive(Debug, Clone)]
pub(super) struct Dev {
    folder: PathBuf,
    offset: u16,
    environment: Vec<(String, String)>,
    /// Scripts that run now. They are not interrupted: what one has just started and not
    /// written down would be nobody's.
    running: Arc<Mutex<Vec<u32>>>,
}

impl Dev {
    /// State in `folder`, ports at `PARLEY_DEV_PORT_OFFSET` or where they are free.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let offset = match std::env::var("PARLEY_DEV_PORT_OFFSET") {
            Ok(offset) => offset
                .parse()
                .map_err(|_| Error::NoSuch(format!("port offset {offset}")))?,
            Err(_) => free_offset()?,
        };
        Ok(Self {
            folder: folder.to_owned(),
            offset,
            environment: Vec::new(),
            running: Arc::default(),
        })
    }

    /// Something more that every call is told.
    pub(super) fn tell(&mut self, name: &str, value: String) {
        self.environment.push((name.to_owned(), value));
    }

    /// Starts what is not up.
    pub(super) async fn up(&self, arguments: &[&str]) -> Result<()> {
        self.call("up", arguments).await
    }

    /// Ends something in good order.
    pub(super) async fn down(&self, arguments: &[&str]) -> Result<()> {
        self.call("down", arguments).await
    }

    async fn call(&self, script: &str, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(path_of(script));
        command.args(arguments).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        // A terminal's interrupt is for this process alone.
        command.process_group(0);
        self.settle(&mut |name, value| {
            command.env(name, value);
        });
        let failed = |reason: String| Error::Program {
            program: format!("deploy/dev/{script} {}", arguments.join(" ")),
            reason,
        };
        let child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let pid = child.id().unwrap_or(0);
        self.running().push(pid);
        let output = timeout(PATIENCE, child.wait_with_output()).await;
        self.running().retain(|other| *other != pid);
        let output = output
            .map_err(|_| failed("takes too long".to_owned()))?
            .map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let from = said.char_indices().rev().nth(3_000).map_or(0, |(at, _)| at);
        Err(failed(said[from..].to_owned()))
    }

    fn running(&self) -> MutexGuard<'_, Vec<u32>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends everything, while nothing else may run: this waits.
    pub(super) fn down_for_good(&self, wipe: bool) -> std::io::Result<()> {
        let running = self.running().split_off(0);
        for _ in 0..ENDING.as_millis() / LOOK.as_millis() {
            if !running.iter().any(|pid| signal::alive(*pid)) {
                break;
            }
            std::thread::sleep(LOOK);
        }
        let mut command = std::process::Command::new(path_of("down"));
        if wipe {
            command.arg("--wipe");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        self.settle(&mut |name, value| {
            command.env(name, value);
        });
        command.status().map(drop)
    }

    fn settle(&self, give: &mut dyn FnMut(&str, &str)) {
        give("PARLEY_DEV_DIR", &self.folder.to_string_lossy());
        give("PARLEY_DEV_PORT_OFFSET", &self.offset.to_string());
        // Beside a load of ours everything takes longer to start.
        give("PARLEY_DEV_TIMEOUT", "120");
        // Containers cannot be told whom to advertise, nor frozen by their pids.
        give("PARLEY_DEV_BACKENDS", "native");
        for (name, value) in &self.environment {
            give(name, value);
        }
    }

    /// Where a process listens.
    pub(super) fn port(&self, process: Process) -> u16 {
        self.offset + registry::port(&process.to_string())
    }

    /// Where a service tells of itself; databases and brokers do not.
    pub(super) fn admin_port(&self, process: Process) -> Option<u16> {
        Some(self.offset + registry::admin_port(&process.to_string())?)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Pids for Dev {
    fn pid(&self, process: Process) -> Option<u32> {
        let record = self.folder.join("pid").join(process.to_string());
        let record = fs::read_to_string(record).ok()?;
        record.split(' ').next()?.parse().ok()
    }
}

fn path_of(script: &str) -> String {
    format!("{}/../../deploy/dev/{script}", env!("CARGO_MANIFEST_DIR"))
}

/// The first offset at which nobody listens.
fn free_offset() -> Result<u16> {
    let firsts = registry::entries().iter();
    let firsts: Vec<u16> = firsts
        .flat_map(|it| it.admin.into_iter().chain([it.port]))
        .collect();
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let free = |offset: &u16| firsts.iter().all(|port| is_free(port + offset));
    (400..=3_600)
        .step_by(100)
        .find(free)
        .ok_or_else(|| Error::NoSuch("free port offset".to_owned()))
}

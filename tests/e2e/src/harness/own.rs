//! A distributed system of a scenario's own, for what the shared one cannot be put
//! through: links that are cut, data that are lost, a disk that is full.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use faults::plan::{Act, Fault, Shape};
use faults::rig::{Binaries, Rig, Settings};
use tempfile::TempDir;

use super::distributed::{Dev, script};

/// Two gateways and two replicas of message-service on backends of their own, with
/// proxies in the links between them. Taken down when dropped.
pub(crate) struct OwnSystem {
    // Ends before its state is removed.
    rig: Rig,
    dev: Dev,
    _folder: TempDir,
}

impl OwnSystem {
    /// Starts it with the binaries of the shared system, and waits until it is ready.
    pub(crate) async fn start() -> Self {
        let folder = folder();
        let settings = Settings {
            folder: folder.path().to_owned(),
            binaries: Binaries::Folder(Dev::from_env().binaries()),
        };
        let shape = Shape::Distributed {
            gateways: 2,
            messages: 2,
        };
        let rig = Rig::start(shape, &settings).await.unwrap();
        let own = Self {
            rig,
            dev: Dev::at(folder.path()),
            _folder: folder,
        };
        own.dev.well_again().await;
        own
    }

    /// Returns the addresses of its gateways.
    pub(super) fn gateways(&self) -> Vec<String> {
        self.rig.gateways()
    }

    pub(crate) fn dev(&self) -> &Dev {
        &self.dev
    }

    /// Does both at once, for that long.
    pub(crate) async fn suffer(&self, acts: [Act; 2], lasts: Duration) {
        let [first, second] = acts.map(|act| Fault {
            act,
            after: Duration::ZERO,
            lasts,
        });
        let (first, second) = tokio::join!(
            self.rig.perform(&first, |_| {}),
            self.rig.perform(&second, |_| {})
        );
        first.and(second).unwrap();
    }
}

/// A Kafka that no system uses. Taken down when dropped.
pub(crate) struct LoneKafka {
    pub(super) dev: Dev,
    folder: TempDir,
}

impl LoneKafka {
    pub(crate) async fn start() -> Self {
        let folder = folder();
        let lone = Self {
            dev: Dev::at(folder.path()),
            folder,
        };
        lone.dev.up_at("kafka", free_offset()).await;
        lone
    }
}

impl Drop for LoneKafka {
    fn drop(&mut self) {
        let mut down = std::process::Command::new(script("down"));
        // What it left in its folder goes with that.
        let _ = down.env("PARLEY_DEV_DIR", self.folder.path()).status();
    }
}

/// An offset at which a Kafka finds its ports free.
fn free_offset() -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let mut offsets = (3_000..3_600).step_by(10);
    // Its controller has the next port.
    let port = registry::port("kafka");
    let free = offsets.find(|offset| is_free(port + offset) && is_free(port + 1 + offset));
    free.expect("free ports")
}

/// One that PostgreSQL's user may enter.
fn folder() -> TempDir {
    let mut builder = tempfile::Builder::new();
    builder.permissions(Permissions::from_mode(0o755));
    builder.tempdir().unwrap()
}

//! The embedded system: all of Parley in this process. The only file that knows how
//! it is started.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::sync::OnceCell;

/// A system in this process.
pub(crate) struct Embedded {
    running: standalone::Running,
}

impl Embedded {
    /// Starts a system on `data`, ready to be asked when this returns.
    pub(crate) async fn start(data: &Path, listen: SocketAddr, limits: bool) -> Self {
        let options = options(data, listen, limits);
        let lifecycle = runtime::Lifecycle::new();
        Self {
            running: standalone::start(&options, &lifecycle).await.unwrap(),
        }
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.running.addr()
    }

    /// Ends it in good order.
    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }
}

fn options(data: &Path, listen: SocketAddr, limits: bool) -> standalone::Options {
    standalone::Options {
        data: data.to_owned(),
        listen,
        limits,
        database: None,
    }
}

/// Begins a new life of the logs in `data`, which no system runs on.
pub(crate) async fn new_epoch(data: &Path) {
    let lifecycle = runtime::Lifecycle::new();
    let options = options(data, any_port(), false);
    standalone::new_epoch(&options, &lifecycle).await.unwrap();
}

/// The system that scenarios share, without rate limits. It lives as long as the process.
pub(crate) struct Shared {
    pub(crate) addr: SocketAddr,
    pub(crate) data: PathBuf,
    _system: Embedded,
}

pub(crate) async fn shared() -> &'static Shared {
    static SHARED: OnceCell<Shared> = OnceCell::const_new();
    SHARED
        .get_or_init(|| async {
            let data = shared_folder();
            let system = Embedded::start(&data, any_port(), false).await;
            Shared {
                addr: system.addr(),
                data,
                _system: system,
            }
        })
        .await
}

/// A port that the kernel chooses.
pub(crate) fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A folder named for this process. What ended processes left is swept away first,
/// since a static is never dropped.
fn shared_folder() -> PathBuf {
    const PREFIX: &str = "parley-e2e-";
    let temp = std::env::temp_dir();
    for entry in std::fs::read_dir(&temp).unwrap().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // Another process may sweep the same folder.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let folder = temp.join(format!("{PREFIX}{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

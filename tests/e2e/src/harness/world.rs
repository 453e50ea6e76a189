//! A system as a scenario sees it: two gateways to choose from, users to be had.

use std::path::{Path, PathBuf};
use std::time::Duration;

use client::Api;
use tempfile::TempDir;
use tokio::time::{interval, timeout};

use super::User;
#[cfg(feature = "distributed")]
use super::distributed::Dev;
use super::embedded::{self, Embedded};
#[cfg(feature = "distributed")]
use super::extra_gateway::ExtraGateway;
#[cfg(feature = "distributed")]
use super::own::OwnSystem;

/// The system a scenario runs against.
pub(crate) struct World {
    gateways: Vec<Api>,
    place: Place,
}

enum Place {
    SharedEmbedded,
    OwnEmbedded {
        data: TempDir,
        limits: bool,
        /// `None` while it is stopped.
        system: Option<Embedded>,
    },
    #[cfg(feature = "distributed")]
    SharedDistributed,
    #[cfg(feature = "distributed")]
    OwnGateway(Box<ExtraGateway>),
    #[cfg(feature = "distributed")]
    OwnDistributed,
}

impl World {
    pub(crate) async fn embedded() -> Self {
        let shared = embedded::shared().await;
        Self {
            gateways: vec![api(&shared.addr.to_string())],
            place: Place::SharedEmbedded,
        }
    }

    /// # Panics
    /// When `PARLEY_TEST_GATEWAYS` does not name the gateways.
    #[cfg(feature = "distributed")]
    pub(crate) fn distributed() -> Self {
        let names = std::env::var("PARLEY_TEST_GATEWAYS").expect(
            "PARLEY_TEST_GATEWAYS=http://HOST:PORT,http://HOST:PORT has to name the gateways \
             of a running system (deploy/dev/up --no-limits)",
        );
        let gateways: Vec<Api> = names
            .split(',')
            .map(|base| Api::new(base.trim()).unwrap())
            .collect();
        assert!(
            gateways.len() >= 2,
            "PARLEY_TEST_GATEWAYS has to name two gateways"
        );
        Self {
            gateways,
            place: Place::SharedDistributed,
        }
    }

    /// A system for this scenario alone, which it may restart. Embedded: one with an
    /// empty data directory; distributed: one more gateway.
    pub(crate) async fn own(&self, limits: bool) -> Self {
        match &self.place {
            Place::SharedEmbedded | Place::OwnEmbedded { .. } => {
                Self::embedded_in(tempfile::tempdir().unwrap(), limits).await
            }
            #[cfg(feature = "distributed")]
            Place::SharedDistributed | Place::OwnGateway(_) => {
                let gateway = ExtraGateway::start(&Dev::from_env(), limits).await;
                let gateways = vec![api(gateway.address())];
                Self {
                    gateways,
                    place: Place::OwnGateway(Box::new(gateway)),
                }
            }
            #[cfg(feature = "distributed")]
            Place::OwnDistributed => panic!("it is the scenario's own already"),
        }
    }

    /// An embedded system for this scenario alone, with its data in a folder below
    /// `place` and without limits.
    pub(crate) async fn own_on(&self, place: &Path) -> Self {
        Self::embedded_in(tempfile::tempdir_in(place).unwrap(), false).await
    }

    async fn embedded_in(data: TempDir, limits: bool) -> Self {
        let system = Embedded::start(data.path(), embedded::any_port(), limits).await;
        Self {
            gateways: vec![api(&system.addr().to_string())],
            place: Place::OwnEmbedded {
                data,
                limits,
                system: Some(system),
            },
        }
    }

    /// Ends an own system: embedded in good order, a gateway by `kill -9`. Starts it
    /// again on the same data at the same address.
    ///
    /// # Panics
    /// When the system is not the scenario's own.
    pub(crate) async fn restart(&mut self) {
        match &mut self.place {
            Place::OwnEmbedded {
                data,
                limits,
                system,
            } => {
                let running = system.take().unwrap();
                let listen = running.addr();
                running.stop().await;
                *system = Some(Embedded::start(data.path(), listen, *limits).await);
            }
            #[cfg(feature = "distributed")]
            Place::OwnGateway(gateway) => gateway.restart().await,
            _ => panic!("a shared system is not restarted"),
        }
    }

    /// Copies the data of an own embedded system, which does not run meanwhile.
    ///
    /// # Panics
    /// When the system is not embedded and the scenario's own.
    pub(crate) async fn back_up(&mut self) {
        self.while_stopped(async |data| copy_files(data, &data.join("backup")))
            .await;
    }

    /// Puts back what [`World::back_up`] copied, as an operator would.
    ///
    /// # Panics
    /// As [`World::back_up`].
    pub(crate) async fn restore_with_new_epoch(&mut self) {
        self.while_stopped(async |data| {
            copy_files(&data.join("backup"), data);
            embedded::new_epoch(data).await;
        })
        .await;
    }

    async fn while_stopped(&mut self, work: impl AsyncFnOnce(&Path)) {
        let Place::OwnEmbedded {
            data,
            limits,
            system,
        } = &mut self.place
        else {
            panic!("only an own embedded system has data to work on");
        };
        let running = system.take().unwrap();
        let listen = running.addr();
        running.stop().await;
        closed(data.path()).await;
        work(data.path()).await;
        *system = Some(Embedded::start(data.path(), listen, *limits).await);
    }

    /// Ends an own system when the scenario is through with it.
    pub(crate) async fn stop(self) {
        if let Place::OwnEmbedded {
            system: Some(system),
            ..
        } = self.place
        {
            system.stop().await;
        }
    }

    /// One of two gateways, asked by nobody in particular. Where there is only one, both
    /// are the same.
    pub(crate) fn gateway(&self, index: usize) -> &Api {
        &self.gateways[index % self.gateways.len()]
    }

    /// A new user who is logged in.
    pub(crate) async fn user(&self) -> User {
        User::register(&self.gateways).await
    }

    /// Two new users.
    pub(crate) async fn two_users(&self) -> (User, User) {
        (self.user().await, self.user().await)
    }

    /// Three new users.
    pub(crate) async fn three_users(&self) -> (User, User, User) {
        (self.user().await, self.user().await, self.user().await)
    }

    /// The file with the secret that tokens are signed with, as the system keeps it.
    pub(crate) async fn secret_file(&self) -> PathBuf {
        match &self.place {
            Place::SharedEmbedded => embedded::shared().await.data.join("jwt-secret"),
            Place::OwnEmbedded { data, .. } => data.path().join("jwt-secret"),
            #[cfg(feature = "distributed")]
            Place::SharedDistributed | Place::OwnGateway(_) => Dev::from_env().secrets_file(),
            #[cfg(feature = "distributed")]
            Place::OwnDistributed => panic!("its state is with who started it"),
        }
    }
}

#[cfg(feature = "distributed")]
impl OwnSystem {
    /// Returns the system as scenarios see it.
    pub(crate) fn world(&self) -> World {
        let api = |address: &String| Api::new(address).unwrap();
        World {
            gateways: self.gateways().iter().map(api).collect(),
            place: Place::OwnDistributed,
        }
    }
}

/// Waits until this process has nothing of a folder open any more: a database is closed
/// a moment after its system has ended.
async fn closed(folder: &Path) {
    let is_open = || {
        let open = std::fs::read_dir("/proc/self/fd").unwrap();
        let mut targets = open.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        targets.any(|target| target.starts_with(folder))
    };
    let closing = async {
        let mut again = interval(Duration::from_millis(10));
        while is_open() {
            again.tick().await;
        }
    };
    timeout(Duration::from_secs(10), closing)
        .await
        .expect("closed in time");
}

/// Makes the files of `to` those of `from`.
fn copy_files(from: &Path, to: &Path) {
    let files = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.is_file()).collect()
    };
    std::fs::create_dir_all(to).unwrap();
    for old in files(to) {
        std::fs::remove_file(old).unwrap();
    }
    for file in files(from) {
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

fn api(address: &str) -> Api {
    Api::new(&format!("http://{address}")).unwrap()
}

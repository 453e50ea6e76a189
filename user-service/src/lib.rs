//! user-service: accounts. Who somebody is, and that he knows his password.
//!
//! It owns names, addresses and password hashes. No hash leaves it, and no password
//! is written down anywhere.

pub mod domain;
pub mod store;

mod config;
mod grpc;
mod hashing;
mod service;

use std::sync::Arc;

use base::{Clock, Entropy, OsEntropy, SystemClock};
use cache::Cache;
use proto::user::users_server::UsersServer;
use runtime::Lifecycle;
use tonic::service::Routes;

pub use config::{Argon2, Config};

use crate::grpc::Grpc;
use crate::hashing::Hashing;
use crate::service::Service;
use crate::store::Store;

/// What the service needs from outside.
pub struct Ports {
    /// The database.
    pub store: Arc<dyn Store>,
    /// Profiles.
    pub cache: Arc<dyn Cache>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where salts come from.
    pub entropy: Arc<dyn Entropy>,
}

impl Ports {
    /// This store and cache, with the machine's clock and randomness.
    pub fn new(store: Arc<dyn Store>, cache: Arc<dyn Cache>) -> Self {
        Self {
            store,
            cache,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
        }
    }

    /// PostgreSQL and Redis over the network. Returns at once: each joins when it
    /// can be reached.
    ///
    /// # Errors
    /// When an address cannot be used.
    #[cfg(feature = "distributed")]
    pub fn connect(config: &Config, lifecycle: &Lifecycle) -> base::Result<Self> {
        let cache = Arc::new(cache::Redis::connect(&config.redis, lifecycle)?);
        Self::on_postgres(&config.postgres, cache, lifecycle)
    }

    /// PostgreSQL, and what else there is in this process.
    ///
    /// # Errors
    /// When the database's address cannot be read.
    #[cfg(feature = "postgres")]
    pub fn on_postgres(
        postgres: &runtime::config::Postgres,
        cache: Arc<dyn Cache>,
        lifecycle: &Lifecycle,
    ) -> base::Result<Self> {
        let store = store::PostgresStore::connect(postgres, "users", lifecycle)?;
        Ok(Self::new(Arc::new(store), cache))
    }

    /// The `SQLite` file `path`, and what else there is in this process.
    ///
    /// # Errors
    /// When the file cannot be opened or a migration fails.
    #[cfg(feature = "sqlite")]
    pub async fn embedded(path: &std::path::Path, cache: Arc<dyn Cache>) -> base::Result<Self> {
        let store = store::SqliteStore::open(path).await?;
        Ok(Self::new(Arc::new(store), cache))
    }
}

/// The service, ready to be served or embedded.
///
/// # Errors
/// When passwords cannot be hashed as `config` wants it.
pub fn build(config: &Config, ports: Ports, lifecycle: &Lifecycle) -> base::Result<Routes> {
    let hashing = Hashing::new(&config.argon2, Arc::clone(&ports.entropy), lifecycle)?;
    let service = Service::new(ports, hashing, lifecycle.clone());
    Ok(Routes::new(UsersServer::new(Grpc(service))))
}

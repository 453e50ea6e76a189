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
pub mod sessions;

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy, OsEntropy, SystemClock};
use cache::Cache;
use proto::user::users_server::UsersServer;
use runtime::{Channel, Lifecycle};
use tonic::service::Routes;

pub use config::{Argon2, Config};

use crate::grpc::Grpc;
use crate::hashing::Hashing;
use crate::service::Service;
use crate::sessions::{SessionService, Sessions};
use crate::store::Store;

/// How often the relay looks for what calls left …
const RELAY_PERIOD: Duration = Duration::from_millis(500);
/// … which they did not finish in so long. To be told twice does no harm.
const RELAY_AFTER: Duration = Duration::from_millis(500);

/// What the service needs from outside.
pub struct Ports {
    /// The database.
    pub store: Arc<dyn Store>,
    /// Profiles.
    pub cache: Arc<dyn Cache>,
    /// Who is logged in.
    pub sessions: Arc<dyn Sessions>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where salts come from.
    pub entropy: Arc<dyn Entropy>,
}

impl Ports {
    /// This store and cache, and session-service; with the machine's clock and
    /// randomness.
    pub fn new(store: Arc<dyn Store>, cache: Arc<dyn Cache>, sessions: Channel) -> Self {
        Self {
            store,
            cache,
            sessions: Arc::new(SessionService(sessions)),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
        }
    }

    /// PostgreSQL, Redis and session-service over the network. Returns at once: each
    /// joins when it can be reached.
    ///
    /// # Errors
    /// When an address, the service token or a certificate cannot be used.
    #[cfg(feature = "distributed")]
    pub fn connect(config: &Config, lifecycle: &Lifecycle) -> base::Result<Self> {
        let process = &config.process;
        let token = process.service_token()?;
        let sessions = Channel::remote(&config.services.session, token, &process.tls)?;
        // Only a change of password needs it.
        let aid = lifecycle.health().aid("session");
        runtime::watch(aid, sessions.clone(), lifecycle);
        let cache = Arc::new(cache::Redis::connect(&config.redis, lifecycle)?);
        Self::on_postgres(&config.postgres, cache, sessions, lifecycle)
    }

    /// PostgreSQL, and what else there is in this process.
    ///
    /// # Errors
    /// When the database's address cannot be read.
    #[cfg(feature = "postgres")]
    pub fn on_postgres(
        postgres: &runtime::config::Postgres,
        cache: Arc<dyn Cache>,
        sessions: Channel,
        lifecycle: &Lifecycle,
    ) -> base::Result<Self> {
        let store = store::PostgresStore::connect(postgres, "users", lifecycle)?;
        Ok(Self::new(Arc::new(store), cache, sessions))
    }

    /// The `SQLite` file `path`, and what else there is in this process.
    ///
    /// # Errors
    /// When the file cannot be opened or a migration fails.
    #[cfg(feature = "sqlite")]
    pub async fn embedded(
        path: &std::path::Path,
        cache: Arc<dyn Cache>,
        sessions: Channel,
    ) -> base::Result<Self> {
        let store = store::SqliteStore::open(path).await?;
        Ok(Self::new(Arc::new(store), cache, sessions))
    }
}

/// The service, ready to be served or embedded; its relay runs from here on.
///
/// # Errors
/// When passwords cannot be hashed as `config` wants it.
pub fn build(config: &Config, ports: Ports, lifecycle: &Lifecycle) -> base::Result<Routes> {
    let hashing = Hashing::new(&config.argon2, Arc::clone(&ports.entropy), lifecycle)?;
    let clock = Arc::clone(&ports.clock);
    let service = Service::new(ports, hashing, lifecycle.clone());
    let relay = relay(service.clone(), clock);
    let stopping = lifecycle.stopping().clone();
    lifecycle.spawn("users-relay", async move {
        stopping.run_until_cancelled(relay).await;
    });
    Ok(Routes::new(UsersServer::new(Grpc(service))))
}

/// Finishes what calls left: changes of passwords that session-service does not know of.
async fn relay(service: Service, clock: Arc<dyn Clock>) {
    let mut tick = tokio::time::interval(RELAY_PERIOD);
    loop {
        tick.tick().await;
        if let Err(error) = service.tell_again(clock.now().before(RELAY_AFTER)).await {
            tracing::debug!(%error, "a password change stays to be told");
        }
    }
}

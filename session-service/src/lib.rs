//! session-service: who is logged in, and the tokens that prove it.
//!
//! A token alone proves nothing: its session must live. No token is stored, only
//! the hash of what renews one.

pub mod domain;
pub mod store;

mod config;
mod grpc;
mod secret;
mod service;
mod token;

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy, OsEntropy, SystemClock};
use proto::session::sessions_server::SessionsServer;
use runtime::Lifecycle;
use tonic::service::Routes;

pub use config::Config;
pub use secret::secret_in;

use crate::grpc::Grpc;
use crate::service::Service;
use crate::store::Store;
use crate::token::Tokens;

/// How often idle sessions are looked for.
const SWEEP_PERIOD: Duration = Duration::from_mins(1);

/// What the service needs from outside.
pub struct Ports {
    /// The database.
    pub store: Arc<dyn Store>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where refresh tokens come from.
    pub entropy: Arc<dyn Entropy>,
}

impl Ports {
    /// This store, with the machine's clock and randomness.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
        }
    }

    /// PostgreSQL over the network. Returns at once: it joins when it can be reached.
    ///
    /// # Errors
    /// When the address cannot be read.
    #[cfg(feature = "distributed")]
    pub fn connect(config: &Config, lifecycle: &Lifecycle) -> base::Result<Self> {
        Self::on_postgres(&config.postgres, lifecycle)
    }

    /// PostgreSQL, whatever else there is.
    ///
    /// # Errors
    /// When the database's address cannot be read.
    #[cfg(feature = "postgres")]
    pub fn on_postgres(
        postgres: &runtime::config::Postgres,
        lifecycle: &Lifecycle,
    ) -> base::Result<Self> {
        let store = store::PostgresStore::connect(postgres, "sessions", lifecycle)?;
        Ok(Self::new(Arc::new(store)))
    }

    /// The `SQLite` file `path`.
    ///
    /// # Errors
    /// When the file cannot be opened or a migration fails.
    #[cfg(feature = "sqlite")]
    pub async fn embedded(path: &std::path::Path) -> base::Result<Self> {
        let store = store::SqliteStore::open(path).await?;
        Ok(Self::new(Arc::new(store)))
    }
}

/// The service, ready to be served or embedded; it sweeps from here on.
///
/// # Errors
/// When there is no secret to sign with, or it is too short to be one.
pub fn build(config: &Config, ports: Ports, lifecycle: &Lifecycle) -> base::Result<Routes> {
    let tokens = Tokens::new(config)?;
    let service = Service::new(ports, tokens, config.idle.0);
    let sweeping = sweep(service.clone());
    let stopping = lifecycle.stopping().clone();
    lifecycle.spawn("sessions-sweep", async move {
        stopping.run_until_cancelled(sweeping).await;
    });
    let lifecycle = lifecycle.clone();
    Ok(Routes::new(SessionsServer::new(Grpc {
        service,
        lifecycle,
    })))
}

/// Ends idle sessions and forgets what is of no use, again and again.
async fn sweep(service: Service) {
    let mut tick = tokio::time::interval(SWEEP_PERIOD);
    loop {
        tick.tick().await;
        if let Err(error) = service.sweep().await {
            tracing::debug!(%error, "not swept");
        }
    }
}

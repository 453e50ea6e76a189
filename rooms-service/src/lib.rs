//! rooms-service: rooms, who is in them and as what.
//!
//! It owns membership; message-service keeps the room logs, which learn of every
//! membership change in the order of its number before the call that made it is
//! answered.

pub mod domain;
pub mod log;
pub mod store;

mod code;
mod config;
mod grpc;
mod relay;
mod service;
mod turns;
mod views;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use base::{Clock, Entropy, OsEntropy, SystemClock};
use cache::Cache;
use proto::rooms::rooms_server::RoomsServer;
use runtime::{Lifecycle, Replicas};
use tonic::service::Routes;

pub use config::{Config, Relay, Services};

use crate::grpc::Grpc;
use crate::log::{Log, MessageService};
use crate::service::Service;
use crate::store::Store;

/// What the service needs from outside.
pub struct Ports {
    /// The database.
    pub store: Arc<dyn Store>,
    /// Room infos and room lists.
    pub cache: Arc<dyn Cache>,
    /// The room logs.
    pub log: Arc<dyn Log>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where the codes of invitations come from.
    pub entropy: Arc<dyn Entropy>,
}

impl Ports {
    /// This store and cache, and the logs behind message-service.
    pub fn new(store: Arc<dyn Store>, cache: Arc<dyn Cache>, messages: Replicas) -> Self {
        Self {
            store,
            cache,
            log: Arc::new(MessageService::new(messages)),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
        }
    }

    /// PostgreSQL, Redis and message-service over the network. Returns at once:
    /// each joins when it can be reached.
    ///
    /// # Errors
    /// When an address, the service token or a certificate cannot be used.
    #[cfg(feature = "distributed")]
    pub fn connect(config: &Config, lifecycle: &Lifecycle) -> base::Result<Self> {
        let process = &config.process;
        let token = process.service_token()?;
        let addresses = &config.services.message.0;
        let messages = Replicas::connect(addresses, token, &process.tls, lifecycle)?;
        // Lists and infos are answered without it.
        runtime::watch(
            lifecycle.health().aid("message"),
            messages.clone(),
            lifecycle,
        );
        let cache = Arc::new(cache::Redis::connect(&config.redis, lifecycle)?);
        Self::on_postgres(&config.postgres, cache, messages, lifecycle)
    }

    /// PostgreSQL, and what else there is in this process.
    ///
    /// # Errors
    /// When the database's address cannot be read.
    #[cfg(feature = "postgres")]
    pub fn on_postgres(
        postgres: &runtime::config::Postgres,
        cache: Arc<dyn Cache>,
        messages: Replicas,
        lifecycle: &Lifecycle,
    ) -> base::Result<Self> {
        let store = store::PostgresStore::connect(postgres, "rooms", lifecycle)?;
        Ok(Self::new(Arc::new(store), cache, messages))
    }

    /// The `SQLite` file `path`, and what else there is in this process.
    ///
    /// # Errors
    /// When the file cannot be opened or a migration fails.
    #[cfg(feature = "sqlite")]
    pub async fn embedded(
        path: &std::path::Path,
        cache: Arc<dyn Cache>,
        messages: Replicas,
    ) -> base::Result<Self> {
        let store = store::SqliteStore::open(path).await?;
        Ok(Self::new(Arc::new(store), cache, messages))
    }
}

/// The service, ready to be served or embedded; its relay runs from here on.
pub fn build(config: &Config, ports: Ports, lifecycle: &Lifecycle) -> Routes {
    let service = Service::new(ports, lifecycle.clone());
    let relay = relay::run(service.clone(), config.relay.clone(), OsEntropy);
    let stopping = lifecycle.stopping().clone();
    lifecycle.spawn("rooms-relay", async move {
        stopping.run_until_cancelled(relay).await;
    });
    Routes::new(RoomsServer::new(Grpc(service)))
}

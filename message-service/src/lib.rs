//! The event logs of rooms: one order, gapless, durable before it is acknowledged.
//!
//! The way of an entry: [`grpc`] translates, [`writer`] gathers, [`sequencer`]
//! decides, [`store`] commits; after the commit it is answered, and [`publisher`]
//! puts it on the bus, and [`watchers`] takes the short way to gateways that wait for
//! it. [`relay`] publishes what a crash or an outage left. How far members have read is
//! beside the logs, and moved by [`marker`].

pub mod config;
pub mod domain;
pub mod grpc;
mod marker;
mod publisher;
mod relay;
mod rhythm;
pub mod sequencer;
pub mod store;
mod watchers;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, SystemClock};
use bus::Bus;
use proto::message::messages_server::MessagesServer;
use runtime::Lifecycle;
use tonic::service::Routes;

pub use config::{Config, Writing};
use store::Store;

/// The largest gRPC message this service takes or gives; a page is far below.
const MAX_MESSAGE_BYTES: usize = 8 << 20;

/// What this service needs of the world.
pub struct Ports {
    /// The logs.
    pub store: Arc<dyn Store>,
    /// Where events go after their commit.
    pub bus: Arc<dyn Bus>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl Ports {
    /// The ports of a process of its own: PostgreSQL and Kafka.
    ///
    /// # Errors
    /// When the configuration cannot be used; that a server is not there yet is no error.
    #[cfg(feature = "distributed")]
    pub fn connect(config: &Config, lifecycle: &Lifecycle) -> base::Result<Self> {
        let store =
            store::postgres::PostgresStore::connect(&config.postgres, "message", lifecycle)?;
        let bus =
            bus::kafka::KafkaBus::connect(&config.kafka, bus::ROOMS, bus::PARTITIONS, lifecycle)
                .map_err(base::Error::internal)?;
        Ok(Self {
            store: Arc::new(store),
            bus,
            clock: Arc::new(SystemClock),
        })
    }

    /// Ports on any store and bus, with the machine's clock.
    pub fn new(store: Arc<dyn Store>, bus: Arc<dyn Bus>) -> Self {
        Self {
            store,
            bus,
            clock: Arc::new(SystemClock),
        }
    }
}

/// Begins a new life of all logs, after a restore from backup: clients that hold more
/// than the backup has are told to start afresh, and gateways that ran through the restore
/// let go of what they knew. Says so in words.
///
/// # Errors
/// When the logs are not to be had within a minute.
pub async fn new_epoch(store: &dyn Store, lifecycle: &Lifecycle) -> base::Result<String> {
    lifecycle
        .health()
        .await_ready(Duration::from_mins(1))
        .await?;
    let epoch = store.begin_epoch().await?;
    Ok(format!("all logs are in epoch {} now", epoch.0))
}

/// The service, ready to be served or embedded.
pub fn build(writing: &Writing, ports: Ports, lifecycle: &Lifecycle) -> Routes {
    let Ports { store, bus, clock } = ports;
    relay::start(
        Arc::clone(&store),
        Arc::clone(&bus),
        Arc::clone(&clock),
        lifecycle,
    );
    let watchers = watchers::Watchers::default();
    let writer = writer::Writer::start(writing, &store, &bus, &watchers, &clock, lifecycle);
    let marker = marker::Marker::start(Arc::clone(&store), Arc::clone(&bus), lifecycle);
    let service = grpc::MessagesGrpc::new(store, (writer, marker), bus, watchers, lifecycle);
    let server = MessagesServer::new(service)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    Routes::new(server)
}

/// Serves it as a process of its own, until it is told to end.
///
/// # Errors
/// When the configuration cannot be used, or the address cannot be listened on.
pub async fn serve(config: Config, ports: Ports, lifecycle: &Lifecycle) -> base::Result<()> {
    let routes = build(&config.writing, ports, lifecycle);
    let process = &config.process;
    let token = process.service_token()?;
    runtime::serve(config.listen, routes, token, &process.tls, lifecycle).await
}

//! How a Parley process runs: configuration, telemetry, gRPC server and channel,
//! lifecycle, health, databases. A service is built on this and owns none of it.

mod admin;
mod call;
mod channel;
pub mod config;
mod deadline;
mod guard;
mod health;
mod levels;
mod lifecycle;
mod process;
mod replicas;
mod server;
pub mod status;
pub mod store;
pub mod telemetry;
mod watch;

#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "testing")]
pub mod testing;

pub use call::{Call, RequestId};
pub use channel::Channel;
pub use guard::Guard;
pub use health::{Health, Part};
pub use lifecycle::Lifecycle;
pub use process::{Startup, Task, ask_health, perform, run, service, service_with};
pub use replicas::{Replica, ReplicaId, Replicas};
pub use server::serve;
pub use store::StoreError;
pub use watch::watch;

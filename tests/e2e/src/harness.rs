//! Makes tests of scenarios: the systems they run against, the users they act through.

#[macro_use]
mod run;

mod disk;
#[cfg(feature = "distributed")]
pub(crate) mod distributed;
mod embedded;
#[cfg(feature = "distributed")]
pub(crate) mod extra_gateway;
#[cfg(feature = "distributed")]
pub(crate) mod extra_messages;
mod feed;
#[cfg(feature = "distributed")]
pub(crate) mod next_release;
pub(crate) mod original;
#[cfg(feature = "distributed")]
pub(crate) mod own;
#[cfg(feature = "distributed")]
mod ports;
pub(crate) mod raw;
#[cfg(feature = "distributed")]
pub(crate) mod relay;
mod token;
mod user;
mod world;

pub(crate) use disk::SmallDisk;
pub(crate) use feed::{Feed, IntoFrame};
#[cfg(feature = "distributed")]
pub(crate) use run::run_distributed;
pub(crate) use run::run_embedded;
#[cfg(feature = "distributed")]
pub(crate) use run::{run_alone, run_alone_for};
pub(crate) use token::{Forge, unsigned};
pub(crate) use user::{User, refused, unique};
pub(crate) use world::World;

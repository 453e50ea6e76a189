//! The port to the bus that carries room events to gateways.
//!
//! The bus is a way to be quick, not a place where anything is kept: the log in
//! the message-service is the truth. So the law is weak on purpose. A record that
//! was published is delivered to every tail that was open, usually once and in the
//! order of its key; after a fault it may be late, doubled, out of order or lost,
//! and whoever reads drops by Seq what he has and fetches what he misses.

#[cfg(feature = "kafka")]
pub mod kafka;
pub mod memory;

#[cfg(test)]
mod laws;

use async_trait::async_trait;
use bytes::Bytes;

/// The topic of room events; the key of a record is the room id.
pub const ROOMS: &str = "parley.rooms";
/// Partitions of that topic where Parley makes it. A reader's request is for all of them, and
/// costs a broker by their number; they are there to spread writers over the brokers.
pub const PARTITIONS: i32 = 8;

/// The bus could not do it now.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the bus is unavailable: {0}")]
pub struct BusError(pub String);

/// What one publisher says of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it is about; records of one key keep their order.
    pub key: u64,
    /// The content, 512 KiB at most.
    pub payload: Bytes,
}

/// Says by the key whether a record is wanted, before its content is looked at.
pub type Wanted = Box<dyn Fn(u64) -> bool + Send + Sync>;

/// One topic of the bus.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Publishes records, together and in their order; returns when the bus has them safe.
    ///
    /// # Errors
    /// When the bus did not say so of all within its own deadline of 2 s. Any of them may
    /// be delivered all the same.
    async fn publish(&self, records: Vec<Record>) -> Result<(), BusError>;

    /// Reads what is published from here on. When this returns, the place to start
    /// is fixed: nothing published later is missed.
    ///
    /// # Errors
    /// When the bus is not there.
    async fn tail(&self, wanted: Wanted) -> Result<Box<dyn Tail>, BusError>;

    /// Whether the bus was there when it was last needed.
    fn healthy(&self) -> bool;
}

/// A reader of one topic.
#[async_trait]
pub trait Tail: Send {
    /// The next wanted record.
    ///
    /// # Errors
    /// When something may have been missed, or the bus is not there. The tail is spent
    /// then: open another, and ask the log for what came between.
    async fn next(&mut self) -> Result<Record, BusError>;
}

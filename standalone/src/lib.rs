//! All of Parley in one process: what `cargo run --release` starts.
//!
//! The services are the same as in the distributed system, called over the same
//! gRPC, in process. Around them stand SQLite (or one PostgreSQL), a bus and a
//! cache in memory. Because those are in memory, a second process on the same data
//! would not hear of what the first does: a lock keeps it from starting.

mod arguments;
mod lock;
mod system;

#[cfg(test)]
mod originals;

pub use arguments::{Arguments, Options, announce};
pub use system::{Running, new_epoch, start};

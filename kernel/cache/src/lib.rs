//! The port to the cache that the replicas of a service share.
//!
//! Coherence is by leases (Nishtala et al., "Scaling Memcache at Facebook",
//! NSDI 2013, section 3.2.1). A miss leaves a lease under the key; a value is
//! stored only while that very lease stands; a change ends value and lease. So a
//! reader who read the database before a change can never write the old value back
//! after it.
//!
//! Whoever changes the database holds the key from before his commit to after it:
//! while it is held nothing is served under it and nothing stored. So a process that
//! is killed between its commit and the release leaves nothing old behind. A cache
//! that is down costs time, never an answer: its errors are misses, and are counted.

mod cached;
#[cfg(test)]
mod laws;
mod memory;
#[cfg(feature = "redis")]
mod redis;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

pub use cached::{cached, changing, holding};
pub use memory::Memory;
#[cfg(feature = "redis")]
pub use redis::Redis;

/// How long a reader may take from its miss to its fill.
pub const LEASE: Duration = Duration::from_secs(3);
/// How long a value lives. With the lease before it, nothing is ever older than
/// [`STALE`], counted from when it was read from the database.
pub const LIFE: Duration = Duration::from_secs(27);
/// How long a key is held, most: longer than any change takes.
pub const HOLD: Duration = Duration::from_secs(10);
/// How old an answer can be when a change could not be told to the cache.
pub const STALE: Duration = Duration::from_secs(30);

/// What is under a key.
#[derive(Debug)]
pub enum Lookup {
    /// A value.
    Hit(Bytes),
    /// None. Read the database, then [`Cache::fill`].
    Miss(Lease),
}

/// The right to fill a key once. It may be none: another reader has it, or the
/// cache is down; filling is then in vain, and harmless.
#[derive(Debug)]
pub struct Lease(Option<Standing>);

#[derive(Debug)]
struct Standing {
    key: String,
    token: u128,
}

impl Lease {
    fn new(key: &str, token: u128) -> Self {
        Self(Some(Standing {
            key: key.to_owned(),
            token,
        }))
    }

    const fn none() -> Self {
        Self(None)
    }
}

/// A key that is held, and who holds it; to be given back by [`Cache::release`].
#[derive(Debug)]
pub struct Hold {
    key: String,
    /// Where a cache counts its holders, it is nothing.
    #[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "memory counts"))]
    token: u128,
}

/// A cache. `laws.rs` states what each adapter does.
#[async_trait]
pub trait Cache: Send + Sync {
    /// What is under `key`. Take the lease before the database is read.
    async fn get(&self, key: &str) -> Lookup;

    /// Stores `value` if `lease` still stands: it is younger than [`LEASE`] and the
    /// key was not held since.
    async fn fill(&self, lease: Lease, value: Bytes);

    /// Ends what is under `key` and holds it, before a change is committed: until every
    /// holder has released it, or for [`HOLD`], gets are misses and fills are in vain.
    async fn hold(&self, key: &str) -> Hold;

    /// Lets go of the key after the change, and ends what is under it. While that
    /// fails, it is tried again behind the caller's back for [`STALE`].
    async fn release(&self, hold: Hold);
}

//! The cache within one process: bounded in bytes, values and leases age by
//! tokio's clock, which tests can move.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use moka::ops::compute::Op;
use moka::sync::Cache as Map;
use tokio::time::Instant;

use crate::{Cache, HOLD, Hold, LEASE, LIFE, Lease, Lookup, STALE};

/// Bytes of keys and values, most; the least used go first.
const CAPACITY: u64 = 32 << 20;
/// What an entry takes beside its key and value, about.
const OVERHEAD: usize = 128;

#[derive(Clone)]
struct Entry {
    until: Instant,
    held: Held,
}

#[derive(Clone)]
enum Held {
    Lease(u128),
    Value(Bytes),
    /// By how many.
    Hold(usize),
}

impl Entry {
    fn live(&self) -> bool {
        Instant::now() < self.until
    }
}

/// The cache of a process that shares it with nobody.
pub struct Memory {
    entries: Map<String, Entry>,
    tokens: AtomicU64,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// An empty cache.
    pub fn new() -> Self {
        let weigh = |key: &String, entry: &Entry| {
            let value = match &entry.held {
                Held::Lease(_) | Held::Hold(_) => 0,
                Held::Value(bytes) => bytes.len(),
            };
            u32::try_from(key.len() + value + OVERHEAD).unwrap_or(u32::MAX)
        };
        let entries = Map::builder()
            .weigher(weigh)
            .max_capacity(CAPACITY)
            .time_to_live(STALE)
            .build();
        Self {
            entries,
            tokens: AtomicU64::new(1),
        }
    }

    fn token(&self) -> u128 {
        u128::from(self.tokens.fetch_add(1, Ordering::Relaxed))
    }
}

#[async_trait]
impl Cache for Memory {
    async fn get(&self, key: &str) -> Lookup {
        if let Some(entry) = self.entries.get(key)
            && entry.live()
        {
            return match entry.held {
                Held::Value(bytes) => {
                    metrics::counter!("parley_cache_gets_total", "outcome" => "hit").increment(1);
                    Lookup::Hit(bytes)
                }
                Held::Lease(_) | Held::Hold(_) => {
                    metrics::counter!("parley_cache_gets_total", "outcome" => "miss").increment(1);
                    Lookup::Miss(Lease::none())
                }
            };
        }
        metrics::counter!("parley_cache_gets_total", "outcome" => "miss").increment(1);
        let token = self.token();
        let mut leased = false;
        self.entries.entry_by_ref(key).and_compute_with(|entry| {
            if entry.is_some_and(|entry| entry.value().live()) {
                return Op::Nop;
            }
            leased = true;
            Op::Put(Entry {
                until: Instant::now() + LEASE,
                held: Held::Lease(token),
            })
        });
        Lookup::Miss(if leased {
            Lease::new(key, token)
        } else {
            Lease::none()
        })
    }

    async fn fill(&self, lease: Lease, value: Bytes) {
        let Lease(Some(lease)) = lease else { return };
        self.entries.entry(lease.key).and_compute_with(|entry| {
            let stands = entry.is_some_and(|entry| {
                let entry = entry.value();
                entry.live() && matches!(entry.held, Held::Lease(token) if token == lease.token)
            });
            if !stands {
                return Op::Nop;
            }
            Op::Put(Entry {
                until: Instant::now() + LIFE,
                held: Held::Value(value),
            })
        });
    }

    async fn hold(&self, key: &str) -> Hold {
        // Not `insert`: it may fall between another's look and its put.
        self.entries.entry_by_ref(key).and_compute_with(|entry| {
            let others = entry.map_or(0, |entry| holders(entry.value()));
            Op::Put(Entry {
                until: Instant::now() + HOLD,
                held: Held::Hold(others + 1),
            })
        });
        let key = key.to_owned();
        Hold { key, token: 0 }
    }

    async fn release(&self, hold: Hold) {
        self.entries.entry(hold.key).and_compute_with(|entry| {
            let Some(entry) = entry else { return Op::Nop };
            match holders(entry.value()) {
                0 | 1 => Op::Remove,
                holders => Op::Put(Entry {
                    until: entry.value().until,
                    held: Held::Hold(holders - 1),
                }),
            }
        });
    }
}

fn holders(entry: &Entry) -> usize {
    match entry.held {
        Held::Hold(holders) if entry.live() => holders,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_fill_that_took_too_long_is_refused() {
        let cache = Memory::new();
        let Lookup::Miss(lease) = cache.get("k").await else {
            panic!("nothing was stored")
        };
        tokio::time::advance(LEASE).await;
        cache.fill(lease, Bytes::from_static(b"old")).await;
        assert!(matches!(cache.get("k").await, Lookup::Miss(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_dies_of_age() {
        let cache = Memory::new();
        let Lookup::Miss(lease) = cache.get("k").await else {
            panic!("nothing was stored")
        };
        cache.fill(lease, Bytes::from_static(b"v")).await;
        tokio::time::advance(LIFE / 2).await;
        assert!(matches!(cache.get("k").await, Lookup::Hit(_)));
        tokio::time::advance(LIFE / 2).await;
        assert!(matches!(cache.get("k").await, Lookup::Miss(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_whose_holder_died_ends_by_itself() {
        let cache = Memory::new();
        drop(cache.hold("k").await);
        tokio::time::advance(HOLD).await;
        let Lookup::Miss(lease) = cache.get("k").await else {
            panic!("nothing was stored")
        };
        cache.fill(lease, Bytes::from_static(b"new")).await;
        assert!(matches!(cache.get("k").await, Lookup::Hit(_)));
    }
}

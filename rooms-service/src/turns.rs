//! One at a time for each key: locks that are forgotten when nobody holds them.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

/// Below this many keys nothing is swept.
const SWEEP_AT_LEAST: usize = 64;

/// The turns of all keys.
pub(crate) struct Turns<K> {
    known: Mutex<Known<K>>,
}

struct Known<K> {
    locks: HashMap<K, Weak<tokio::sync::Mutex<()>>>,
    /// Sweeping at twice what the last sweep left costs a constant a turn.
    sweep_at: usize,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        let known = Known {
            locks: HashMap::new(),
            sweep_at: 0,
        };
        Self {
            known: Mutex::new(known),
        }
    }
}

impl<K: Eq + Hash> Turns<K> {
    /// Waits for the key's turn, which lasts as long as the guard.
    pub(crate) async fn take(&self, key: K) -> OwnedMutexGuard<()> {
        self.lock_of(key).lock_owned().await
    }

    fn lock_of(&self, key: K) -> Arc<tokio::sync::Mutex<()>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = known.locks.get(&key).and_then(Weak::upgrade) {
            return lock;
        }
        if known.locks.len() >= known.sweep_at.max(SWEEP_AT_LEAST) {
            known.locks.retain(|_, lock| lock.strong_count() > 0);
            known.sweep_at = known.locks.len() * 2;
        }
        let lock = Arc::default();
        known.locks.insert(key, Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_key_waits_another_does_not() {
        let turns = Turns::default();
        let (one, two) = (1, 2);
        let held = turns.take(one).await;
        drop(turns.take(two).await);
        assert!(turns.lock_of(one).try_lock().is_err());
        drop(held);
        assert!(turns.lock_of(one).try_lock().is_ok());
    }

    #[tokio::test]
    async fn keys_that_nobody_holds_are_forgotten() {
        let turns = Turns::default();
        for key in 1..10_000 {
            drop(turns.take(key).await);
        }
        assert!(turns.known.lock().unwrap().locks.len() <= SWEEP_AT_LEAST);
    }
}

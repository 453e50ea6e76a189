//! One at a time for each room: a lock by key that forgets keys nobody holds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use base::RoomId;
use tokio::sync::OwnedMutexGuard;

/// Below this many rooms nothing is swept.
const SWEEP_AT_LEAST: usize = 64;

/// The turns of all rooms.
#[derive(Default)]
pub(crate) struct Turns {
    rooms: Mutex<Rooms>,
}

#[derive(Default)]
struct Rooms {
    locks: HashMap<RoomId, Weak<tokio::sync::Mutex<()>>>,
    /// Sweeping at twice what the last sweep left costs a constant a turn.
    sweep_at: usize,
}

impl Turns {
    /// Waits for the room's turn, which lasts as long as the guard.
    pub(crate) async fn take(&self, room: RoomId) -> OwnedMutexGuard<()> {
        self.lock_of(room).lock_owned().await
    }

    fn lock_of(&self, room: RoomId) -> Arc<tokio::sync::Mutex<()>> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = rooms.locks.get(&room).and_then(Weak::upgrade) {
            return lock;
        }
        if rooms.locks.len() >= rooms.sweep_at.max(SWEEP_AT_LEAST) {
            rooms.locks.retain(|_, lock| lock.strong_count() > 0);
            rooms.sweep_at = rooms.locks.len() * 2;
        }
        let lock = Arc::default();
        rooms.locks.insert(room, Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_room_waits_another_does_not() {
        let turns = Turns::default();
        let (one, two) = (RoomId::new(1).unwrap(), RoomId::new(2).unwrap());
        let held = turns.take(one).await;
        drop(turns.take(two).await);
        assert!(turns.lock_of(one).try_lock().is_err());
        drop(held);
        assert!(turns.lock_of(one).try_lock().is_ok());
    }

    #[tokio::test]
    async fn rooms_that_nobody_holds_are_forgotten() {
        let turns = Turns::default();
        for room in 1..10_000 {
            drop(turns.take(RoomId::new(room).unwrap()).await);
        }
        assert!(turns.rooms.lock().unwrap().locks.len() <= SWEEP_AT_LEAST);
    }
}

//! Which rooms are watched here, for those who bring news: told when it changes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::RoomId;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Fanout, locked};

/// How long a change waits for others. The bus brings what happens meanwhile.
const GATHER: Duration = Duration::from_millis(20);

/// All who listen to what is watched here.
#[derive(Default)]
pub(super) struct Interest(Mutex<Vec<Arc<Changes>>>);

/// What one of them does not know yet.
#[derive(Default)]
struct Changes {
    rooms: Mutex<Changed>,
    /// There is something.
    some: Notify,
}

#[derive(Default)]
struct Changed {
    rooms: BTreeSet<RoomId>,
    /// Since when.
    since: Option<Instant>,
}

impl Interest {
    /// The room is watched from here on, or no longer.
    pub(super) fn note(&self, room: RoomId) {
        for changes in self.listeners().iter() {
            changes.note(std::iter::once(room));
        }
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Arc<Changes>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    fn note(&self, rooms: impl Iterator<Item = RoomId>) {
        let mut changed = locked(&self.rooms);
        changed.rooms.extend(rooms);
        if !changed.rooms.is_empty() && changed.since.is_none() {
            changed.since = Some(Instant::now());
            self.some.notify_one();
        }
    }
}

/// Someone who listens.
pub(crate) struct Listener {
    fanout: Fanout,
    changes: Arc<Changes>,
}

impl Fanout {
    /// Listens to what is watched here. All that is watched already comes first.
    pub(crate) fn listen(&self) -> Listener {
        let changes = Arc::<Changes>::default();
        self.0.interest.listeners().push(Arc::clone(&changes));
        for shard in &self.0.shards {
            let rooms: Vec<RoomId> = locked(shard).keys().copied().collect();
            changes.note(rooms.into_iter());
        }
        Listener {
            fanout: self.clone(),
            changes,
        }
    }
}

impl Listener {
    /// Waits until there is something to tell, and a moment for what else comes. Dropping it
    /// while it waits loses nothing.
    pub(crate) async fn some(&self) {
        loop {
            let since = locked(&self.changes.rooms).since;
            match since {
                Some(since) => return tokio::time::sleep_until(since + GATHER).await,
                None => self.changes.some.notified().await,
            }
        }
    }

    /// Up to `most` rooms that are watched now, or are not any more.
    pub(crate) fn take(&self, most: usize) -> (Vec<RoomId>, Vec<RoomId>) {
        let taken: Vec<RoomId> = {
            let mut changed = locked(&self.changes.rooms);
            let taken = (0..most).map_while(|_| changed.rooms.pop_first()).collect();
            if changed.rooms.is_empty() {
                changed.since = None;
            }
            taken
        };
        // What changes between here and there is noted once more.
        taken
            .into_iter()
            .partition(|&room| self.fanout.watched(room))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut listeners = self.fanout.0.interest.listeners();
        listeners.retain(|it| !Arc::ptr_eq(it, &self.changes));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::registry;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_listens_hears_of_rooms_that_come_and_go() {
        let fanout = registry();
        let room = |number| RoomId::new(number).unwrap();
        let one = fanout.open(room(1));
        let listener = fanout.listen();
        let two = fanout.open(room(2));
        let also_one = fanout.open(room(1));
        let began = Instant::now();
        listener.some().await;
        assert!(began.elapsed() >= Duration::from_millis(20));
        assert_eq!(listener.take(9), (vec![room(1), room(2)], vec![]));
        drop((one, two));
        let three = fanout.open(room(3));
        drop(three);
        listener.some().await;
        assert_eq!(listener.take(1), (vec![], vec![room(2)]));
        assert_eq!(listener.take(1), (vec![], vec![room(3)]));
        let hears_more = tokio::time::timeout(Duration::from_secs(9), listener.some());
        assert!(hears_more.await.is_err());
        drop(also_one);
        listener.some().await;
        assert_eq!(listener.take(9).1, [room(1)]);
        drop(listener);
        assert!(fanout.0.interest.listeners().is_empty());
    }
}

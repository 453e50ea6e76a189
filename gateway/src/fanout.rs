//! From the log to the screens: the rooms that somebody here watches.
//!
//! Events come by the bus, and with the answers to this gateway's own posts, and as news of
//! what others posted while there is little; heads are asked for besides, so that a lost newest event, a broker that forgot and a
//! bus that is down are all the same case: a head above what was delivered, fetched
//! from the log.

mod frame;
mod interest;
mod room;
mod sources;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::{Epoch, RoomId, Seq};
use proto::message::{Event, Mark};
use runtime::{Lifecycle, ReplicaId};
use tokio::sync::{mpsc, watch};

pub(crate) use frame::{Frame, epoch_of};
pub(crate) use interest::Listener;
pub(crate) use room::{Admission, Room, Watch};

use crate::Ports;
use crate::outbound::Link;
use interest::Interest;

/// Parts of the registry, so that rooms do not wait for each other.
const SHARDS: usize = 64;
/// Rooms that wait to be mended, most; beyond, the next question for heads finds them.
const MENDING: usize = 8_192;

type Cell = Arc<Mutex<Room>>;

/// A room of the registry, and how many handles there are on it.
#[derive(Default)]
struct Entry {
    cell: Cell,
    handles: usize,
}

/// The rooms watched here; cheap to clone.
#[derive(Clone)]
pub(crate) struct Fanout(Arc<Shared>);

struct Shared {
    shards: Vec<Mutex<HashMap<RoomId, Entry>>>,
    interest: Interest,
    mend: mpsc::Sender<RoomId>,
    bus: watch::Sender<BusState>,
}

/// What is known of the bus. Until the tail is open, heads are all there is.
#[derive(Default)]
struct BusState {
    tail_open: bool,
    /// Replicas of the message-service that cannot publish.
    cut_off: HashSet<ReplicaId>,
}

impl BusState {
    fn reliable(&self) -> bool {
        self.tail_open && self.cut_off.is_empty()
    }
}

/// A poisoned lock means a panic in here; a room's invariants hold between calls.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fanout {
    /// Starts listening to what happens.
    pub(crate) fn start(ports: &Ports, lifecycle: &Lifecycle) -> Self {
        let (mend, holes) = mpsc::channel(MENDING);
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let fanout = Self(Arc::new(Shared {
            shards,
            interest: Interest::default(),
            mend,
            bus: watch::Sender::default(),
        }));
        sources::start(&fanout, ports, holes, lifecycle);
        fanout
    }

    /// Opens a room: from here on its events are kept, be it only for this handle.
    pub(crate) fn open(&self, id: RoomId) -> RoomHandle {
        let mut rooms = locked(self.shard(id));
        let entry = rooms.entry(id).or_default();
        entry.handles += 1;
        let is_new = entry.handles == 1;
        let cell = Arc::clone(&entry.cell);
        drop(rooms);
        if is_new {
            self.0.interest.note(id);
        }
        RoomHandle {
            fanout: self.clone(),
            id,
            cell,
        }
    }

    /// Whether anybody here watches the room.
    fn watched(&self, id: RoomId) -> bool {
        locked(self.shard(id)).contains_key(&id)
    }

    /// Takes events in, ascending, from wherever they came; `head` is the newest
    /// Seq that their source knows of, in the log's life `epoch`.
    pub(crate) fn offer(&self, id: RoomId, events: &[Event], head: Seq, epoch: Option<Epoch>) {
        let Some(cell) = self.find(id) else { return };
        let mut room = locked(&cell);
        for event in events {
            if room.wants(Seq(event.seq), epoch_of(event.epoch))
                && let Some(frame) = Frame::encode(event)
            {
                room.offer(frame);
            }
        }
        room.note_head(head, epoch);
        self.mend_if_needed(id, &mut room);
    }

    /// Tells who watches a room of read markers that moved.
    fn tell(&self, id: RoomId, marks: &[Mark]) {
        if marks.is_empty() {
            return;
        }
        let Some(cell) = self.find(id) else { return };
        locked(&cell).tell(id, marks);
    }

    /// Says whether this gateway reads the bus.
    fn set_tail_open(&self, open: bool) {
        self.0.bus.send_modify(|bus| bus.tail_open = open);
    }

    /// Says whether this replica of the message-service is cut off from the bus, by its
    /// own word.
    pub(crate) fn set_cut_off(&self, replica: ReplicaId, cut_off: bool) {
        self.0.bus.send_if_modified(|bus| {
            if cut_off {
                bus.cut_off.insert(replica)
            } else {
                bus.cut_off.remove(&replica)
            }
        });
    }

    fn bus_state(&self) -> watch::Receiver<BusState> {
        self.0.bus.subscribe()
    }

    /// Waits until this gateway reads the bus.
    pub(crate) async fn tail_open(&self) {
        // The sender is this very registry's, so there is no end of it to hear of.
        let _ = self.bus_state().wait_for(|bus| bus.tail_open).await;
    }

    fn mend_if_needed(&self, id: RoomId, room: &mut Room) {
        if room.hole().is_some() && room.claim_mending() && self.0.mend.try_send(id).is_err() {
            room.mended();
        }
    }

    fn find(&self, id: RoomId) -> Option<Cell> {
        let rooms = locked(self.shard(id));
        rooms.get(&id).map(|entry| Arc::clone(&entry.cell))
    }

    /// The rooms watched here that somebody knows the end of.
    fn known(&self) -> Vec<RoomId> {
        let mut known = Vec::new();
        for shard in &self.0.shards {
            let rooms: Vec<(RoomId, Cell)> = locked(shard)
                .iter()
                .map(|(&id, entry)| (id, Arc::clone(&entry.cell)))
                .collect();
            let far = rooms
                .into_iter()
                .filter(|(_, cell)| locked(cell).is_known());
            known.extend(far.map(|(id, _)| id));
        }
        known
    }

    fn shard(&self, id: RoomId) -> &Mutex<HashMap<RoomId, Entry>> {
        let index = usize::try_from(id.get()).unwrap_or(0) % SHARDS;
        &self.0.shards[index]
    }
}

/// A room that is kept as long as somebody has a handle on it.
pub(crate) struct RoomHandle {
    fanout: Fanout,
    id: RoomId,
    cell: Cell,
}

impl RoomHandle {
    /// See [`Room::admit`].
    pub(crate) fn admit(&self, watch: Watch, after: Seq, head: Seq, epoch: Epoch) -> Admission {
        let mut room = locked(&self.cell);
        let admission = room.admit(watch, after, head, Some(epoch));
        self.fanout.mend_if_needed(self.id, &mut room);
        admission
    }

    /// Up to where a connection that watches has, or does not want, the events.
    pub(crate) fn position_of(&self, link: &Arc<Link>) -> Option<Seq> {
        locked(&self.cell).position_of(link)
    }

    /// The newest Seq delivered here in this life of the log, if anything was.
    pub(crate) fn delivered_in(&self, epoch: Epoch) -> Option<Seq> {
        locked(&self.cell).delivered_in(Some(epoch))
    }

    /// See [`Room::watched_by`].
    pub(crate) fn watched_by(&self, link: &Arc<Link>) -> bool {
        locked(&self.cell).watched_by(link)
    }

    /// See [`Room::dismiss`].
    pub(crate) fn dismiss(&self, link: &Arc<Link>) {
        locked(&self.cell).dismiss(link);
    }
}

impl Drop for RoomHandle {
    fn drop(&mut self) {
        let mut rooms = locked(self.fanout.shard(self.id));
        let Some(entry) = rooms.get_mut(&self.id) else {
            return;
        };
        entry.handles -= 1;
        if entry.handles == 0 {
            rooms.remove(&self.id);
            drop(rooms);
            self.fanout.0.interest.note(self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn registry() -> Fanout {
        let (mend, _) = mpsc::channel(1);
        Fanout(Arc::new(Shared {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            interest: Interest::default(),
            mend,
            bus: watch::Sender::default(),
        }))
    }

    #[test]
    fn a_room_is_kept_as_long_as_there_is_a_handle_whoever_looks_at_it() {
        let fanout = registry();
        let id = RoomId::new(7).unwrap();
        let (one, two) = (fanout.open(id), fanout.open(id));
        let looked_at = fanout.find(id);
        drop(one);
        assert!(fanout.watched(id));
        drop(two);
        assert!(!fanout.watched(id));
        drop(looked_at);
        let again = fanout.open(id);
        assert!(fanout.watched(id));
        drop(again);
        assert!(!fanout.watched(id));
    }
}

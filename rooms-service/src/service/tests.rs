//! The use cases against a log that keeps its law and fails when told to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base::{ChangeNo, Code, ManualClock, OsEntropy, RoomId, RoomName, Timestamp, Uid};
use bytes::Bytes;
use cache::{Cache, Hold, Lease, Lookup};
use runtime::{Call, Lifecycle, RequestId};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::Service;
use crate::Ports;
use crate::domain::{Change, ChangeKind, Role, Wish};
use crate::log::{AppendError, Log};
use crate::store::{SqliteStore, Store};

const ANN: Uid = Uid::new(1).unwrap();
const BOB: Uid = Uid::new(2).unwrap();
const EVE: Uid = Uid::new(3).unwrap();
const AGE: Duration = Duration::from_secs(1);

/// What a log does with an Append.
pub(crate) const WELL: u8 = 0;
/// It cannot be reached.
pub(crate) const DOWN: u8 = 1;
/// It never answers.
const FROZEN: u8 = 2;
/// It does the work, and the answer is lost.
const LOSES_ANSWERS: u8 = 3;

#[derive(Default)]
pub(crate) struct MemoryLog {
    /// Told when it has written something.
    pub(crate) written: Notify,
    rooms: Mutex<HashMap<RoomId, Vec<Change>>>,
    state: AtomicU8,
}

impl MemoryLog {
    pub(crate) fn becomes(&self, state: u8) {
        self.state.store(state, Ordering::SeqCst);
    }

    fn of(&self, room: RoomId) -> Vec<Change> {
        let rooms = self.rooms.lock().unwrap();
        rooms.get(&room).cloned().unwrap_or_default()
    }

    fn joins(&self, room: RoomId) -> Vec<(Uid, Uid)> {
        let joins = |change: &Change| change.kind == ChangeKind::Join;
        let who = |change: Change| (change.uid, change.by);
        self.of(room).into_iter().filter(joins).map(who).collect()
    }
}

#[async_trait]
impl Log for MemoryLog {
    async fn append(&self, _: &Call, room: RoomId, changes: &[Change]) -> Result<u64, AppendError> {
        let lost = base::Error::unavailable("no log", "on purpose");
        match self.state.load(Ordering::SeqCst) {
            DOWN => return Err(AppendError::Failed(lost)),
            FROZEN => std::future::pending().await,
            _ => {}
        }
        let mut rooms = self.rooms.lock().unwrap();
        let log = rooms.entry(room).or_default();
        for &change in changes {
            let next = log.len() as u64 + 1;
            match change.no.get() {
                number if number == next => log.push(change),
                number if number > next => return Err(AppendError::Gap),
                _ => {}
            }
        }
        self.written.notify_waiters();
        if self.state.load(Ordering::SeqCst) == LOSES_ANSWERS {
            return Err(AppendError::Failed(lost));
        }
        Ok(log.len() as u64)
    }
}

struct World {
    service: Service,
    store: SqliteStore,
    log: Arc<MemoryLog>,
    clock: Arc<ManualClock>,
    cache: Arc<dyn Cache>,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rooms.db");
        let store = SqliteStore::open(&path).await.unwrap();
        let log = Arc::<MemoryLog>::default();
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_000_000_000)));
        let cache: Arc<dyn Cache> = Arc::new(cache::Memory::new());
        let ports = Ports {
            store: Arc::new(store.clone()),
            cache: cache.clone(),
            log: log.clone(),
            clock: clock.clone(),
            entropy: Arc::new(OsEntropy),
        };
        Self {
            service: Service::new(ports, Lifecycle::new()),
            store,
            log,
            clock,
            cache,
            _folder: folder,
        }
    }

    /// What another process of the service has in common with this one.
    fn ports(&self, cache: Arc<dyn Cache>) -> Ports {
        Ports {
            store: Arc::new(self.store.clone()),
            cache,
            log: self.log.clone(),
            clock: self.clock.clone(),
            entropy: Arc::new(OsEntropy),
        }
    }

    /// A room of Ann's.
    async fn room(&self, name: &str, is_private: bool) -> RoomId {
        let name = RoomName::parse("Name", name).unwrap();
        let call = by(ANN);
        let made = self.service.create(&call, name, is_private).await;
        made.unwrap()
    }

    async fn pending(&self, room: RoomId) -> usize {
        self.store.pending(room).await.unwrap().len()
    }

    async fn relay(&self) -> base::Result<u64> {
        self.service.finish_pending(AGE).await
    }
}

fn by(uid: Uid) -> Call {
    nobody().by(uid)
}

fn nobody() -> Call {
    Call::new(RequestId::parse("test").unwrap(), Duration::from_secs(20))
}

fn code<T: std::fmt::Debug>(outcome: base::Result<T>) -> Code {
    outcome.unwrap_err().code()
}

#[tokio::test]
async fn a_change_is_in_the_log_when_it_is_answered() {
    let world = World::new().await;
    let room = world.room("room", false).await;
    assert_eq!(world.log.of(room)[0].role, Some(Role::Owner));
    world.service.join(&by(BOB), room).await.unwrap();
    world.service.invite(&by(ANN), room, EVE).await.unwrap();
    assert_eq!(world.log.joins(room), [(ANN, ANN), (BOB, BOB), (EVE, ANN)]);
    world.service.leave(&by(BOB), room).await.unwrap();
    assert_eq!(world.log.of(room)[3].kind, ChangeKind::Leave);
    assert_eq!(world.pending(room).await, 0);
}

#[tokio::test]
async fn without_the_log_a_change_is_unavailable_and_a_retry_finishes_it() {
    let world = World::new().await;
    let room = world.room("room", false).await;
    world.log.becomes(DOWN);
    let joined = world.service.join(&by(BOB), room).await;
    assert_eq!(code(joined), Code::Unavailable);
    assert_eq!(world.pending(room).await, 1);

    let again = world.service.join(&by(BOB), room).await;
    assert_eq!(code(again), Code::Unavailable);
    world.log.becomes(WELL);
    world.service.join(&by(BOB), room).await.unwrap();
    assert_eq!(world.log.joins(room), [(ANN, ANN), (BOB, BOB)]);
    let third = world.service.join(&by(BOB), room).await;
    assert_eq!(code(third), Code::Conflict);
}

#[tokio::test]
async fn a_creation_that_was_cut_off_gives_the_same_room_when_it_is_retried() {
    let world = World::new().await;
    world.log.becomes(DOWN);
    let name = || RoomName::parse("Name", "mine").unwrap();
    let cut_off = world.service.create(&by(ANN), name(), false).await;
    assert_eq!(code(cut_off), Code::Unavailable);
    let other = world.service.create(&by(BOB), name(), false).await;
    assert_eq!(code(other), Code::Conflict);
    world.log.becomes(WELL);
    let room = world.service.create(&by(ANN), name(), false).await.unwrap();
    assert_eq!(room.get(), 1);
    let third = world.service.create(&by(ANN), name(), false).await;
    assert_eq!(code(third), Code::Conflict);
}

#[tokio::test]
async fn the_relay_finishes_what_a_crash_left_once_it_is_old_enough() {
    let world = World::new().await;
    let room = world.room("room", false).await;
    // Between the commit and the log's word the process died.
    let now = Timestamp::from_micros(1_000_000_000);
    let join = Wish::Join { uid: BOB };
    world.store.change(room, join, now).await.unwrap();

    assert_eq!(world.relay().await.unwrap(), 0);
    world.clock.advance(AGE * 2);
    world.log.becomes(DOWN);
    assert_eq!(code(world.relay().await), Code::Unavailable);
    world.log.becomes(WELL);
    assert_eq!(world.relay().await.unwrap(), 1);
    assert_eq!(world.log.joins(room), [(ANN, ANN), (BOB, BOB)]);
    assert_eq!(world.pending(room).await, 0);
    assert_eq!(world.relay().await.unwrap(), 0);
}

#[tokio::test]
async fn earlier_changes_that_are_pending_go_first() {
    let world = World::new().await;
    let room = world.room("room", false).await;
    world.log.becomes(DOWN);
    let cut_off = world.service.join(&by(BOB), room).await;
    assert_eq!(code(cut_off), Code::Unavailable);
    world.log.becomes(WELL);
    world.service.join(&by(EVE), room).await.unwrap();
    assert_eq!(world.log.joins(room), [(ANN, ANN), (BOB, BOB), (EVE, EVE)]);
}

#[tokio::test]
async fn a_lost_answer_does_no_harm() {
    let world = World::new().await;
    let room = world.room("room", false).await;
    world.log.becomes(LOSES_ANSWERS);
    let lost = world.service.join(&by(BOB), room).await;
    assert_eq!(code(lost), Code::Unavailable);
    world.log.becomes(WELL);
    world.service.join(&by(BOB), room).await.unwrap();
    assert_eq!(world.log.joins(room), [(ANN, ANN), (BOB, BOB)]);
}

#[tokio::test]
async fn a_frozen_log_is_waited_for_no_longer_than_the_deadline() {
    let world = World::new().await;
    let room = world.room("room", false).await;
    world.log.becomes(FROZEN);
    let call = by(BOB).within(Duration::from_millis(200));
    let joined = world.service.join(&call, room).await;
    assert_eq!(code(joined), Code::DeadlineExceeded);
    // Nobody holds the room's turn after that.
    world.log.becomes(WELL);
    world.service.join(&by(BOB), room).await.unwrap();
}

#[tokio::test]
async fn a_log_restored_from_an_older_copy_gets_what_it_lacks() {
    let world = World::new().await;
    let room = world.room("room", false).await;
    world.service.join(&by(BOB), room).await.unwrap();
    world.log.rooms.lock().unwrap().clear();
    world.service.join(&by(EVE), room).await.unwrap();
    assert_eq!(world.log.joins(room), [(ANN, ANN), (BOB, BOB), (EVE, EVE)]);
}

#[tokio::test]
async fn an_invited_user_who_joins_is_told_no_before_the_log_has_him() {
    let world = World::new().await;
    let room = world.room("room", false).await;
    world.log.becomes(DOWN);
    let invited = world.service.invite(&by(ANN), room, BOB).await;
    assert_eq!(code(invited), Code::Unavailable);
    let joined = world.service.join(&by(BOB), room).await;
    assert_eq!(code(joined), Code::Unavailable);
    world.log.becomes(WELL);
    let joined = world.service.join(&by(BOB), room).await;
    assert_eq!(code(joined), Code::Conflict);
    assert_eq!(world.log.joins(room), [(ANN, ANN), (BOB, ANN)]);
}

#[tokio::test]
async fn who_left_and_is_kicked_or_was_kicked_and_leaves_is_gone_when_the_answer_is_no() {
    let world = World::new().await;
    let room = world.room("room", false).await;
    for leaves_first in [true, false] {
        world.service.join(&by(BOB), room).await.unwrap();
        let leave = async || world.service.leave(&by(BOB), room).await;
        let kick = async || world.service.kick(&by(ANN), room, BOB).await;
        world.log.becomes(DOWN);
        let first = if leaves_first {
            leave().await
        } else {
            kick().await
        };
        assert_eq!(code(first), Code::Unavailable);
        let second = async || {
            if leaves_first {
                kick().await
            } else {
                leave().await
            }
        };
        assert_eq!(code(second().await), Code::Unavailable);
        world.log.becomes(WELL);
        assert_eq!(code(second().await), Code::Conflict);
        let last = world.log.of(room).pop().unwrap();
        assert_eq!((last.uid, last.kind), (BOB, ChangeKind::Leave));
        assert_eq!(world.pending(room).await, 0);
    }
}

#[tokio::test]
async fn more_changes_than_one_append_takes_all_arrive_in_order() {
    let world = World::new().await;
    let room = world.room("room", false).await;
    let now = Timestamp::from_micros(0);
    for uid in 10..1_100 {
        let uid = Uid::new(uid).unwrap();
        let join = Wish::Join { uid };
        world.store.change(room, join, now).await.unwrap();
    }
    world.service.join(&by(BOB), room).await.unwrap();
    let numbers = world.log.of(room).into_iter().map(|change| change.no);
    assert!(numbers.map(ChangeNo::get).eq(1..=1_092));
    assert_eq!(world.pending(room).await, 0);
}

#[tokio::test]
async fn many_who_join_at_once_are_all_in_the_log() {
    let world = World::new().await;
    let room = world.room("room", false).await;
    let mut joining = JoinSet::new();
    for uid in 10..60 {
        let service = world.service.clone();
        joining.spawn(async move { service.join(&by(Uid::new(uid).unwrap()), room).await });
    }
    for joined in joining.join_all().await {
        joined.unwrap();
    }
    assert_eq!(world.log.of(room).len(), 51);
}

#[tokio::test]
async fn a_private_room_is_unknown_to_those_outside() {
    let world = World::new().await;
    let room = world.room("private", true).await;
    for call in [by(BOB), nobody()] {
        let info = world.service.info(&call, room).await;
        assert_eq!(code(info), Code::NotFound);
    }
    let joined = world.service.join(&by(BOB), room).await;
    assert_eq!(code(joined), Code::PermissionDenied);
    let invited = world.service.invite(&by(BOB), room, BOB).await;
    assert_eq!(code(invited), Code::PermissionDenied);
    world.service.invite(&by(ANN), room, BOB).await.unwrap();
    let info = world.service.info(&by(BOB), room).await.unwrap();
    assert_eq!((info.creator, info.is_private), (ANN, true));
    world.service.leave(&by(BOB), room).await.unwrap();
    let info = world.service.info(&by(BOB), room).await;
    assert_eq!(code(info), Code::NotFound);
}

#[tokio::test]
async fn a_users_rooms_are_what_he_joined_and_did_not_leave() {
    let world = World::new().await;
    let (one, two) = (
        world.room("room one", false).await,
        world.room("room two", false).await,
    );
    assert_eq!(world.service.list(&by(BOB)).await.unwrap(), []);
    for room in [two, one] {
        world.service.join(&by(BOB), room).await.unwrap();
    }
    assert_eq!(world.service.list(&by(BOB)).await.unwrap(), [one, two]);
    world.service.leave(&by(BOB), one).await.unwrap();
    assert_eq!(world.service.list(&by(BOB)).await.unwrap(), [two]);
    let left = world.service.leave(&by(BOB), one).await;
    assert_eq!(code(left), Code::Conflict);
    assert_eq!(
        world.service.role(two, BOB).await.unwrap(),
        Some(Role::Member)
    );
    assert_eq!(world.service.role(one, BOB).await.unwrap(), None);
}

/// The cache of a process that dies when it has committed, before it lets go of a key.
struct Dying {
    cache: Arc<dyn Cache>,
    died: Notify,
}

#[async_trait]
impl Cache for Dying {
    async fn get(&self, key: &str) -> Lookup {
        self.cache.get(key).await
    }

    async fn fill(&self, lease: Lease, value: Bytes) {
        self.cache.fill(lease, value).await;
    }

    async fn hold(&self, key: &str) -> Hold {
        self.cache.hold(key).await
    }

    async fn release(&self, _: Hold) {
        self.died.notify_one();
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn a_process_that_dies_after_its_commit_leaves_no_old_room_list_in_the_cache() {
    let world = World::new().await;
    let room = world.room("room", false).await;
    assert_eq!(world.service.list(&by(BOB)).await.unwrap(), []);
    let dying = Arc::new(Dying {
        cache: world.cache.clone(),
        died: Notify::new(),
    });
    let other = Service::new(world.ports(dying.clone()), Lifecycle::new());
    let mut joining = JoinSet::new();
    joining.spawn(async move { other.join(&by(BOB), room).await });
    dying.died.notified().await;
    for _ in 0..2 {
        assert_eq!(world.service.list(&by(BOB)).await.unwrap(), [room]);
    }
    assert!(joining.try_join_next().is_none());
}

#[tokio::test]
async fn a_room_is_the_same_from_the_cache() {
    let world = World::new().await;
    let room = world.room("Room Ä", false).await;
    let first = world.service.info(&nobody(), room).await.unwrap();
    let second = world.service.info(&nobody(), room).await.unwrap();
    let stored = world.store.room(room).await.unwrap();
    assert_eq!((Some(first), Some(second)), (stored.clone(), stored));
}

#[tokio::test]
async fn nobody_changes_anything_without_being_somebody() {
    let world = World::new().await;
    let room = world.room("room", false).await;
    let joined = world.service.join(&nobody(), room).await;
    assert_eq!(code(joined), Code::Unauthenticated);
    assert_eq!(
        code(world.service.list(&nobody()).await),
        Code::Unauthenticated
    );
}

//! What the logs need of a database. Every method is one transaction at most;
//! `laws.rs` states what each must do, and both adapters pass it.

#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;

mod known;
#[cfg(test)]
mod laws;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod rows;

use std::time::Duration;

use async_trait::async_trait;
use base::{Epoch, RoomId, Seq, Timestamp, Uid};
use runtime::StoreError;
use tokio::time::Instant;

use crate::domain::{
    End, Entry, Event, HistoryFrom, Mark, Marked, Outcome, Page, Position, ReadError, Standing,
    kind,
};

/// How long one use case may take in all. A database that went away without a word is
/// given up, and what was asked of it asked again on another connection.
const PATIENCE: Duration = Duration::from_secs(4);

/// Waits for a use case, but not for ever.
pub(crate) async fn in_time<T, E: From<StoreError>>(
    asking: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let waiting = tokio::time::timeout(PATIENCE, asking).await;
    waiting.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".into()).into()))
}

/// Whether there is time left to write.
fn check_time(before: Instant) -> Result<(), StoreError> {
    if Instant::now() < before {
        return Ok(());
    }
    Err(StoreError::Unavailable(
        "the locks were had too late".into(),
    ))
}

/// A room whose newest events are not known to be on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    /// The room.
    pub room: RoomId,
    /// The newest event known to be on the bus.
    pub published: Seq,
    /// The newest event.
    pub head: Seq,
    /// The life of the log.
    pub epoch: Epoch,
}

/// A stretch of a room's log that the bus has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The room.
    pub room: RoomId,
    /// The first event of the stretch.
    pub from: Seq,
    /// The last.
    pub to: Seq,
}

/// The logs.
#[async_trait]
pub trait Store: Send + Sync {
    /// Writes a batch in one transaction, one outcome an entry, in order. Any
    /// split of the same entries into batches gives the same log. After an error
    /// nothing is known: the batch may have been committed.
    ///
    /// When the rooms' locks were had only at `before` or later, nothing is written:
    /// a process that was frozen must not write what its authors were told is lost.
    async fn commit(
        &self,
        entries: &[Entry],
        now: Timestamp,
        before: Instant,
    ) -> Result<Vec<Outcome>, StoreError>;

    /// Notes what the bus has taken. A stretch counts only when it continues what
    /// was noted before; a room that is locked now is passed over. Returns the
    /// stretches that need not be noted again.
    async fn note_published(&self, done: &[Published]) -> Result<Vec<RoomId>, StoreError>;

    /// Rooms whose newest event happened before `before` and is not known to be
    /// on the bus, longest waiting first.
    async fn behind(&self, before: Timestamp, limit: u32) -> Result<Vec<Behind>, StoreError>;

    /// Where these logs end; unknown rooms are left out.
    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<End>, StoreError>;

    /// A user's standing in a room. `None`: there is no such room.
    async fn position(&self, room: RoomId, uid: Uid) -> Result<Option<Position>, StoreError>;

    /// Events after `after`, ascending, `limit` at most. With a reader, his
    /// membership is checked by the statement that reads.
    async fn page(
        &self,
        room: RoomId,
        reader: Option<Uid>,
        after: Seq,
        limit: u32,
    ) -> Result<Page, ReadError>;

    /// Messages, joins and leaves, `limit` at most.
    async fn history(
        &self,
        room: RoomId,
        reader: Uid,
        from: HistoryFrom,
        limit: u32,
    ) -> Result<Vec<Event>, ReadError>;

    /// Moves read markers, forwards only; one outcome a mark. No two are of one user in one
    /// room.
    async fn mark(&self, marks: &[Mark]) -> Result<Vec<Marked>, StoreError>;

    /// Where a user stands in those of these rooms that he is in, ascending.
    async fn standings(&self, uid: Uid, rooms: &[RoomId]) -> Result<Vec<Standing>, StoreError>;

    /// Begins a new life of all logs, after a restore from backup: whoever holds a Seq
    /// of the life before is told to start afresh. Returns the new epoch.
    async fn begin_epoch(&self) -> Result<Epoch, StoreError>;
}

/// What a batch acts on: each room, author and nonce once, ascending.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    pub(crate) rooms: Vec<i64>,
    /// Rooms whose first change is in the batch: their heads may have to be made.
    pub(crate) begun: Vec<i64>,
    pub(crate) authors: Vec<(i64, i64)>,
    pub(crate) nonces: Vec<(i64, i64, String)>,
}

impl Needs {
    pub(crate) fn of(entries: &[Entry]) -> Self {
        let mut needs = Self::default();
        for entry in entries {
            let room = entry.room().as_i64();
            needs.rooms.push(room);
            match entry {
                Entry::Post(post) => {
                    needs.authors.push((room, post.uid.as_i64()));
                    needs
                        .nonces
                        .push((room, post.uid.as_i64(), post.nonce.as_str().to_owned()));
                }
                Entry::Changes { changes, .. } => {
                    if changes.first().is_some_and(|change| change.number == 1) {
                        needs.begun.push(room);
                    }
                }
            }
        }
        for rooms in [&mut needs.rooms, &mut needs.begun] {
            rooms.sort_unstable();
            rooms.dedup();
        }
        needs.authors.sort_unstable();
        needs.authors.dedup();
        needs.nonces.sort_unstable();
        needs.nonces.dedup();
        needs
    }
}

/// What a store finds of a mark: the head of its room, its member's marker, whether it moved.
type Found = (Option<i64>, Option<i64>, bool);

/// What became of a mark, by what was found.
fn marked(mark: &Mark, (head, read, moved): Found) -> Marked {
    let asked = mark.read.as_i64();
    match (head, read) {
        (None, _) => Marked::NoRoom,
        (Some(_), None) => Marked::NotMember,
        (Some(head), Some(_)) if asked > head => Marked::Beyond,
        (Some(_), Some(_)) if moved => Marked::At {
            read: mark.read,
            moved,
        },
        (Some(_), Some(read)) if read >= asked => Marked::At {
            read: Seq(read.cast_unsigned()),
            moved,
        },
        (Some(_), Some(_)) => Marked::Busy,
    }
}

/// A row of what a member's standing is made of.
#[derive(sqlx::FromRow)]
struct StandingRow {
    room_id: i64,
    head: i64,
    epoch: i64,
    first: i64,
    role: i64,
    read: i64,
    unread: i64,
    seq: Option<i64>,
    uid: Option<i64>,
    text: Option<String>,
    attrs: Option<String>,
    at: Option<i64>,
}

impl TryFrom<StandingRow> for Standing {
    type Error = StoreError;

    fn try_from(row: StandingRow) -> Result<Self, StoreError> {
        let room = id(row.room_id, "heads.room_id")?;
        let epoch = Epoch(row.epoch.cast_unsigned());
        let number = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
        let last_message = match (row.seq, row.uid, row.at) {
            (Some(seq), Some(uid), Some(at)) => Some(Event {
                room,
                seq: Seq(seq.cast_unsigned()),
                kind: kind::MESSAGE,
                uid: id(uid, "events.uid")?,
                target: Seq(seq.cast_unsigned()),
                text: row.text.unwrap_or_default(),
                attrs: row.attrs.unwrap_or_default(),
                at: Timestamp::from_micros(at),
                epoch,
            }),
            _ => None,
        };
        Ok(Self {
            room,
            position: Position {
                head: Seq(row.head.cast_unsigned()),
                epoch,
                first: Seq(row.first.cast_unsigned()),
                role: number(row.role),
            },
            read: Seq(row.read.cast_unsigned()),
            unread: number(row.unread),
            last_message,
        })
    }
}

/// The halves of a page around an event: up to it, and after it.
pub(crate) fn halves(limit: u32) -> (u32, u32) {
    (limit.div_ceil(2), limit / 2)
}

/// An id from a column that only ids are written to.
pub(crate) fn id<T: TryFrom<i64>>(value: i64, column: &str) -> Result<T, StoreError> {
    T::try_from(value).map_err(|_| StoreError::Broken(format!("{column} holds {value}")))
}

//! The logs on SQLite: one writer, so a batch needs no row locks; whole columns go
//! into one statement as JSON, because a statement costs more than its rows.

mod markers;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use async_trait::async_trait;
use base::{Epoch, RoomId, Seq, Timestamp, Uid};
use runtime::StoreError;
use runtime::sql::Pools;
use serde::Serialize;
use serde_json::json;
use sqlx::Sqlite;
use sqlx::sqlite::SqliteConnection;
use tokio::time::Instant;

use super::known::{Known, ascending};
use super::rows::{self, seq};
use super::{Behind, Needs, Published, Store, check_time, halves, id};
use crate::domain::{
    End, Entry, Event, HistoryFrom, Mark, Marked, Outcome, Page, Position, ReadError, Standing,
    kind,
};
use crate::sequencer::{Head, Plan, Row, State, Written, sequence};

/// What SQLite says when a trigger refuses: `SQLITE_CONSTRAINT_TRIGGER`.
const RAISED: &str = "1811";

/// The logs in one file.
pub struct SqliteStore {
    database: Pools<Sqlite>,
    known: Known,
}

impl SqliteStore {
    /// Opens the file, making it if it is not there.
    ///
    /// # Errors
    /// When it cannot be opened or migrated.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let database = runtime::sqlite::open(path, sqlx::migrate!("migrations/sqlite")).await?;
        Ok(Self {
            database,
            known: Known::default(),
        })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit(
        &self,
        entries: &[Entry],
        now: Timestamp,
        before: Instant,
    ) -> Result<Vec<Outcome>, StoreError> {
        if let Some(guess) = self.known.guess(entries) {
            let mut writer = self.database.writer.acquire().await?;
            check_time(before)?;
            let heads = ascending(&guess);
            let plan = sequence(entries, guess, now);
            if write_where_known(&mut writer, &heads, &plan).await? {
                self.known.follow(&plan);
                return Ok(plan.outcomes);
            }
        }
        let mut tx = self.database.writer.begin_with("BEGIN IMMEDIATE").await?;
        let needs = Needs::of(entries);
        for room in &needs.begun {
            sqlx::query(
                "INSERT INTO heads (room_id, epoch)
                 VALUES (?1, (SELECT epoch FROM life))
                 ON CONFLICT DO NOTHING",
            )
            .bind(room)
            .execute(&mut *tx)
            .await?;
        }
        check_time(before)?;
        let state = State {
            heads: lock(&mut tx, &needs.rooms).await?,
            busy: HashSet::new(),
            members: members(&mut tx, &needs.authors).await?,
            nonces: nonces(&mut tx, &needs.nonces).await?,
        };
        let (heads, authors) = (ascending(&state), state.members.clone());
        let plan = sequence(entries, state, now);
        write(&mut tx, &plan).await?;
        tx.commit().await?;
        self.known.learn(&heads, &authors, &plan);
        Ok(plan.outcomes)
    }

    async fn note_published(&self, done: &[Published]) -> Result<Vec<RoomId>, StoreError> {
        let rows: Vec<_> = done
            .iter()
            .map(|it| (it.room.get(), it.from.get(), it.to.get()))
            .collect();
        sqlx::query(
            "UPDATE heads
             SET published = MAX(published, done.value ->> 2)
             FROM json_each(?1) AS done
             WHERE heads.room_id = done.value ->> 0
               AND heads.published >= (done.value ->> 1) - 1",
        )
        .bind(json!(rows).to_string())
        .execute(&self.database.writer)
        .await?;
        Ok(done.iter().map(|stretch| stretch.room).collect())
    }

    async fn behind(&self, before: Timestamp, limit: u32) -> Result<Vec<Behind>, StoreError> {
        let rows: Vec<(i64, i64, i64, i64)> = sqlx::query_as(
            "SELECT room_id, published, head, epoch
             FROM heads
             WHERE published < head
               AND last_at < ?1
             ORDER BY last_at
             LIMIT ?2",
        )
        .bind(before.micros())
        .bind(limit)
        .fetch_all(&self.database.readers)
        .await?;
        rows.into_iter().map(rows::behind).collect()
    }

    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<End>, StoreError> {
        let rows: Vec<(i64, i64, i64)> = sqlx::query_as(
            "SELECT room_id, head, epoch
             FROM heads
             WHERE room_id IN (SELECT value FROM json_each(?1))",
        )
        .bind(json!(rooms).to_string())
        .fetch_all(&self.database.readers)
        .await?;
        rows.into_iter().map(rows::end).collect()
    }

    async fn position(&self, room: RoomId, uid: Uid) -> Result<Option<Position>, StoreError> {
        let mut connection = self.database.readers.acquire().await?;
        standing(&mut connection, room, Some(uid)).await
    }

    async fn page(
        &self,
        room: RoomId,
        reader: Option<Uid>,
        after: Seq,
        limit: u32,
    ) -> Result<Page, ReadError> {
        // A read transaction sees one moment: head, membership and events agree.
        let mut tx = self
            .database
            .readers
            .begin()
            .await
            .map_err(StoreError::from)?;
        let position = may_read(&mut tx, room, reader).await?;
        let rows: Vec<EventRow> = sqlx::query_as(
            "SELECT room_id, seq, kind, uid, target, text, attrs, at
             FROM events
             WHERE room_id = ?1
               AND seq > ?2
             ORDER BY seq
             LIMIT ?3",
        )
        .bind(room.as_i64())
        .bind(after.as_i64())
        .bind(limit)
        .fetch_all(&mut *tx)
        .await
        .map_err(StoreError::from)?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Page {
            events: events(rows, position.epoch)?,
            position,
        })
    }

    async fn history(
        &self,
        room: RoomId,
        reader: Uid,
        from: HistoryFrom,
        limit: u32,
    ) -> Result<Vec<Event>, ReadError> {
        let mut tx = self
            .database
            .readers
            .begin()
            .await
            .map_err(StoreError::from)?;
        let position = may_read(&mut tx, room, Some(reader)).await?;
        let rows = match from {
            HistoryFrom::UpTo(last) => shown_up_to(&mut tx, room, last, limit).await?,
            HistoryFrom::After(after) => shown_after(&mut tx, room, after, limit).await?,
            HistoryFrom::Around(pivot) => {
                let (before, after) = halves(limit);
                let mut rows = shown_after(&mut tx, room, pivot, after).await?;
                rows.reverse();
                rows.extend(shown_up_to(&mut tx, room, Some(pivot), before).await?);
                rows
            }
        };
        tx.commit().await.map_err(StoreError::from)?;
        Ok(events(rows, position.epoch)?)
    }

    async fn mark(&self, marks: &[Mark]) -> Result<Vec<Marked>, StoreError> {
        markers::mark(&self.database, marks).await
    }

    async fn standings(&self, uid: Uid, rooms: &[RoomId]) -> Result<Vec<Standing>, StoreError> {
        markers::standings(&self.database, uid, rooms).await
    }

    async fn begin_epoch(&self) -> Result<Epoch, StoreError> {
        let mut tx = self.database.writer.begin_with("BEGIN IMMEDIATE").await?;
        let (epoch,): (i64,) = sqlx::query_as(
            "UPDATE life
             SET epoch = 1 + MAX(epoch, COALESCE((SELECT MAX(epoch) FROM heads), 0))
             RETURNING epoch",
        )
        .fetch_one(&mut *tx)
        .await?;
        sqlx::query("UPDATE heads SET epoch = ?1")
            .bind(epoch)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Epoch(epoch.cast_unsigned()))
    }
}

/// What history shows of a room up to an event, newest first.
async fn shown_up_to(
    connection: &mut SqliteConnection,
    room: RoomId,
    last: Option<Seq>,
    limit: u32,
) -> Result<Vec<EventRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT room_id, seq, kind, uid, target, text, attrs, at
         FROM events
         WHERE room_id = ?1
           AND seq <= ?2
           AND kind IN (SELECT value FROM json_each(?3))
         ORDER BY seq DESC
         LIMIT ?4",
    )
    .bind(room.as_i64())
    .bind(last.map_or(i64::MAX, Seq::as_i64))
    .bind(json!(kind::SHOWN).to_string())
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// What history shows of a room after an event, oldest first.
async fn shown_after(
    connection: &mut SqliteConnection,
    room: RoomId,
    after: Seq,
    limit: u32,
) -> Result<Vec<EventRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT room_id, seq, kind, uid, target, text, attrs, at
         FROM events
         WHERE room_id = ?1
           AND seq > ?2
           AND kind IN (SELECT value FROM json_each(?3))
         ORDER BY seq
         LIMIT ?4",
    )
    .bind(room.as_i64())
    .bind(after.as_i64())
    .bind(json!(kind::SHOWN).to_string())
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// A room's position, and the role in it of `uid` if one is named.
async fn standing(
    connection: &mut SqliteConnection,
    room: RoomId,
    uid: Option<Uid>,
) -> Result<Option<Position>, StoreError> {
    let row: Option<(i64, i64, i64, Option<u32>)> = sqlx::query_as(
        "SELECT heads.head, heads.epoch, heads.first, members.role
         FROM heads
         LEFT JOIN members ON members.room_id = heads.room_id AND members.uid = ?2
         WHERE heads.room_id = ?1
           AND heads.head > 0",
    )
    .bind(room.as_i64())
    .bind(uid.map_or(0, Uid::as_i64))
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|(head, epoch, first, role)| Position {
        head: seq(head),
        epoch: Epoch(epoch.cast_unsigned()),
        first: seq(first),
        role: role.unwrap_or(0),
    }))
}

/// As [`standing`], for one who wants to read.
async fn may_read(
    connection: &mut SqliteConnection,
    room: RoomId,
    reader: Option<Uid>,
) -> Result<Position, ReadError> {
    rows::may_read(standing(connection, room, reader).await?, reader)
}

async fn lock(
    connection: &mut SqliteConnection,
    rooms: &[i64],
) -> Result<HashMap<RoomId, Head>, StoreError> {
    let rows: Vec<(i64, i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT room_id, head, applied, last_at, epoch
         FROM heads
         WHERE room_id IN (SELECT value FROM json_each(?1))",
    )
    .bind(json!(rooms).to_string())
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(rows::head).collect()
}

async fn members(
    connection: &mut SqliteConnection,
    authors: &[(i64, i64)],
) -> Result<HashSet<(RoomId, Uid)>, StoreError> {
    if authors.is_empty() {
        return Ok(HashSet::new());
    }
    let rows: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT members.room_id, members.uid
         FROM json_each(?1) AS author
         JOIN members
           ON members.room_id = author.value ->> 0
          AND members.uid = author.value ->> 1",
    )
    .bind(json!(authors).to_string())
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(rows::member).collect()
}

async fn nonces(
    connection: &mut SqliteConnection,
    nonces: &[(i64, i64, String)],
) -> Result<HashMap<(RoomId, Uid, String), Written>, StoreError> {
    if nonces.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<rows::NonceRow> = sqlx::query_as(
        "SELECT events.room_id, events.uid, events.nonce, events.nonce_hash, events.seq, events.at
         FROM json_each(?1) AS asked
         JOIN events
           ON events.room_id = asked.value ->> 0
          AND events.uid = asked.value ->> 1
          AND events.nonce = asked.value ->> 2",
    )
    .bind(json!(nonces).to_string())
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(rows::nonce).collect()
}

/// Writes a batch of posts where the heads are as they are `known`, in one statement.
/// `false`: one is not, or a nonce stands for a post already, and nothing is written.
async fn write_where_known(
    connection: &mut SqliteConnection,
    known: &[(RoomId, Head)],
    plan: &Plan,
) -> Result<bool, StoreError> {
    let rows: Vec<_> = known
        .iter()
        .map(|(room, now)| {
            let then = plan.heads.get(room).unwrap_or(now);
            (
                room,
                now.head,
                now.applied,
                now.last_at.micros(),
                now.epoch,
                then.head,
                then.last_at.micros(),
            )
        })
        .collect();
    let written = sqlx::query("INSERT INTO known_batch (heads, events) VALUES (?1, ?2)")
        .bind(json(&rows)?)
        .bind(columns(&plan.rows)?)
        .execute(&mut *connection)
        .await;
    match written {
        Ok(_) => Ok(true),
        Err(sqlx::Error::Database(error)) if is_otherwise(error.as_ref()) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether what was known is not so.
fn is_otherwise(error: &dyn sqlx::error::DatabaseError) -> bool {
    error.is_unique_violation() || error.code().as_deref() == Some(RAISED)
}

/// Rows of events, as statements take them.
fn columns(rows: &[Row]) -> Result<String, StoreError> {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let event = &row.event;
            let nonce = row.nonce.as_ref();
            (
                event.room,
                event.seq,
                event.kind,
                event.uid,
                event.target,
                &event.text,
                &event.attrs,
                nonce.map(|nonce| &nonce.0),
                nonce.map(|nonce| format!("{:032x}", u128::from_be_bytes(nonce.1))),
                event.at.micros(),
            )
        })
        .collect();
    json(&rows)
}

/// As a statement takes it, with no tree of values in between.
fn json(rows: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(rows).map_err(|error| StoreError::Broken(error.to_string()))
}

async fn write_events(connection: &mut SqliteConnection, rows: &[Row]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO events
                 (room_id, seq, kind, uid, target, text, attrs, nonce, nonce_hash, at)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4,
                    value ->> 5, value ->> 6, value ->> 7, unhex(value ->> 8), value ->> 9
             FROM json_each(?1)",
    )
    .bind(columns(rows)?)
    .execute(&mut *connection)
    .await?;
    Ok(())
}

async fn write(connection: &mut SqliteConnection, plan: &Plan) -> Result<(), StoreError> {
    write_events(connection, &plan.rows).await?;
    for (&(room, uid), member) in &plan.members {
        let statement = if member.role == 0 {
            sqlx::query("DELETE FROM members WHERE room_id = ?1 AND uid = ?2")
        } else {
            sqlx::query(
                "INSERT INTO members (room_id, uid, role, read)
                 VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (room_id, uid) DO UPDATE
                 SET role = excluded.role, read = MAX(members.read, excluded.read)",
            )
        };
        let mut statement = statement.bind(room.as_i64()).bind(uid.as_i64());
        if member.role != 0 {
            statement = statement.bind(member.role).bind(member.joined.as_i64());
        }
        statement.execute(&mut *connection).await?;
    }
    if !plan.heads.is_empty() {
        let rows: Vec<_> = plan
            .heads
            .iter()
            .map(|(room, head)| (room, head.head, head.applied, head.last_at.micros()))
            .collect();
        sqlx::query(
            "UPDATE heads
             SET head = moved.value ->> 1, applied = moved.value ->> 2, last_at = moved.value ->> 3
             FROM json_each(?1) AS moved
             WHERE heads.room_id = moved.value ->> 0",
        )
        .bind(json!(rows).to_string())
        .execute(connection)
        .await?;
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct EventRow {
    room_id: i64,
    seq: i64,
    kind: u32,
    uid: i64,
    target: i64,
    text: String,
    attrs: String,
    at: i64,
}

fn events(rows: Vec<EventRow>, epoch: Epoch) -> Result<Vec<Event>, StoreError> {
    let event = |row: EventRow| {
        Ok(Event {
            room: id(row.room_id, "events.room_id")?,
            seq: seq(row.seq),
            kind: row.kind,
            uid: id(row.uid, "events.uid")?,
            target: seq(row.target),
            text: row.text,
            attrs: row.attrs,
            at: Timestamp::from_micros(row.at),
            epoch,
        })
    };
    rows.into_iter().map(event).collect()
}

//! The logs on PostgreSQL.
//!
//! Statement 1 of a batch locks the head rows, in the order of their ids; whatever
//! else the batch must know is read by later statements, each with a snapshot of
//! its own (READ COMMITTED), so that it sees what was committed while the lock was
//! waited for. One statement would read the members as they were before, and let a
//! kicked user's message through.
//!
//! Most batches are posts to rooms that this process wrote last: those are written on what
//! it knows, by one statement that locks the head rows and compares them.

mod markers;
mod own;
mod rows;
mod write;

use async_trait::async_trait;
use base::{Epoch, RoomId, Seq, Timestamp, Uid};
use runtime::config::Postgres;
use runtime::{Lifecycle, StoreError};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnection, PgPool};
use std::collections::{HashMap, HashSet};
use tokio::time::Instant;

use own::OwnConnections;
use rows::{EventRow, events, small};
use write::{write, write_where_known};

use super::known::{Known, ascending};
use super::rows as shared;
use super::{Behind, Needs, Published, Store, check_time, halves, id};
use crate::domain::{
    End, Entry, Event, HistoryFrom, Mark, Marked, Outcome, Page, Position, ReadError, Standing,
    kind,
};
use crate::sequencer::{Head, State, Written, sequence};

/// Begins a transaction that reads one moment: head, membership and events agree.
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// The logs on PostgreSQL.
pub struct PostgresStore {
    /// For whoever reads.
    pool: PgPool,
    own: OwnConnections,
    known: Known,
}

impl PostgresStore {
    /// A store in `schema`, which is migrated as soon as the server is there.
    ///
    /// # Errors
    /// When the address cannot be read.
    pub fn connect(
        postgres: &Postgres,
        schema: &'static str,
        lifecycle: &Lifecycle,
    ) -> Result<Self, StoreError> {
        let migrator = sqlx::migrate!("migrations/postgres");
        let pool = runtime::postgres::connect(postgres, schema, migrator, lifecycle)?.writer;
        Ok(Self {
            own: OwnConnections::beside(&pool),
            pool,
            known: Known::default(),
        })
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn commit(
        &self,
        entries: &[Entry],
        now: Timestamp,
        before: Instant,
    ) -> Result<Vec<Outcome>, StoreError> {
        let mut connection = self.own.take().await?;
        if let Some(guess) = self.known.guess(entries) {
            let heads = ascending(&guess);
            let plan = sequence(entries, guess, now);
            check_time(before)?;
            if write_where_known(&mut connection, &heads, &plan).await? {
                self.own.give_back(connection);
                self.known.follow(&plan);
                return Ok(plan.outcomes);
            }
        }
        metrics::counter!("parley_log_batches_read_total").increment(1);
        let needs = Needs::of(entries);
        let mut tx = connection.begin().await?;
        if !needs.begun.is_empty() {
            sqlx::query(
                "INSERT INTO heads (room_id, epoch)
                 SELECT unnest($1::BIGINT[]), (SELECT epoch FROM life)
                 ON CONFLICT DO NOTHING",
            )
            .bind(&needs.begun)
            .execute(&mut *tx)
            .await?;
        }
        let (heads, busy) = lock(&mut tx, &needs.rooms).await?;
        // From here on a process that freezes loses its session within a second.
        check_time(before)?;
        let members = members(&mut tx, &needs.authors).await?;
        let nonces = nonces(&mut tx, &needs.nonces).await?;
        let state = State {
            heads,
            busy,
            members,
            nonces,
        };
        let (heads, authors) = (ascending(&state), state.members.clone());
        let plan = sequence(entries, state, now);
        write(&mut tx, &plan).await?;
        tx.commit().await?;
        self.own.give_back(connection);
        self.known.learn(&heads, &authors, &plan);
        Ok(plan.outcomes)
    }

    async fn note_published(&self, done: &[Published]) -> Result<Vec<RoomId>, StoreError> {
        let rooms: Vec<i64> = done.iter().map(|stretch| stretch.room.as_i64()).collect();
        let from: Vec<i64> = done.iter().map(|stretch| stretch.from.as_i64()).collect();
        let to: Vec<i64> = done.iter().map(|stretch| stretch.to.as_i64()).collect();
        let mut connection = self.own.take().await?;
        let noted: Vec<(i64,)> = sqlx::query_as(
            "WITH locked AS (
                 SELECT heads.room_id, done.start, done.upto
                 FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[]) AS done (room_id, start, upto)
                 JOIN heads ON heads.room_id = done.room_id
                 ORDER BY heads.room_id
                 FOR UPDATE OF heads SKIP LOCKED
             ), moved AS (
                 UPDATE heads
                 SET published = GREATEST(heads.published, locked.upto)
                 FROM locked
                 WHERE heads.room_id = locked.room_id
                   AND heads.published >= locked.start - 1
             )
             SELECT room_id FROM locked",
        )
        .bind(&rooms)
        .bind(&from)
        .bind(&to)
        .fetch_all(&mut connection)
        .await?;
        self.own.give_back(connection);
        noted
            .into_iter()
            .map(|(room,)| id(room, "heads.room_id"))
            .collect()
    }

    async fn behind(&self, before: Timestamp, limit: u32) -> Result<Vec<Behind>, StoreError> {
        let rows: Vec<(i64, i64, i64, i64)> = sqlx::query_as(
            "SELECT room_id, published, head, epoch
             FROM heads
             WHERE behind
               AND last_at < $1
             ORDER BY last_at
             LIMIT $2",
        )
        .bind(before.micros())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(shared::behind).collect()
    }

    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<End>, StoreError> {
        let ids: Vec<i64> = rooms.iter().map(|room| room.as_i64()).collect();
        let rows: Vec<(i64, i64, i64)> =
            sqlx::query_as("SELECT room_id, head, epoch FROM heads WHERE room_id = ANY($1)")
                .bind(&ids)
                .fetch_all(&self.pool)
                .await?;
        rows.into_iter().map(shared::end).collect()
    }

    async fn position(&self, room: RoomId, uid: Uid) -> Result<Option<Position>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        standing(&mut connection, room, Some(uid)).await
    }

    async fn page(
        &self,
        room: RoomId,
        reader: Option<Uid>,
        after: Seq,
        limit: u32,
    ) -> Result<Page, ReadError> {
        let mut tx = self
            .pool
            .begin_with(SNAPSHOT)
            .await
            .map_err(StoreError::from)?;
        let position = may_read(&mut tx, room, reader).await?;
        let rows: Vec<EventRow> = sqlx::query_as(
            "SELECT room_id, seq, kind, uid, target, text, attrs, at
             FROM events
             WHERE room_id = $1
               AND seq > $2
             ORDER BY seq
             LIMIT $3",
        )
        .bind(room.as_i64())
        .bind(after.as_i64())
        .bind(i64::from(limit))
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
            .pool
            .begin_with(SNAPSHOT)
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
        markers::mark(&self.pool, marks).await
    }

    async fn standings(&self, uid: Uid, rooms: &[RoomId]) -> Result<Vec<Standing>, StoreError> {
        markers::standings(&self.pool, uid, rooms).await
    }

    async fn begin_epoch(&self) -> Result<Epoch, StoreError> {
        let mut tx = self.pool.begin().await?;
        // As long as it takes: this is an operator's own doing, with nothing else running.
        sqlx::query("SET LOCAL statement_timeout = 0")
            .execute(&mut *tx)
            .await?;
        let (epoch,): (i64,) = sqlx::query_as(
            "UPDATE life
             SET epoch = 1 + GREATEST(epoch, (SELECT MAX(epoch) FROM heads))
             RETURNING epoch",
        )
        .fetch_one(&mut *tx)
        .await?;
        sqlx::query("UPDATE heads SET epoch = $1")
            .bind(epoch)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Epoch(epoch.cast_unsigned()))
    }
}

/// What history shows of a room up to an event, newest first.
async fn shown_up_to(
    connection: &mut PgConnection,
    room: RoomId,
    last: Option<Seq>,
    limit: u32,
) -> Result<Vec<EventRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT room_id, seq, kind, uid, target, text, attrs, at
         FROM events
         WHERE room_id = $1
           AND seq <= $2
           AND kind = ANY($3)
         ORDER BY seq DESC
         LIMIT $4",
    )
    .bind(room.as_i64())
    .bind(last.map_or(i64::MAX, Seq::as_i64))
    .bind(kind::SHOWN.map(small))
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// What history shows of a room after an event, oldest first.
async fn shown_after(
    connection: &mut PgConnection,
    room: RoomId,
    after: Seq,
    limit: u32,
) -> Result<Vec<EventRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT room_id, seq, kind, uid, target, text, attrs, at
         FROM events
         WHERE room_id = $1
           AND seq > $2
           AND kind = ANY($3)
         ORDER BY seq
         LIMIT $4",
    )
    .bind(room.as_i64())
    .bind(after.as_i64())
    .bind(kind::SHOWN.map(small))
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// A room's position, and the role in it of `uid` if one is named.
async fn standing(
    connection: &mut PgConnection,
    room: RoomId,
    uid: Option<Uid>,
) -> Result<Option<Position>, StoreError> {
    let row: Option<(i64, i64, i64, Option<i16>)> = sqlx::query_as(
        "SELECT heads.head, heads.epoch, heads.first, members.role
         FROM heads
         LEFT JOIN members ON members.room_id = heads.room_id AND members.uid = $2
         WHERE heads.room_id = $1
           AND heads.head > 0",
    )
    .bind(room.as_i64())
    .bind(uid.map_or(0, Uid::as_i64))
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|(head, epoch, first, role)| Position {
        head: shared::seq(head),
        epoch: shared::epoch(epoch),
        first: shared::seq(first),
        role: role.map_or(0, |role| u32::from(role.cast_unsigned())),
    }))
}

/// As [`standing`], for one who wants to read.
async fn may_read(
    connection: &mut PgConnection,
    room: RoomId,
    reader: Option<Uid>,
) -> Result<Position, ReadError> {
    shared::may_read(standing(connection, room, reader).await?, reader)
}

/// Locks the head rows that are free. What is not locked and yet there is busy.
async fn lock(
    connection: &mut PgConnection,
    rooms: &[i64],
) -> Result<(HashMap<RoomId, Head>, HashSet<RoomId>), StoreError> {
    let rows: Vec<(i64, i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT room_id, head, applied, last_at, epoch
         FROM heads
         WHERE room_id = ANY($1)
         ORDER BY room_id
         FOR UPDATE SKIP LOCKED",
    )
    .bind(rooms)
    .fetch_all(&mut *connection)
    .await?;
    let mut heads = HashMap::with_capacity(rows.len());
    for row in rows {
        let (room, head) = shared::head(row)?;
        heads.insert(room, head);
    }
    let missing: Vec<i64> = rooms
        .iter()
        .copied()
        .filter(|&room| RoomId::try_from(room).is_ok_and(|room| !heads.contains_key(&room)))
        .collect();
    if missing.is_empty() {
        return Ok((heads, HashSet::new()));
    }
    let rows: Vec<(i64,)> = sqlx::query_as("SELECT room_id FROM heads WHERE room_id = ANY($1)")
        .bind(&missing)
        .fetch_all(connection)
        .await?;
    let busy = rows
        .into_iter()
        .map(|(room,)| id(room, "heads.room_id"))
        .collect::<Result<_, _>>()?;
    Ok((heads, busy))
}

async fn members(
    connection: &mut PgConnection,
    authors: &[(i64, i64)],
) -> Result<HashSet<(RoomId, Uid)>, StoreError> {
    if authors.is_empty() {
        return Ok(HashSet::new());
    }
    let (rooms, uids): (Vec<i64>, Vec<i64>) = authors.iter().copied().unzip();
    let rows: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT room_id, uid
         FROM members
         JOIN unnest($1::BIGINT[], $2::BIGINT[]) AS author (room_id, uid) USING (room_id, uid)",
    )
    .bind(&rooms)
    .bind(&uids)
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(shared::member).collect()
}

async fn nonces(
    connection: &mut PgConnection,
    nonces: &[(i64, i64, String)],
) -> Result<HashMap<(RoomId, Uid, String), Written>, StoreError> {
    if nonces.is_empty() {
        return Ok(HashMap::new());
    }
    let rooms: Vec<i64> = nonces.iter().map(|nonce| nonce.0).collect();
    let uids: Vec<i64> = nonces.iter().map(|nonce| nonce.1).collect();
    let texts: Vec<&str> = nonces.iter().map(|nonce| nonce.2.as_str()).collect();
    let rows: Vec<shared::NonceRow> = sqlx::query_as(
        "SELECT room_id, uid, nonce, nonce_hash, seq, at
         FROM events
         JOIN unnest($1::BIGINT[], $2::BIGINT[], $3::TEXT[]) AS asked (room_id, uid, nonce)
             USING (room_id, uid, nonce)",
    )
    .bind(&rooms)
    .bind(&uids)
    .bind(&texts)
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(shared::nonce).collect()
}

//! The logs as the next release writes them: a message with a star in it is followed by
//! an event of a kind that the releases before know nothing of.
//!
//! It keeps what every writer of a log keeps: an event is numbered under the lock of the
//! room's head row, its author is looked up after that lock, and what the bus did not take
//! is left to the relay.

use std::sync::Arc;

use async_trait::async_trait;
use base::{Epoch, RoomId, Seq, Timestamp, Uid};
use bus::{Bus, Record};
use message_service::Ports;
use message_service::domain::{
    End, Entry, Event, HistoryFrom, KindNumber, Mark, Marked, Outcome, Page, Position, ReadError,
    Standing,
};
use message_service::store::{Behind, Published, Store};
use prost::Message as _;
use proto::message::RoomRecord;
use runtime::config::Postgres;
use runtime::{Lifecycle, StoreError};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPool;
use tokio::time::Instant;

/// The first kind beyond those of this release.
const SPARKLE: KindNumber = 11;
/// What a message has in it that sparkles.
const STAR: char = '*';
/// How much it shines.
const SHINE: i16 = 3;

/// This release's store, and what the next one adds.
pub(crate) struct SparklingStore {
    this: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    pool: PgPool,
}

impl SparklingStore {
    pub(crate) fn connect(
        postgres: &Postgres,
        this: &Ports,
        lifecycle: &Lifecycle,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            this: Arc::clone(&this.store),
            bus: Arc::clone(&this.bus),
            pool: runtime::postgres::connect(postgres, "message", migrator(), lifecycle)?.writer,
        })
    }

    /// Writes the event that follows `message`; `None` when its author is gone since.
    async fn sparkle(&self, message: &Event, now: Timestamp) -> Result<Option<Event>, StoreError> {
        let mut tx = self.pool.begin().await?;
        let (head, last_at, epoch): (i64, i64, i64) = sqlx::query_as(
            "SELECT head, last_at, epoch
             FROM heads
             WHERE room_id = $1
             FOR UPDATE",
        )
        .bind(message.room.as_i64())
        .fetch_one(&mut *tx)
        .await?;
        let event = Event {
            seq: Seq(head.cast_unsigned()).next(),
            kind: SPARKLE,
            target: message.seq,
            text: String::new(),
            attrs: serde_json::json!({ "Shine": SHINE }).to_string(),
            at: now.max(Timestamp::from_micros(last_at)),
            epoch: Epoch(epoch.cast_unsigned()),
            ..message.clone()
        };
        let written = sqlx::query(
            "INSERT INTO events (room_id, seq, kind, uid, target, text, attrs, at, shine)
             SELECT room_id, $3, $4, uid, $5, $6, $7, $8, $9
             FROM members
             WHERE room_id = $1
               AND uid = $2",
        )
        .bind(event.room.as_i64())
        .bind(event.uid.as_i64())
        .bind(event.seq.as_i64())
        .bind(i16::try_from(event.kind).unwrap_or(i16::MAX))
        .bind(event.target.as_i64())
        .bind(&event.text)
        .bind(&event.attrs)
        .bind(event.at.micros())
        .bind(SHINE)
        .execute(&mut *tx)
        .await?;
        if written.rows_affected() == 0 {
            return Ok(None);
        }
        sqlx::query(
            "UPDATE heads
             SET head = $2, last_at = $3
             WHERE room_id = $1",
        )
        .bind(event.room.as_i64())
        .bind(event.seq.as_i64())
        .bind(event.at.micros())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Some(event))
    }

    async fn publish(&self, event: Event) {
        let record = RoomRecord {
            version: 1,
            room_id: event.room.get(),
            head: event.seq.get(),
            epoch: event.epoch.0,
            events: vec![event.into()],
            marks: Vec::new(),
        };
        let key = record.room_id;
        let payload = record.encode_to_vec().into();
        // What the bus does not take, the relay finds.
        let _ = self.bus.publish(vec![Record { key, payload }]).await;
    }
}

/// The migrations of this release, and the next one's.
fn migrator() -> Migrator {
    let this = sqlx::migrate!("../../message-service/migrations/postgres");
    let next = sqlx::migrate!("./migrations");
    Migrator::with_migrations(this.iter().chain(next.iter()).cloned().collect())
}

#[async_trait]
impl Store for SparklingStore {
    async fn commit(
        &self,
        entries: &[Entry],
        now: Timestamp,
        before: Instant,
    ) -> Result<Vec<Outcome>, StoreError> {
        let outcomes = self.this.commit(entries, now, before).await?;
        for outcome in &outcomes {
            if let Outcome::Sent(message) = outcome
                && message.text.contains(STAR)
                && let Some(event) = self.sparkle(message, now).await?
            {
                self.publish(event).await;
            }
        }
        Ok(outcomes)
    }

    async fn note_published(&self, done: &[Published]) -> Result<Vec<RoomId>, StoreError> {
        self.this.note_published(done).await
    }

    async fn behind(&self, before: Timestamp, limit: u32) -> Result<Vec<Behind>, StoreError> {
        self.this.behind(before, limit).await
    }

    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<End>, StoreError> {
        self.this.heads(rooms).await
    }

    async fn position(&self, room: RoomId, uid: Uid) -> Result<Option<Position>, StoreError> {
        self.this.position(room, uid).await
    }

    async fn page(
        &self,
        room: RoomId,
        reader: Option<Uid>,
        after: Seq,
        limit: u32,
    ) -> Result<Page, ReadError> {
        self.this.page(room, reader, after, limit).await
    }

    async fn history(
        &self,
        room: RoomId,
        reader: Uid,
        from: HistoryFrom,
        limit: u32,
    ) -> Result<Vec<Event>, ReadError> {
        self.this.history(room, reader, from, limit).await
    }

    async fn mark(&self, marks: &[Mark]) -> Result<Vec<Marked>, StoreError> {
        self.this.mark(marks).await
    }

    async fn standings(&self, uid: Uid, rooms: &[RoomId]) -> Result<Vec<Standing>, StoreError> {
        self.this.standings(uid, rooms).await
    }

    async fn begin_epoch(&self) -> Result<Epoch, StoreError> {
        self.this.begin_epoch().await
    }
}

//! Rows as message-service writes them, in a table of their own: one connection, one
//! statement a batch, each its own transaction and on the disk when it is answered.

use std::io::{Error, Result};
use std::path::Path;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::time::Instant;

use super::Times;

/// What a service makes in an empty database.
const POSTGRES: &str =
    include_str!("../../../../../message-service/migrations/postgres/0001_log.sql");
const SQLITE: &str = include_str!("../../../../../message-service/migrations/sqlite/0001_log.sql");
/// Rooms that the rows of a batch belong to.
const ROOMS: i64 = 10;
/// Bytes of a text.
const TEXT: usize = 64;
const MESSAGE: i16 = 1;

/// An empty log that is to be filled.
pub(super) struct Log {
    connection: Connection,
    /// Rows so far.
    rows: i64,
}

enum Connection {
    /// With the schema that is ours.
    Postgres(PgConnection, String),
    Sqlite(SqliteConnection),
}

/// The rows of a batch, by columns; what they have in common is not here.
#[derive(Default)]
struct Columns {
    rooms: Vec<i64>,
    seqs: Vec<i64>,
    nonces: Vec<String>,
    hashes: Vec<Vec<u8>>,
}

impl Log {
    /// One in a schema of its own.
    pub(super) async fn postgres(url: &str) -> Result<Self> {
        let mut connection = PgConnection::connect(url).await.map_err(Error::other)?;
        let schema = format!("load_bare_{}", std::process::id());
        // Nobody chooses the name but us.
        let made = AssertSqlSafe(format!(
            "DROP SCHEMA IF EXISTS {schema} CASCADE;
             CREATE SCHEMA {schema};
             SET search_path = {schema};
             SET synchronous_commit = on;
             {POSTGRES}"
        ));
        let made = sqlx::raw_sql(made).execute(&mut connection).await;
        made.map_err(Error::other)?;
        Ok(Self {
            connection: Connection::Postgres(connection, schema),
            rows: 0,
        })
    }

    /// One in a new file, with the settings of standalone.
    pub(super) async fn sqlite(file: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let connection = SqliteConnection::connect_with(&options).await;
        let mut connection = connection.map_err(Error::other)?;
        let made = sqlx::raw_sql(SQLITE).execute(&mut connection).await;
        made.map_err(Error::other)?;
        Ok(Self {
            connection: Connection::Sqlite(connection),
            rows: 0,
        })
    }

    /// Writes rows, `batch` at once, for `length`.
    pub(super) async fn fill(&mut self, batch: usize, length: Duration) -> Result<Times> {
        // The first time a statement is prepared, which is not to count.
        self.insert(batch).await?;
        let mut times = Times::new()?;
        let stop = Instant::now() + length;
        while Instant::now() < stop {
            times.note(self.insert(batch).await?);
        }
        Ok(times)
    }

    /// Leaves nothing behind. A file is its owner's to remove.
    pub(super) async fn remove(self) -> Result<()> {
        match self.connection {
            Connection::Postgres(mut connection, schema) => {
                let gone = AssertSqlSafe(format!("DROP SCHEMA {schema} CASCADE"));
                let gone = sqlx::raw_sql(gone).execute(&mut connection).await;
                gone.map_err(Error::other)?;
                connection.close().await.map_err(Error::other)
            }
            Connection::Sqlite(connection) => connection.close().await.map_err(Error::other),
        }
    }

    /// Writes one batch; gives how long that took.
    async fn insert(&mut self, batch: usize) -> Result<Duration> {
        let batch = Columns::after(self.rows, batch);
        let (begun, inserted) = match &mut self.connection {
            Connection::Postgres(connection, _) => {
                let begun = Instant::now();
                (begun, batch.insert_into_postgres(connection).await)
            }
            Connection::Sqlite(connection) => {
                let begun = Instant::now();
                (begun, batch.insert_into_sqlite(connection).await)
            }
        };
        let took = begun.elapsed();
        self.rows += i64::try_from(inserted.map_err(Error::other)?).unwrap_or(0);
        Ok(took)
    }
}

impl Columns {
    /// The next `count` rows of a log that has `rows`.
    fn after(rows: i64, count: usize) -> Self {
        let mut columns = Self::default();
        for row in (rows..).take(count) {
            columns.rooms.push(1 + row % ROOMS);
            columns.seqs.push(1 + row / ROOMS);
            columns.nonces.push(format!("{row:024}"));
            columns.hashes.push(row.to_be_bytes().repeat(2));
        }
        columns
    }

    async fn insert_into_postgres(
        &self,
        connection: &mut PgConnection,
    ) -> std::result::Result<u64, sqlx::Error> {
        let inserted = sqlx::query(
            "INSERT INTO events
                 (room_id, seq, kind, uid, target, text, attrs, nonce, nonce_hash, at)
             SELECT room_id, seq, $5, room_id, 0, $6, '', nonce, nonce_hash, seq
             FROM unnest($1::BIGINT[], $2::BIGINT[], $3::TEXT[], $4::BYTEA[])
                 AS said (room_id, seq, nonce, nonce_hash)",
        )
        .bind(&self.rooms)
        .bind(&self.seqs)
        .bind(&self.nonces)
        .bind(&self.hashes)
        .bind(MESSAGE)
        .bind("x".repeat(TEXT))
        .execute(connection)
        .await?;
        Ok(inserted.rows_affected())
    }

    async fn insert_into_sqlite(
        &self,
        connection: &mut SqliteConnection,
    ) -> std::result::Result<u64, sqlx::Error> {
        let rows = self.rooms.iter().zip(&self.seqs).zip(&self.nonces);
        let rows = rows.map(|((room, seq), nonce)| serde_json::json!([room, seq, nonce]));
        let rows: serde_json::Value = rows.collect();
        let inserted = sqlx::query(
            "INSERT INTO events
                 (room_id, seq, kind, uid, target, text, attrs, nonce, nonce_hash, at)
             SELECT value ->> 0, value ->> 1, ?2, value ->> 0, 0, ?3, '', value ->> 2,
                    zeroblob(16), value ->> 1
             FROM json_each(?1)",
        )
        .bind(rows.to_string())
        .bind(MESSAGE)
        .bind("x".repeat(TEXT))
        .execute(connection)
        .await?;
        Ok(inserted.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rows_are_written_in_batches() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::sqlite(&folder.path().join("x.db")).await.unwrap();
        for batch in [1, 64] {
            let times = log.fill(batch, Duration::from_millis(10)).await.unwrap();
            assert!(!times.micros.is_empty());
        }
        let Connection::Sqlite(connection) = &mut log.connection else {
            unreachable!();
        };
        let count = sqlx::query_scalar("SELECT COUNT(*) FROM events");
        let count: i64 = count.fetch_one(connection).await.unwrap();
        assert_eq!(count, log.rows);
        log.remove().await.unwrap();
    }
}

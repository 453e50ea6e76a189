//! Fills rooms with a history that nobody could post in reasonable time: straight into
//! the logs' database, each event a copy of one that was posted.
//!
//! It knows no more of the schema than the names of the columns it counts up, so it
//! keeps up with most changes of the others.

use std::io::{Error, Result};

use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::system::Database;

/// Events of one statement.
const CHUNK: u64 = 50_000;
/// Rooms that exist in the table alone begin here.
const NOBODYS: u64 = 1 << 40;
/// Events of each of those.
const FILLER: u64 = 1_000;

/// A connection to the logs' database.
pub(crate) enum Fill {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

impl Fill {
    /// Connects.
    pub(crate) async fn connect(database: &Database) -> Result<Self> {
        match database {
            Database::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.map_err(Error::other)?;
                let path = "SET search_path = message";
                connection.execute(path).await.map_err(Error::other)?;
                Ok(Self::Postgres(connection))
            }
            Database::Sqlite(file) => {
                let options = sqlx::sqlite::SqliteConnectOptions::new()
                    .filename(file)
                    .busy_timeout(std::time::Duration::from_secs(30));
                let connection = SqliteConnection::connect_with(&options);
                Ok(Self::Sqlite(connection.await.map_err(Error::other)?))
            }
        }
    }

    /// Lengthens the log of `room` up to `head`, by copies of its event `seq`, which must
    /// be its newest.
    pub(crate) async fn lengthen(&mut self, room: u64, seq: u64, head: u64) -> Result<()> {
        for (from, to) in chunks(seq + 1, head) {
            let series = self.series(from, to);
            self.run(&format!(
                "{series}
                 INSERT INTO events (room_id, seq, kind, uid, target, text, attrs, at)
                 SELECT room_id, n, kind, uid, n, text, attrs, at
                 FROM events, series
                 WHERE room_id = {room} AND seq = {seq}"
            ))
            .await?;
        }
        self.run(&format!(
            "UPDATE heads SET head = {head}, published = {head} WHERE room_id = {room}"
        ))
        .await
    }

    /// Adds `count` events of other rooms, by copies of the event `seq` of `room`.
    pub(crate) async fn pad(&mut self, room: u64, seq: u64, count: u64) -> Result<()> {
        for (from, to) in chunks(0, count.saturating_sub(1)) {
            let series = self.series(from, to);
            self.run(&format!(
                "{series}
                 INSERT INTO events (room_id, seq, kind, uid, target, text, attrs, at)
                 SELECT {NOBODYS} + n / {FILLER}, 1 + n % {FILLER}, kind, uid,
                        1 + n % {FILLER}, text, attrs, at
                 FROM events, series
                 WHERE room_id = {room} AND seq = {seq}
                 ON CONFLICT DO NOTHING"
            ))
            .await?;
        }
        Ok(())
    }

    /// Does what the database would have done itself, had the events come one by one.
    pub(crate) async fn settle(mut self) -> Result<()> {
        let statement = match self {
            Self::Postgres(_) => "VACUUM ANALYZE events",
            Self::Sqlite(_) => "PRAGMA wal_checkpoint(PASSIVE)",
        };
        self.run(statement).await
    }

    /// How many events there are in `room`.
    #[cfg(test)]
    async fn count(&mut self, room: u64) -> i64 {
        let Self::Sqlite(connection) = self else {
            return 0;
        };
        let count = format!("SELECT COUNT(*) FROM events WHERE room_id = {room}");
        let count = sqlx::query_scalar(AssertSqlSafe(count));
        count.fetch_one(connection).await.unwrap()
    }

    /// Numbers `n` from `from` to `to`.
    fn series(&self, from: u64, to: u64) -> String {
        match self {
            Self::Postgres(_) => {
                format!("WITH series (n) AS (SELECT generate_series({from}::BIGINT, {to}::BIGINT))")
            }
            Self::Sqlite(_) => format!(
                "WITH RECURSIVE series (n) AS
                 (SELECT {from} UNION ALL SELECT n + 1 FROM series WHERE n < {to})"
            ),
        }
    }

    async fn run(&mut self, statement: &str) -> Result<()> {
        // Made of numbers alone.
        let statement = AssertSqlSafe(statement.to_owned());
        match self {
            Self::Postgres(connection) => connection.execute(statement).await.map(drop),
            Self::Sqlite(connection) => connection.execute(statement).await.map(drop),
        }
        .map_err(Error::other)
    }
}

/// `from` to `to`, both included, in pieces.
fn chunks(from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
    let step = usize::try_from(CHUNK).unwrap_or(usize::MAX);
    let starts = (from..=to).step_by(step);
    starts.map(move |start| (start, to.min(start + CHUNK - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_without_gap_or_overlap() {
        let all: Vec<(u64, u64)> = chunks(3, 2 * CHUNK + 3).collect();
        let (second, third) = (CHUNK + 3, 2 * CHUNK + 3);
        assert_eq!(all, [(3, second - 1), (second, third - 1), (third, third)]);
        assert_eq!(chunks(3, 2).count(), 0);
    }

    #[tokio::test]
    async fn a_log_is_lengthened_and_the_table_padded() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("message.db");
        std::fs::write(&logs, "").unwrap();
        let mut fill = Fill::connect(&Database::Sqlite(logs)).await.unwrap();
        let schema = include_str!("../../../message-service/migrations/sqlite/0001_log.sql");
        fill.run(schema).await.unwrap();
        fill.run("INSERT INTO heads (room_id, head, published) VALUES (7, 2, 2)")
            .await
            .unwrap();
        let one = "INSERT INTO events VALUES (7, 2, 1, 1, 2, 'hello', '', 'nonce', x'00', 5)";
        fill.run(one).await.unwrap();
        fill.lengthen(7, 2, 60_000).await.unwrap();
        fill.pad(7, 2, 1_500).await.unwrap();
        assert_eq!(fill.count(7).await, 59_999);
        assert_eq!(fill.count(NOBODYS).await, 1_000);
        assert_eq!(fill.count(NOBODYS + 1).await, 500);
        fill.settle().await.unwrap();
    }
}

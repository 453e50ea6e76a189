//! Connections of the log's own work.

use std::sync::{Mutex, PoisonError};

use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};

/// The log's own statements find every row by its key, and planning one takes as long as
/// running it. So one plan serves whatever the arrays hold, and it may not read a table
/// through, though statistics of a table that has only begun to grow would advise it.
const PLANNING: [(&str, &str); 4] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

/// Connections that readers cannot take away: however many want to read, the log is
/// written. There are as many as there are uses at once, which are the writers and their
/// publishers.
///
/// One that a use failed on, or was given up on, is closed: what it may have been in the
/// middle of ends with it. So a connection need not be asked whether it is free before
/// its next use, as those of a pool are.
pub(super) struct OwnConnections {
    options: PgConnectOptions,
    idle: Mutex<Vec<PgConnection>>,
}

impl OwnConnections {
    /// To where `pool` connects, none of them open.
    pub(super) fn beside(pool: &PgPool) -> Self {
        let options = PgConnectOptions::clone(&pool.connect_options());
        Self {
            options: options.options(PLANNING),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// One that waits for its next use, or a new one; it is closed unless it is given back.
    pub(super) async fn take(&self) -> Result<PgConnection, sqlx::Error> {
        let idle = self.idle().pop();
        match idle {
            Some(connection) => Ok(connection),
            None => PgConnection::connect_with(&self.options).await,
        }
    }

    /// Keeps one whose use is complete.
    pub(super) fn give_back(&self, connection: PgConnection) {
        self.idle().push(connection);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<PgConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[cfg(feature = "servers")]
mod tests {
    use std::time::Duration;

    use base::{RoomId, Timestamp, Uid};
    use runtime::{Lifecycle, testing};
    use tokio::time::Instant;

    use super::super::PostgresStore;
    use crate::domain::{Change, Entry, Outcome, kind};
    use crate::store::Store as _;

    fn join(room: u64) -> Entry {
        Entry::Changes {
            room: RoomId::new(room).unwrap(),
            changes: vec![Change {
                number: 1,
                kind: kind::JOIN,
                uid: Uid::new(1).unwrap(),
                by: Uid::new(1).unwrap(),
                role: 1,
            }],
        }
    }

    async fn store(connections: u32) -> (PostgresStore, Lifecycle) {
        let lifecycle = Lifecycle::new();
        let (postgres, schema) = (testing::postgres(connections), testing::schema("own"));
        let store = PostgresStore::connect(&postgres, schema, &lifecycle).unwrap();
        testing::ready(&lifecycle).await;
        (store, lifecycle)
    }

    async fn commit(store: &PostgresStore, room: u64) {
        let (now, before) = (
            Timestamp::from_micros(1),
            Instant::now() + Duration::from_mins(1),
        );
        let outcomes = store.commit(&[join(room)], now, before).await.unwrap();
        assert!(
            matches!(outcomes[..], [Outcome::Applied { .. }]),
            "{outcomes:?}"
        );
    }

    #[tokio::test]
    async fn the_log_is_written_while_readers_have_every_connection() {
        let (store, _lifecycle) = store(1).await;
        let _reader = store.pool.acquire().await.unwrap();
        commit(&store, 1).await;
        assert_eq!(store.own.idle().len(), 1);
        commit(&store, 2).await;
        assert_eq!(store.own.idle().len(), 1);
    }

    #[tokio::test]
    async fn a_connection_that_a_use_was_given_up_on_or_failed_on_is_not_used_again() {
        let (store, _lifecycle) = store(2).await;
        commit(&store, 1).await;
        let (now, late) = (Timestamp::from_micros(1), Instant::now());
        store.commit(&[join(2)], now, late).await.unwrap_err();
        assert_eq!(store.own.idle().len(), 0);
        commit(&store, 2).await;
        let (entries, before) = ([join(3)], Instant::now() + Duration::from_mins(1));
        let giving_up = tokio::time::timeout(Duration::ZERO, store.commit(&entries, now, before));
        giving_up.await.unwrap_err();
        assert_eq!(store.own.idle().len(), 0);
        commit(&store, 3).await;
    }
}

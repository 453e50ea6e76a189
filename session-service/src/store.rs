//! What session-service needs of a database. Every method is one transaction;
//! `laws.rs` states what each must do, and both adapters pass it.
//!
//! Invariant: a session that has ended never lives again.

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(test)]
mod laws;

use async_trait::async_trait;
use base::{SessionId, Timestamp, Uid};
use runtime::StoreError;

use crate::domain::NewSession;

#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

/// Sessions.
#[async_trait]
pub trait Store: Send + Sync {
    /// Opens a session.
    async fn open(&self, session: &NewSession, now: Timestamp) -> Result<SessionId, StoreError>;

    /// Whose session it is, while it lives.
    async fn living(&self, session: SessionId) -> Result<Option<Uid>, StoreError>;

    /// Ends a session. Says whether it lived until now.
    async fn end(&self, session: SessionId, now: Timestamp) -> Result<bool, StoreError>;
}

/// Rows as both databases give them.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod rows {
    use base::{SessionId, Uid};
    use runtime::StoreError;

    pub(super) fn session(id: i64) -> Result<SessionId, StoreError> {
        SessionId::try_from(id).map_err(|_| StoreError::Broken(format!("{id} is no SessionID")))
    }

    pub(super) fn uid(uid: i64) -> Result<Uid, StoreError> {
        Uid::try_from(uid).map_err(|_| StoreError::Broken(format!("{uid} is no UID")))
    }
}

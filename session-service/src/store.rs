//! What session-service needs of a database. Every method is one transaction;
//! `laws.rs` states what each must do, and both adapters pass it.
//!
//! Invariants: a session that has ended never lives again; ends are numbered without
//! gaps in the order of their commits; a refresh token is good once.

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(test)]
mod laws;

use std::time::Duration;

use async_trait::async_trait;
use base::{SessionId, Timestamp, Uid};
use runtime::StoreError;

use crate::domain::{Ends, NewSession, Renewal, Renewed, SecretHash, Session};

#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sql::{SqlStore, Statements};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

/// How exactly it is known when a session was last used.
pub const USE_PRECISION: Duration = Duration::from_mins(1);
/// How long a refresh token that was used with an idempotency key is good for the same
/// answer.
pub const SAME_ANSWER: Duration = Duration::from_mins(1);

/// Sessions of one list, most.
pub const LISTED: usize = 1_000;

/// Sessions.
#[async_trait]
pub trait Store: Send + Sync {
    /// Opens a session, unless its password is known to be an old one.
    async fn open(&self, session: &NewSession, now: Timestamp) -> Result<SessionId, OpenError>;

    /// Whose session it is, while it lives; notes that it is used, if it can.
    async fn living(&self, session: SessionId, now: Timestamp) -> Result<Option<Uid>, StoreError>;

    /// Takes a refresh token and puts the next in its place. One that was used before
    /// gets the first answer again, when it comes with the same idempotency key within
    /// [`SAME_ANSWER`]; else it ends the session, for somebody has it who should not.
    async fn renew(
        &self,
        session: SessionId,
        renewal: &Renewal,
        now: Timestamp,
    ) -> Result<Renewed, RenewError>;

    /// The sessions of a user that live, newest first, [`LISTED`] at most.
    async fn list(&self, uid: Uid) -> Result<Vec<Session>, StoreError>;

    /// Ends a session of a user's. Says whether it lived until now.
    async fn end(&self, uid: Uid, session: SessionId, now: Timestamp) -> Result<bool, StoreError>;

    /// Ends every session of a user but one. Says how many.
    async fn end_others(
        &self,
        uid: Uid,
        but: Option<SessionId>,
        now: Timestamp,
    ) -> Result<usize, StoreError>;

    /// Ends every session of a user but one, and those still to be opened with a password
    /// older than `version`.
    async fn password_changed(
        &self,
        uid: Uid,
        version: u64,
        but: Option<SessionId>,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// What ended after number `after`, oldest first, `limit` at most.
    async fn ended_since(&self, after: u64, limit: u32) -> Result<Ends, StoreError>;

    /// Keeps a ticket for one connection of a session.
    async fn put_ticket(
        &self,
        ticket: &SecretHash,
        session: SessionId,
        until: Timestamp,
    ) -> Result<(), StoreError>;

    /// Takes a ticket: the session that it was for, and whose it is, if it lives.
    async fn take_ticket(
        &self,
        ticket: &SecretHash,
        now: Timestamp,
    ) -> Result<Option<(SessionId, Uid)>, StoreError>;

    /// Ends some of the sessions that were not used since `idle`, and forgets ends from
    /// before `old`, some of the sessions that ended before it, and tickets that are over.
    /// Says how many it ended.
    async fn sweep(
        &self,
        idle: Timestamp,
        old: Timestamp,
        now: Timestamp,
    ) -> Result<usize, StoreError>;
}

/// Why no session was opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The password was changed after it was verified.
    #[error("the password was changed")]
    OldPassword,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a token was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// It is none of a session that lives.
    #[error("the refresh token is not valid")]
    Unknown,
    /// It was used before; the session has ended by it.
    #[error("the refresh token was used before, so its session has ended")]
    Reused,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<sqlx::Error> for RenewError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Rows as both databases give them.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod rows {
    use base::{SessionId, Timestamp, Uid};
    use runtime::StoreError;
    use runtime::sql::Cells;

    use super::SAME_ANSWER;
    use crate::domain::{Client, Renewal, Renewed, Session};

    pub(super) fn session_id(id: i64) -> Result<SessionId, StoreError> {
        SessionId::try_from(id).map_err(|_| StoreError::Broken(format!("{id} is no SessionID")))
    }

    pub(super) fn uid(uid: i64) -> Result<Uid, StoreError> {
        Uid::try_from(uid).map_err(|_| StoreError::Broken(format!("{uid} is no UID")))
    }

    /// Reads id, device, address, creation and last use.
    pub(super) fn session(row: &impl Cells) -> Result<Session, StoreError> {
        let (device, address): (String, String) = (row.cell(1)?, row.cell(2)?);
        Ok(Session {
            id: session_id(row.cell(0)?)?,
            client: Client::new(&device, &address),
            created_at: Timestamp::from_micros(row.cell(3)?),
            last_used: Timestamp::from_micros(row.cell(4)?),
        })
    }

    /// Reads the number of an end, and the session that ended.
    pub(super) fn end(row: &impl Cells) -> Result<(u64, SessionId), StoreError> {
        let no: i64 = row.cell(0)?;
        Ok((no.cast_unsigned(), session_id(row.cell(1)?)?))
    }

    /// The first answer, if this renewal is that one come again. Reads the key, the salt and
    /// the time of the first.
    pub(super) fn again(
        spent: &impl Cells,
        uid: Uid,
        renewal: &Renewal,
        now: Timestamp,
    ) -> Result<Option<Renewed>, StoreError> {
        let (key, salt): (Option<Vec<u8>>, Vec<u8>) = (spent.cell(0)?, spent.cell(1)?);
        let at = Timestamp::from_micros(spent.cell(2)?);
        let same_key = renewal
            .key
            .is_some_and(|asked| Some(&asked.0[..]) == key.as_deref());
        if !same_key || now > at.after(SAME_ANSWER) {
            return Ok(None);
        }
        let odd = |_| StoreError::Broken("a salt has another length".to_owned());
        let salt = salt.try_into().map_err(odd)?;
        Ok(Some(Renewed { uid, salt, at }))
    }
}

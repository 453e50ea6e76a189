//! What user-service needs of a database. Every method is one transaction;
//! `laws.rs` states what each must do, and both adapters pass it.
//!
//! Invariant: no two accounts have names, or addresses, that differ in case alone.

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(test)]
mod laws;

use async_trait::async_trait;
use base::{SessionId, Timestamp, Uid, Username};
use runtime::StoreError;

use crate::domain::{Credentials, Hash, Login, NewAccount, Profile, Untold};

#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sql::{SqlStore, Statements};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

/// Accounts.
#[async_trait]
pub trait Store: Send + Sync {
    /// Makes an account; the first has UID 1.
    async fn register(&self, account: &NewAccount, now: Timestamp) -> Result<Uid, RegisterError>;

    /// What proves that somebody is who he says he is.
    async fn credentials(&self, login: &Login) -> Result<Option<Credentials>, StoreError>;

    /// Replaces the hash `old` by `new` of the same password; does nothing when the
    /// account has another by now.
    async fn rehash(&self, uid: Uid, old: &Hash, new: &Hash) -> Result<(), StoreError>;

    /// What proves that somebody is who his session says.
    async fn credentials_of(&self, uid: Uid) -> Result<Option<Credentials>, StoreError>;

    /// Replaces a password of version `old` by the next version, of which session-service
    /// is to be told. `None`: it has another version by now.
    async fn change_password(
        &self,
        uid: Uid,
        old: u64,
        new: &Hash,
        kept: Option<SessionId>,
        now: Timestamp,
    ) -> Result<Option<Untold>, StoreError>;

    /// Notes that session-service knows of a change, or a later one.
    async fn told(&self, change: &Untold) -> Result<(), StoreError>;

    /// Some of the changes from before `before` of which it does not know.
    async fn untold(&self, before: Timestamp) -> Result<Vec<Untold>, StoreError>;

    /// What is shown of an account.
    async fn profile(&self, uid: Uid) -> Result<Option<Profile>, StoreError>;

    /// What is shown of those of these accounts that there are, by ascending UID.
    async fn profiles(&self, uids: &[Uid]) -> Result<Vec<Profile>, StoreError>;

    /// What is shown of the account of this name.
    async fn profile_named(&self, name: &Username) -> Result<Option<Profile>, StoreError>;

    /// Gives an account a new name, which may be its own in another case.
    async fn rename(&self, uid: Uid, name: &Username) -> Result<(), RenameError>;
}

/// Why no account was made.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Another has the name or the address.
    #[error("the name or the address is taken")]
    Taken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a name was not changed.
#[derive(Debug, thiserror::Error)]
pub enum RenameError {
    /// Another has it.
    #[error("the name is taken")]
    Taken,
    /// There is no such account.
    #[error("no such account")]
    NoAccount,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Rows as both databases give them.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod rows {
    use base::{SessionId, Timestamp, Uid};
    use runtime::StoreError;
    use runtime::sql::Cells;

    use crate::domain::{Credentials, Hash, Login, Profile, Untold};

    /// Served by `accounts_by_username`.
    pub(super) const PROFILE_NAMED: &str = "SELECT uid, username, email, created_at
         FROM accounts
         WHERE username_key = $1";
    pub(super) const CREDENTIALS_OF: &str = "SELECT uid, password_version, hash, hash_version
         FROM accounts
         WHERE uid = $1";
    pub(super) const CHANGE_PASSWORD: &str = "UPDATE accounts
         SET hash = $3,
             hash_version = $4,
             password_version = password_version + 1,
             kept_session = $5,
             changed_at = $6
         WHERE uid = $1 AND password_version = $2
         RETURNING uid, password_version, kept_session";
    pub(super) const TOLD: &str = "UPDATE accounts
         SET told_version = $2
         WHERE uid = $1 AND told_version < $2";
    /// Served by `accounts_to_tell`.
    pub(super) const UNTOLD: &str = "SELECT uid, password_version, kept_session
         FROM accounts
         WHERE told_version < password_version AND changed_at < $1
         ORDER BY uid
         LIMIT 100";

    pub(super) fn uid(uid: i64) -> Result<Uid, StoreError> {
        Uid::try_from(uid).map_err(|_| StoreError::Broken(format!("{uid} is no UID")))
    }

    fn version(version: i64) -> Result<u64, StoreError> {
        u64::try_from(version)
            .map_err(|_| StoreError::Broken("a password version is negative".into()))
    }

    /// Reads UID, version of the password and the session that is kept.
    pub(super) fn untold(row: &impl Cells) -> Result<Untold, StoreError> {
        let kept: i64 = row.cell(2)?;
        Ok(Untold {
            uid: uid(row.cell(0)?)?,
            version: version(row.cell(1)?)?,
            kept: u64::try_from(kept).ok().and_then(SessionId::new),
        })
    }

    /// Reads UID, version of the password, hash and version of the hash.
    pub(super) fn credentials(row: &impl Cells) -> Result<Credentials, StoreError> {
        Ok(Credentials {
            uid: uid(row.cell(0)?)?,
            password_version: version(row.cell(1)?)?,
            hash: Hash {
                phc: row.cell(2)?,
                version: row.cell(3)?,
            },
        })
    }

    /// Reads UID, name, address and creation.
    pub(super) fn profile(row: &impl Cells) -> Result<Profile, StoreError> {
        Ok(Profile {
            uid: uid(row.cell(0)?)?,
            username: row.cell(1)?,
            email: row.cell(2)?,
            created_at: Timestamp::from_micros(row.cell(3)?),
        })
    }

    /// The query that finds a login's credentials, and what it asks for.
    pub(super) fn find(login: &Login) -> (&'static str, String) {
        match login {
            Login::Email(email) => (
                "SELECT uid, password_version, hash, hash_version
                 FROM accounts
                 WHERE email_key = $1",
                email.key(),
            ),
            Login::Username(name) => (
                "SELECT uid, password_version, hash, hash_version
                 FROM accounts
                 WHERE username_key = $1",
                name.key(),
            ),
        }
    }
}

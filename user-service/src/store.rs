//! What user-service needs of a database. Every method is one transaction;
//! `laws.rs` states what each must do, and both adapters pass it.
//!
//! Invariant: no two accounts have names, or addresses, that differ in case alone.

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(test)]
mod laws;

use async_trait::async_trait;
use base::{Timestamp, Uid, Username};
use runtime::StoreError;

use crate::domain::{Credentials, Hash, Login, NewAccount, Profile};

#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
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

    /// What is shown of an account.
    async fn profile(&self, uid: Uid) -> Result<Option<Profile>, StoreError>;

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
    use base::{Timestamp, Uid};
    use runtime::StoreError;

    use crate::domain::{Credentials, Hash, Login, Profile};

    pub(super) type CredentialsRow = (i64, i64, String, i16);
    pub(super) type ProfileRow = (i64, String, String, i64);

    pub(super) fn uid(uid: i64) -> Result<Uid, StoreError> {
        Uid::try_from(uid).map_err(|_| StoreError::Broken(format!("{uid} is no UID")))
    }

    pub(super) fn credentials(row: CredentialsRow) -> Result<Credentials, StoreError> {
        let (id, password_version, phc, version) = row;
        Ok(Credentials {
            uid: uid(id)?,
            password_version: u64::try_from(password_version)
                .map_err(|_| StoreError::Broken("a password version is negative".into()))?,
            hash: Hash { phc, version },
        })
    }

    pub(super) fn profile(row: ProfileRow) -> Result<Profile, StoreError> {
        let (id, username, email, created_at) = row;
        Ok(Profile {
            uid: uid(id)?,
            username,
            email,
            created_at: Timestamp::from_micros(created_at),
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

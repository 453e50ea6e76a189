//! Accounts on `SQLite`, one file. Every use case is one statement, so it is its own
//! transaction.

use std::path::Path;

use async_trait::async_trait;
use base::{SessionId, Timestamp, Uid, Username};
use runtime::StoreError;
use runtime::sql::Pools;
use sqlx::Sqlite;

use super::{RegisterError, RenameError, Store, rows};
use crate::domain::{Credentials, Hash, Login, NewAccount, Profile, Untold};

/// Accounts in a `SQLite` file; cheap to clone.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    file: Pools<Sqlite>,
}

impl SqliteStore {
    /// A store on the file `path`, made and migrated as needed.
    ///
    /// # Errors
    /// When the file cannot be opened or a migration fails.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let file = runtime::sqlite::open(path, sqlx::migrate!("migrations/sqlite")).await?;
        Ok(Self { file })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn register(&self, account: &NewAccount, now: Timestamp) -> Result<Uid, RegisterError> {
        // Selected from nothing when it is taken, so that a refusal takes no number.
        let uid: Option<i64> = sqlx::query_scalar(
            "INSERT INTO accounts
                 (username, username_key, email, email_key, hash, hash_version, created_at)
             SELECT $1, $2, $3, $4, $5, $6, $7
             WHERE NOT EXISTS (
                 SELECT 1 FROM accounts WHERE username_key = $2 OR email_key = $4
             )
             ON CONFLICT DO NOTHING
             RETURNING uid",
        )
        .bind(account.username.as_str())
        .bind(account.username.key())
        .bind(account.email.as_str())
        .bind(account.email.key())
        .bind(&account.hash.phc)
        .bind(account.hash.version)
        .bind(now.micros())
        .fetch_optional(&self.file.writer)
        .await
        .map_err(StoreError::from)?;
        Ok(rows::uid(uid.ok_or(RegisterError::Taken)?)?)
    }

    async fn credentials(&self, login: &Login) -> Result<Option<Credentials>, StoreError> {
        let (query, key) = rows::find(login);
        let row = sqlx::query_as(query)
            .bind(key)
            .fetch_optional(&self.file.readers)
            .await?;
        row.map(rows::credentials).transpose()
    }

    async fn rehash(&self, uid: Uid, old: &Hash, new: &Hash) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE accounts
             SET hash = $3, hash_version = $4
             WHERE uid = $1 AND hash = $2",
        )
        .bind(uid.as_i64())
        .bind(&old.phc)
        .bind(&new.phc)
        .bind(new.version)
        .execute(&self.file.writer)
        .await?;
        Ok(())
    }

    async fn credentials_of(&self, uid: Uid) -> Result<Option<Credentials>, StoreError> {
        let row = sqlx::query_as(rows::CREDENTIALS_OF)
            .bind(uid.as_i64())
            .fetch_optional(&self.file.readers)
            .await?;
        row.map(rows::credentials).transpose()
    }

    async fn change_password(
        &self,
        uid: Uid,
        old: u64,
        new: &Hash,
        kept: Option<SessionId>,
        now: Timestamp,
    ) -> Result<Option<Untold>, StoreError> {
        let row = sqlx::query_as(rows::CHANGE_PASSWORD)
            .bind(uid.as_i64())
            .bind(old.cast_signed())
            .bind(&new.phc)
            .bind(new.version)
            .bind(kept.map_or(0, SessionId::as_i64))
            .bind(now.micros())
            .fetch_optional(&self.file.writer)
            .await?;
        row.map(rows::untold).transpose()
    }

    async fn told(&self, change: &Untold) -> Result<(), StoreError> {
        sqlx::query(rows::TOLD)
            .bind(change.uid.as_i64())
            .bind(change.version.cast_signed())
            .execute(&self.file.writer)
            .await?;
        Ok(())
    }

    async fn untold(&self, before: Timestamp) -> Result<Vec<Untold>, StoreError> {
        let found = sqlx::query_as(rows::UNTOLD)
            .bind(before.micros())
            .fetch_all(&self.file.readers)
            .await?;
        found.into_iter().map(rows::untold).collect()
    }

    async fn profile(&self, uid: Uid) -> Result<Option<Profile>, StoreError> {
        let row = sqlx::query_as(
            "SELECT uid, username, email, created_at
             FROM accounts
             WHERE uid = $1",
        )
        .bind(uid.as_i64())
        .fetch_optional(&self.file.readers)
        .await?;
        row.map(rows::profile).transpose()
    }

    async fn profiles(&self, uids: &[Uid]) -> Result<Vec<Profile>, StoreError> {
        let ids: Vec<i64> = uids.iter().map(|uid| uid.as_i64()).collect();
        let found = sqlx::query_as(
            "SELECT uid, username, email, created_at
             FROM accounts
             WHERE uid IN (SELECT value FROM json_each($1))
             ORDER BY uid",
        )
        .bind(serde_json::json!(ids).to_string())
        .fetch_all(&self.file.readers)
        .await?;
        found.into_iter().map(rows::profile).collect()
    }

    async fn profile_named(&self, name: &Username) -> Result<Option<Profile>, StoreError> {
        let row = sqlx::query_as(rows::PROFILE_NAMED)
            .bind(name.key())
            .fetch_optional(&self.file.readers)
            .await?;
        row.map(rows::profile).transpose()
    }

    async fn rename(&self, uid: Uid, name: &Username) -> Result<(), RenameError> {
        let renamed = sqlx::query(
            "UPDATE accounts
             SET username = $2, username_key = $3
             WHERE uid = $1",
        )
        .bind(uid.as_i64())
        .bind(name.as_str())
        .bind(name.key())
        .execute(&self.file.writer)
        .await;
        match renamed {
            Ok(done) if done.rows_affected() == 0 => Err(RenameError::NoAccount),
            Ok(_) => Ok(()),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                Err(RenameError::Taken)
            }
            Err(error) => Err(StoreError::from(error).into()),
        }
    }
}

//! Accounts in SQL, on either database. Every use case is one statement, so it is its own
//! transaction. What the databases say differently is in [`Statements`].

use async_trait::async_trait;
use base::{SessionId, Timestamp, Uid, Username};
use runtime::StoreError;
use runtime::sql::{Dialect, Pools};

use super::{RegisterError, RenameError, Store, rows};
use crate::domain::{Credentials, Hash, Login, NewAccount, Profile, Untold};

/// Accounts in a database; cheap to clone.
#[derive(Debug)]
pub struct SqlStore<D: Dialect> {
    pub(super) pools: Pools<D>,
}

impl<D: Dialect> Clone for SqlStore<D> {
    fn clone(&self) -> Self {
        Self {
            pools: self.pools.clone(),
        }
    }
}

/// The statements that differ between the databases.
pub trait Statements: Dialect {
    /// Reads the profiles of the accounts in the list `$1`, ascending. Served by the primary
    /// key.
    const PROFILES: &'static str;
}

#[async_trait]
impl<D: Statements> Store for SqlStore<D> {
    async fn register(&self, account: &NewAccount, now: Timestamp) -> Result<Uid, RegisterError> {
        let mut writer = self.pools.writer().await.map_err(StoreError::from)?;
        // Selected from nothing when it is taken, so that a refusal takes no number.
        let uid: Option<i64> = D::query(
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
        .bind(account.hash.phc.as_str())
        .bind(account.hash.version)
        .bind(now.micros())
        .optional_value(&mut writer)
        .await
        .map_err(StoreError::from)?;
        Ok(rows::uid(uid.ok_or(RegisterError::Taken)?)?)
    }

    async fn credentials(&self, login: &Login) -> Result<Option<Credentials>, StoreError> {
        let (query, key) = rows::find(login);
        let row = D::query(query)
            .bind(key)
            .optional(&mut *self.pools.reader().await?)
            .await?;
        row.as_ref().map(rows::credentials).transpose()
    }

    async fn rehash(&self, uid: Uid, old: &Hash, new: &Hash) -> Result<(), StoreError> {
        D::query(
            "UPDATE accounts
             SET hash = $3, hash_version = $4
             WHERE uid = $1 AND hash = $2",
        )
        .bind(uid.as_i64())
        .bind(old.phc.as_str())
        .bind(new.phc.as_str())
        .bind(new.version)
        .execute(&mut *self.pools.writer().await?)
        .await?;
        Ok(())
    }

    async fn credentials_of(&self, uid: Uid) -> Result<Option<Credentials>, StoreError> {
        let row = D::query(rows::CREDENTIALS_OF)
            .bind(uid.as_i64())
            .optional(&mut *self.pools.reader().await?)
            .await?;
        row.as_ref().map(rows::credentials).transpose()
    }

    async fn change_password(
        &self,
        uid: Uid,
        old: u64,
        new: &Hash,
        kept: Option<SessionId>,
        now: Timestamp,
    ) -> Result<Option<Untold>, StoreError> {
        let row = D::query(rows::CHANGE_PASSWORD)
            .bind(uid.as_i64())
            .bind(old.cast_signed())
            .bind(new.phc.as_str())
            .bind(new.version)
            .bind(kept.map_or(0, SessionId::as_i64))
            .bind(now.micros())
            .optional(&mut *self.pools.writer().await?)
            .await?;
        row.as_ref().map(rows::untold).transpose()
    }

    async fn told(&self, change: &Untold) -> Result<(), StoreError> {
        D::query(rows::TOLD)
            .bind(change.uid.as_i64())
            .bind(change.version.cast_signed())
            .execute(&mut *self.pools.writer().await?)
            .await?;
        Ok(())
    }

    async fn untold(&self, before: Timestamp) -> Result<Vec<Untold>, StoreError> {
        let found = D::query(rows::UNTOLD)
            .bind(before.micros())
            .all(&mut *self.pools.reader().await?)
            .await?;
        found.iter().map(rows::untold).collect()
    }

    async fn profile(&self, uid: Uid) -> Result<Option<Profile>, StoreError> {
        let row = D::query(
            "SELECT uid, username, email, created_at
             FROM accounts
             WHERE uid = $1",
        )
        .bind(uid.as_i64())
        .optional(&mut *self.pools.reader().await?)
        .await?;
        row.as_ref().map(rows::profile).transpose()
    }

    async fn profiles(&self, uids: &[Uid]) -> Result<Vec<Profile>, StoreError> {
        let ids: Vec<i64> = uids.iter().map(|uid| uid.as_i64()).collect();
        let found = D::query(D::PROFILES)
            .bind_list(&ids)
            .all(&mut *self.pools.reader().await?)
            .await?;
        found.iter().map(rows::profile).collect()
    }

    async fn profile_named(&self, name: &Username) -> Result<Option<Profile>, StoreError> {
        let row = D::query(rows::PROFILE_NAMED)
            .bind(name.key())
            .optional(&mut *self.pools.reader().await?)
            .await?;
        row.as_ref().map(rows::profile).transpose()
    }

    async fn rename(&self, uid: Uid, name: &Username) -> Result<(), RenameError> {
        let mut writer = self.pools.writer().await.map_err(StoreError::from)?;
        let renamed = D::query(
            "UPDATE accounts
             SET username = $2, username_key = $3
             WHERE uid = $1",
        )
        .bind(uid.as_i64())
        .bind(name.as_str())
        .bind(name.key())
        .execute(&mut writer)
        .await;
        match renamed {
            Ok(0) => Err(RenameError::NoAccount),
            Ok(_) => Ok(()),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                Err(RenameError::Taken)
            }
            Err(error) => Err(StoreError::from(error).into()),
        }
    }
}

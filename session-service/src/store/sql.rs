//! Sessions in SQL, on either database. What the databases say differently is in
//! [`Statements`].
//!
//! Locks are taken in one order: a user, his sessions, the number of the newest end.
//! Whatever a decision rests on is read after its lock, by the statement that locks or a
//! later one.

use async_trait::async_trait;
use base::{SessionId, Timestamp, Uid};
use runtime::StoreError;
use runtime::sql::{Cells, Dialect, Pools};

use super::{LISTED, OpenError, RenewError, Store, USE_PRECISION, rows};
use crate::domain::{Ends, NewSession, Renewal, Renewed, SecretHash, Session};

/// Idle sessions that one sweep ends, most.
const SWEPT_AT_ONCE: i64 = 200;
/// Ended sessions that one sweep drops, most.
const DROPPED_AT_ONCE: i64 = 2_000;

/// Sessions in a database; cheap to clone.
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
#[async_trait]
pub trait Statements: Dialect {
    /// Locks the user and adds a session, unless there is a newer password than the one that
    /// was verified.
    async fn add(
        pools: &Pools<Self>,
        session: &NewSession,
        now: Timestamp,
    ) -> Result<Option<i64>, sqlx::Error>;
}

#[async_trait]
impl<D: Statements> Store for SqlStore<D> {
    async fn open(&self, session: &NewSession, now: Timestamp) -> Result<SessionId, OpenError> {
        let opened = D::add(&self.pools, session, now).await?;
        let id = opened.ok_or(OpenError::OldPassword)?;
        Ok(rows::session_id(id)?)
    }

    async fn living(&self, session: SessionId, now: Timestamp) -> Result<Option<Uid>, StoreError> {
        // Served by the primary key.
        let found = D::query(
            "SELECT uid, last_used
             FROM sessions
             WHERE id = $1 AND ended_at IS NULL",
        )
        .bind(session.as_i64())
        .optional(&mut *self.pools.reader().await?)
        .await?;
        let Some(row) = found else {
            return Ok(None);
        };
        let last_used = Timestamp::from_micros(row.cell(1)?);
        if now > last_used.after(USE_PRECISION) {
            let noting = async {
                let mut tx = self.pools.begin().await?;
                let lives = lock_session::<D>(&mut tx, session, now).await?.is_some();
                tx.commit().await?;
                Ok::<_, StoreError>(lives)
            };
            match noting.await {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                // No reason to refuse anybody: a full disk must not stop reading.
                Err(error) => tracing::warn!(%session, %error, "its use was not noted"),
            }
        }
        rows::uid(row.cell(0)?).map(Some)
    }

    async fn renew(
        &self,
        session: SessionId,
        renewal: &Renewal,
        now: Timestamp,
    ) -> Result<Renewed, RenewError> {
        let mut tx = self.pools.begin().await?;
        let locked = lock_session::<D>(&mut tx, session, now).await?;
        let (uid, current) = locked.ok_or(RenewError::Unknown)?;
        if current == renewal.presented.0 {
            spend::<D>(&mut tx, session, renewal, now).await?;
            tx.commit().await?;
            return Ok(Renewed {
                uid,
                salt: renewal.salt,
                at: now,
            });
        }
        let spent = find_spent::<D>(&mut tx, session, &renewal.presented).await?;
        let spent = spent.ok_or(RenewError::Unknown)?;
        if let Some(first) = rows::again(&spent, uid, renewal, now)? {
            return Ok(first);
        }
        end_one::<D>(&mut tx, uid, session, now).await?;
        tx.commit().await?;
        Err(RenewError::Reused)
    }

    async fn list(&self, uid: Uid) -> Result<Vec<Session>, StoreError> {
        // Served by sessions_living_by_uid.
        let found = D::query(
            "SELECT id, device, address, created_at, last_used
             FROM sessions
             WHERE uid = $1 AND ended_at IS NULL
             ORDER BY id DESC
             LIMIT $2",
        )
        .bind(uid.as_i64())
        .bind(i64::try_from(LISTED).unwrap_or(i64::MAX))
        .all(&mut *self.pools.reader().await?)
        .await?;
        found.iter().map(rows::session).collect()
    }

    async fn end(&self, uid: Uid, session: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        let mut tx = self.pools.begin().await?;
        let ended = end_one::<D>(&mut tx, uid, session, now).await?;
        tx.commit().await?;
        Ok(ended)
    }

    async fn end_others(
        &self,
        uid: Uid,
        but: Option<SessionId>,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let mut tx = self.pools.begin().await?;
        lock_user::<D>(&mut tx, uid, 0).await?;
        let ended = end_others_of::<D>(&mut tx, uid, but, now).await?;
        tx.commit().await?;
        Ok(ended)
    }

    async fn password_changed(
        &self,
        uid: Uid,
        version: u64,
        but: Option<SessionId>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.pools.begin().await?;
        if lock_user::<D>(&mut tx, uid, version).await? == version {
            end_older::<D>(&mut tx, uid, version, but, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn ended_since(&self, after: u64, limit: u32) -> Result<Ends, StoreError> {
        // Served by the primary key.
        let ended = D::query(
            "SELECT no, session_id
             FROM ended
             WHERE no > $1
             ORDER BY no
             LIMIT $2",
        )
        .bind(after.cast_signed())
        .bind(i64::from(limit))
        .all(&mut *self.pools.reader().await?)
        .await?;
        let ends = D::query(
            "SELECT no, (SELECT MIN(no) FROM ended)
             FROM ended_head",
        )
        .one(&mut *self.pools.reader().await?)
        .await?;
        let (head, first): (i64, Option<i64>) = (ends.cell(0)?, ends.cell(1)?);
        Ok(Ends {
            ended: ended.iter().map(rows::end).collect::<Result<_, _>>()?,
            head: head.cast_unsigned(),
            first: first.unwrap_or(head + 1).cast_unsigned(),
        })
    }

    async fn put_ticket(
        &self,
        ticket: &SecretHash,
        session: SessionId,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.pools.begin().await?;
        D::query(
            "INSERT INTO tickets (hash, session_id, until)
             VALUES ($1, $2, $3)",
        )
        .bind(&ticket.0[..])
        .bind(session.as_i64())
        .bind(until.micros())
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn take_ticket(
        &self,
        ticket: &SecretHash,
        now: Timestamp,
    ) -> Result<Option<(SessionId, Uid)>, StoreError> {
        let mut tx = self.pools.begin().await?;
        // Served by the primary key.
        let session = D::query(
            "DELETE FROM tickets
             WHERE hash = $1 AND until >= $2
             RETURNING session_id",
        )
        .bind(&ticket.0[..])
        .bind(now.micros())
        .optional_value(&mut tx)
        .await?;
        let Some(session) = session.map(rows::session_id).transpose()? else {
            return Ok(None);
        };
        let found = lock_session::<D>(&mut tx, session, now).await?;
        tx.commit().await?;
        Ok(found.map(|(uid, _)| (session, uid)))
    }

    async fn sweep(
        &self,
        idle: Timestamp,
        old: Timestamp,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let mut tx = self.pools.begin().await?;
        let ended = end_idle::<D>(&mut tx, idle, now).await?;
        drop_old::<D>(&mut tx, old, now).await?;
        tx.commit().await?;
        Ok(ended)
    }
}

/// Locks a user, and says what his newest password is; it may be `version`.
pub(super) async fn lock_user<D: Dialect>(
    tx: &mut D::Connection,
    uid: Uid,
    version: u64,
) -> Result<u64, sqlx::Error> {
    // Served by the primary key.
    let newest: i64 = D::query(
        "INSERT INTO users (uid, password_version)
         VALUES ($1, $2)
         ON CONFLICT (uid) DO UPDATE
         SET password_version = CASE
             WHEN users.password_version < excluded.password_version
             THEN excluded.password_version
             ELSE users.password_version
         END
         RETURNING password_version",
    )
    .bind(uid.as_i64())
    .bind(version.cast_signed())
    .value(tx)
    .await?;
    Ok(newest.cast_unsigned())
}

/// Locks a session that lives: whose it is, and what its refresh token is.
async fn lock_session<D: Dialect>(
    tx: &mut D::Connection,
    session: SessionId,
    now: Timestamp,
) -> Result<Option<(Uid, Vec<u8>)>, StoreError> {
    // Served by the primary key.
    let found = D::query(
        "UPDATE sessions
         SET last_used = $2
         WHERE id = $1 AND ended_at IS NULL
         RETURNING uid, refresh_hash",
    )
    .bind(session.as_i64())
    .bind(now.micros())
    .optional(tx)
    .await?;
    found
        .map(|row| Ok((rows::uid(row.cell(0)?)?, row.cell(1)?)))
        .transpose()
}

/// Spends a refresh token and puts the next in its place. The session is locked.
async fn spend<D: Dialect>(
    tx: &mut D::Connection,
    session: SessionId,
    renewal: &Renewal,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    D::query(
        "INSERT INTO spent (hash, session_id, key_hash, salt, at)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&renewal.presented.0[..])
    .bind(session.as_i64())
    .bind(renewal.key.as_ref().map(|key| &key.0[..]))
    .bind(&renewal.salt[..])
    .bind(now.micros())
    .execute(tx)
    .await?;
    // Served by the primary key.
    D::query(
        "UPDATE sessions
         SET refresh_hash = $2
         WHERE id = $1",
    )
    .bind(session.as_i64())
    .bind(&renewal.next.0[..])
    .execute(tx)
    .await?;
    Ok(())
}

/// How a refresh token of this session was spent, if it was.
async fn find_spent<D: Dialect>(
    tx: &mut D::Connection,
    session: SessionId,
    hash: &SecretHash,
) -> Result<Option<D::Row>, sqlx::Error> {
    // Served by the primary key.
    D::query(
        "SELECT key_hash, salt, at
         FROM spent
         WHERE hash = $1 AND session_id = $2",
    )
    .bind(&hash.0[..])
    .bind(session.as_i64())
    .optional(tx)
    .await
}

/// Ends a session of a user's.
async fn end_one<D: Dialect>(
    tx: &mut D::Connection,
    uid: Uid,
    session: SessionId,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    // Served by the primary key.
    let ended: Vec<i64> = D::query(
        "UPDATE sessions
         SET ended_at = $3
         WHERE id = $1 AND uid = $2 AND ended_at IS NULL
         RETURNING id",
    )
    .bind(session.as_i64())
    .bind(uid.as_i64())
    .bind(now.micros())
    .values(tx)
    .await?;
    number::<D>(tx, &ended, now).await?;
    Ok(!ended.is_empty())
}

/// Ends every session of a user but one. The user is locked.
async fn end_others_of<D: Dialect>(
    tx: &mut D::Connection,
    uid: Uid,
    but: Option<SessionId>,
    now: Timestamp,
) -> Result<usize, sqlx::Error> {
    // Served by sessions_living_by_uid.
    let mut ended: Vec<i64> = D::query(
        "UPDATE sessions
         SET ended_at = $3
         WHERE uid = $1 AND id <> $2 AND ended_at IS NULL
         RETURNING id",
    )
    .bind(uid.as_i64())
    .bind(but.map_or(0, SessionId::as_i64))
    .bind(now.micros())
    .values(tx)
    .await?;
    ended.sort_unstable();
    number::<D>(tx, &ended, now).await?;
    Ok(ended.len())
}

/// Ends every session of a user but one that was opened with a password older than
/// `version`. The user is locked.
async fn end_older<D: Dialect>(
    tx: &mut D::Connection,
    uid: Uid,
    version: u64,
    but: Option<SessionId>,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    // Served by sessions_living_by_uid.
    let mut ended: Vec<i64> = D::query(
        "UPDATE sessions
         SET ended_at = $4
         WHERE uid = $1 AND password_version < $2 AND id <> $3 AND ended_at IS NULL
         RETURNING id",
    )
    .bind(uid.as_i64())
    .bind(version.cast_signed())
    .bind(but.map_or(0, SessionId::as_i64))
    .bind(now.micros())
    .values(tx)
    .await?;
    ended.sort_unstable();
    number::<D>(tx, &ended, now).await
}

/// Ends what was not used since `before`, a few hundred at most.
async fn end_idle<D: Dialect>(
    tx: &mut D::Connection,
    before: Timestamp,
    now: Timestamp,
) -> Result<usize, sqlx::Error> {
    // Served by sessions_living_by_use. One that was found idle may be in use by the
    // time it is locked, so the outer condition says it all again.
    let ended: Vec<i64> = D::query(
        "UPDATE sessions
         SET ended_at = $2
         WHERE id IN (
             SELECT id
             FROM sessions
             WHERE last_used < $1 AND ended_at IS NULL
             ORDER BY last_used
             LIMIT $3
         ) AND last_used < $1 AND ended_at IS NULL
         RETURNING id",
    )
    .bind(before.micros())
    .bind(now.micros())
    .bind(SWEPT_AT_ONCE)
    .values(tx)
    .await?;
    number::<D>(tx, &ended, now).await?;
    Ok(ended.len())
}

/// Gives ends their numbers and forgets what the sessions had.
async fn number<D: Dialect>(
    tx: &mut D::Connection,
    ended: &[i64],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    if ended.is_empty() {
        return Ok(());
    }
    let count = i64::try_from(ended.len()).unwrap_or(i64::MAX);
    let newest: i64 = D::query(
        "UPDATE ended_head
         SET no = no + $1
         RETURNING no",
    )
    .bind(count)
    .value(tx)
    .await?;
    for (no, &session) in (newest - count + 1..).zip(ended) {
        D::query(
            "INSERT INTO ended (no, session_id, at)
             VALUES ($1, $2, $3)",
        )
        .bind(no)
        .bind(session)
        .bind(now.micros())
        .execute(tx)
        .await?;
        // Served by spent_by_session.
        D::query(
            "DELETE FROM spent
             WHERE session_id = $1",
        )
        .bind(session)
        .execute(tx)
        .await?;
    }
    Ok(())
}

/// Drops what is of no use any more.
async fn drop_old<D: Dialect>(
    tx: &mut D::Connection,
    before: Timestamp,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    // Served by tickets_by_until.
    D::query(
        "DELETE FROM tickets
         WHERE until < $1",
    )
    .bind(now.micros())
    .execute(tx)
    .await?;
    // Served by sessions_ended_by_time. Who asks for one of these is told what he is
    // told of one that ended, and no session ever has its ID.
    D::query(
        "DELETE FROM sessions
         WHERE id IN (
             SELECT id
             FROM sessions
             WHERE ended_at < $1
             ORDER BY ended_at
             LIMIT $2
         )",
    )
    .bind(before.micros())
    .bind(DROPPED_AT_ONCE)
    .execute(tx)
    .await?;
    // By number and so by time: served by the primary key.
    D::query(
        "DELETE FROM ended
         WHERE no < (SELECT MIN(no) FROM ended WHERE at >= $1)",
    )
    .bind(before.micros())
    .execute(tx)
    .await?;
    Ok(())
}

//! The store on `SQLite`, one file.
//!
//! Invariant: whoever changes anything begins with `BEGIN IMMEDIATE`, so that from
//! its first read to its commit nobody else writes. It stands for the row lock of
//! a larger database.

use std::path::Path;

use async_trait::async_trait;
use base::{ChangeNo, RoomId, Timestamp, Uid, limits};
use runtime::StoreError;
use runtime::sql::Pools;
use sqlx::Sqlite;
use sqlx::sqlite::SqliteConnection;

use super::invitations::invitations;
use super::steps::steps;
use super::{ChangeError, CreateError, Store, rows};
use crate::domain::{
    Change, ChangeKind, CodeHash, Decision, Facts, Invitation, Kind, Listed, NewInvitation,
    NewRoom, Refusal, Role, Room, Wish, decide,
};

/// [`limits::APPEND_CHANGES`] as SQL counts.
const PAGE: i64 = limits::APPEND_CHANGES.cast_signed() as i64;
/// How a transaction that writes begins.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// Rooms in a `SQLite` file; cheap to clone.
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
    async fn create(&self, room: &NewRoom, now: Timestamp) -> Result<RoomId, CreateError> {
        let mut tx = self.file.writer.begin_with(BEGIN).await?;
        if let Some(found) = find_unfinished(&mut tx, room).await? {
            return found;
        }
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO rooms (kind, name, name_key, creator_uid, is_private, created_at, change_no)
             VALUES ($1, $2, $3, $4, $5, $6, 1)
             RETURNING room_id",
        )
        .bind(Kind::Room.number())
        .bind(room.name.as_str())
        .bind(room.name.key())
        .bind(room.creator.as_i64())
        .bind(room.is_private)
        .bind(now.micros())
        .fetch_one(&mut *tx)
        .await?;
        let id = RoomId::try_from(id).map_err(rows::odd)?;
        let first = Change {
            no: ChangeNo::try_from(1_i64).map_err(rows::odd)?,
            kind: ChangeKind::Join,
            uid: room.creator,
            by: room.creator,
            role: Some(Role::Owner),
        };
        record(&mut tx, id, first, now).await?;
        tx.commit().await?;
        Ok(id)
    }

    async fn change(
        &self,
        room: RoomId,
        wish: Wish,
        now: Timestamp,
    ) -> Result<ChangeNo, ChangeError> {
        let mut tx = self.file.writer.begin_with(BEGIN).await?;
        let (is_private, newest) = lock(&mut tx, room).await?;
        let facts = facts(&mut tx, room, wish, is_private, now).await?;
        let role = match decide(wish, &facts)? {
            Decision::Unfinished(no) => return Ok(no),
            Decision::Take(role) => role,
        };
        let no = ChangeNo::try_from(newest + 1).map_err(rows::odd)?;
        // Served by the primary key.
        sqlx::query(
            "UPDATE rooms
             SET change_no = $2
             WHERE room_id = $1",
        )
        .bind(room.as_i64())
        .bind(no.as_i64())
        .execute(&mut *tx)
        .await?;
        let change = Change {
            no,
            kind: wish.kind(),
            uid: wish.subject(),
            by: wish.actor(),
            role,
        };
        record(&mut tx, room, change, now).await?;
        if let Wish::Accept { code, .. } = wish {
            take_use(&mut tx, code).await?;
        }
        tx.commit().await?;
        Ok(no)
    }

    async fn room(&self, room: RoomId) -> Result<Option<Room>, StoreError> {
        // Served by the primary key.
        let row: Option<rows::RoomRow> = sqlx::query_as(
            "SELECT room_id, kind, name, creator_uid, is_private, created_at
             FROM rooms
             WHERE room_id = $1",
        )
        .bind(room.as_i64())
        .fetch_optional(&self.file.readers)
        .await?;
        row.map(rows::room).transpose()
    }

    async fn role(&self, room: RoomId, uid: Uid) -> Result<Option<Role>, StoreError> {
        // Served by the primary key.
        let role: Option<i16> = sqlx::query_scalar(
            "SELECT role
             FROM members
             WHERE room_id = $1 AND uid = $2",
        )
        .bind(room.as_i64())
        .bind(uid.as_i64())
        .fetch_optional(&self.file.readers)
        .await?;
        role.map(rows::role).transpose()
    }

    async fn rooms_of(&self, uid: Uid) -> Result<Vec<RoomId>, StoreError> {
        // Served by members_by_uid.
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT room_id
             FROM members
             WHERE uid = $1
             ORDER BY room_id",
        )
        .bind(uid.as_i64())
        .fetch_all(&self.file.readers)
        .await?;
        ids.into_iter()
            .map(|id| id.try_into().map_err(rows::odd))
            .collect()
    }

    async fn mine(&self, uid: Uid) -> Result<Vec<(Room, Role)>, StoreError> {
        // Served by members_by_uid and the primary keys.
        let found: Vec<rows::MineRow> = sqlx::query_as(
            "SELECT rooms.room_id, rooms.kind, rooms.name, rooms.creator_uid, rooms.is_private,
                    rooms.created_at, members.role
             FROM members
             JOIN rooms ON rooms.room_id = members.room_id
             WHERE members.uid = $1
             ORDER BY rooms.room_id",
        )
        .bind(uid.as_i64())
        .fetch_all(&self.file.readers)
        .await?;
        found.into_iter().map(rows::mine).collect()
    }

    async fn members(
        &self,
        room: RoomId,
        after: Option<Uid>,
        limit: u32,
    ) -> Result<Vec<(Uid, Role)>, StoreError> {
        // Served by the primary key.
        let found: Vec<(i64, i16)> = sqlx::query_as(
            "SELECT uid, role
             FROM members
             WHERE room_id = $1 AND uid > $2
             ORDER BY uid
             LIMIT $3",
        )
        .bind(room.as_i64())
        .bind(after.map_or(0, Uid::as_i64))
        .bind(i64::from(limit))
        .fetch_all(&self.file.readers)
        .await?;
        found.into_iter().map(rows::member).collect()
    }

    async fn directory(&self, prefix: &str, limit: u32) -> Result<Vec<Listed>, StoreError> {
        // Served by rooms_directory.
        let found: Vec<(i64, String, i64)> = sqlx::query_as(
            "SELECT room_id, name, members
             FROM rooms
             WHERE NOT is_private
               AND kind = 1
               AND name_key >= $1
               AND name_key < $2
             ORDER BY name_key
             LIMIT $3",
        )
        .bind(prefix)
        .bind(rows::beyond(prefix))
        .bind(i64::from(limit))
        .fetch_all(&self.file.readers)
        .await?;
        found.into_iter().map(rows::listed).collect()
    }

    async fn make_invitation(
        &self,
        invitation: &NewInvitation,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let mut tx = self.file.writer.begin_with(BEGIN).await?;
        lock(&mut tx, invitation.room).await?;
        owner_only(&mut tx, invitation.room, invitation.by).await?;
        write_invitation(&mut tx, invitation, now).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn invitation(&self, code: CodeHash) -> Result<Option<Invitation>, StoreError> {
        let found: Option<rows::InvitationRow> = sqlx::query_as(rows::INVITATION)
            .bind(&code.0[..])
            .fetch_optional(&self.file.readers)
            .await?;
        found.map(rows::invitation).transpose()
    }

    async fn withdraw_invitation(
        &self,
        room: RoomId,
        code: CodeHash,
        by: Uid,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let mut tx = self.file.writer.begin_with(BEGIN).await?;
        lock(&mut tx, room).await?;
        drop_invitation(&mut tx, room, code, by, now).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn pending(&self, room: RoomId) -> Result<Vec<Change>, StoreError> {
        // Served by changes_pending.
        let found: Vec<rows::ChangeRow> = sqlx::query_as(
            "SELECT change_no, kind, uid, by_uid, role
             FROM changes
             WHERE room_id = $1 AND NOT applied
             ORDER BY change_no
             LIMIT $2",
        )
        .bind(room.as_i64())
        .bind(PAGE)
        .fetch_all(&self.file.readers)
        .await?;
        found.into_iter().map(rows::change).collect()
    }

    async fn changes(&self, room: RoomId, from: ChangeNo) -> Result<Vec<Change>, StoreError> {
        // Served by the primary key.
        let found: Vec<rows::ChangeRow> = sqlx::query_as(
            "SELECT change_no, kind, uid, by_uid, role
             FROM changes
             WHERE room_id = $1 AND change_no >= $2
             ORDER BY change_no
             LIMIT $3",
        )
        .bind(room.as_i64())
        .bind(from.as_i64())
        .bind(PAGE)
        .fetch_all(&self.file.readers)
        .await?;
        found.into_iter().map(rows::change).collect()
    }

    async fn applied(&self, room: RoomId, up_to: ChangeNo) -> Result<(), StoreError> {
        // Served by changes_pending.
        sqlx::query(
            "UPDATE changes
             SET applied = TRUE
             WHERE room_id = $1 AND change_no <= $2 AND NOT applied",
        )
        .bind(room.as_i64())
        .bind(up_to.as_i64())
        .execute(&self.file.writer)
        .await?;
        Ok(())
    }

    async fn unfinished(
        &self,
        before: Timestamp,
        after: Option<RoomId>,
        limit: u32,
    ) -> Result<Vec<RoomId>, StoreError> {
        // Served by changes_pending.
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT DISTINCT room_id
             FROM changes
             WHERE NOT applied AND room_id > $1 AND at < $2
             ORDER BY room_id
             LIMIT $3",
        )
        .bind(after.map_or(0, RoomId::as_i64))
        .bind(before.micros())
        .bind(i64::from(limit))
        .fetch_all(&self.file.readers)
        .await?;
        ids.into_iter()
            .map(|id| id.try_into().map_err(rows::odd))
            .collect()
    }
}

/// A room, which nobody else changes meanwhile: whether it is private, and its newest
/// change.
async fn lock(tx: &mut SqliteConnection, room: RoomId) -> Result<(bool, i64), ChangeError> {
    // Served by the primary key.
    let found: Option<(bool, i64)> = sqlx::query_as(
        "SELECT is_private, change_no
         FROM rooms
         WHERE room_id = $1",
    )
    .bind(room.as_i64())
    .fetch_optional(tx)
    .await?;
    Ok(found.ok_or(Refusal::NoRoom)?)
}

steps!(SqliteConnection);
invitations!(SqliteConnection);

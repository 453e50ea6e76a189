//! Rooms in SQL, on either database. What the databases say differently is in
//! [`Statements`].
//!
//! Invariant: whatever a decision rests on is read after the room is locked, by a statement
//! of its own. A statement that waits for the lock and reads in one would read what was
//! there before the wait.

use async_trait::async_trait;
use base::{ChangeNo, RoomId, Timestamp, Uid, limits};
use runtime::StoreError;
use runtime::sql::{Cells, Dialect, Pools};

use super::invitations::{drop_invitation, owner_only, take_use, write_invitation};
use super::steps::{facts, find_unfinished, record};
use super::{ChangeError, CreateError, Store, rows};
use crate::domain::{
    Change, ChangeKind, CodeHash, Decision, Invitation, Kind, Listed, NewInvitation, NewRoom,
    Refusal, Role, Room, Wish, decide,
};

/// [`limits::APPEND_CHANGES`] as SQL counts.
const PAGE: i64 = limits::APPEND_CHANGES.cast_signed() as i64;

/// Rooms in a database; cheap to clone.
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
    /// Locks the room `$1` for the transaction; reads whether it is private, and the number of
    /// its newest change. Served by the primary key.
    const LOCK: &'static str;
    /// Lists id, name and members of the public rooms whose keys are from `$1` to below `$2`,
    /// `$3` at most. Served by `rooms_directory`.
    const DIRECTORY: &'static str;
}

#[async_trait]
impl<D: Statements> Store for SqlStore<D> {
    async fn create(&self, room: &NewRoom, now: Timestamp) -> Result<RoomId, CreateError> {
        let mut tx = self.pools.begin().await?;
        // Asked for first, because a refused INSERT would use up a room id.
        if let Some(found) = find_unfinished::<D>(&mut tx, room).await? {
            return found;
        }
        // Served by the unique index on name_key.
        let id: Option<i64> = D::query(
            "INSERT INTO rooms (kind, name, name_key, creator_uid, is_private, created_at, change_no)
             VALUES ($1, $2, $3, $4, $5, $6, 1)
             ON CONFLICT (name_key) DO NOTHING
             RETURNING room_id",
        )
        .bind(Kind::Room.number())
        .bind(room.name.as_str())
        .bind(room.name.key())
        .bind(room.creator.as_i64())
        .bind(room.is_private)
        .bind(now.micros())
        .optional_value(&mut tx)
        .await?;
        let Some(id) = id else {
            // Someone was quicker; by now he is visible.
            let found = find_unfinished::<D>(&mut tx, room).await?;
            return found.unwrap_or(Err(CreateError::Taken));
        };
        let id = RoomId::try_from(id).map_err(rows::odd)?;
        let first = Change {
            no: ChangeNo::try_from(1_i64).map_err(rows::odd)?,
            kind: ChangeKind::Join,
            uid: room.creator,
            by: room.creator,
            role: Some(Role::Owner),
        };
        record::<D>(&mut tx, id, first, now).await?;
        tx.commit().await?;
        Ok(id)
    }

    async fn change(
        &self,
        room: RoomId,
        wish: Wish,
        now: Timestamp,
    ) -> Result<ChangeNo, ChangeError> {
        let mut tx = self.pools.begin().await?;
        let (is_private, newest) = lock::<D>(&mut tx, room).await?;
        let facts = facts::<D>(&mut tx, room, wish, is_private, now).await?;
        let role = match decide(wish, &facts)? {
            Decision::Unfinished(no) => return Ok(no),
            Decision::Take(role) => role,
        };
        let no = ChangeNo::try_from(newest + 1).map_err(rows::odd)?;
        // Served by the primary key.
        D::query(
            "UPDATE rooms
             SET change_no = $2
             WHERE room_id = $1",
        )
        .bind(room.as_i64())
        .bind(no.as_i64())
        .execute(&mut tx)
        .await?;
        let change = Change {
            no,
            kind: wish.kind(),
            uid: wish.subject(),
            by: wish.actor(),
            role,
        };
        record::<D>(&mut tx, room, change, now).await?;
        if let Wish::Accept { code, .. } = wish {
            take_use::<D>(&mut tx, code).await?;
        }
        tx.commit().await?;
        Ok(no)
    }

    async fn room(&self, room: RoomId) -> Result<Option<Room>, StoreError> {
        // Served by the primary key.
        let row = D::query(
            "SELECT room_id, kind, name, creator_uid, is_private, created_at
             FROM rooms
             WHERE room_id = $1",
        )
        .bind(room.as_i64())
        .optional(&mut *self.pools.reader().await?)
        .await?;
        row.as_ref().map(rows::room).transpose()
    }

    async fn role(&self, room: RoomId, uid: Uid) -> Result<Option<Role>, StoreError> {
        // Served by the primary key.
        let role: Option<i16> = D::query(
            "SELECT role
             FROM members
             WHERE room_id = $1 AND uid = $2",
        )
        .bind(room.as_i64())
        .bind(uid.as_i64())
        .optional_value(&mut *self.pools.reader().await?)
        .await?;
        role.map(rows::role).transpose()
    }

    async fn rooms_of(&self, uid: Uid) -> Result<Vec<RoomId>, StoreError> {
        // Served by members_by_uid.
        let ids: Vec<i64> = D::query(
            "SELECT room_id
             FROM members
             WHERE uid = $1
             ORDER BY room_id",
        )
        .bind(uid.as_i64())
        .values(&mut *self.pools.reader().await?)
        .await?;
        ids.into_iter()
            .map(|id| id.try_into().map_err(rows::odd))
            .collect()
    }

    async fn mine(&self, uid: Uid) -> Result<Vec<(Room, Role)>, StoreError> {
        // Served by members_by_uid and the primary keys.
        let found = D::query(
            "SELECT rooms.room_id, rooms.kind, rooms.name, rooms.creator_uid, rooms.is_private,
                    rooms.created_at, members.role
             FROM members
             JOIN rooms ON rooms.room_id = members.room_id
             WHERE members.uid = $1
             ORDER BY rooms.room_id",
        )
        .bind(uid.as_i64())
        .all(&mut *self.pools.reader().await?)
        .await?;
        found.iter().map(rows::mine).collect()
    }

    async fn members(
        &self,
        room: RoomId,
        after: Option<Uid>,
        limit: u32,
    ) -> Result<Vec<(Uid, Role)>, StoreError> {
        // Served by the primary key.
        let found = D::query(
            "SELECT uid, role
             FROM members
             WHERE room_id = $1 AND uid > $2
             ORDER BY uid
             LIMIT $3",
        )
        .bind(room.as_i64())
        .bind(after.map_or(0, Uid::as_i64))
        .bind(i64::from(limit))
        .all(&mut *self.pools.reader().await?)
        .await?;
        found.iter().map(rows::member).collect()
    }

    async fn directory(&self, prefix: &str, limit: u32) -> Result<Vec<Listed>, StoreError> {
        // Served by rooms_directory.
        let found = D::query(D::DIRECTORY)
            .bind(prefix)
            .bind(rows::beyond(prefix))
            .bind(i64::from(limit))
            .all(&mut *self.pools.reader().await?)
            .await?;
        found.iter().map(rows::listed).collect()
    }

    async fn make_invitation(
        &self,
        invitation: &NewInvitation,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let mut tx = self.pools.begin().await?;
        lock::<D>(&mut tx, invitation.room).await?;
        owner_only::<D>(&mut tx, invitation.room, invitation.by).await?;
        write_invitation::<D>(&mut tx, invitation, now).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn invitation(&self, code: CodeHash) -> Result<Option<Invitation>, StoreError> {
        let found = D::query(rows::INVITATION)
            .bind(&code.0[..])
            .optional(&mut *self.pools.reader().await?)
            .await?;
        found.as_ref().map(rows::invitation).transpose()
    }

    async fn withdraw_invitation(
        &self,
        room: RoomId,
        code: CodeHash,
        by: Uid,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let mut tx = self.pools.begin().await?;
        lock::<D>(&mut tx, room).await?;
        drop_invitation::<D>(&mut tx, room, code, by, now).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn pending(&self, room: RoomId) -> Result<Vec<Change>, StoreError> {
        // Served by changes_pending.
        let found = D::query(
            "SELECT change_no, kind, uid, by_uid, role
             FROM changes
             WHERE room_id = $1 AND NOT applied
             ORDER BY change_no
             LIMIT $2",
        )
        .bind(room.as_i64())
        .bind(PAGE)
        .all(&mut *self.pools.reader().await?)
        .await?;
        found.iter().map(rows::change).collect()
    }

    async fn changes(&self, room: RoomId, from: ChangeNo) -> Result<Vec<Change>, StoreError> {
        // Served by the primary key.
        let found = D::query(
            "SELECT change_no, kind, uid, by_uid, role
             FROM changes
             WHERE room_id = $1 AND change_no >= $2
             ORDER BY change_no
             LIMIT $3",
        )
        .bind(room.as_i64())
        .bind(from.as_i64())
        .bind(PAGE)
        .all(&mut *self.pools.reader().await?)
        .await?;
        found.iter().map(rows::change).collect()
    }

    async fn applied(&self, room: RoomId, up_to: ChangeNo) -> Result<(), StoreError> {
        // Served by changes_pending.
        D::query(
            "UPDATE changes
             SET applied = TRUE
             WHERE room_id = $1 AND change_no <= $2 AND NOT applied",
        )
        .bind(room.as_i64())
        .bind(up_to.as_i64())
        .execute(&mut *self.pools.writer().await?)
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
        let ids: Vec<i64> = D::query(
            "SELECT DISTINCT room_id
             FROM changes
             WHERE NOT applied AND room_id > $1 AND at < $2
             ORDER BY room_id
             LIMIT $3",
        )
        .bind(after.map_or(0, RoomId::as_i64))
        .bind(before.micros())
        .bind(i64::from(limit))
        .values(&mut *self.pools.reader().await?)
        .await?;
        ids.into_iter()
            .map(|id| id.try_into().map_err(rows::odd))
            .collect()
    }
}

/// Locks a room: whether it is private, and its newest change.
async fn lock<D: Statements>(
    tx: &mut D::Connection,
    room: RoomId,
) -> Result<(bool, i64), ChangeError> {
    let found = D::query(D::LOCK).bind(room.as_i64()).optional(tx).await?;
    let row = found.ok_or(Refusal::NoRoom)?;
    Ok((row.cell(0)?, row.cell(1)?))
}

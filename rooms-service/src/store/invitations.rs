//! The steps of what is done with invitations. The caller has locked the room, so nobody
//! else changes it meanwhile.

use base::{RoomId, Timestamp, Uid, limits};
use runtime::sql::Dialect;

use super::{ChangeError, rows};
use crate::domain::{CodeHash, NewInvitation, Refusal, Role};

/// Whether a code leads into the room and is good.
pub(super) async fn is_good<D: Dialect>(
    tx: &mut D::Connection,
    room: RoomId,
    code: CodeHash,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    // Served by the primary key.
    D::query(
        "SELECT EXISTS (
             SELECT 1
             FROM invitations
             WHERE code_hash = $1
               AND room_id = $2
               AND expires_at > $3
               AND (uses_left IS NULL OR uses_left > 0)
         )",
    )
    .bind(&code.0[..])
    .bind(room.as_i64())
    .bind(now.micros())
    .value(tx)
    .await
}

/// Takes a use of a code that is good.
pub(super) async fn take_use<D: Dialect>(
    tx: &mut D::Connection,
    code: CodeHash,
) -> Result<(), sqlx::Error> {
    // Served by the primary key.
    D::query(
        "UPDATE invitations
         SET uses_left = uses_left - 1
         WHERE code_hash = $1
           AND uses_left IS NOT NULL",
    )
    .bind(&code.0[..])
    .execute(tx)
    .await?;
    Ok(())
}

/// Refuses to who is not the room's owner.
pub(super) async fn owner_only<D: Dialect>(
    tx: &mut D::Connection,
    room: RoomId,
    by: Uid,
) -> Result<(), ChangeError> {
    // Served by the primary key.
    let role: Option<i16> = D::query(
        "SELECT role
         FROM members
         WHERE room_id = $1 AND uid = $2",
    )
    .bind(room.as_i64())
    .bind(by.as_i64())
    .optional_value(tx)
    .await?;
    if role.map(rows::role).transpose()? == Some(Role::Owner) {
        Ok(())
    } else {
        Err(Refusal::NotOwner.into())
    }
}

/// Drops what is good no more, as much as may have been good at once, and writes an
/// invitation down where there is room for it then.
pub(super) async fn write_invitation<D: Dialect>(
    tx: &mut D::Connection,
    new: &NewInvitation,
    now: Timestamp,
) -> Result<(), ChangeError> {
    // Served by invitations_by_room.
    D::query(
        "DELETE FROM invitations
         WHERE code_hash IN (
             SELECT code_hash
             FROM invitations
             WHERE room_id = $1
               AND (expires_at <= $2 OR uses_left = 0)
             LIMIT $3
         )",
    )
    .bind(new.room.as_i64())
    .bind(now.micros())
    .bind(i64::from(limits::INVITATIONS))
    .execute(tx)
    .await?;
    // Served by invitations_by_room.
    let written = D::query(
        "INSERT INTO invitations
             (code_hash, room_id, created_by, created_at, expires_at, uses_left)
         SELECT $1, $2, $3, $4, $5, $6
         WHERE (SELECT COUNT(*) FROM invitations WHERE room_id = $2) < $7",
    )
    .bind(&new.code.0[..])
    .bind(new.room.as_i64())
    .bind(new.by.as_i64())
    .bind(now.micros())
    .bind(new.expires_at.micros())
    .bind(new.uses.map(i64::from))
    .bind(i64::from(limits::INVITATIONS))
    .execute(tx)
    .await?;
    if written == 0 {
        return Err(Refusal::TooMany.into());
    }
    Ok(())
}

/// Drops an invitation that is good, by the right of the room's owner or of who made
/// it: who leaves as the last can still shut the door behind him.
pub(super) async fn drop_invitation<D: Dialect>(
    tx: &mut D::Connection,
    room: RoomId,
    code: CodeHash,
    by: Uid,
    now: Timestamp,
) -> Result<(), ChangeError> {
    // Served by the primary key.
    let is_his: bool = D::query(
        "SELECT EXISTS (
             SELECT 1
             FROM invitations
             WHERE code_hash = $1 AND created_by = $2
         )",
    )
    .bind(&code.0[..])
    .bind(by.as_i64())
    .value(tx)
    .await?;
    if !is_his {
        owner_only::<D>(tx, room, by).await?;
    }
    if !is_good::<D>(tx, room, code, now).await? {
        return Err(Refusal::NoInvitation.into());
    }
    // Served by the primary key.
    D::query(
        "DELETE FROM invitations
         WHERE code_hash = $1",
    )
    .bind(&code.0[..])
    .execute(tx)
    .await?;
    Ok(())
}

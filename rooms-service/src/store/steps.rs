//! The steps of a change. The caller has locked the room, so nobody else changes it
//! meanwhile.

use base::{RoomId, Timestamp};
use runtime::sql::{Cells, Dialect};

use super::invitations::is_good;
use super::{ChangeError, CreateError, rows};
use crate::domain::{Change, ChangeKind, Facts, NewRoom, Role, Wish};

/// The room of this name, if there is one: the one asked for when its creation is
/// this user's and pending, else the name is taken.
pub(super) async fn find_unfinished<D: Dialect>(
    tx: &mut D::Connection,
    room: &NewRoom,
) -> Result<Option<Result<RoomId, CreateError>>, CreateError> {
    // Served by the unique index on name_key, then the primary key of changes.
    let found = D::query(
        "SELECT rooms.room_id,
                rooms.name = $2 AND rooms.creator_uid = $3 AND rooms.is_private = $4
                    AND NOT changes.applied
         FROM rooms
         JOIN changes ON changes.room_id = rooms.room_id AND changes.change_no = 1
         WHERE rooms.name_key = $1",
    )
    .bind(room.name.key())
    .bind(room.name.as_str())
    .bind(room.creator.as_i64())
    .bind(room.is_private)
    .optional(tx)
    .await?;
    let Some(row) = found else {
        return Ok(None);
    };
    let (id, same): (i64, bool) = (row.cell(0)?, row.cell(1)?);
    Ok(Some(if same {
        RoomId::try_from(id).map_err(|id| rows::odd(id).into())
    } else {
        Err(CreateError::Taken)
    }))
}

/// What a decision about `wish` rests on. Nobody else can change
/// the room meanwhile.
pub(super) async fn facts<D: Dialect>(
    tx: &mut D::Connection,
    room: RoomId,
    wish: Wish,
    is_private: bool,
    now: Timestamp,
) -> Result<Facts, ChangeError> {
    // Served by the primary key.
    let found = D::query(
        "SELECT (SELECT role FROM members WHERE room_id = $1 AND uid = $2),
                (SELECT role FROM members WHERE room_id = $1 AND uid = $3),
                EXISTS (SELECT 1 FROM members WHERE room_id = $1 AND uid <> $3),
                EXISTS (SELECT 1 FROM rooms WHERE room_id = $1 AND creator_uid = $3)
                    AND NOT EXISTS (SELECT 1 FROM members WHERE room_id = $1 AND role = $4)",
    )
    .bind(room.as_i64())
    .bind(wish.actor().as_i64())
    .bind(wish.subject().as_i64())
    .bind(Role::Owner.number())
    .one(tx)
    .await?;
    // Served by changes_pending.
    let pending = D::query(
        "SELECT change_no, kind, uid, by_uid, role
         FROM changes
         WHERE room_id = $1 AND NOT applied AND uid = $2
         ORDER BY change_no DESC
         LIMIT 1",
    )
    .bind(room.as_i64())
    .bind(wish.subject().as_i64())
    .optional(tx)
    .await?;
    let is_open = match wish {
        Wish::Accept { code, .. } => is_good::<D>(tx, room, code, now).await?,
        _ => !is_private,
    };
    let (actor, subject): (Option<i16>, Option<i16>) = (found.cell(0)?, found.cell(1)?);
    Ok(Facts {
        is_open,
        actor: actor.map(rows::role).transpose()?,
        subject: subject.map(rows::role).transpose()?,
        others: found.cell(2)?,
        heir: found.cell(3)?,
        pending: pending.as_ref().map(rows::change).transpose()?,
    })
}

/// Writes a change down, pending, and does it. Nobody else can change
/// the room meanwhile.
pub(super) async fn record<D: Dialect>(
    tx: &mut D::Connection,
    room: RoomId,
    change: Change,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let role = change.role.map_or(0, Role::number);
    D::query(
        "INSERT INTO changes (room_id, change_no, kind, uid, by_uid, role, at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(room.as_i64())
    .bind(change.no.as_i64())
    .bind(change.kind.number())
    .bind(change.uid.as_i64())
    .bind(change.by.as_i64())
    .bind(role)
    .bind(now.micros())
    .execute(tx)
    .await?;
    // Served by the primary key.
    let update = match change.kind {
        ChangeKind::Join => D::query(
            "INSERT INTO members (room_id, uid, role, since)
             VALUES ($1, $2, $3, $4)",
        )
        .bind(room.as_i64())
        .bind(change.uid.as_i64())
        .bind(role)
        .bind(change.no.as_i64()),
        ChangeKind::Leave => D::query(
            "DELETE FROM members
             WHERE room_id = $1 AND uid = $2",
        )
        .bind(room.as_i64())
        .bind(change.uid.as_i64()),
    };
    update.execute(tx).await?;
    Ok(())
}

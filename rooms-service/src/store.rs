//! What rooms-service needs of a database. Every method is one transaction;
//! `laws.rs` states what each must do, and both adapters pass it.
//!
//! Invariant: a room's changes are numbered 1, 2, 3 … in the order in which they
//! were committed, for each takes its number under the room's lock.

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod invitations;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod steps;

#[cfg(test)]
mod laws;

use async_trait::async_trait;
use base::{ChangeNo, RoomId, Timestamp, Uid};
use runtime::StoreError;

use crate::domain::{
    Change, CodeHash, Invitation, Listed, NewInvitation, NewRoom, Refusal, Role, Room, Wish,
};

#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sql::{SqlStore, Statements};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

/// Rooms, members and the changes among them.
#[async_trait]
pub trait Store: Send + Sync {
    /// Makes a room with its creator as owner, which is the room's change 1. The
    /// same room asked for again by the same user while change 1 is pending is
    /// that room.
    async fn create(&self, room: &NewRoom, now: Timestamp) -> Result<RoomId, CreateError>;

    /// Grants `wish` and records it, pending, under the room's next number; or
    /// finds it granted and still pending. Answers its number.
    async fn change(
        &self,
        room: RoomId,
        wish: Wish,
        now: Timestamp,
    ) -> Result<ChangeNo, ChangeError>;

    /// A room.
    async fn room(&self, room: RoomId) -> Result<Option<Room>, StoreError>;

    /// What a user is in a room.
    async fn role(&self, room: RoomId, uid: Uid) -> Result<Option<Role>, StoreError>;

    /// A user's rooms, ascending.
    async fn rooms_of(&self, uid: Uid) -> Result<Vec<RoomId>, StoreError>;

    /// A user's rooms with what he is in them, ascending.
    async fn mine(&self, uid: Uid) -> Result<Vec<(Room, Role)>, StoreError>;

    /// A room's members beyond `after`, ascending, `limit` at most.
    async fn members(
        &self,
        room: RoomId,
        after: Option<Uid>,
        limit: u32,
    ) -> Result<Vec<(Uid, Role)>, StoreError>;

    /// Public rooms whose keys ([`base::RoomName::key`]) begin with `prefix`, by key, `limit`
    /// at most.
    async fn directory(&self, prefix: &str, limit: u32) -> Result<Vec<Listed>, StoreError>;

    /// Writes an invitation down, by its maker's right, and drops such of the room's as are
    /// good no more.
    async fn make_invitation(
        &self,
        invitation: &NewInvitation,
        now: Timestamp,
    ) -> Result<(), ChangeError>;

    /// The invitation of a code, good or not, while it is kept.
    async fn invitation(&self, code: CodeHash) -> Result<Option<Invitation>, StoreError>;

    /// Drops an invitation into a room that is good, by the right of `by`: the room's owner,
    /// or who made it.
    async fn withdraw_invitation(
        &self,
        room: RoomId,
        code: CodeHash,
        by: Uid,
        now: Timestamp,
    ) -> Result<(), ChangeError>;

    /// The room's pending changes, oldest first, at most as many as one Append
    /// takes ([`base::limits::APPEND_CHANGES`]).
    async fn pending(&self, room: RoomId) -> Result<Vec<Change>, StoreError>;

    /// The room's changes from `from` on, pending or not, oldest first, at most as
    /// many as one Append takes.
    async fn changes(&self, room: RoomId, from: ChangeNo) -> Result<Vec<Change>, StoreError>;

    /// The room's log has every change up to `up_to`: they are pending no more.
    async fn applied(&self, room: RoomId, up_to: ChangeNo) -> Result<(), StoreError>;

    /// Rooms beyond `after` with changes pending since before `before`,
    /// ascending, `limit` at most.
    async fn unfinished(
        &self,
        before: Timestamp,
        after: Option<RoomId>,
        limit: u32,
    ) -> Result<Vec<RoomId>, StoreError>;
}

/// Why there is no new room.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Another room has the name.
    #[error("the name is taken")]
    Taken,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why there is no change.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// A rule forbids it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod rows {
    //! What both adapters' rows have in common.

    use base::{RoomName, Timestamp, Uid};
    use runtime::StoreError;
    use runtime::sql::Cells;

    use super::{ChangeError, CreateError};
    use crate::domain::{Change, ChangeKind, Invitation, Kind, Listed, Role, Room};

    /// Reads id, kind, name, creator, whether it is private, and creation.
    pub(super) fn room(row: &impl Cells) -> Result<Room, StoreError> {
        let (id, creator): (i64, i64) = (row.cell(0)?, row.cell(3)?);
        let name: Option<String> = row.cell(2)?;
        Ok(Room {
            id: id.try_into().map_err(odd)?,
            kind: Kind::from_number(row.cell(1)?).ok_or_else(|| odd("a room's kind"))?,
            name: name
                .map(|name| RoomName::parse("name", &name).map_err(odd))
                .transpose()?,
            creator: creator.try_into().map_err(odd)?,
            is_private: row.cell(4)?,
            created_at: Timestamp::from_micros(row.cell(5)?),
        })
    }

    /// Reads a [`room`] and its member's role.
    pub(super) fn mine(row: &impl Cells) -> Result<(Room, Role), StoreError> {
        Ok((room(row)?, role(row.cell(6)?)?))
    }

    /// Reads UID and role.
    pub(super) fn member(row: &impl Cells) -> Result<(Uid, Role), StoreError> {
        let uid: i64 = row.cell(0)?;
        Ok((uid.try_into().map_err(odd)?, role(row.cell(1)?)?))
    }

    /// Reads id, name and the number of members.
    pub(super) fn listed(row: &impl Cells) -> Result<Listed, StoreError> {
        let (id, name, members): (i64, String, i64) = (row.cell(0)?, row.cell(1)?, row.cell(2)?);
        Ok(Listed {
            id: id.try_into().map_err(odd)?,
            name: RoomName::parse("name", &name).map_err(odd)?,
            members: members.try_into().map_err(odd)?,
        })
    }

    /// Served by the primary keys.
    pub(super) const INVITATION: &str =
        "SELECT rooms.room_id, rooms.kind, rooms.name, rooms.creator_uid, rooms.is_private,
                rooms.created_at, invitations.expires_at, invitations.uses_left
         FROM invitations
         JOIN rooms ON rooms.room_id = invitations.room_id
         WHERE invitations.code_hash = $1";

    /// Reads the columns of [`INVITATION`].
    pub(super) fn invitation(row: &impl Cells) -> Result<Invitation, StoreError> {
        let uses_left: Option<i64> = row.cell(7)?;
        Ok(Invitation {
            room: room(row)?,
            expires_at: Timestamp::from_micros(row.cell(6)?),
            uses_left: uses_left.map(u32::try_from).transpose().map_err(odd)?,
        })
    }

    /// What all keys that begin with `prefix` are below: the last character there is.
    pub(super) fn beyond(prefix: &str) -> String {
        format!("{prefix}\u{10FFFF}")
    }

    /// Reads number, kind, UID, actor and role.
    pub(super) fn change(row: &impl Cells) -> Result<Change, StoreError> {
        let (no, uid, by): (i64, i64, i64) = (row.cell(0)?, row.cell(2)?, row.cell(3)?);
        let number = row.cell(4)?;
        Ok(Change {
            no: no.try_into().map_err(odd)?,
            kind: ChangeKind::from_number(row.cell(1)?).ok_or_else(|| odd("a change's kind"))?,
            uid: uid.try_into().map_err(odd)?,
            by: by.try_into().map_err(odd)?,
            role: if number == 0 {
                None
            } else {
                Some(role(number)?)
            },
        })
    }

    pub(super) fn role(number: i16) -> Result<Role, StoreError> {
        Role::from_number(number).ok_or_else(|| odd("a role"))
    }

    pub(super) fn odd(what: impl std::fmt::Display) -> StoreError {
        StoreError::Broken(format!("not understood: {what}"))
    }

    impl From<sqlx::Error> for CreateError {
        fn from(error: sqlx::Error) -> Self {
            Self::Store(error.into())
        }
    }

    impl From<sqlx::Error> for ChangeError {
        fn from(error: sqlx::Error) -> Self {
            Self::Store(error.into())
        }
    }
}

//! Rows that both databases give alike.

use base::{Epoch, RoomId, Seq, Timestamp, Uid};
use runtime::StoreError;

use super::{Behind, id};
use crate::domain::{End, Position, ReadError};
use crate::sequencer::{Head, Written};

/// Where a post was written that has this nonce: room, author, nonce, its hash, Seq, time.
pub(super) type NonceRow = (i64, i64, String, Vec<u8>, i64, i64);

pub(super) fn seq(value: i64) -> Seq {
    Seq(value.cast_unsigned())
}

pub(super) fn epoch(value: i64) -> Epoch {
    Epoch(value.cast_unsigned())
}

/// Reads room, newest published, head and epoch.
pub(super) fn behind(row: (i64, i64, i64, i64)) -> Result<Behind, StoreError> {
    let (room, published, head, of) = row;
    Ok(Behind {
        room: id(room, "heads.room_id")?,
        published: seq(published),
        head: seq(head),
        epoch: epoch(of),
    })
}

/// Reads room, head and epoch.
pub(super) fn end((room, head, of): (i64, i64, i64)) -> Result<End, StoreError> {
    Ok(End {
        room: id(room, "heads.room_id")?,
        head: seq(head),
        epoch: epoch(of),
    })
}

/// Reads room, head, newest applied change, time of the newest event and epoch.
pub(super) fn head(row: (i64, i64, i64, i64, i64)) -> Result<(RoomId, Head), StoreError> {
    let (room, head, applied, last_at, of) = row;
    let head = Head {
        head: seq(head),
        applied: applied.cast_unsigned(),
        last_at: Timestamp::from_micros(last_at),
        epoch: epoch(of),
    };
    Ok((id(room, "heads.room_id")?, head))
}

/// Reads room and UID.
pub(super) fn member((room, uid): (i64, i64)) -> Result<(RoomId, Uid), StoreError> {
    Ok((id(room, "members.room_id")?, id(uid, "members.uid")?))
}

pub(super) fn nonce(row: NonceRow) -> Result<((RoomId, Uid, String), Written), StoreError> {
    let (room, uid, nonce, hash, at_seq, at) = row;
    let odd = |_| StoreError::Broken("events.nonce_hash".into());
    let written = Written {
        hash: hash.try_into().map_err(odd)?,
        seq: seq(at_seq),
        at: Timestamp::from_micros(at),
    };
    let key = (id(room, "events.room_id")?, id(uid, "events.uid")?, nonce);
    Ok((key, written))
}

/// Returns the position of one who may read: a member, or the service itself.
pub(super) fn may_read(
    position: Option<Position>,
    reader: Option<Uid>,
) -> Result<Position, ReadError> {
    match position {
        None => Err(ReadError::NoRoom),
        Some(position) if reader.is_some() && position.role == 0 => Err(ReadError::NotMember),
        Some(position) => Ok(position),
    }
}

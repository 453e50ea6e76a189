//! Events as PostgreSQL keeps them.

use base::{Epoch, Seq, Timestamp};
use runtime::StoreError;

use super::super::id;
use crate::domain::Event;

/// A row of `events`.
#[derive(sqlx::FromRow)]
pub(super) struct EventRow {
    room_id: i64,
    seq: i64,
    kind: i16,
    uid: i64,
    target: i64,
    text: String,
    attrs: String,
    at: i64,
}

/// Rows of one life of the log as events.
pub(super) fn events(rows: Vec<EventRow>, epoch: Epoch) -> Result<Vec<Event>, StoreError> {
    let event = |row: EventRow| {
        Ok(Event {
            room: id(row.room_id, "events.room_id")?,
            seq: Seq(row.seq.cast_unsigned()),
            kind: u32::from(row.kind.cast_unsigned()),
            uid: id(row.uid, "events.uid")?,
            target: Seq(row.target.cast_unsigned()),
            text: row.text,
            attrs: row.attrs,
            at: Timestamp::from_micros(row.at),
            epoch,
        })
    };
    rows.into_iter().map(event).collect()
}

/// Kinds and roles are small by their making; one that is not is refused by the column.
pub(super) fn small(number: u32) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}

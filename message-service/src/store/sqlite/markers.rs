//! How far members have read.

use base::{RoomId, Uid, limits};
use runtime::StoreError;
use runtime::sql::Pools;
use serde_json::json;
use sqlx::Sqlite;

use super::super::{Found, StandingRow, marked};
use crate::domain::{Mark, Marked, Standing, kind};

pub(super) async fn mark(
    database: &Pools<Sqlite>,
    marks: &[Mark],
) -> Result<Vec<Marked>, StoreError> {
    let asked = json!(
        marks
            .iter()
            .map(|it| (it.room.get(), it.uid.get(), it.read.get()))
            .collect::<Vec<_>>()
    )
    .to_string();
    let mut tx = database.writer.begin_with("BEGIN IMMEDIATE").await?;
    // Served by the primary keys.
    let found: Vec<Found> = sqlx::query_as(
        "SELECT heads.head, members.read,
                COALESCE(asked.value ->> 2 > members.read AND asked.value ->> 2 <= heads.head, FALSE)
         FROM json_each(?1) AS asked
         LEFT JOIN heads ON heads.room_id = asked.value ->> 0 AND heads.head > 0
         LEFT JOIN members
           ON members.room_id = asked.value ->> 0
          AND members.uid = asked.value ->> 1
         ORDER BY asked.key",
    )
    .bind(&asked)
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query(
        "UPDATE members
         SET read = asked.value ->> 2
         FROM json_each(?1) AS asked
         JOIN heads ON heads.room_id = asked.value ->> 0
         WHERE members.room_id = asked.value ->> 0
           AND members.uid = asked.value ->> 1
           AND members.read < asked.value ->> 2
           AND heads.head >= asked.value ->> 2",
    )
    .bind(&asked)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(marks
        .iter()
        .zip(found)
        .map(|(mark, it)| marked(mark, it))
        .collect())
}

pub(super) async fn standings(
    database: &Pools<Sqlite>,
    uid: Uid,
    rooms: &[RoomId],
) -> Result<Vec<Standing>, StoreError> {
    let ids: Vec<u64> = rooms.iter().map(|room| room.get()).collect();
    // Served by the primary keys.
    let rows: Vec<StandingRow> = sqlx::query_as(
        "SELECT heads.room_id, heads.head, heads.epoch, heads.first, members.role,
                MIN(members.read, heads.head) AS read,
                (
                    SELECT COUNT(*)
                    FROM events
                    WHERE events.room_id = heads.room_id
                      AND events.seq > MAX(members.read, heads.head - ?4)
                      AND events.kind = ?3
                      AND events.uid <> ?2
                ) AS unread,
                last.seq, last.uid, last.text, last.attrs, last.at
         FROM heads
         JOIN members ON members.room_id = heads.room_id AND members.uid = ?2
         LEFT JOIN events AS last
           ON last.room_id = heads.room_id
          AND last.seq = (
                  SELECT events.seq
                  FROM events
                  WHERE events.room_id = heads.room_id
                    AND events.seq > heads.head - ?4
                    AND events.kind = ?3
                  ORDER BY events.seq DESC
                  LIMIT 1
              )
         WHERE heads.room_id IN (SELECT value FROM json_each(?1))
           AND heads.head > 0
         ORDER BY heads.room_id",
    )
    .bind(json!(ids).to_string())
    .bind(uid.as_i64())
    .bind(kind::MESSAGE)
    .bind(limits::COUNTED)
    .fetch_all(&database.readers)
    .await?;
    rows.into_iter().map(Standing::try_from).collect()
}

//! How far members have read.

use base::{RoomId, Uid, limits};
use runtime::StoreError;
use sqlx::PgPool;

use super::super::{Found, StandingRow, marked};
use super::small;
use crate::domain::{Mark, Marked, Standing, kind};

/// A marker that is held, by a change of membership or another's mark, is not waited for: so
/// nobody waits in a circle.
pub(super) async fn mark(pool: &PgPool, marks: &[Mark]) -> Result<Vec<Marked>, StoreError> {
    let column = |pick: fn(&Mark) -> i64| -> Vec<i64> { marks.iter().map(pick).collect() };
    // Served by the primary keys.
    let found: Vec<Found> = sqlx::query_as(
        "WITH asked AS (
             SELECT *
             FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[])
                 WITH ORDINALITY AS asked (room_id, uid, read, place)
         ), held AS (
             SELECT members.room_id, members.uid, asked.read
             FROM asked
             JOIN heads ON heads.room_id = asked.room_id
             JOIN members ON members.room_id = asked.room_id AND members.uid = asked.uid
             WHERE asked.read > members.read
               AND asked.read <= heads.head
             FOR UPDATE OF members SKIP LOCKED
         ), moved AS (
             UPDATE members
             SET read = held.read
             FROM held
             WHERE members.room_id = held.room_id
               AND members.uid = held.uid
               AND members.read < held.read
             RETURNING members.room_id, members.uid
         )
         SELECT heads.head, members.read, moved.uid IS NOT NULL
         FROM asked
         LEFT JOIN heads ON heads.room_id = asked.room_id AND heads.head > 0
         LEFT JOIN members ON members.room_id = asked.room_id AND members.uid = asked.uid
         LEFT JOIN moved ON moved.room_id = asked.room_id AND moved.uid = asked.uid
         ORDER BY asked.place",
    )
    .bind(column(|mark| mark.room.as_i64()))
    .bind(column(|mark| mark.uid.as_i64()))
    .bind(column(|mark| mark.read.as_i64()))
    .fetch_all(pool)
    .await?;
    Ok(marks
        .iter()
        .zip(found)
        .map(|(mark, it)| marked(mark, it))
        .collect())
}

pub(super) async fn standings(
    pool: &PgPool,
    uid: Uid,
    rooms: &[RoomId],
) -> Result<Vec<Standing>, StoreError> {
    let ids: Vec<i64> = rooms.iter().map(|room| room.as_i64()).collect();
    // Served by the primary keys.
    let rows: Vec<StandingRow> = sqlx::query_as(
        "SELECT heads.room_id, heads.head, heads.epoch, heads.first,
                members.role::BIGINT AS role,
                LEAST(members.read, heads.head) AS read,
                (
                    SELECT COUNT(*)
                    FROM events
                    WHERE events.room_id = heads.room_id
                      AND events.seq > GREATEST(members.read, heads.head - $4)
                      AND events.kind = $3
                      AND events.uid <> $2
                ) AS unread,
                last.seq, last.uid, last.text, last.attrs, last.at
         FROM heads
         JOIN members ON members.room_id = heads.room_id AND members.uid = $2
         LEFT JOIN LATERAL (
             SELECT seq, uid, text, attrs, at
             FROM events
             WHERE events.room_id = heads.room_id
               AND events.seq > heads.head - $4
               AND events.kind = $3
             ORDER BY events.seq DESC
             LIMIT 1
         ) AS last ON TRUE
         WHERE heads.room_id = ANY($1)
           AND heads.head > 0
         ORDER BY heads.room_id",
    )
    .bind(&ids)
    .bind(uid.as_i64())
    .bind(small(kind::MESSAGE))
    .bind(i64::from(limits::COUNTED))
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Standing::try_from).collect()
}

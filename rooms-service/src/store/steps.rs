//! The steps of a change that PostgreSQL and SQLite take in the same words.
//!
//! A macro, because a function generic over the databases of sqlx needs more bounds
//! than it has statements. It is used where the names of `domain` and `rows` are known.

/// Makes the steps for one kind of connection. Whoever calls them has seen to it that
/// nobody else changes the room meanwhile.
macro_rules! steps {
    ($Connection:ty) => {
        /// The room of this name, if there is one: the one asked for when its creation is
        /// this user's and pending, else the name is taken.
        async fn find_unfinished(
            tx: &mut $Connection,
            room: &NewRoom,
        ) -> Result<Option<Result<RoomId, CreateError>>, CreateError> {
            // Served by the unique index on name_key, then the primary key of changes.
            let found: Option<(i64, bool)> = sqlx::query_as(
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
            .fetch_optional(tx)
            .await?;
            Ok(found.map(|(id, same)| {
                if same {
                    Ok(RoomId::try_from(id).map_err(rows::odd)?)
                } else {
                    Err(CreateError::Taken)
                }
            }))
        }

        /// What a decision about `wish` rests on. Nobody else can change
        /// the room meanwhile.
        async fn facts(
            tx: &mut $Connection,
            room: RoomId,
            wish: Wish,
            is_private: bool,
            now: Timestamp,
        ) -> Result<Facts, ChangeError> {
            // Served by the primary key.
            let (actor, subject, others, heir): (Option<i16>, Option<i16>, bool, bool) = sqlx::query_as(
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
            .fetch_one(&mut *tx)
            .await?;
            // Served by changes_pending.
            let pending: Option<rows::ChangeRow> = sqlx::query_as(
                "SELECT change_no, kind, uid, by_uid, role
                 FROM changes
                 WHERE room_id = $1 AND NOT applied AND uid = $2
                 ORDER BY change_no DESC
                 LIMIT 1",
            )
            .bind(room.as_i64())
            .bind(wish.subject().as_i64())
            .fetch_optional(&mut *tx)
            .await?;
            let is_open = match wish {
                Wish::Accept { code, .. } => is_good(tx, room, code, now).await?,
                _ => !is_private,
            };
            Ok(Facts {
                is_open,
                actor: actor.map(rows::role).transpose()?,
                subject: subject.map(rows::role).transpose()?,
                others,
                heir,
                pending: pending.map(rows::change).transpose()?,
            })
        }

        /// Writes a change down, pending, and does it. Nobody else can change
        /// the room meanwhile.
        async fn record(
            tx: &mut $Connection,
            room: RoomId,
            change: Change,
            now: Timestamp,
        ) -> Result<(), sqlx::Error> {
            let role = change.role.map_or(0, Role::number);
            sqlx::query(
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
            .execute(&mut *tx)
            .await?;
            // Served by the primary key.
            let update = match change.kind {
                ChangeKind::Join => sqlx::query(
                    "INSERT INTO members (room_id, uid, role, since)
                     VALUES ($1, $2, $3, $4)",
                )
                .bind(room.as_i64())
                .bind(change.uid.as_i64())
                .bind(role)
                .bind(change.no.as_i64()),
                ChangeKind::Leave => sqlx::query(
                    "DELETE FROM members
                     WHERE room_id = $1 AND uid = $2",
                )
                .bind(room.as_i64())
                .bind(change.uid.as_i64()),
            };
            update.execute(tx).await?;
            Ok(())
        }
    };
}
pub(super) use steps;

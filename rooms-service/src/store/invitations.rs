//! What PostgreSQL and SQLite do with invitations in the same words; a macro for the same
//! reason as the steps of a change.

/// Makes the steps for one kind of connection. Whoever calls them has seen to it that
/// nobody else changes the room meanwhile.
macro_rules! invitations {
    ($Connection:ty) => {
        /// Whether a code leads into the room and is good.
        async fn is_good(
            tx: &mut $Connection,
            room: RoomId,
            code: CodeHash,
            now: Timestamp,
        ) -> Result<bool, sqlx::Error> {
            // Served by the primary key.
            sqlx::query_scalar(
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
            .fetch_one(tx)
            .await
        }

        /// Takes a use of a code that is good.
        async fn take_use(tx: &mut $Connection, code: CodeHash) -> Result<(), sqlx::Error> {
            // Served by the primary key.
            sqlx::query(
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
        async fn owner_only(
            tx: &mut $Connection,
            room: RoomId,
            by: Uid,
        ) -> Result<(), ChangeError> {
            // Served by the primary key.
            let role: Option<i16> = sqlx::query_scalar(
                "SELECT role
                 FROM members
                 WHERE room_id = $1 AND uid = $2",
            )
            .bind(room.as_i64())
            .bind(by.as_i64())
            .fetch_optional(tx)
            .await?;
            if role.map(rows::role).transpose()? == Some(Role::Owner) {
                Ok(())
            } else {
                Err(Refusal::NotOwner.into())
            }
        }

        /// Drops what is good no more, as much as may have been good at once, and writes an
        /// invitation down where there is room for it then.
        async fn write_invitation(
            tx: &mut $Connection,
            new: &NewInvitation,
            now: Timestamp,
        ) -> Result<(), ChangeError> {
            // Served by invitations_by_room.
            sqlx::query(
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
            .execute(&mut *tx)
            .await?;
            // Served by invitations_by_room.
            let written = sqlx::query(
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
            if written.rows_affected() == 0 {
                return Err(Refusal::TooMany.into());
            }
            Ok(())
        }

        /// Drops an invitation that is good, by the right of the room's owner or of who made
        /// it: who leaves as the last can still shut the door behind him.
        async fn drop_invitation(
            tx: &mut $Connection,
            room: RoomId,
            code: CodeHash,
            by: Uid,
            now: Timestamp,
        ) -> Result<(), ChangeError> {
            // Served by the primary key.
            let is_his: bool = sqlx::query_scalar(
                "SELECT EXISTS (
                     SELECT 1
                     FROM invitations
                     WHERE code_hash = $1 AND created_by = $2
                 )",
            )
            .bind(&code.0[..])
            .bind(by.as_i64())
            .fetch_one(&mut *tx)
            .await?;
            if !is_his {
                owner_only(tx, room, by).await?;
            }
            if !is_good(tx, room, code, now).await? {
                return Err(Refusal::NoInvitation.into());
            }
            // Served by the primary key.
            sqlx::query(
                "DELETE FROM invitations
                 WHERE code_hash = $1",
            )
            .bind(&code.0[..])
            .execute(tx)
            .await?;
            Ok(())
        }
    };
}
pub(super) use invitations;

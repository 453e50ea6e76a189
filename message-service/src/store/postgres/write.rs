//! Writes what a batch decided.

use base::RoomId;
use runtime::StoreError;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::{Arguments as _, Encode, Postgres, Type};

use super::small;
use crate::domain::Event;
use crate::sequencer::{Head, Plan, Row};

/// Writes a batch of posts where the head rows are as they are `known`, ascending by room:
/// all of it, or nothing. `false`: nothing is written, as a row is not as it is known or is
/// locked, or as a nonce stands for a post already.
///
/// A statement is its own transaction, so nobody who is frozen between two of them holds a
/// room. One that comes late, for its sender was frozen before, writes only where nothing
/// happened in the meantime.
pub(super) async fn write_where_known(
    connection: &mut PgConnection,
    known: &[(RoomId, Head)],
    plan: &Plan,
) -> Result<bool, StoreError> {
    let written = match (known, &plan.rows[..]) {
        ([(room, head)], [row]) => write_one(connection, *room, head, row).await?,
        _ => write_all(connection, known, plan).await?,
    };
    match written {
        Ok(written) => Ok(written),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A lone post, which is what there is to write most of the time: its author waits for no
/// more than this.
async fn write_one(
    connection: &mut PgConnection,
    room: RoomId,
    known: &Head,
    row: &Row,
) -> Result<Result<bool, sqlx::Error>, StoreError> {
    let event = &row.event;
    let nonce = row.nonce.as_ref();
    let written = sqlx::query(
        "WITH moved AS (
             UPDATE heads
             SET head = $6, last_at = $7
             WHERE room_id = $1
               AND head = $2
               AND applied = $3
               AND last_at = $4
               AND epoch = $5
             RETURNING room_id
         )
         INSERT INTO events
             (room_id, seq, kind, uid, target, text, attrs, nonce, nonce_hash, at)
         SELECT room_id, $6, $8, $9, $10, $11, $12, $13, $14, $7
         FROM moved",
    )
    .bind(room.as_i64())
    .bind(known.head.as_i64())
    .bind(known.applied.cast_signed())
    .bind(known.last_at.micros())
    .bind(known.epoch.0.cast_signed())
    .bind(event.seq.as_i64())
    .bind(event.at.micros())
    .bind(small(event.kind))
    .bind(event.uid.as_i64())
    .bind(event.target.as_i64())
    .bind(&event.text)
    .bind(&event.attrs)
    .bind(nonce.map(|(name, _)| name))
    .bind(nonce.map(|(_, hash)| &hash[..]))
    .execute(connection)
    .await;
    Ok(written.map(|it| it.rows_affected() == 1))
}

/// It is the lock that compares: the newest version of a row counts, whatever the
/// statement's snapshot is. That not every locked row was moved, or not every event
/// written, cannot be; if it were, the cast would fail and with it the statement.
async fn write_all(
    connection: &mut PgConnection,
    known: &[(RoomId, Head)],
    plan: &Plan,
) -> Result<Result<bool, sqlx::Error>, StoreError> {
    let now =
        |pick: fn(&Head) -> i64| -> Vec<i64> { known.iter().map(|(_, head)| pick(head)).collect() };
    let then = |pick: fn(&Head) -> i64| -> Vec<i64> {
        let heads = known.iter();
        let heads = heads.map(|(id, before)| plan.heads.get(id).unwrap_or(before));
        heads.map(pick).collect()
    };
    let mut arguments = event_columns(&plan.rows)?;
    let rooms: Vec<i64> = known.iter().map(|(room, _)| room.as_i64()).collect();
    for column in [
        rooms,
        now(|head| head.head.as_i64()),
        now(|head| head.applied.cast_signed()),
        now(|head| head.last_at.micros()),
        now(|head| head.epoch.0.cast_signed()),
        then(|head| head.head.as_i64()),
        then(|head| head.last_at.micros()),
    ] {
        add(&mut arguments, column)?;
    }
    let written: Result<(bool,), _> = sqlx::query_as_with(
        "WITH held AS (
             SELECT heads.room_id
             FROM unnest($11::BIGINT[], $12::BIGINT[], $13::BIGINT[], $14::BIGINT[], $15::BIGINT[])
                 AS known (room_id, head, applied, last_at, epoch)
             JOIN heads
               ON heads.room_id = known.room_id
              AND heads.head = known.head
              AND heads.applied = known.applied
              AND heads.last_at = known.last_at
              AND heads.epoch = known.epoch
             ORDER BY heads.room_id
             FOR UPDATE OF heads SKIP LOCKED
         ), moved AS (
             UPDATE heads
             SET head = moved.head, last_at = moved.last_at
             FROM unnest($11::BIGINT[], $16::BIGINT[], $17::BIGINT[])
                 AS moved (room_id, head, last_at)
             WHERE heads.room_id = moved.room_id
               AND (SELECT COUNT(*) FROM held) = CARDINALITY($11)
             RETURNING 1
         ), written AS (
             INSERT INTO events
                 (room_id, seq, kind, uid, target, text, attrs, nonce, nonce_hash, at)
             SELECT *
             FROM unnest(
                 $1::BIGINT[], $2::BIGINT[], $3::SMALLINT[], $4::BIGINT[], $5::BIGINT[],
                 $6::TEXT[], $7::TEXT[], $8::TEXT[], $9::BYTEA[], $10::BIGINT[]
             )
             WHERE (SELECT COUNT(*) FROM held) = CARDINALITY($11)
             RETURNING 1
         ), counted AS (
             SELECT (SELECT COUNT(*) FROM moved) AS moved, (SELECT COUNT(*) FROM written) AS written
         )
         SELECT CASE
             WHEN moved = CARDINALITY($11) AND written = CARDINALITY($2) THEN TRUE
             WHEN moved = 0 AND written = 0 THEN FALSE
             ELSE CAST('moved ' || moved || ', written ' || written AS BOOLEAN)
         END
         FROM counted",
        arguments,
    )
    .fetch_one(connection)
    .await;
    Ok(written.map(|(written,)| written))
}

/// Writes a batch whose head rows are locked.
pub(super) async fn write(connection: &mut PgConnection, plan: &Plan) -> Result<(), StoreError> {
    if !plan.rows.is_empty() {
        sqlx::query_with(
            "INSERT INTO events
                 (room_id, seq, kind, uid, target, text, attrs, nonce, nonce_hash, at)
             SELECT *
             FROM unnest(
                 $1::BIGINT[], $2::BIGINT[], $3::SMALLINT[], $4::BIGINT[], $5::BIGINT[],
                 $6::TEXT[], $7::TEXT[], $8::TEXT[], $9::BYTEA[], $10::BIGINT[]
             )",
            event_columns(&plan.rows)?,
        )
        .execute(&mut *connection)
        .await?;
    }
    if !plan.members.is_empty() {
        write_members(connection, plan).await?;
    }
    if !plan.heads.is_empty() {
        let rooms: Vec<i64> = plan.heads.keys().map(|room| room.as_i64()).collect();
        let heads: Vec<i64> = plan.heads.values().map(|head| head.head.as_i64()).collect();
        let applied: Vec<i64> = plan
            .heads
            .values()
            .map(|head| head.applied.cast_signed())
            .collect();
        let last_at: Vec<i64> = plan
            .heads
            .values()
            .map(|head| head.last_at.micros())
            .collect();
        sqlx::query(
            "UPDATE heads
             SET head = moved.head, applied = moved.applied, last_at = moved.last_at
             FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[])
                 AS moved (room_id, head, applied, last_at)
             WHERE heads.room_id = moved.room_id",
        )
        .bind(&rooms)
        .bind(&heads)
        .bind(&applied)
        .bind(&last_at)
        .execute(connection)
        .await?;
    }
    Ok(())
}

async fn write_members(connection: &mut PgConnection, plan: &Plan) -> Result<(), StoreError> {
    let pick = |gone: bool| -> (Vec<i64>, Vec<i64>, Vec<i16>, Vec<i64>) {
        let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (&(room, uid), member) in &plan.members {
            if (member.role == 0) == gone {
                columns.0.push(room.as_i64());
                columns.1.push(uid.as_i64());
                columns.2.push(small(member.role));
                columns.3.push(member.joined.as_i64());
            }
        }
        columns
    };
    let (rooms, uids, roles, joined) = pick(false);
    sqlx::query(
        "INSERT INTO members (room_id, uid, role, read)
         SELECT * FROM unnest($1::BIGINT[], $2::BIGINT[], $3::SMALLINT[], $4::BIGINT[])
         ON CONFLICT (room_id, uid) DO UPDATE
         SET role = EXCLUDED.role, read = GREATEST(members.read, EXCLUDED.read)",
    )
    .bind(&rooms)
    .bind(&uids)
    .bind(&roles)
    .bind(&joined)
    .execute(&mut *connection)
    .await?;
    let (rooms, uids, _, _) = pick(true);
    sqlx::query(
        "DELETE FROM members
         USING unnest($1::BIGINT[], $2::BIGINT[]) AS gone (room_id, uid)
         WHERE members.room_id = gone.room_id
           AND members.uid = gone.uid",
    )
    .bind(&rooms)
    .bind(&uids)
    .execute(connection)
    .await?;
    Ok(())
}

/// Events, column by column, as the first ten arguments of a statement.
fn event_columns(rows: &[Row]) -> Result<PgArguments, StoreError> {
    let column =
        |pick: fn(&Event) -> i64| -> Vec<i64> { rows.iter().map(|row| pick(&row.event)).collect() };
    let text = |pick: fn(&Event) -> &str| -> Vec<&str> {
        rows.iter().map(|row| pick(&row.event)).collect()
    };
    let nonces = rows.iter().map(|row| row.nonce.as_ref());
    let names: Vec<Option<&str>> = nonces
        .clone()
        .map(|it| it.map(|(name, _)| name.as_str()))
        .collect();
    let hashes: Vec<Option<&[u8]>> = nonces.map(|it| it.map(|(_, hash)| &hash[..])).collect();
    let kinds: Vec<i16> = rows.iter().map(|row| small(row.event.kind)).collect();
    let mut arguments = PgArguments::default();
    add(&mut arguments, column(|event| event.room.as_i64()))?;
    add(&mut arguments, column(|event| event.seq.as_i64()))?;
    add(&mut arguments, kinds)?;
    add(&mut arguments, column(|event| event.uid.as_i64()))?;
    add(&mut arguments, column(|event| event.target.as_i64()))?;
    add(&mut arguments, text(|event| &event.text))?;
    add(&mut arguments, text(|event| &event.attrs))?;
    add(&mut arguments, names)?;
    add(&mut arguments, hashes)?;
    add(&mut arguments, column(|event| event.at.micros()))?;
    Ok(arguments)
}

fn add<'t, T>(arguments: &mut PgArguments, column: Vec<T>) -> Result<(), StoreError>
where
    Vec<T>: Encode<'t, Postgres> + Type<Postgres> + 't,
{
    let added = arguments.add(column);
    added.map_err(|error| StoreError::Broken(error.to_string()))
}

#[cfg(test)]
#[cfg(feature = "servers")]
mod tests {
    use std::cell::Cell;
    use std::collections::{HashMap, HashSet};
    use std::time::Duration;

    use base::{MessageText, Nonce, RoomId, Timestamp, Uid};
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};
    use runtime::{Lifecycle, testing};
    use tokio::time::Instant;

    use super::super::PostgresStore;
    use crate::domain::{Change, Entry, Outcome, Post, Refusal, kind};
    use crate::store::Store as _;

    #[derive(Debug, Clone)]
    enum Doing {
        /// Two posts of this user, the second of them this one again.
        Post { uid: u64, nonce: u8 },
        /// He joins or leaves, as the case may be.
        Turn { uid: u64 },
        /// His role changes, which is no event.
        Promote { uid: u64 },
    }

    fn doing() -> impl Strategy<Value = Doing> {
        let uid = 1..4_u64;
        prop_oneof![
            6 => (uid.clone(), any::<u8>()).prop_map(|(uid, nonce)| Doing::Post { uid, nonce }),
            1 => uid.clone().prop_map(|uid| Doing::Turn { uid }),
            1 => uid.prop_map(|uid| Doing::Promote { uid }),
        ]
    }

    /// What one log has to be.
    #[derive(Default)]
    struct Model {
        head: u64,
        changes: u64,
        members: HashSet<u64>,
        nonces: HashMap<(u64, u8), u64>,
    }

    impl Model {
        fn change(&mut self, room: RoomId, kind: u32, uid: u64, role: u32) -> Entry {
            self.changes += 1;
            let uid = Uid::new(uid).unwrap();
            let change = Change {
                number: self.changes,
                kind,
                uid,
                by: uid,
                role,
            };
            Entry::Changes {
                room,
                changes: vec![change],
            }
        }

        /// What a post comes to: its place and whether it is a repeat.
        fn post(&mut self, uid: u64, nonce: u8) -> Option<(u64, bool)> {
            if let Some(&seq) = self.nonces.get(&(uid, nonce)) {
                return Some((seq, true));
            }
            if !self.members.contains(&uid) {
                return None;
            }
            self.head += 1;
            self.nonces.insert((uid, nonce), self.head);
            Some((self.head, false))
        }
    }

    fn post(room: RoomId, uid: u64, nonce: u8) -> Entry {
        Entry::Post(Post {
            room,
            uid: Uid::new(uid).unwrap(),
            text: MessageText::parse("Text", "hello").unwrap(),
            nonce: Nonce::parse("Nonce", &nonce.to_string()).unwrap(),
        })
    }

    async fn commit(store: &PostgresStore, entries: &[Entry]) -> Vec<Outcome> {
        let (now, before) = (
            Timestamp::from_micros(1),
            Instant::now() + Duration::from_mins(1),
        );
        store.commit(entries, now, before).await.unwrap()
    }

    #[test]
    fn processes_that_write_in_turn_know_what_the_others_did() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let lifecycle = Lifecycle::new();
        let stores = runtime.block_on(async {
            let (postgres, schema) = (testing::postgres(2), testing::schema("turns"));
            let connect = || PostgresStore::connect(&postgres, schema, &lifecycle).unwrap();
            let stores = [connect(), connect()];
            testing::ready(&lifecycle).await;
            stores
        });
        let rooms = Cell::new(0);
        let scripts = prop::collection::vec((0..2_usize, doing()), 1..60);
        let mut runner = TestRunner::new(Config::with_cases(24));
        let outcome = runner.run(&scripts, |script| {
            rooms.set(rooms.get() + 1);
            let room = RoomId::new(rooms.get()).unwrap();
            runtime.block_on(async {
                let mut model = Model::default();
                for (writer, doing) in script {
                    let store = &stores[writer];
                    match doing {
                        Doing::Post { uid, nonce } => {
                            let entries = [post(room, uid, nonce), post(room, uid, nonce)];
                            for outcome in commit(store, &entries).await {
                                let expected = model.post(uid, nonce);
                                let got = match outcome {
                                    Outcome::Sent(event) => Some((event.seq.get(), false)),
                                    Outcome::Repeat(event) => Some((event.seq.get(), true)),
                                    Outcome::Refused(Refusal::NotMember | Refusal::NoRoom) => None,
                                    other => panic!("{other:?}"),
                                };
                                prop_assert_eq!(got, expected);
                            }
                        }
                        Doing::Turn { uid } => {
                            let joins = model.members.insert(uid);
                            if !joins {
                                model.members.remove(&uid);
                            }
                            let kind = if joins { kind::JOIN } else { kind::LEAVE };
                            let change = model.change(room, kind, uid, u32::from(joins));
                            commit(store, &[change]).await;
                            model.head += 1;
                        }
                        Doing::Promote { uid } => {
                            if model.members.contains(&uid) {
                                let change = model.change(room, 0, uid, 2);
                                commit(store, &[change]).await;
                            }
                        }
                    }
                }
                Ok(())
            })
        });
        outcome.unwrap();
    }
}

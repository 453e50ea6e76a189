//! Moves read markers: many in one transaction, and tells their rooms.
//!
//! A marker is answered when it is stored. That others hear of it is a courtesy: it goes by
//! the bus once, and who misses it learns it from the standings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Code, Error, RoomId, Seq, Uid};
use bus::{Bus, Record};
use prost::Message as _;
use proto::message::{Mark as WireMark, RoomRecord};
use runtime::Lifecycle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::domain::{Mark, Marked};
use crate::rhythm::Rhythm;
use crate::store::{Store, in_time};

/// Marks that wait, most; further ones are refused for now.
const QUEUE: usize = 4_096;
/// Marks of one round, most.
const ROUND: usize = 512;
/// Rounds in a second that go on and on, most: those who read along move their markers with
/// every message, and the newest of each is enough.
const ROUNDS_PER_SECOND: u32 = 10;
/// And rounds at once after a pause.
const ROUNDS_AT_ONCE: u32 = 2;
/// Rounds whose rooms have yet to be told, most; of further ones nobody is.
const UNTOLD: usize = 16;
/// How long a marker that somebody else holds is tried for.
const PATIENCE: Duration = Duration::from_secs(3);

/// Takes marks in; cheap to clone.
#[derive(Clone)]
pub(crate) struct Marker(mpsc::Sender<Job>);

struct Job {
    mark: Mark,
    since: Instant,
    answer: oneshot::Sender<base::Result<Seq>>,
}

impl Marker {
    pub(crate) fn start(store: Arc<dyn Store>, bus: Arc<dyn Bus>, lifecycle: &Lifecycle) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (moved, untold) = mpsc::channel(UNTOLD);
        let stopping = lifecycle.stopping().clone();
        lifecycle.spawn("marker", async move {
            stopping.run_until_cancelled(run(queue, store, moved)).await;
        });
        // By itself, so that no marker waits for a bus that is slow.
        let stopping = lifecycle.stopping().clone();
        lifecycle.spawn("marker-bus", async move {
            stopping.run_until_cancelled(tell_all(untold, bus)).await;
        });
        Self(jobs)
    }

    /// Moves a marker; where it is then.
    ///
    /// # Errors
    /// `not_found`, `permission_denied`, `invalid_argument`; `rate_limited` when too many
    /// wait, `unavailable` when the store is not there.
    pub(crate) async fn mark(&self, mark: Mark) -> base::Result<Seq> {
        let (answer, answered) = oneshot::channel();
        let since = Instant::now();
        let job = Job {
            mark,
            since,
            answer,
        };
        self.0
            .try_send(job)
            .map_err(|_| Error::new(Code::RateLimited, "too many markers move at once"))?;
        answered
            .await
            .unwrap_or_else(|_| Err(Error::unavailable("ending", "the process goes down")))
    }
}

async fn run(
    mut queue: mpsc::Receiver<Job>,
    store: Arc<dyn Store>,
    untold: mpsc::Sender<Vec<Mark>>,
) {
    let mut rhythm = Rhythm::new(ROUNDS_PER_SECOND, ROUNDS_AT_ONCE);
    let mut waiting = Vec::new();
    loop {
        if waiting.is_empty() && queue.recv_many(&mut waiting, ROUND).await == 0 {
            return;
        }
        rhythm.next().await;
        while waiting.len() < ROUND
            && let Ok(job) = queue.try_recv()
        {
            waiting.push(job);
        }
        let (moved, left) = round(store.as_ref(), waiting).await;
        waiting = left;
        if !moved.is_empty() && untold.try_send(moved).is_err() {
            tracing::debug!("read markers are not told: the bus is slow");
        }
    }
}

/// Moves and answers; returns the marks that moved, and what is to be tried again.
async fn round(store: &dyn Store, jobs: Vec<Job>) -> (Vec<Mark>, Vec<Job>) {
    let mut of_member: BTreeMap<(RoomId, Uid), Vec<Job>> = BTreeMap::new();
    for job in jobs {
        let key = (job.mark.room, job.mark.uid);
        of_member.entry(key).or_default().push(job);
    }
    let furthest: Vec<Mark> = of_member
        .values()
        .filter_map(|jobs| jobs.iter().map(|job| job.mark).max_by_key(|mark| mark.read))
        .collect();
    let outcomes = match in_time(store.mark(&furthest)).await {
        Ok(outcomes) => outcomes,
        Err(error) => {
            let error = Error::from(error);
            for job in of_member.into_values().flatten() {
                let _ = job.answer.send(Err(error.clone()));
            }
            return (Vec::new(), Vec::new());
        }
    };
    let (mut moved, mut left) = (Vec::new(), Vec::new());
    for ((mark, outcome), jobs) in furthest
        .into_iter()
        .zip(outcomes)
        .zip(of_member.into_values())
    {
        if matches!(outcome, Marked::At { moved: true, .. }) {
            moved.push(mark);
        }
        for job in jobs {
            // Only the furthest was judged.
            let is_open = outcome == Marked::Beyond && job.mark.read < mark.read
                || outcome == Marked::Busy && job.since.elapsed() < PATIENCE;
            if is_open {
                left.push(job);
            } else {
                // Who asked may be gone.
                let _ = job.answer.send(told(outcome));
            }
        }
    }
    (moved, left)
}

fn told(outcome: Marked) -> base::Result<Seq> {
    match outcome {
        Marked::At { read, .. } => Ok(read),
        Marked::NoRoom => Err(Error::new(Code::NotFound, "no such room")),
        Marked::NotMember => Err(Error::new(
            Code::PermissionDenied,
            "not a member of the room",
        )),
        Marked::Beyond => Err(Error::invalid("ID", "is beyond the newest event")),
        Marked::Busy => Err(Error::unavailable("busy", "the marker is held for long")),
    }
}

async fn tell_all(mut untold: mpsc::Receiver<Vec<Mark>>, bus: Arc<dyn Bus>) {
    while let Some(moved) = untold.recv().await {
        if bus.healthy() {
            tell(bus.as_ref(), moved).await;
        }
    }
}

async fn tell(bus: &dyn Bus, moved: Vec<Mark>) {
    let mut rooms: BTreeMap<RoomId, Vec<WireMark>> = BTreeMap::new();
    for mark in moved {
        rooms.entry(mark.room).or_default().push(WireMark {
            uid: mark.uid.get(),
            read: mark.read.get(),
        });
    }
    let record = |(room, marks): (RoomId, _)| {
        let record = RoomRecord {
            version: 1,
            room_id: room.get(),
            marks,
            ..RoomRecord::default()
        };
        Record {
            key: room.get(),
            payload: record.encode_to_vec().into(),
        }
    };
    let records: Vec<Record> = rooms.into_iter().map(record).collect();
    if let Err(error) = bus.publish(records).await {
        tracing::debug!(%error, "read markers are not told");
    }
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use base::{MessageText, Nonce, Timestamp};
    use bus::memory::MemoryBus;

    use super::*;
    use crate::domain::{Change, Entry, Post, kind};
    use crate::store::sqlite::SqliteStore;

    const ROOM: RoomId = RoomId::new(1).unwrap();
    const ANN: Uid = Uid::new(1).unwrap();

    fn mark(read: u64) -> Mark {
        Mark {
            room: ROOM,
            uid: ANN,
            read: Seq(read),
        }
    }

    /// A store with a room in which Ann has said three things.
    async fn store(folder: &std::path::Path) -> Arc<dyn Store> {
        let store = SqliteStore::open(&folder.join("message.db")).await.unwrap();
        let join = Change {
            number: 1,
            kind: kind::JOIN,
            uid: ANN,
            by: ANN,
            role: 1,
        };
        let mut entries = vec![Entry::Changes {
            room: ROOM,
            changes: vec![join],
        }];
        entries.extend(["one", "two", "three"].map(|text| {
            Entry::Post(Post {
                room: ROOM,
                uid: ANN,
                text: MessageText::parse("Text", text).unwrap(),
                nonce: Nonce::parse("Nonce", text).unwrap(),
            })
        }));
        let before = Instant::now() + Duration::from_mins(1);
        let now = Timestamp::from_micros(0);
        store.commit(&entries, now, before).await.unwrap();
        Arc::new(store)
    }

    #[tokio::test]
    async fn of_marks_at_once_the_furthest_is_moved_and_told_once() {
        let (folder, bus) = (tempfile::tempdir().unwrap(), MemoryBus::new());
        let mut tail = bus.tail(Box::new(|_| true)).await.unwrap();
        let lifecycle = Lifecycle::new();
        let store = store(folder.path()).await;
        let marker = Marker::start(store, bus, &lifecycle);
        let at_once = [3, 4, 2].map(|read| marker.mark(mark(read)));
        for answer in futures_util::future::join_all(at_once).await {
            assert_eq!(answer.unwrap(), Seq(4));
        }
        // It does not move again, so this is told to nobody.
        assert_eq!(marker.mark(mark(3)).await.unwrap(), Seq(4));
        let record = RoomRecord::decode(tail.next().await.unwrap().payload).unwrap();
        assert_eq!(
            (record.room_id, record.events.len(), record.head),
            (1, 0, 0)
        );
        assert_eq!(record.marks, [WireMark { uid: 1, read: 4 }]);
    }

    #[tokio::test]
    async fn one_that_is_beyond_the_log_takes_no_other_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let lifecycle = Lifecycle::new();
        let store = store(folder.path()).await;
        let marker = Marker::start(store, MemoryBus::new(), &lifecycle);
        let (beyond, within) = tokio::join!(marker.mark(mark(5)), marker.mark(mark(3)));
        assert_eq!(beyond.unwrap_err().code(), Code::InvalidArgument);
        assert_eq!(within.unwrap(), Seq(3));
    }
}

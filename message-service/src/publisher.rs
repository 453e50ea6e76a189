//! Puts committed events on the bus, one round at a time.
//!
//! The log is its own outbox: what is not published for any reason (the queue was
//! full, the bus down, the process killed) stays `published < head` in the store,
//! where the relay finds it. So nothing is buffered here beyond a bound, and
//! nothing is lost by dropping.
//!
//! The bus costs by the round, here, in the brokers and in every gateway. So rounds come at
//! a [`Rhythm`] where many follow each other, and events that took the short way already
//! wait for others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{RoomId, Seq};
use bus::{Bus, Record};
use prost::Message as _;
use proto::message::RoomRecord;
use runtime::Lifecycle;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::domain::Event;
use crate::rhythm::Rhythm;
use crate::store::{Published, Store, in_time};

/// Batches that wait for a round, most.
const QUEUE: usize = 256;
/// Batches that one round takes, most.
const ROUND: usize = 64;
/// Bytes of the events in one record, about: librdkafka refuses 1 MB.
const RECORD_BYTES: usize = 512 * 1024 - 4_096;
/// Rounds in a second that go on and on, most,
const ROUNDS_PER_SECOND: u32 = 40;
/// and rounds at once after a pause.
const ROUNDS_AT_ONCE: u32 = 8;
/// What took the short way waits for so long for what else comes.
const GATHER: Duration = Duration::from_millis(25);
/// An event that waits for longer to be published has those that write wait,
const LATE: Duration = Duration::from_millis(60);
/// for so long before each batch, most: a bus that stands still is no reason not to write.
const GIVE_WAY: Duration = Duration::from_millis(20);
/// How often it is looked for what the bus has taken and is not noted yet.
const NOTE_PERIOD: Duration = Duration::from_millis(250);
/// It is noted of a room that was quiet for so long: to note it costs as much as an event
/// does, and before a room was quiet for longer the relay does not look at it.
const QUIET: Duration = Duration::from_millis(500);
/// And of one that never is, after so long.
const NEVER_QUIET: Duration = Duration::from_secs(5);

/// Publishes for one writer.
pub(crate) struct Publisher {
    batches: mpsc::Sender<Batch>,
    /// When the oldest batch of the round under way was committed.
    oldest: watch::Receiver<Option<Instant>>,
}

/// A stretch of a room's log that the bus has taken.
struct Stretch {
    from: Seq,
    to: Seq,
    began: Instant,
    grew: Instant,
}

impl Stretch {
    fn is_due(&self, now: Instant) -> bool {
        now - self.grew >= QUIET || now - self.began >= NEVER_QUIET
    }
}

/// Events that were committed together, and when.
struct Batch {
    events: Vec<Event>,
    /// Whether those who watch were told without the bus.
    told: bool,
    committed: Instant,
}

impl Publisher {
    pub(crate) fn start(store: Arc<dyn Store>, bus: Arc<dyn Bus>, lifecycle: &Lifecycle) -> Self {
        let (batches, queue) = mpsc::channel(QUEUE);
        let (telling, oldest) = watch::channel(None);
        let stopping = lifecycle.stopping().clone();
        lifecycle.spawn("publisher", async move {
            let run = run(queue, telling, store, bus);
            stopping.run_until_cancelled(run).await;
        });
        Self { batches, oldest }
    }

    /// Takes events that were just committed, and whether they took the short way; drops
    /// them when too much waits.
    pub(crate) fn publish(&self, events: Vec<Event>, told: bool) {
        let committed = Instant::now();
        let batch = Batch {
            events,
            told,
            committed,
        };
        if !batch.events.is_empty() && self.batches.try_send(batch).is_err() {
            metrics::counter!("parley_bus_left_to_relay_total").increment(1);
        }
    }

    /// Whether all that was taken is on the bus.
    pub(crate) fn is_idle(&self) -> bool {
        self.batches.capacity() == QUEUE && self.oldest.borrow().is_none()
    }

    /// Waits a little while the bus is behind: what is written faster than it can be
    /// published is acknowledged sooner, and received the later.
    pub(crate) async fn give_way(&mut self) {
        let is_late = |oldest: &Option<Instant>| oldest.is_some_and(|it| it.elapsed() > LATE);
        if is_late(&self.oldest.borrow()) {
            let caught_up = self.oldest.wait_for(|oldest| !is_late(oldest));
            // When it is not in time, it is not waited for.
            let _ = tokio::time::timeout(GIVE_WAY, caught_up).await;
        }
    }
}

async fn run(
    mut queue: mpsc::Receiver<Batch>,
    oldest: watch::Sender<Option<Instant>>,
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
) {
    let mut rhythm = Rhythm::new(ROUNDS_PER_SECOND, ROUNDS_AT_ONCE);
    let mut batches = Vec::with_capacity(ROUND);
    let mut done: BTreeMap<RoomId, Stretch> = BTreeMap::new();
    let mut noted_at = Instant::now();
    loop {
        let taken = if done.is_empty() {
            queue.recv_many(&mut batches, ROUND).await
        } else {
            let more = queue.recv_many(&mut batches, ROUND);
            tokio::time::timeout_at(noted_at + NOTE_PERIOD, more)
                .await
                .unwrap_or(usize::MAX)
        };
        if taken == 0 {
            return;
        }
        if let Some(batch) = batches.first() {
            oldest.send_replace(Some(batch.committed));
            gather(&mut queue, &mut batches).await;
            rhythm.next().await;
            take_rest(&mut queue, &mut batches);
        }
        let mut rooms: BTreeMap<RoomId, Vec<Event>> = BTreeMap::new();
        for event in batches.drain(..).flat_map(|batch| batch.events) {
            rooms.entry(event.room).or_default().push(event);
        }
        for stretch in publish(bus.as_ref(), rooms).await {
            let now = Instant::now();
            let entry = done.entry(stretch.room).or_insert(Stretch {
                from: stretch.from,
                to: stretch.to,
                began: now,
                grew: now,
            });
            // A stretch that does not continue the one before is left to the relay.
            if stretch.from == entry.to.next() {
                (entry.to, entry.grew) = (stretch.to, now);
            }
        }
        oldest.send_replace(None);
        if noted_at.elapsed() >= NOTE_PERIOD {
            note(store.as_ref(), &mut done).await;
            noted_at = Instant::now();
        }
    }
}

/// Waits for others as long as nothing is in a hurry.
async fn gather(queue: &mut mpsc::Receiver<Batch>, batches: &mut Vec<Batch>) {
    let Some(until) = batches.first().map(|first| first.committed + GATHER) else {
        return;
    };
    while batches.len() < ROUND && batches.iter().all(|batch| batch.told) {
        match tokio::time::timeout_at(until, queue.recv()).await {
            Ok(Some(batch)) => batches.push(batch),
            Ok(None) | Err(_) => return,
        }
    }
}

/// Takes what came while the round was waited for.
fn take_rest(queue: &mut mpsc::Receiver<Batch>, batches: &mut Vec<Batch>) {
    while batches.len() < ROUND
        && let Ok(batch) = queue.try_recv()
    {
        batches.push(batch);
    }
}

/// Publishes a round, all rooms together; returns what the bus has taken.
pub(crate) async fn publish(bus: &dyn Bus, rooms: BTreeMap<RoomId, Vec<Event>>) -> Vec<Published> {
    if rooms.is_empty() || !bus.healthy() {
        return Vec::new();
    }
    let started = Instant::now();
    let mut stretches: Vec<Published> = Vec::with_capacity(rooms.len());
    let mut round = Vec::with_capacity(rooms.len());
    for (room, events) in rooms {
        for (record, (from, to)) in records(room, events) {
            round.push(record);
            match stretches.last_mut() {
                Some(last) if last.room == room && from == last.to.next() => last.to = to,
                _ => stretches.push(Published { room, from, to }),
            }
        }
    }
    let count = round.len();
    let published = bus.publish(round).await;
    metrics::histogram!("parley_bus_publish_seconds").record(started.elapsed().as_secs_f64());
    match published {
        Ok(()) => stretches,
        Err(error) => {
            tracing::debug!(%error, records = count, "not published; left to the relay");
            Vec::new()
        }
    }
}

/// A room's events as records of bounded size, each with the stretch it holds, which has
/// no gap: what another replica wrote in between is not in our hands.
fn records(room: RoomId, events: Vec<Event>) -> Vec<(Record, (Seq, Seq))> {
    let mut records = Vec::new();
    let mut part = RoomRecord {
        version: 1,
        room_id: room.get(),
        ..RoomRecord::default()
    };
    let mut bytes = 0;
    for event in events {
        let size = event.text.len() + event.attrs.len() + 64;
        let follows = event.seq.get() == part.head + 1 && event.epoch.0 == part.epoch;
        if !part.events.is_empty() && (!follows || bytes + size > RECORD_BYTES) {
            records.extend(finish(&mut part));
            bytes = 0;
        }
        bytes += size;
        part.head = event.seq.get();
        part.epoch = event.epoch.0;
        part.events.push(event.into());
    }
    records.extend(finish(&mut part));
    records
}

fn finish(part: &mut RoomRecord) -> Option<(Record, (Seq, Seq))> {
    let stretch = (Seq(part.events.first()?.seq), Seq(part.events.last()?.seq));
    let payload = part.encode_to_vec().into();
    part.events.clear();
    Some((
        Record {
            key: part.room_id,
            payload,
        },
        stretch,
    ))
}

/// Notes in the store what the bus has taken. Rooms that are locked now stay for
/// the next time; after an error all of it is left to the relay, which publishes
/// it again: readers drop what they have.
async fn note(store: &dyn Store, done: &mut BTreeMap<RoomId, Stretch>) {
    let now = Instant::now();
    let stretches: Vec<Published> = done
        .iter()
        .filter(|(_, stretch)| stretch.is_due(now))
        .map(|(&room, &Stretch { from, to, .. })| Published { room, from, to })
        .collect();
    if stretches.is_empty() {
        return;
    }
    match in_time(store.note_published(&stretches)).await {
        Ok(noted) => {
            for room in noted {
                done.remove(&room);
            }
        }
        Err(error) => {
            tracing::debug!(%error, "what was published is not noted");
            done.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use bus::memory::MemoryBus;

    use super::*;
    use crate::domain::testing::message;

    const ROOM: RoomId = RoomId::new(1).unwrap();

    fn event(seq: u64) -> Event {
        message(ROOM, seq)
    }

    #[tokio::test]
    async fn a_stretch_has_no_gap() {
        let bus = MemoryBus::new();
        let mut tail = bus.tail(Box::new(|_| true)).await.unwrap();
        let events = [1, 2, 3, 6, 7].map(event).to_vec();
        let taken = publish(bus.as_ref(), BTreeMap::from([(ROOM, events)])).await;
        let stretches: Vec<_> = taken
            .iter()
            .map(|it| (it.from.get(), it.to.get()))
            .collect();
        assert_eq!(stretches, [(1, 3), (6, 7)]);
        for expected in [vec![1, 2, 3], vec![6, 7]] {
            let record = RoomRecord::decode(tail.next().await.unwrap().payload).unwrap();
            let seqs: Vec<_> = record.events.iter().map(|event| event.seq).collect();
            assert_eq!(seqs, expected);
            assert_eq!(record.head, expected[expected.len() - 1]);
        }
    }

    #[test]
    fn a_record_is_bounded_and_what_it_leaves_follows() {
        let long = |seq| Event {
            text: "x".repeat(8_000),
            ..event(seq)
        };
        let records = records(ROOM, (1..=200).map(long).collect());
        assert!(records.len() > 2);
        let mut next = 1;
        for (record, (from, to)) in &records {
            assert!(
                record.payload.len() <= 512 * 1024,
                "{}",
                record.payload.len()
            );
            assert_eq!(from.get(), next);
            next = to.get() + 1;
        }
        assert_eq!(next, 201);
    }
}

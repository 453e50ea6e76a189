//! Publishes what was committed and did not reach the bus: after a crash, an
//! outage, or a queue that was full. Every replica runs it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Timestamp};
use bus::{Bus, Record};
use prost::Message as _;
use proto::message::RoomRecord;
use runtime::{Lifecycle, StoreError};

use crate::domain::ReadError;
use crate::publisher;
use crate::store::{Behind, Published, Store, in_time};

/// How often it looks.
const PERIOD: Duration = Duration::from_millis(500);
/// Rooms touched later than this are still in their writer's hands.
const UNTOUCHED: Duration = Duration::from_secs(1);
/// Rooms of one look, most.
const ROOMS: u32 = 256;
/// Rooms whose events are in memory at the same time, most.
const AT_ONCE: usize = 8;
/// A room further behind gets one record that points at its head instead of its
/// events: readers fetch what they want.
const POINTER_BEHIND: u64 = 1_000;

/// Starts the relay.
pub(crate) fn start(
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    lifecycle: &Lifecycle,
) {
    let work = async move {
        let mut tick = tokio::time::interval(PERIOD);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if !bus.healthy() {
                continue;
            }
            if let Err(error) = round(store.as_ref(), bus.as_ref(), clock.now()).await {
                tracing::debug!(%error, "the relay could not look");
            }
        }
    };
    let stopping = lifecycle.stopping().clone();
    lifecycle.spawn("relay", async move {
        stopping.run_until_cancelled(work).await;
    });
}

async fn round(store: &dyn Store, bus: &dyn Bus, now: Timestamp) -> Result<(), StoreError> {
    let untouched = i64::try_from(UNTOUCHED.as_micros()).unwrap_or(i64::MAX);
    let before = Timestamp::from_micros(now.micros().saturating_sub(untouched));
    let behind = in_time(store.behind(before, ROOMS)).await?;
    metrics::counter!("parley_relay_rooms_total").increment(behind.len() as u64);
    for rooms in behind.chunks(AT_ONCE) {
        let done = publish(store, bus, rooms).await?;
        if !done.is_empty() {
            in_time(store.note_published(&done)).await?;
        }
        if done.len() < rooms.len() && !bus.healthy() {
            break;
        }
    }
    Ok(())
}

/// Publishes what some rooms lack, side by side.
async fn publish(
    store: &dyn Store,
    bus: &dyn Bus,
    rooms: &[Behind],
) -> Result<Vec<Published>, StoreError> {
    let (far, near): (Vec<Behind>, Vec<Behind>) = rooms
        .iter()
        .partition(|it| it.head.get() - it.published.get() > POINTER_BEHIND);
    let mut events = BTreeMap::new();
    for it in near {
        let limit = u32::try_from(POINTER_BEHIND).unwrap_or(u32::MAX);
        match in_time(store.page(it.room, None, it.published, limit)).await {
            Ok(page) => {
                events.insert(it.room, page.events);
            }
            Err(ReadError::Store(error)) => return Err(error),
            Err(ReadError::NoRoom | ReadError::NotMember) => {}
        }
    }
    let mut done = publisher::publish(bus, events).await;
    let pointers = far.iter().map(pointer).collect();
    if !far.is_empty() && bus.publish(pointers).await.is_ok() {
        done.extend(far.into_iter().map(|it| Published {
            room: it.room,
            from: it.published.next(),
            to: it.head,
        }));
    }
    Ok(done)
}

fn pointer(behind: &Behind) -> Record {
    let record = RoomRecord {
        version: 1,
        room_id: behind.room.get(),
        events: Vec::new(),
        head: behind.head.get(),
        epoch: behind.epoch.0,
        marks: Vec::new(),
    };
    Record {
        key: behind.room.get(),
        payload: record.encode_to_vec().into(),
    }
}

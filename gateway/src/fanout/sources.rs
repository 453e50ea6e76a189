//! Where events come from besides this gateway's own posts: the bus, the heads of
//! the logs, and the logs themselves where there is a hole.

use std::time::Duration;

use base::{RoomId, Seq, limits};
use bus::{Bus, BusError, Tail};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use prost::Message as _;
use proto::message::messages_client::MessagesClient;
use proto::message::{FetchReply, FetchRequest, Head, HeadsRequest, RoomRecord};
use runtime::{Call, Lifecycle, Replicas};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Fanout, epoch_of, locked};
use crate::Ports;

/// How often heads are asked for while the bus is well.
const HEADS_PERIOD: Duration = Duration::from_secs(5);
/// How often while it is not.
const HEADS_PERIOD_BUS_DOWN: Duration = Duration::from_millis(500);
/// How long it is doubted when it has become well: what it lost, or has no longer, its
/// readers find out within this time.
const DOUBT: Duration = Duration::from_secs(10);
/// What a hole is given to close by itself: the bus may be a moment behind.
const GRACE: Duration = Duration::from_millis(10);
/// How long to wait after a fetch that failed.
const FETCH_PAUSE: Duration = Duration::from_millis(200);
/// Holes mended at once, most.
const MENDERS: usize = 32;
/// How long to wait before the bus is tried again.
const TAIL_PAUSE: Duration = Duration::from_millis(500);
/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn start(
    fanout: &Fanout,
    ports: &Ports,
    holes: mpsc::Receiver<RoomId>,
    lifecycle: &Lifecycle,
) {
    let spawn = |name, work: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
        let stopping = lifecycle.stopping().clone();
        lifecycle.spawn(name, async move {
            stopping.run_until_cancelled(work).await;
        });
    };
    spawn("tail", Box::pin(tail(fanout.clone(), ports.bus.clone())));
    spawn(
        "heads",
        Box::pin(heads(
            fanout.clone(),
            ports.messages.clone(),
            ports.bus.clone(),
        )),
    );
    spawn(
        "mender",
        Box::pin(mender(fanout.clone(), ports.messages.clone(), holes)),
    );
}

/// Reads the bus for as long as the gateway lives.
async fn tail(fanout: Fanout, bus: std::sync::Arc<dyn Bus>) {
    loop {
        let watched = fanout.clone();
        let taken = metrics::counter!("parley_bus_records_total", "wanted" => "true");
        let skipped = metrics::counter!("parley_bus_records_total", "wanted" => "false");
        let wanted = move |key| {
            let wanted = RoomId::new(key).is_some_and(|room| watched.watched(room));
            if wanted { &taken } else { &skipped }.increment(1);
            wanted
        };
        match bus.tail(Box::new(wanted)).await {
            Ok(tail) => {
                tracing::info!("the bus is open");
                fanout.set_tail_open(true);
                let error = follow(&fanout, tail).await;
                tracing::warn!(%error, "the bus may have lost something");
                fanout.set_tail_open(false);
            }
            Err(error) => tracing::debug!(%error, "the bus cannot be opened"),
        }
        tokio::time::sleep(TAIL_PAUSE).await;
    }
}

async fn follow(fanout: &Fanout, mut tail: Box<dyn Tail>) -> BusError {
    loop {
        match tail.next().await {
            Ok(record) => take(fanout, &record.payload),
            Err(error) => return error,
        }
    }
}

fn take(fanout: &Fanout, payload: &[u8]) {
    let Ok(record) = RoomRecord::decode(payload) else {
        tracing::warn!("a record of the bus cannot be read; the heads will tell");
        return;
    };
    if let Some(room) = RoomId::new(record.room_id) {
        let epoch = epoch_of(record.epoch);
        fanout.offer(room, &record.events, Seq(record.head), epoch);
        fanout.tell(room, &record.marks);
    }
}

/// Asks where the logs end, always: often while the bus is bad and for a while after, and
/// at once when it becomes good or bad, for what came between.
async fn heads(fanout: Fanout, messages: Replicas, bus: std::sync::Arc<dyn Bus>) {
    let (mut last, mut doubted_until) = (Instant::now(), Instant::now());
    let mut state = fanout.bus_state();
    let mut tick = tokio::time::interval(HEADS_PERIOD_BUS_DOWN);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let changed = tokio::select! {
            biased;
            Ok(()) = state.changed() => true,
            _ = tick.tick() => false,
        };
        let reliable = state.borrow_and_update().reliable() && bus.healthy();
        if !reliable {
            doubted_until = Instant::now() + DOUBT;
        }
        let doubted = Instant::now() < doubted_until;
        if !changed && !doubted && last.elapsed() < HEADS_PERIOD {
            continue;
        }
        last = Instant::now();
        let watched: Vec<u64> = fanout.known().into_iter().map(RoomId::get).collect();
        for rooms in watched.chunks(limits::HEADS_ROOMS) {
            match ask_heads(&messages, rooms).await {
                Ok(heads) => {
                    for Head {
                        room_id,
                        head,
                        epoch,
                    } in heads
                    {
                        if let Some(room) = RoomId::new(room_id) {
                            fanout.offer(room, &[], Seq(head), epoch_of(epoch));
                        }
                    }
                }
                Err(error) => tracing::debug!(%error, "heads are not to be had"),
            }
        }
    }
}

async fn ask_heads(messages: &Replicas, rooms: &[u64]) -> base::Result<Vec<Head>> {
    let call = Call::own("heads").within(PATIENCE);
    let reply = messages
        .ask(0, async |channel| {
            let mut client = MessagesClient::new(channel);
            let request = call.request(HeadsRequest {
                room_ids: rooms.to_vec(),
            });
            call.wait(client.heads(request)).await
        })
        .await?;
    Ok(reply.heads)
}

/// Mends holes, several at once.
async fn mender(fanout: Fanout, messages: Replicas, mut holes: mpsc::Receiver<RoomId>) {
    let mut at_work = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(()) = at_work.next() => {}
            hole = holes.recv(), if at_work.len() < MENDERS => match hole {
                Some(room) => at_work.push(mend(&fanout, &messages, room)),
                None => return,
            },
        }
    }
}

/// Fetches what a room misses until it misses nothing, or nobody watches it.
async fn mend(fanout: &Fanout, messages: &Replicas, id: RoomId) {
    tokio::time::sleep(GRACE).await;
    loop {
        let Some(cell) = fanout.find(id) else { return };
        let after = {
            let mut room = locked(&cell);
            let Some(after) = room.hole() else {
                return room.mended();
            };
            after
        };
        match fetch(messages, id, after).await {
            Ok(page) => {
                metrics::counter!("parley_fanout_mended_total").increment(page.events.len() as u64);
                fanout.offer(id, &page.events, Seq(page.head), epoch_of(page.epoch));
                if page.events.is_empty() {
                    // The replica does not show yet what another one has told of.
                    tokio::time::sleep(FETCH_PAUSE).await;
                }
            }
            Err(error) => {
                tracing::debug!(room = %id, %error, "a hole is not mended yet");
                tokio::time::sleep(FETCH_PAUSE).await;
            }
        }
    }
}

async fn fetch(messages: &Replicas, room: RoomId, after: Seq) -> base::Result<FetchReply> {
    let call = Call::own("fetch").within(PATIENCE);
    messages
        .ask(room.get(), async |channel| {
            let mut client = MessagesClient::new(channel).max_decoding_message_size(8 << 20);
            let request = FetchRequest {
                room_id: room.get(),
                after: after.get(),
                to: 0,
            };
            call.wait(client.fetch(call.request(request))).await
        })
        .await
}

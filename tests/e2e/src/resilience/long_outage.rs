//! A long outage of Kafka under a steady load: delivery goes on, memory does not grow, and
//! what comes after it is current within seconds, whatever was written meanwhile.
//!
//! It is small enough for every run of the tests. As promised, ten minutes at 5,000
//! messages a second, it is run on binaries of the profile `dist`:
//!
//! ```text
//! cargo build --profile dist --workspace --features distributed,servers --bins
//! deploy/dev/up --profile dist --no-limits --gateways 2 --message 2
//! PARLEY_TEST_OUTAGE_SECONDS=600 PARLEY_TEST_OUTAGE_RATE=5000 \
//! PARLEY_TEST_DEV_DIR=$PWD/.dev PARLEY_TEST_GATEWAYS=http://127.0.0.1:8080,http://127.0.0.1:8081 \
//! cargo test --profile dist -p e2e --features distributed -- --nocapture after_a_long_outage
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use client::Api;
use client::wire::frame::ServerFrame;
use client::wire::{RoomId, Seq};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::harness::distributed::Dev;
use crate::harness::{User, World};

/// Rooms that are written in, each of them read at the other gateway.
const ROOMS: usize = 10;
/// Who writes in a room, each with one message under way.
const LANES: usize = 8;
/// How long it runs before the outage, and how long after it.
const BEFORE: Duration = Duration::from_secs(5);
const AFTER: Duration = Duration::from_secs(15);
/// How late an event may come in the outage.
const LATE: Duration = Duration::from_secs(2);
/// How soon delivery is current when Kafka is back.
const CURRENT: Duration = Duration::from_secs(5);
/// An event that is older when it comes is not current: others were sent before it. That
/// leaves a broker which has just started the time that it takes to warm up.
const OLD: Duration = Duration::from_secs(1);
/// What a process may have more in memory in the outage than before, in bytes.
const GROWTH: u64 = 64 << 20;
/// A room further behind is not published again, but pointed at.
const POINTED_AT: u64 = 1_000;
const PROCESSES: [&str; 4] = ["gateway-1", "gateway-2", "message-1", "message-2"];

/// What the scenario is told: by default what debug binaries can do, for a short time.
struct Size {
    outage: Duration,
    /// Messages a second.
    rate: u32,
    patience: Duration,
}

impl Size {
    fn from_env() -> Self {
        let number = |name: &str, usual: u32| {
            std::env::var(name).map_or(usual, |text| text.parse().unwrap())
        };
        let seconds = number("PARLEY_TEST_OUTAGE_SECONDS", 20);
        let outage = Duration::from_secs(seconds.into());
        Self {
            outage,
            rate: number("PARLEY_TEST_OUTAGE_RATE", 600),
            patience: outage + Duration::from_mins(4),
        }
    }
}

/// What arrived in one second.
#[derive(Debug, Default, Clone, Copy)]
struct Second {
    arrived: u64,
    latest: Duration,
}

impl Second {
    fn and(self, other: Self) -> Self {
        Self {
            arrived: self.arrived + other.arrived,
            latest: self.latest.max(other.latest),
        }
    }
}

/// Seconds since the beginning, by their number.
type Seconds = BTreeMap<u64, Second>;

/// How often a writer writes, and since when.
struct Pace {
    every: Duration,
    began: Instant,
}

/// Writes at its share of the rate until it is told to stop; the text is when it was said.
async fn write(
    api: Api,
    room: RoomId,
    Pace { every, began }: Pace,
    stopped: watch::Receiver<bool>,
    counts: Arc<Counts>,
) {
    let mut socket = api.connect().await.unwrap();
    // Others write already, and a busy machine may say no.
    while let Err(error) = socket.subscribe(room, None).await {
        assert!(error.refusal().is_some(), "{error:?}");
    }
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while !*stopped.borrow() {
        tick.tick().await;
        let asked_at = Instant::now();
        let text = (asked_at - began).as_micros().to_string();
        match socket.say_in(Some(room), &text, None).await {
            Ok(_) => {
                let waited = u64::try_from(asked_at.elapsed().as_micros()).unwrap();
                counts.slowest.fetch_max(waited, Ordering::Relaxed);
                counts.said.fetch_add(1, Ordering::Relaxed)
            }
            // More than the machine can take in is refused.
            Err(error) => {
                assert!(error.refusal().is_some(), "{error:?}");
                counts.refused.fetch_add(1, Ordering::Relaxed)
            }
        };
        while socket.next_within(Duration::ZERO).await.is_ok() {}
    }
}

/// Reads up to the end that it is told of; every event has to follow the one before.
async fn read(
    api: Api,
    room: RoomId,
    began: Instant,
    mut end: watch::Receiver<Option<Seq>>,
    ready: watch::Sender<usize>,
) -> Seconds {
    let mut socket = api.connect().await.unwrap();
    let mut last = socket.subscribe(room, None).await.unwrap().seq.unwrap();
    ready.send_modify(|count| *count += 1);
    let mut seconds = Seconds::new();
    while end.borrow_and_update().is_none_or(|end| last < end) {
        match socket.next_within(Duration::from_millis(500)).await {
            Ok(ServerFrame::Event(event)) => {
                assert_eq!(event.seq, last.next(), "in room {room}");
                last = event.seq;
                let now = began.elapsed();
                let said = Duration::from_micros(event.text.parse().unwrap());
                let late = now.saturating_sub(said);
                let second = seconds.entry(now.as_secs()).or_default();
                second.arrived += 1;
                second.latest = second.latest.max(late);
            }
            Ok(frame) => panic!("{frame:?}"),
            Err(client::Error::Deadline) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    seconds
}

/// The most that each process had in memory, looked at every second.
async fn highest(dev: &Dev, lasts: Duration) -> [u64; PROCESSES.len()] {
    let mut highest = [0; PROCESSES.len()];
    let until = Instant::now() + lasts;
    let mut tick = interval(Duration::from_secs(1));
    while Instant::now() < until {
        tick.tick().await;
        for (high, name) in highest.iter_mut().zip(PROCESSES) {
            *high = dev.memory(name).now.max(*high);
        }
    }
    highest
}

fn over(seconds: &Seconds, from: Duration, to: Duration) -> Second {
    let range = seconds.range(from.as_secs()..to.as_secs());
    range.fold(Second::default(), |sum, (_, it)| sum.and(*it))
}

/// Writers and readers at work.
struct Load {
    writers: JoinSet<()>,
    readers: JoinSet<Seconds>,
    /// What tells each room's reader where the end is.
    rooms: Vec<(RoomId, watch::Sender<Option<Seq>>)>,
    reader: User,
    stop: watch::Sender<bool>,
    counts: Arc<Counts>,
    began: Instant,
}

/// What became of what was written.
#[derive(Default)]
struct Counts {
    said: AtomicU64,
    /// How long the slowest answer took, in microseconds.
    slowest: AtomicU64,
    refused: AtomicU64,
}

impl Load {
    async fn start(world: &World, rate: u32) -> Self {
        let (ann, bob) = world.two_users().await;
        let began = Instant::now();
        let (stop, stopped) = watch::channel(false);
        let (ready, mut are_ready) = watch::channel(0);
        let counts = Arc::new(Counts::default());
        let (mut writers, mut readers) = (JoinSet::new(), JoinSet::new());
        let mut rooms = Vec::new();
        for _ in 0..ROOMS {
            let room = ann.room_with(&[&bob]).await;
            let (tell_end, end) = watch::channel(None);
            readers.spawn(read(bob.api_at(1).clone(), room, began, end, ready.clone()));
            rooms.push((room, tell_end));
        }
        are_ready.wait_for(|count| *count == ROOMS).await.unwrap();
        let every = Duration::from_secs(1) * u32::try_from(ROOMS * LANES).unwrap() / rate;
        for (room, _) in rooms.iter().cycle().take(ROOMS * LANES) {
            let pace = Pace { every, began };
            let api = ann.api_at(0).clone();
            let writing = write(api, *room, pace, stopped.clone(), Arc::clone(&counts));
            writers.spawn(writing);
        }
        Self {
            writers,
            readers,
            rooms,
            reader: ann,
            stop,
            counts,
            began,
        }
    }

    fn said(&self) -> u64 {
        self.counts.said.load(Ordering::Relaxed)
    }

    /// Stops writing, reads to the end, and tells what arrived when.
    async fn end(mut self) -> Seconds {
        self.stop.send_replace(true);
        while let Some(ended) = self.writers.join_next().await {
            ended.unwrap();
        }
        for (room, tell_end) in &self.rooms {
            let newest = self.reader.api().messages(*room, None, 1).await.unwrap();
            tell_end.send_replace(Some(newest[0].id));
        }
        let reading = self.readers.join_all();
        let all = timeout(Duration::from_secs(30), reading).await;
        let mut seconds = Seconds::new();
        for (number, it) in all.expect("all of it, to the end").into_iter().flatten() {
            let sum = seconds.entry(number).or_default();
            *sum = sum.and(it);
        }
        seconds
    }
}

/// Asserts that no process has more in memory than it had `before`, but for [`GROWTH`].
fn is_flat(before: [u64; PROCESSES.len()], later: [[u64; PROCESSES.len()]; 2]) {
    for (index, name) in PROCESSES.iter().enumerate() {
        let [during, after] = later.map(|most| most[index]);
        let before = before[index];
        println!("{name}: {before} bytes before, {during} in it, {after} after");
        assert!(during.max(after) <= before + GROWTH, "{name} grows");
    }
}

async fn after_a_long_outage_delivery_is_current_within_five_seconds(world: World) {
    let (dev, size) = (Dev::from_env(), Size::from_env());
    let load = Load::start(&world, size.rate).await;
    let (began, counts) = (load.began, Arc::clone(&load.counts));

    let before = highest(&dev, BEFORE).await;
    dev.down("kafka").await;
    let (down_at, had) = (began.elapsed(), load.said());
    let during = highest(&dev, size.outage).await;
    dev.up("kafka").await;
    let (up_at, written) = (began.elapsed(), load.said() - had);
    let slowest = Duration::from_micros(counts.slowest.load(Ordering::Relaxed));
    let after = highest(&dev, AFTER).await;
    let ended_at = began.elapsed();
    let seconds = load.end().await;

    let outage = over(&seconds, down_at, up_at);
    let back = over(&seconds, up_at + CURRENT + Duration::from_secs(1), ended_at);
    let lasted = up_at.saturating_sub(down_at);
    println!(
        "{written} messages written in an outage of {lasted:?} ({} a second; {} refused in all); \
         {:?} late at most, where the slowest answer took {slowest:?}; {:?} from five seconds after it",
        written / lasted.as_secs(),
        counts.refused.load(Ordering::Relaxed),
        outage.latest,
        back.latest,
    );
    is_flat(before, [during, after]);
    let each = written / ROOMS as u64;
    assert!(each > POINTED_AT, "{each} in a room are too few to tell");
    assert!(outage.latest <= LATE, "{outage:?}");
    assert!(back.arrived > 0 && back.latest <= OLD, "{back:?}");
    dev.well_again().await;
}

mod distributed {
    use super::Size;

    #[test]
    fn after_a_long_outage_delivery_is_current_within_five_seconds() {
        let patience = Size::from_env().patience;
        crate::harness::run_alone_for(
            patience,
            super::after_a_long_outage_delivery_is_current_within_five_seconds,
        );
    }
}

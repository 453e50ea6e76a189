//! A bus that may delay, lose, double and disorder what it is given, and cut its readers
//! off. It says that it is unwell only sometimes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::{Bus, BusError, Record, Tail, Wanted};
use prost::Message as _;
use proto::message::{Event, RoomRecord};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tonic::async_trait;

/// Records that wait for one reader.
const QUEUE: usize = 16_384;

pub(super) struct SimBus {
    chance: Mutex<SmallRng>,
    tails: Mutex<Vec<mpsc::Sender<Record>>>,
    trouble_until: Mutex<Instant>,
    /// Whether trouble shows.
    honest: AtomicBool,
}

impl SimBus {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            chance: Mutex::new(SmallRng::seed_from_u64(seed ^ 0x0b05)),
            tails: Mutex::default(),
            trouble_until: Mutex::new(Instant::now()),
            honest: AtomicBool::new(true),
        })
    }

    /// Events of one room, ascending.
    pub(super) fn publish(&self, events: Vec<Event>) {
        let mut rest = events;
        while !rest.is_empty() {
            let size = self.number(1, 200).min(rest.len() as u64);
            let tail = rest.split_off(usize::try_from(size).unwrap());
            self.send(std::mem::replace(&mut rest, tail));
        }
    }

    fn send(&self, events: Vec<Event>) {
        let last = events.last().unwrap();
        // Some records only point at what there is.
        let pointer = self.number(0, 19) == 0;
        let record = RoomRecord {
            version: 1,
            room_id: last.room_id,
            head: last.seq,
            epoch: last.epoch,
            events: if pointer { Vec::new() } else { events },
            marks: Vec::new(),
        };
        let record = Record {
            key: record.room_id,
            payload: record.encode_to_vec().into(),
        };
        for tail in self.tails.lock().unwrap().iter() {
            let copies = match self.number(0, 99) {
                _ if !self.troubled() => 1,
                0..40 => 0,
                40..60 => 2,
                _ => 1,
            };
            for _ in 0..copies {
                let most = if self.troubled() { 900 } else { 8 };
                let delay = Duration::from_millis(self.number(0, most));
                let (tail, record) = (tail.clone(), record.clone());
                super::spawn(async move {
                    sleep(delay).await;
                    // A reader that is gone, or too slow, misses it.
                    let _ = tail.try_send(record);
                });
            }
        }
    }

    /// Loses, doubles and disorders for a while.
    pub(super) fn trouble_for(&self, time: Duration) {
        *self.trouble_until.lock().unwrap() = Instant::now() + time;
        self.honest.store(self.number(0, 1) == 0, Ordering::Relaxed);
    }

    /// Ends every reader.
    pub(super) fn cut_tails(&self) {
        self.tails.lock().unwrap().clear();
    }

    pub(super) fn heal(&self) {
        *self.trouble_until.lock().unwrap() = Instant::now();
    }

    fn troubled(&self) -> bool {
        Instant::now() < *self.trouble_until.lock().unwrap()
    }

    fn number(&self, least: u64, most: u64) -> u64 {
        self.chance.lock().unwrap().random_range(least..=most)
    }
}

/// A gateway's way to the bus.
pub(super) struct Reading(pub(super) Arc<SimBus>);

#[async_trait]
impl Bus for Reading {
    async fn publish(&self, _: Vec<Record>) -> Result<(), BusError> {
        Err(BusError("gateways only read".into()))
    }

    async fn tail(&self, wanted: Wanted) -> Result<Box<dyn Tail>, BusError> {
        if self.0.troubled() && self.0.number(0, 1) == 0 {
            return Err(BusError("not now".into()));
        }
        let (sender, records) = mpsc::channel(QUEUE);
        self.0.tails.lock().unwrap().push(sender);
        Ok(Box::new(SimTail { records, wanted }))
    }

    fn healthy(&self) -> bool {
        !(self.0.troubled() && self.0.honest.load(Ordering::Relaxed))
    }
}

struct SimTail {
    records: mpsc::Receiver<Record>,
    wanted: Wanted,
}

#[async_trait]
impl Tail for SimTail {
    async fn next(&mut self) -> Result<Record, BusError> {
        loop {
            match self.records.recv().await {
                Some(record) if (self.wanted)(record.key) => return Ok(record),
                Some(_) => {}
                None => return Err(BusError("cut off".into())),
            }
        }
    }
}

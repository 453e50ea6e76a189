//! Clients that use the system as the contract tells them to: they send with a nonce
//! until they are answered, resume where they were, on any gateway, and keep what they
//! were told. One [`Block`] writes in rooms of its own.

mod block;
mod history;
mod http;
mod line;
mod member;
mod outage;
mod reader;
mod sending;
mod users;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use client::wire::{RoomId, Seq};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::check::Violation;
use crate::ledger::{Ack, Micros, Stream};
use crate::plan::Process;
pub use block::{Block, Checked};
pub use outage::{CatchUp, Outage, Who};
pub use users::Users;

/// How a load is made.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Rooms of a block.
    pub rooms: usize,
    /// Messages a second over all rooms, when nothing is broken.
    pub rate: u32,
    /// Unanswered messages of a writer, at most.
    pub window: usize,
    /// What the choices of clients are drawn from.
    pub seed: u64,
}

/// What all clients of a run have in common.
pub struct Shared {
    start: Instant,
    /// How many gateways there are.
    gateways: usize,
    /// When each gateway was killed last; 0: never.
    killed: Vec<AtomicU64>,
    writers: AtomicU32,
}

impl Shared {
    /// For a run that begins now.
    pub fn new(gateways: usize) -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            gateways,
            killed: (0..gateways).map(|_| AtomicU64::new(0)).collect(),
            writers: AtomicU32::new(0),
        })
    }

    /// How long the run has been going.
    pub fn now(&self) -> Micros {
        self.at(Instant::now())
    }

    /// How long it had been going at `instant`.
    fn at(&self, instant: Instant) -> Micros {
        let since = instant.saturating_duration_since(self.start);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    /// Notes that `process` was killed; those that clients are connected to count.
    pub fn note_kill(&self, process: Process) {
        let gateway = match process {
            Process::Gateway(number) => number - 1,
            Process::Standalone => 0,
            _ => return,
        };
        if let Some(killed) = self.killed.get(gateway) {
            killed.store(self.now(), Ordering::Relaxed);
        }
    }

    fn next_writer(&self) -> u32 {
        self.writers.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// What clients are to do.
#[derive(Debug, Clone)]
enum Phase {
    /// Their work. The number rises when the system is well, for who wants to go home.
    Work { calm: u64 },
    /// Get the answers that are still due, and say nothing new.
    Settle { until: Instant },
    /// Read on to each room's end.
    Drain {
        heads: Arc<HashMap<RoomId, Seq>>,
        until: Instant,
    },
}

type Phases = watch::Receiver<Phase>;

/// How far the clients of a block are.
struct Progress {
    /// How many have all their answers, after [`Phase::Settle`].
    settled: watch::Sender<usize>,
}

/// What one client kept.
#[derive(Default)]
struct Kept {
    acks: Vec<(RoomId, Ack)>,
    /// See [`RoomLedger::doubts`](crate::ledger::RoomLedger::doubts).
    doubts: Vec<(RoomId, u64)>,
    streams: Vec<(RoomId, Stream)>,
    outages: Vec<Outage>,
    catch_ups: Vec<CatchUp>,
    violations: Vec<Violation>,
    /// How often each refusal or end was met.
    met: BTreeMap<String, u64>,
}

impl Kept {
    fn meet(&mut self, what: impl Into<String>) {
        *self.met.entry(what.into()).or_default() += 1;
    }

    fn merge(&mut self, other: Self) {
        self.acks.extend(other.acks);
        self.doubts.extend(other.doubts);
        self.streams.extend(other.streams);
        self.outages.extend(other.outages);
        self.catch_ups.extend(other.catch_ups);
        self.violations.extend(other.violations);
        for (what, count) in other.met {
            *self.met.entry(what).or_default() += count;
        }
    }
}

/// A word for a kind of error, without what differs from one time to the next.
fn word_for(error: &client::Error) -> String {
    match error {
        client::Error::Refused(refusal) => match (refusal.code, refusal.status) {
            (Some(code), _) => code.to_string(),
            (None, status) => format!("status {}", status.unwrap_or(0)),
        },
        client::Error::Deadline => "no answer".to_owned(),
        client::Error::Transport(_) => "connection failed".to_owned(),
        client::Error::Closed { code, .. } => code.map_or_else(
            || "connection ended".to_owned(),
            |code| format!("close {code}"),
        ),
        client::Error::Protocol(words) => format!("protocol: {words}"),
        client::Error::Usage(words) => format!("usage: {words}"),
        client::Error::Ended(why) => format!("ended: {why}"),
    }
}

/// How long a client waits for an answer to a call.
const CALL: Duration = Duration::from_secs(6);

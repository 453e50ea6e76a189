//! What the connections of one room, and those of one run, share.
//!
//! A run ends when its last sender is done; only then is it known what everyone must get.

use std::collections::BTreeMap;
use std::io::{Error, Result};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::ledger::{Counts, Ledger, Log};

/// A room under load.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) id: u64,
    /// How many connections listen.
    pub(crate) receivers: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    log: Log,
    sent: u64,
}

impl Room {
    /// A room with `receivers` connections.
    pub(crate) fn new(id: u64, receivers: u32) -> Self {
        Self {
            id,
            receivers,
            state: Mutex::default(),
        }
    }

    /// Works on what the room's receivers heard.
    pub(crate) fn log<T>(&self, work: impl FnOnce(&mut Log) -> T) -> T {
        work(&mut lock(&self.state).log)
    }

    /// Notes that somebody sent `sent` messages and will not hear an answer again.
    pub(crate) fn sender_done(&self, sent: u32) {
        lock(&self.state).sent += u64::from(sent);
    }

    /// The highest ID that everyone must get, once the run has ended.
    pub(crate) fn highest(&self) -> u64 {
        lock(&self.state).log.highest()
    }

    /// The verdict, given the ledgers of all the room's receivers.
    pub(crate) fn close(&self, ledgers: &[Ledger]) -> Counts {
        let state = lock(&self.state);
        Counts {
            sent: state.sent,
            ..state.log.close(ledgers)
        }
    }
}

/// One run: its clock and what is measured.
#[derive(Debug)]
pub(crate) struct Run {
    /// Stamps count from here; sending begins here.
    pub(crate) start: Instant,
    /// Sending ends here.
    pub(crate) stop: Instant,
    /// How long after the end outstanding answers and deliveries are waited for.
    pub(crate) grace: Duration,
    /// Whether `Tally::live` is kept just now.
    live: AtomicBool,
    /// Connections that may still send.
    senders: AtomicU32,
    end: watch::Sender<bool>,
    tally: Mutex<Tally>,
}

/// What a run measures. Latencies are in microseconds.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Send to acknowledgement.
    pub(crate) ack: Histogram<u64>,
    /// Send to each receiver.
    pub(crate) delivery: Histogram<u64>,
    /// Send to the last receiver.
    pub(crate) last: Histogram<u64>,
    /// Send to each receiver that is to be watched, in the time of interest.
    pub(crate) live: Histogram<u64>,
    /// Acknowledged and delivered before sending ended.
    pub(crate) acked_in_time: u64,
    pub(crate) delivered_in_time: u64,
    /// What went wrong, and how often: the server's codes and the ends of connections.
    pub(crate) errors: BTreeMap<String, u64>,
}

impl Run {
    /// A run in which `senders` connections send from now on, for `length`.
    pub(crate) fn new(length: Duration, grace: Duration, senders: u32) -> Result<Self> {
        let start = Instant::now();
        // From a microsecond to a minute, to three digits.
        let histogram = || Histogram::new_with_bounds(1, 60_000_000, 3).map_err(Error::other);
        let tally = Tally {
            ack: histogram()?,
            delivery: histogram()?,
            last: histogram()?,
            live: histogram()?,
            acked_in_time: 0,
            delivered_in_time: 0,
            errors: BTreeMap::new(),
        };
        Ok(Self {
            start,
            stop: start + length,
            grace,
            live: AtomicBool::new(false),
            senders: AtomicU32::new(senders),
            end: watch::Sender::new(senders == 0),
            tally: Mutex::new(tally),
        })
    }

    /// Notes that a connection will send no more.
    pub(crate) fn sender_done(&self) {
        if self.senders.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.end.send_replace(true);
        }
    }

    /// Waits for the last sender.
    pub(crate) async fn ended(&self) {
        // The run holds the channel open for as long as we borrow it.
        let _ = self.end.subscribe().wait_for(|ended| *ended).await;
    }

    /// Begins or ends the time of interest.
    pub(crate) fn set_live(&self, live: bool) {
        self.live.store(live, Ordering::Relaxed);
    }

    /// Whether this is the time of interest.
    pub(crate) fn is_live(&self) -> bool {
        self.live.load(Ordering::Relaxed)
    }

    /// Nanoseconds since the start.
    pub(crate) fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    /// `instant` in nanoseconds since the start.
    pub(crate) fn at(&self, instant: Instant) -> u64 {
        let elapsed = instant.saturating_duration_since(self.start);
        elapsed.as_secs() * 1_000_000_000 + u64::from(elapsed.subsec_nanos())
    }

    /// What was measured so far.
    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }

    /// Notes that something went wrong.
    pub(crate) fn error(&self, what: impl Into<String>) {
        *self.tally().errors.entry(what.into()).or_default() += 1;
    }
}

/// Locks, also after a panic elsewhere: the run is lost then anyway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

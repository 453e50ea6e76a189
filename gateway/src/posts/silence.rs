//! How long nothing may be answered on a stream on which posts wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A replica that stands still is noticed within this.
const AT_FIRST: Duration = Duration::from_millis(1_200);
/// And a slow one has so long, well before posts are given up.
const AT_MOST: Duration = Duration::from_secs(3);

/// The bound of all streams of a gateway.
///
/// Where the database is slow no replica answers sooner than another: to send all that
/// waits elsewhere each time would only make it slower, until nobody had an answer at all.
/// So each time a stream is given up, all are given twice as long, until a replica answers
/// promptly again.
pub(super) struct Silence(AtomicU64);

impl Default for Silence {
    fn default() -> Self {
        Self(AtomicU64::new(millis(AT_FIRST)))
    }
}

impl Silence {
    /// A stream that is silent for longer, while posts wait, is dead.
    pub(super) fn bound(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    /// A stream was given up for it.
    pub(super) fn passed(&self) {
        let longer = (self.bound() * 2).min(AT_MOST);
        self.0.store(millis(longer), Ordering::Relaxed);
    }

    /// A post had its answer within this time.
    pub(super) fn answered_within(&self, time: Duration) {
        if time < AT_FIRST / 2 {
            self.0.store(millis(AT_FIRST), Ordering::Relaxed);
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

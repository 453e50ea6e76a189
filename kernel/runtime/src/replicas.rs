//! Several replicas of one service behind one name.
//!
//! Work on one key goes to one replica while it is well, so that its batches stay
//! large; when it is not, the next in the key's own order takes over at once.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::{Code, Error};
use tokio::time::Instant;

use crate::Channel;

/// How long a replica that failed is asked last.
const SUSPECT_FOR: Duration = Duration::from_secs(1);
/// How long one attempt may take while there is another replica to ask.
const ATTEMPT: Duration = Duration::from_millis(1_500);

/// The replicas of a service; cheap to clone.
#[derive(Clone)]
pub struct Replicas {
    all: Arc<[Replica]>,
    born: Instant,
}

struct Replica {
    name: String,
    channel: Channel,
    /// Milliseconds after `born` until which it is suspect.
    suspect_until: AtomicU64,
}

impl Replicas {
    /// The replicas by name; the name decides which keys prefer it, so it must be
    /// the same for every caller (its address is).
    ///
    /// # Errors
    /// When there is none.
    pub fn new(channels: Vec<(String, Channel)>) -> base::Result<Self> {
        if channels.is_empty() {
            return Err(Error::invalid("services", "name at least one address"));
        }
        let replica = |(name, channel)| Replica {
            name,
            channel,
            suspect_until: AtomicU64::new(0),
        };
        Ok(Self {
            all: channels.into_iter().map(replica).collect(),
            born: Instant::now(),
        })
    }

    /// How many there are; never 0.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// The channel of replica `index`, below [`Replicas::len`].
    pub fn channel(&self, index: usize) -> Channel {
        self.all[index].channel.clone()
    }

    /// The replica that `key` prefers now, by rendezvous hashing (Thaler and
    /// Ravishankar, 1998) among those that are not suspect.
    pub fn preferred(&self, key: u64) -> usize {
        self.order(key)[0]
    }

    /// Makes replica `index` the last choice for a second.
    pub fn suspect(&self, index: usize) {
        let until = (self.born.elapsed() + SUSPECT_FOR).as_millis();
        let until = u64::try_from(until).unwrap_or(u64::MAX);
        self.all[index]
            .suspect_until
            .store(until, Ordering::Relaxed);
        metrics::counter!("parley_replica_suspected_total", "replica" => self.all[index].name.clone())
            .increment(1);
    }

    /// Asks the replicas in `key`'s order until one answers. Only for calls that
    /// may be repeated: a replica that did not answer may have done the work.
    ///
    /// # Errors
    /// What the last replica said, when all were unavailable.
    pub async fn ask<T, F>(&self, key: u64, ask: impl Fn(Channel) -> F) -> base::Result<T>
    where
        F: Future<Output = base::Result<T>>,
    {
        let mut failed = None;
        let order = self.order(key);
        for (place, &index) in order.iter().enumerate() {
            let attempt = ask(self.channel(index));
            let answer = if place + 1 < order.len() {
                tokio::time::timeout(ATTEMPT, attempt)
                    .await
                    .unwrap_or_else(|_| Err(Error::deadline_exceeded()))
            } else {
                attempt.await
            };
            match answer {
                Err(error)
                    if matches!(error.code(), Code::Unavailable | Code::DeadlineExceeded) =>
                {
                    self.suspect(index);
                    failed = Some(error);
                }
                answer => return answer,
            }
        }
        Err(failed.unwrap_or_else(|| Error::internal("no replica was asked")))
    }

    /// All replicas, best first for `key`.
    fn order(&self, key: u64) -> Vec<usize> {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut order: Vec<usize> = (0..self.all.len()).collect();
        order.sort_by_key(|&index| {
            let replica = &self.all[index];
            let suspect = replica.suspect_until.load(Ordering::Relaxed) > now;
            (suspect, std::cmp::Reverse(weight(key, &replica.name)))
        });
        order
    }
}

fn weight(key: u64, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, name).hash(&mut hasher);
    hasher.finish()
}

//! Several replicas of one service behind one name.
//!
//! Work on one key goes to one replica while it is well, so that its batches stay
//! large; when it is not, the next in the key's own order takes over at once.

mod names;

use std::collections::BTreeMap;
use std::future::Future;
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::{Code, Error};
use siphasher::sip::SipHasher13;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::{Address, Secret, Tls};
use crate::{Channel, Lifecycle};

/// How long a replica that failed is asked last: longer than it takes the gateway to find
/// out that it still gives no answer.
const SUSPECT_FOR: Duration = Duration::from_secs(2);
/// How long one attempt may take while there is another replica to ask.
const ATTEMPT: Duration = Duration::from_millis(1_500);

/// The replicas of a service, which may come and go; cheap to clone.
#[derive(Clone)]
pub struct Replicas(Arc<Shared>);

struct Shared {
    /// Those that there are now; never empty.
    named: watch::Sender<Vec<Replica>>,
    born: Instant,
}

/// One replica; cheap to clone.
#[derive(Clone)]
pub struct Replica(Arc<Inner>);

struct Inner {
    id: ReplicaId,
    name: String,
    channel: Channel,
    /// Milliseconds after `born` until which it is suspect.
    suspect_until: AtomicU64,
    born: Instant,
}

/// Tells a replica from all others that this process has known; an address that goes
/// and comes again is another replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u64);

impl Replicas {
    /// Replicas that stay the same, by name; the name decides which keys prefer one, so
    /// it must be the same for every caller.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(channels: Vec<(String, Channel)>) -> base::Result<Self> {
        if channels.is_empty() {
            return Err(Error::invalid("services", "name at least one address"));
        }
        Ok(Self::of(channels))
    }

    /// The replicas at these addresses over the network. A host name stands for all the
    /// addresses it resolves to, and is resolved again every few seconds; until it has
    /// been, and for what is an address already, each is one replica. Nothing need be
    /// there yet.
    ///
    /// # Errors
    /// When there is none, or an address or the certificates cannot be used.
    pub fn connect(
        addresses: &[Address],
        token: &Secret,
        tls: &Tls,
        lifecycle: &Lifecycle,
    ) -> base::Result<Self> {
        let channel = |address: &Address| {
            let channel = Channel::remote(address, token, tls)?;
            Ok((address.to_string(), channel))
        };
        let channels = addresses.iter().map(channel).collect::<base::Result<_>>()?;
        let replicas = Self::new(channels)?;
        names::follow(&replicas, addresses, token, tls, lifecycle);
        Ok(replicas)
    }

    fn of(channels: Vec<(String, Channel)>) -> Self {
        let born = Instant::now();
        let replica = |(name, channel)| Replica::new(name, channel, born);
        let named = channels.into_iter().map(replica).collect();
        Self(Arc::new(Shared {
            named: watch::Sender::new(named),
            born,
        }))
    }

    /// Those that there are now; never none.
    pub fn current(&self) -> Vec<Replica> {
        self.0.named.borrow().clone()
    }

    /// Tells of every replica that comes or goes.
    pub fn changes(&self) -> watch::Receiver<Vec<Replica>> {
        self.0.named.subscribe()
    }

    /// Whether this replica is among them now.
    pub fn includes(&self, id: ReplicaId) -> bool {
        self.0
            .named
            .borrow()
            .iter()
            .any(|replica| replica.id() == id)
    }

    /// The replica that `key` prefers now, by rendezvous hashing (Thaler and
    /// Ravishankar, 1998) among those that are not suspect.
    pub fn preferred(&self, key: u64) -> ReplicaId {
        let now = self.0.now();
        let named = self.0.named.borrow();
        let best = named.iter().min_by_key(|replica| replica.rank(key, now));
        best.map_or(ReplicaId(0), Replica::id)
    }

    /// Makes these the replicas, by name; one that was known stays as it is, one that is
    /// new is connected to. None at all is no answer to go by.
    fn become_those<T>(
        &self,
        wanted: &BTreeMap<String, T>,
        connect: impl Fn(&T) -> base::Result<Channel>,
    ) -> base::Result<()> {
        let old = self.current();
        let same = old.len() == wanted.len()
            && old
                .iter()
                .all(|replica| wanted.contains_key(replica.name()));
        if same || wanted.is_empty() {
            return Ok(());
        }
        let replica = |(name, place): (&String, &T)| {
            let known = old.iter().find(|replica| replica.name() == name);
            known.cloned().map_or_else(
                || Ok(Replica::new(name.clone(), connect(place)?, self.0.born)),
                Ok,
            )
        };
        let new = wanted.iter().map(replica).collect::<base::Result<_>>()?;
        let names: Vec<_> = wanted.keys().collect();
        tracing::info!(replicas = ?names, "the replicas of a service changed");
        self.0.named.send_replace(new);
        Ok(())
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
        for (place, replica) in order.iter().enumerate() {
            let attempt = ask(replica.channel());
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
                    replica.suspect();
                    failed = Some(error);
                }
                answer => return answer,
            }
        }
        Err(failed.unwrap_or_else(|| Error::internal("no replica was asked")))
    }

    /// All replicas, best first for `key`.
    fn order(&self, key: u64) -> Vec<Replica> {
        let now = self.0.now();
        let mut order = self.current();
        order.sort_by_cached_key(|replica| replica.rank(key, now));
        order
    }
}

impl From<Channel> for Replicas {
    /// The one there is.
    fn from(channel: Channel) -> Self {
        Self::of(vec![("the only one".to_owned(), channel)])
    }
}

impl Shared {
    fn now(&self) -> u64 {
        millis(self.born.elapsed())
    }
}

impl Replica {
    fn new(name: String, channel: Channel, born: Instant) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(Arc::new(Inner {
            id: ReplicaId(NEXT.fetch_add(1, Ordering::Relaxed)),
            name,
            channel,
            suspect_until: AtomicU64::new(0),
            born,
        }))
    }

    /// Which one it is.
    pub fn id(&self) -> ReplicaId {
        self.0.id
    }

    /// Where it is, for the log.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The way to it.
    pub fn channel(&self) -> Channel {
        self.0.channel.clone()
    }

    /// Makes it the last choice for [`SUSPECT_FOR`].
    pub fn suspect(&self) {
        let until = millis(self.0.born.elapsed() + SUSPECT_FOR);
        self.0.suspect_until.store(until, Ordering::Relaxed);
        metrics::counter!("parley_replica_suspected_total", "replica" => self.0.name.clone())
            .increment(1);
    }

    /// The smaller, the better for `key`.
    fn rank(&self, key: u64, now: u64) -> (bool, std::cmp::Reverse<u64>) {
        let suspect = self.0.suspect_until.load(Ordering::Relaxed) > now;
        (suspect, std::cmp::Reverse(weight(key, &self.0.name)))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The weight of a replica for a key, by SipHash-1-3 under the key 0.
///
/// Processes of different releases run side by side during an upgrade and must send a room to
/// the same replica, so the function and the bytes that it hashes never change.
fn weight(key: u64, name: &str) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(&key.to_le_bytes());
    hasher.write(name.as_bytes());
    // No name is the beginning of another.
    hasher.write(&[0xff]);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use tonic::service::Routes;

    use super::*;

    fn somewhere() -> base::Result<Channel> {
        let token = Secret::new("a token for services");
        Channel::in_process(Routes::default(), &token, &Lifecycle::new())
    }

    fn wanted(names: &[&str]) -> BTreeMap<String, u16> {
        names.iter().map(|name| ((*name).to_owned(), 7)).collect()
    }

    fn replicas(names: &[&str]) -> Replicas {
        let channel = |name: &&str| ((*name).to_owned(), somewhere().unwrap());
        Replicas::new(names.iter().map(channel).collect()).unwrap()
    }

    fn by_name(replicas: &Replicas) -> BTreeMap<String, ReplicaId> {
        let current = replicas.current();
        let named = current.iter().map(|r| (r.name().to_owned(), r.id()));
        named.collect()
    }

    #[tokio::test]
    async fn who_stays_is_the_same_and_who_comes_again_is_another() {
        let replicas = replicas(&["a", "b"]);
        let mut changes = replicas.changes();
        let before = by_name(&replicas);
        replicas
            .become_those(&wanted(&["b", "c"]), |_| somewhere())
            .unwrap();
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        let between = by_name(&replicas);
        assert_eq!(between.keys().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(between["b"], before["b"]);
        assert!(!replicas.includes(before["a"]));
        replicas
            .become_those(&wanted(&["a", "b"]), |_| somewhere())
            .unwrap();
        assert_ne!(by_name(&replicas)["a"], before["a"]);
        changes.mark_unchanged();
        replicas
            .become_those(&wanted(&["b", "a"]), |_| somewhere())
            .unwrap();
        assert!(!changes.has_changed().unwrap());
    }

    #[tokio::test]
    async fn a_name_that_stands_for_nothing_takes_nothing_away() {
        let replicas = replicas(&["a"]);
        replicas
            .become_those(&wanted(&[]), |_| somewhere())
            .unwrap();
        assert_eq!(replicas.current().len(), 1);
    }

    #[test]
    fn the_weight_of_a_replica_is_the_same_in_every_release() {
        assert_eq!(weight(1, "127.0.0.1:9111"), 17_959_827_943_438_378_317);
        assert_eq!(weight(1, "127.0.0.1:9112"), 2_835_998_976_411_518_477);
        assert_eq!(
            weight(1 << 40, "message-service-0.example:50051"),
            13_352_053_216_491_224_166
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_suspect_replica_is_the_last_choice_for_two_seconds() {
        let replicas = replicas(&["a", "b"]);
        let first = replicas.preferred(7);
        let suspect = replicas.current().iter().find(|r| r.id() == first).cloned();
        suspect.unwrap().suspect();
        tokio::time::advance(Duration::from_millis(1_999)).await;
        assert_ne!(replicas.preferred(7), first);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(replicas.preferred(7), first);
    }

    #[tokio::test]
    async fn a_key_goes_elsewhere_only_when_its_own_replica_goes_or_comes() {
        let replicas = replicas(&["a", "b", "c"]);
        let names = |replicas: &Replicas| -> Vec<String> {
            let current = replicas.current();
            let name = |key| {
                let id = replicas.preferred(key);
                let found = current.iter().find(|replica| replica.id() == id);
                found.unwrap().name().to_owned()
            };
            (0..500).map(name).collect()
        };
        let before = names(&replicas);
        replicas
            .become_those(&wanted(&["a", "c"]), |_| somewhere())
            .unwrap();
        for (was, is) in before.iter().zip(names(&replicas)) {
            assert!(*was == is || was == "b");
        }
        replicas
            .become_those(&wanted(&["a", "b", "c"]), |_| somewhere())
            .unwrap();
        assert_eq!(names(&replicas), before);
    }
}

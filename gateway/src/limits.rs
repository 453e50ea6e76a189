//! Limits of rate: one token bucket for each address, account or user.
//!
//! A bucket is one point in time: when it will be full again (the generic cell
//! rate algorithm, ITU-T I.371). Memory is bounded: keys live in two generations,
//! and when the newer is large, the older, long unused one is forgotten. Who
//! floods the table can only make limits milder, never memory grow.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::{Email, Error, Uid, Username};
use tokio::time::Instant;
use wire::request::LoginName;

use crate::config;

/// Keys of one generation, most.
const GENERATION: usize = 50_000;

/// Every limit of the gateway.
pub(crate) struct Limits {
    enabled: bool,
    register: Buckets<ClientNet>,
    login: Buckets<ClientNet>,
    /// Keyed by a hash, so that names are neither kept nor sized by the client.
    login_account: Buckets<u64>,
    anonymous: Buckets<ClientNet>,
    pages: Buckets<ClientNet>,
    authenticated: Buckets<Uid>,
    details: Buckets<Uid>,
    sends: Buckets<Uid>,
    enters: Buckets<Uid>,
    connects: Buckets<ClientNet>,
    hasher: RandomState,
}

/// A client's network, by which it is limited: an IPv4 address, or an IPv6 /64,
/// which is what one subscriber gets and can change addresses in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClientNet(IpAddr);

impl From<IpAddr> for ClientNet {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// A refusal: which limit, and when to come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limited {
    /// The limit's name, as headers tell it.
    pub(crate) policy: &'static str,
    /// How many may come at once …
    pub(crate) quota: u32,
    /// … in so many seconds.
    pub(crate) window: u64,
    /// When the next may come.
    pub(crate) wait: Duration,
}

impl From<Limited> for Error {
    fn from(limited: Limited) -> Self {
        metrics::counter!("parley_rate_limited_total", "policy" => limited.policy).increment(1);
        Error::rate_limited("too many requests; wait a little", limited.wait)
    }
}

impl Limits {
    pub(crate) fn new(config: &config::Limits) -> Self {
        Self {
            enabled: config.enabled,
            register: Buckets::new("register", config.register),
            login: Buckets::new("login", config.login),
            login_account: Buckets::new("login-account", config.login_account),
            anonymous: Buckets::new("anonymous", config.anonymous),
            pages: Buckets::new("pages", config.pages),
            authenticated: Buckets::new("authenticated", config.authenticated),
            details: Buckets::new("details", config.details),
            sends: Buckets::new("sends", config.sends),
            enters: Buckets::new("enters", config.enters),
            connects: Buckets::new("connects", config.connects),
            hasher: RandomState::new(),
        }
    }

    /// One registration.
    pub(crate) fn register(&self, from: ClientNet) -> Result<(), Limited> {
        self.take(&self.register, from)
    }

    /// One login.
    pub(crate) fn login(&self, from: ClientNet) -> Result<(), Limited> {
        self.take(&self.login, from)
    }

    /// One login into the account that goes by `name`, however that is spelled: by the form
    /// in which accounts are found.
    pub(crate) fn login_account(&self, name: &LoginName) -> Result<(), Limited> {
        let (key, typed) = match name {
            LoginName::Email(typed) => (Email::parse("Email", typed).map(|it| it.key()), typed),
            LoginName::Username(typed) => {
                (Username::parse("Username", typed).map(|it| it.key()), typed)
            }
        };
        // What no account can be called has a bucket as well.
        let key = key.as_ref().unwrap_or(typed);
        self.take(&self.login_account, self.hasher.hash_one(key))
    }

    /// One change of a user's password, at the rate of logins into his account.
    pub(crate) fn change_password(&self, uid: Uid) -> Result<(), Limited> {
        self.take(&self.login_account, self.hasher.hash_one(uid))
    }

    /// One request by nobody known.
    pub(crate) fn anonymous(&self, from: ClientNet) -> Result<(), Limited> {
        self.take(&self.anonymous, from)
    }

    /// One file of the browser client.
    pub(crate) fn page(&self, from: ClientNet) -> Result<(), Limited> {
        self.take(&self.pages, from)
    }

    /// One request of a user.
    pub(crate) fn authenticated(&self, uid: Uid) -> Result<(), Limited> {
        self.take(&self.authenticated, uid)
    }

    /// One look of a user at how he stands in all his rooms.
    pub(crate) fn details(&self, uid: Uid) -> Result<(), Limited> {
        self.take(&self.details, uid)
    }

    /// One message of a user, over whichever way.
    pub(crate) fn send(&self, uid: Uid) -> Result<(), Limited> {
        self.take(&self.sends, uid)
    }

    /// One room that a user enters or subscribes to.
    pub(crate) fn enter(&self, uid: Uid) -> Result<(), Limited> {
        self.take(&self.enters, uid)
    }

    /// One WebSocket connection.
    pub(crate) fn connect(&self, from: ClientNet) -> Result<(), Limited> {
        self.take(&self.connects, from)
    }

    fn take<K: Hash + Eq>(&self, buckets: &Buckets<K>, key: K) -> Result<(), Limited> {
        if self.enabled {
            buckets.take(key)
        } else {
            Ok(())
        }
    }
}

/// The buckets of one limit.
struct Buckets<K> {
    policy: &'static str,
    quota: u32,
    /// The time in which one token comes back.
    interval: Duration,
    /// The time in which all come back.
    capacity: Duration,
    full_at: Mutex<Generations<K>>,
}

struct Generations<K> {
    new: HashMap<K, Instant>,
    old: HashMap<K, Instant>,
}

impl<K: Hash + Eq> Buckets<K> {
    fn new(policy: &'static str, rate: config::Rate) -> Self {
        let interval = rate.per.0 / rate.count;
        Self {
            policy,
            quota: rate.burst,
            interval,
            capacity: interval.saturating_mul(rate.burst),
            full_at: Mutex::new(Generations {
                new: HashMap::new(),
                old: HashMap::new(),
            }),
        }
    }

    fn take(&self, key: K) -> Result<(), Limited> {
        let now = Instant::now();
        let mut generations = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = generations.get(&key).map_or(now, |at| at.max(now));
        let next = full_at + self.interval;
        let over = (next - now).saturating_sub(self.capacity);
        if over.is_zero() {
            generations.set(key, next);
            return Ok(());
        }
        Err(Limited {
            policy: self.policy,
            quota: self.quota,
            window: self.capacity.as_secs().max(1),
            wait: over,
        })
    }
}

impl<K: Hash + Eq> Generations<K> {
    fn get(&self, key: &K) -> Option<Instant> {
        self.new.get(key).or_else(|| self.old.get(key)).copied()
    }

    fn set(&mut self, key: K, full_at: Instant) {
        if self.new.len() >= GENERATION && !self.new.contains_key(&key) {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(key, full_at);
    }
}

#[cfg(test)]
mod tests {
    use runtime::config::Span;

    use super::*;

    #[test]
    fn an_ipv6_client_is_its_64_bit_network() {
        let net = |text: &str| ClientNet::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(net("2001:db8:1:2::1"), net("2001:db8:1:2:ffff::9"));
        assert_ne!(net("2001:db8:1:2::1"), net("2001:db8:1:3::1"));
        assert_eq!(net("::ffff:1.2.3.4"), net("1.2.3.4"));
        assert_ne!(net("1.2.3.4"), net("1.2.3.5"));
    }

    fn buckets(count: u32, burst: u32) -> Buckets<u64> {
        let per = Span(Duration::from_secs(1));
        Buckets::new("test", config::Rate { count, per, burst })
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_the_rate_rules() {
        let buckets = buckets(10, 3);
        for _ in 0..3 {
            assert_eq!(buckets.take(1), Ok(()));
        }
        let limited = buckets.take(1).unwrap_err();
        assert_eq!((limited.policy, limited.quota), ("test", 3));
        assert_eq!(limited.wait, Duration::from_millis(100));
        assert_eq!(buckets.take(2), Ok(()), "another key has its own bucket");

        tokio::time::advance(limited.wait).await;
        assert_eq!(buckets.take(1), Ok(()));
        assert!(buckets.take(1).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_fills_the_bucket_and_no_more() {
        let buckets = buckets(10, 3);
        assert_eq!(buckets.take(1), Ok(()));
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!((0..9).filter(|_| buckets.take(1).is_ok()).count(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_however_many_keys_come() {
        let buckets = buckets(1, 1);
        for key in 0..3 * GENERATION as u64 {
            assert_eq!(buckets.take(key), Ok(()));
        }
        assert!(buckets.take(3 * GENERATION as u64 - 1).is_err());
        let generations = buckets.full_at.lock().unwrap();
        assert!(generations.new.len() + generations.old.len() <= 2 * GENERATION);
    }
}

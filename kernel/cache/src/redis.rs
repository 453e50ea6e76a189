//! The cache on Redis.
//!
//! One task keeps one connection. When anything on it fails, it is taken away at
//! once: until there is a new one, gets are misses without a lease and cost
//! nothing, and releases wait. A new connection first does the releases that wait,
//! and only then answers gets: a process never reads what it meant to delete.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo,
    RedisError, Script,
};
use async_trait::async_trait;
use base::{Entropy, Error, OsEntropy};
use bytes::Bytes;
use runtime::{Lifecycle, Part, config};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::{Cache, HOLD, Hold, LEASE, LIFE, Lease, Lookup, STALE};

/// How long one answer may take; longer is as good as none. The laws speak of a
/// Redis that is there, on however busy a machine.
const ANSWER: Duration = Duration::from_millis(if cfg!(test) { 5_000 } else { 200 });
/// How long it may take to connect and log in.
const CONNECT: Duration = Duration::from_millis(if cfg!(test) { 5_000 } else { 1_000 });
/// The pause after a failure, in which Redis is left alone.
const PAUSE: Duration = Duration::from_millis(500);
/// How often a quiet connection is tried.
const PROBE: Duration = Duration::from_secs(1);
/// Releases that wait, most. Beyond, the oldest is given up: its entry dies of age.
const WAITING: usize = 10_000;

/// The first byte of what is stored says what it is.
const VALUE: u8 = b'V';
const TOKEN: u8 = b'L';

/// Gives what is there, or leaves a lease.
const GET: &str = r"
local found = redis.call('GET', KEYS[1])
if found then return found end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false";

/// Stores a value over the very lease that the filler was given.
const FILL: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return true";

/// Adds a holder. After an `H` the tokens of the holders follow, 16 bytes each.
const HOLD_IT: &str = r"
local found = redis.call('GET', KEYS[1])
if not found or string.sub(found, 1, 1) ~= 'H' then found = 'H' end
redis.call('SET', KEYS[1], found .. ARGV[1], 'PX', ARGV[2])
return true";

/// Takes a holder away, and with the last one, or when nobody holds it, what is there.
const RELEASE: &str = r"
local found = redis.call('GET', KEYS[1])
if not found then return true end
if string.sub(found, 1, 1) == 'H' then
    local others = 'H'
    for at = 2, #found, 16 do
        local token = string.sub(found, at, at + 15)
        if token ~= ARGV[1] then others = others .. token end
    end
    if #others > 1 then
        redis.call('SET', KEYS[1], others, 'KEEPTTL')
        return true
    end
end
redis.call('DEL', KEYS[1])
return true";

/// A cache that all replicas share.
pub struct Redis {
    link: Arc<Link>,
    get: Script,
    fill: Script,
    hold: Script,
}

struct Link {
    client: Client,
    current: watch::Sender<Option<Connection>>,
    release: Script,
    waiting: Mutex<VecDeque<Waiting>>,
    has_waiting: Notify,
    health: Part,
}

/// A connection and which one it is, so that the failure of an old one does not
/// take away its successor.
#[derive(Clone)]
struct Connection {
    number: u64,
    redis: MultiplexedConnection,
}

/// A release that has not reached Redis.
struct Waiting {
    hold: Hold,
    until: Instant,
}

impl Redis {
    /// A cache that connects in the background, now and whenever it must. The
    /// process works without it: it is the aid `redis`.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn connect(redis: &config::Redis, lifecycle: &Lifecycle) -> base::Result<Self> {
        let unusable = |error: RedisError| Error::invalid("redis", error);
        let mut login = RedisConnectionInfo::default().set_db(i64::from(redis.db));
        if let Some(password) = &redis.password
            && !password.expose().is_empty()
        {
            login = login.set_password(password.expose());
        }
        let address = ConnectionAddr::Tcp(redis.host.clone(), redis.port)
            .into_connection_info()
            .map_err(unusable)?
            .set_redis_settings(login);
        let link = Arc::new(Link {
            client: Client::open(address).map_err(unusable)?,
            current: watch::Sender::new(None),
            release: Script::new(RELEASE),
            waiting: Mutex::new(VecDeque::new()),
            has_waiting: Notify::new(),
            health: lifecycle.health().aid("redis"),
        });
        let keeper = Arc::clone(&link);
        let stopping = lifecycle.stopping().clone();
        lifecycle.spawn("cache", async move {
            stopping.run_until_cancelled(keeper.keep()).await;
        });
        Ok(Self {
            link,
            get: Script::new(GET),
            fill: Script::new(FILL),
            hold: Script::new(HOLD_IT),
        })
    }
}

#[async_trait]
impl Cache for Redis {
    async fn get(&self, key: &str) -> Lookup {
        let Some(token) = token() else {
            return missed("error");
        };
        let lease = tagged(TOKEN, &token.to_be_bytes());
        let millis = millis(LEASE);
        let found = self
            .link
            .ask(async |redis| {
                let mut call = self.get.key(key);
                call.arg(&lease[..]).arg(millis);
                call.invoke_async::<Option<Bytes>>(redis).await
            })
            .await;
        match found {
            Some(Some(found)) if found.first() == Some(&VALUE) => {
                metrics::counter!("parley_cache_gets_total", "outcome" => "hit").increment(1);
                Lookup::Hit(found.slice(1..))
            }
            Some(Some(_)) => missed("miss"),
            Some(None) => {
                metrics::counter!("parley_cache_gets_total", "outcome" => "miss").increment(1);
                Lookup::Miss(Lease::new(key, token))
            }
            None => missed("error"),
        }
    }

    async fn fill(&self, lease: Lease, value: Bytes) {
        let Lease(Some(lease)) = lease else { return };
        let token = tagged(TOKEN, &lease.token.to_be_bytes());
        let value = tagged(VALUE, &value);
        let millis = millis(LIFE);
        self.link
            .ask(async |redis| {
                let mut call = self.fill.key(&lease.key);
                call.arg(&token[..]).arg(&value[..]).arg(millis);
                call.invoke_async::<()>(redis).await
            })
            .await;
    }

    async fn hold(&self, key: &str) -> Hold {
        // Without randomness it is nobody's, and dies of its age.
        let token = token().unwrap_or_default();
        let millis = millis(HOLD);
        self.link
            .ask(async |redis| {
                let mut call = self.hold.key(key);
                call.arg(&token.to_be_bytes()[..]).arg(millis);
                call.invoke_async::<()>(redis).await
            })
            .await;
        let key = key.to_owned();
        Hold { key, token }
    }

    async fn release(&self, hold: Hold) {
        let released = self
            .link
            .ask(async |redis| self.link.release(redis, &hold).await);
        if released.await.is_none() {
            self.link.release_later(hold);
        }
    }
}

impl Link {
    /// One question on the current connection. `None`: there is none, or it just
    /// broke.
    async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Option<T> {
        let mut connection = self.current.borrow().clone()?;
        match within(ANSWER, question(&mut connection.redis)).await {
            Ok(answer) => Some(answer),
            Err(why) => {
                self.take_away(connection.number, &why);
                None
            }
        }
    }

    fn take_away(&self, number: u64, why: &str) {
        metrics::counter!("parley_cache_errors_total").increment(1);
        let taken = self.current.send_if_modified(|current| {
            let same = current.as_ref().is_some_and(|now| now.number == number);
            if same {
                *current = None;
            }
            same
        });
        if taken {
            metrics::gauge!("parley_cache_up").set(0.0);
            self.health.down(why);
        }
    }

    async fn release(
        &self,
        redis: &mut MultiplexedConnection,
        hold: &Hold,
    ) -> Result<(), RedisError> {
        let mut call = self.release.key(&hold.key);
        call.arg(&hold.token.to_be_bytes()[..]);
        call.invoke_async(redis).await
    }

    fn release_later(&self, hold: Hold) {
        let mut waiting = self.waiting();
        if waiting.len() >= WAITING {
            waiting.pop_front();
            metrics::counter!("parley_cache_releases_lost_total").increment(1);
        }
        waiting.push_back(Waiting {
            hold,
            until: Instant::now() + STALE,
        });
        drop(waiting);
        self.has_waiting.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a connection whenever Redis lets it.
    async fn keep(&self) {
        for number in 1.. {
            match within(CONNECT, self.dial()).await {
                Ok(redis) => self.serve(Connection { number, redis }).await,
                Err(why) => {
                    metrics::gauge!("parley_cache_up").set(0.0);
                    self.health.down(why);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn dial(&self) -> Result<MultiplexedConnection, RedisError> {
        let timeouts = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER));
        let connect = self
            .client
            .get_multiplexed_async_connection_with_config(&timeouts);
        let mut redis = connect.await?;
        // A server that is loading its data or wants a password says so only here.
        ::redis::cmd("PING").exec_async(&mut redis).await?;
        Ok(redis)
    }

    /// Does what waits, gives the connection to everybody, and looks after it until
    /// it breaks.
    async fn serve(&self, mut connection: Connection) {
        if self.release_waiting(&mut connection).await.is_err() {
            return;
        }
        self.health.up();
        metrics::gauge!("parley_cache_up").set(1.0);
        let mut current = self.current.subscribe();
        self.current.send_replace(Some(connection.clone()));
        let mut probe = tokio::time::interval(PROBE);
        loop {
            let outcome = tokio::select! {
                _ = current.changed() => Ok(()),
                () = self.has_waiting.notified() => self.release_waiting(&mut connection).await,
                _ = probe.tick() => {
                    let ping = ::redis::cmd("PING");
                    within(ANSWER, ping.exec_async(&mut connection.redis)).await
                }
            };
            if let Err(why) = outcome {
                self.take_away(connection.number, &why);
            }
            if self.current.borrow().is_none() {
                return;
            }
        }
    }

    /// Does the releases that wait and still matter; those that fail wait on.
    async fn release_waiting(&self, connection: &mut Connection) -> Result<(), String> {
        loop {
            // Not in the condition: the lock would be held across the wait.
            let next = self.waiting().pop_front();
            let Some(next) = next else { return Ok(()) };
            if next.until <= Instant::now() {
                continue;
            }
            let releasing = self.release(&mut connection.redis, &next.hold);
            if let Err(why) = within(ANSWER, releasing).await {
                self.waiting().push_front(next);
                return Err(why);
            }
        }
    }
}

async fn within<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, String> {
    match tokio::time::timeout(patience, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

fn missed(outcome: &'static str) -> Lookup {
    metrics::counter!("parley_cache_gets_total", "outcome" => outcome).increment(1);
    Lookup::Miss(Lease::none())
}

fn token() -> Option<u128> {
    let mut bytes = [0; 16];
    OsEntropy.fill(&mut bytes).ok()?;
    Some(u128::from_be_bytes(bytes))
}

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut tagged = Vec::with_capacity(bytes.len() + 1);
    tagged.push(tag);
    tagged.extend_from_slice(bytes);
    tagged
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[cfg(feature = "servers")]
#[path = "redis_laws.rs"]
pub(crate) mod laws;

//! A cache on the real server that `PARLEY_TEST_REDIS` names, as
//! `redis://:password@host:port`, and what holds of Redis alone.

use std::net::SocketAddr;

use runtime::config::Secret;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use super::*;
use crate::laws::change;

/// A cache whose keys nobody else has, connected.
pub(crate) struct Own {
    redis: Redis,
    prefix: String,
    lifecycle: Lifecycle,
}

impl Drop for Own {
    fn drop(&mut self) {
        self.lifecycle.stopping().cancel();
    }
}

#[async_trait]
impl Cache for Own {
    async fn get(&self, key: &str) -> Lookup {
        self.redis.get(&format!("{}{key}", self.prefix)).await
    }
    async fn fill(&self, lease: Lease, value: Bytes) {
        self.redis.fill(lease, value).await;
    }
    async fn hold(&self, key: &str) -> Hold {
        self.redis.hold(&format!("{}{key}", self.prefix)).await
    }
    async fn release(&self, hold: Hold) {
        self.redis.release(hold).await;
    }
}

fn server() -> config::Redis {
    let url = std::env::var("PARLEY_TEST_REDIS")
        .expect("PARLEY_TEST_REDIS=redis://:password@host:port names the server to test on");
    let rest = url.strip_prefix("redis://").expect("redis://…");
    let (login, address) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (host, port) = address.rsplit_once(':').expect("host:port");
    config::Redis {
        host: host.to_owned(),
        port: port.trim_end_matches('/').parse().expect("a port"),
        password: login
            .rsplit_once(':')
            .map(|(_, password)| Secret::new(password)),
        db: 0,
    }
}

async fn open_on(server: &config::Redis) -> Own {
    let lifecycle = Lifecycle::new();
    let redis = Redis::connect(server, &lifecycle).unwrap();
    let own = Own {
        redis,
        prefix: format!("test:{:x}:", token().unwrap()),
        lifecycle,
    };
    own.until_connected().await;
    own
}

pub(crate) async fn open() -> Own {
    open_on(&server()).await
}

impl Own {
    async fn until(&self, holds: impl Fn(&Option<Connection>) -> bool) {
        let mut current = self.redis.link.current.subscribe();
        let wait = tokio::time::timeout(Duration::from_secs(10), current.wait_for(holds));
        wait.await.expect("in time").expect("the link lives");
    }

    async fn until_connected(&self) {
        self.until(Option::is_some).await;
    }

    async fn until_broken(&self) {
        self.until(Option::is_none).await;
    }
}

/// A way to the server that can be cut.
struct Cable {
    address: SocketAddr,
    serving: AbortHandle,
    tasks: tokio::task::JoinSet<()>,
}

impl Cable {
    async fn plug(listen: SocketAddr) -> Self {
        let server = server();
        let listener = TcpListener::bind(listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        let serving = tasks.spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let to = (server.host.clone(), server.port);
                connections.spawn(async move {
                    if let Ok(mut upstream) = TcpStream::connect(to).await {
                        let _ = copy_bidirectional(&mut client, &mut upstream).await;
                    }
                });
            }
        });
        Self {
            address,
            serving,
            tasks,
        }
    }

    async fn cut(mut self) -> SocketAddr {
        self.serving.abort();
        self.tasks.join_next().await;
        self.address
    }
}

fn through(cable: &Cable) -> config::Redis {
    config::Redis {
        host: cable.address.ip().to_string(),
        port: cable.address.port(),
        ..server()
    }
}

async fn filled(cache: &Own, value: &'static str) {
    if let Lookup::Miss(lease) = cache.get("k").await {
        cache
            .fill(lease, Bytes::from_static(value.as_bytes()))
            .await;
    }
    assert!(matches!(cache.get("k").await, Lookup::Hit(_)));
}

#[tokio::test]
async fn a_release_that_failed_is_done_before_the_cache_answers_again() {
    let cable = Cable::plug(SocketAddr::from(([127, 0, 0, 1], 0))).await;
    let cache = open_on(&through(&cable)).await;
    filled(&cache, "old").await;
    let address = cable.cut().await;
    change(&cache, "k").await;
    cache.until_broken().await;
    let Lookup::Miss(lease) = cache.get("k").await else {
        panic!("there is no way to the server")
    };
    assert!(lease.0.is_none(), "nobody may fill through an outage");
    let _uncut = Cable::plug(address).await;
    cache.until_connected().await;
    assert!(matches!(cache.get("k").await, Lookup::Miss(_)));
}

#[tokio::test]
async fn without_a_server_gets_are_misses_at_once_and_the_releases_that_wait_are_bounded() {
    let nowhere = config::Redis {
        port: 1,
        ..server()
    };
    let lifecycle = Lifecycle::new();
    let redis = Redis::connect(&nowhere, &lifecycle).unwrap();
    for n in 0..=WAITING {
        assert!(matches!(redis.get("k").await, Lookup::Miss(Lease(None))));
        change(&redis, &n.to_string()).await;
    }
    assert_eq!(redis.link.waiting.lock().unwrap().len(), WAITING);
    assert!(lifecycle.stop(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn leases_and_values_have_an_end() {
    let cache = open().await;
    let key = format!("{}k", cache.prefix);
    let left = async || {
        let ask = async |redis: &mut MultiplexedConnection| {
            let mut ask = ::redis::cmd("PTTL");
            ask.arg(&key).query_async::<i64>(redis).await
        };
        u128::try_from(cache.redis.link.ask(ask).await.unwrap()).unwrap()
    };
    let Lookup::Miss(lease) = cache.get("k").await else {
        panic!("nothing was stored")
    };
    assert!((1..=LEASE.as_millis()).contains(&left().await));
    cache.fill(lease, Bytes::from_static(b"v")).await;
    assert!((1..=LIFE.as_millis()).contains(&left().await));
}

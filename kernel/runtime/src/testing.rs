//! For the laws of stores on a real PostgreSQL: the server that `PARLEY_TEST_POSTGRES`
//! names, and a schema in it that no other test has.
#![expect(
    clippy::expect_used,
    reason = "a test that cannot begin should say why"
)]

use std::time::Duration;

use base::{Entropy, OsEntropy};

use crate::config::{Postgres, Secret};
use crate::{Lifecycle, StoreError};

/// Runs a law on a store with so many connections, in a schema that no other test has.
///
/// # Panics
/// When there is no server, or the store cannot be connected to it.
pub async fn on_postgres<S>(
    name: &str,
    connections: u32,
    connect: impl FnOnce(&Postgres, &'static str, &Lifecycle) -> Result<S, StoreError>,
    law: impl AsyncFnOnce(S),
) {
    let lifecycle = Lifecycle::new();
    let store = connect(&postgres(connections), schema(name), &lifecycle);
    ready(&lifecycle).await;
    law(store.expect("the address can be read")).await;
    lifecycle.stop(Duration::from_secs(5)).await;
}

/// The server to test on, with so many connections.
///
/// # Panics
/// When `PARLEY_TEST_POSTGRES` does not name it.
pub fn postgres(connections: u32) -> Postgres {
    let url = std::env::var("PARLEY_TEST_POSTGRES")
        .expect("PARLEY_TEST_POSTGRES=postgres://user:password@host/database names the server");
    Postgres {
        url: Some(Secret::new(url)),
        host: String::new(),
        port: 0,
        user: String::new(),
        password: None,
        db: String::new(),
        connections,
    }
}

/// The name of a schema that is nobody else's; it goes with the database.
///
/// # Panics
/// When the system has no randomness.
pub fn schema(of: &str) -> &'static str {
    let mut bytes = [0; 8];
    OsEntropy.fill(&mut bytes).expect("randomness");
    format!("{of}_{:016x}", u64::from_ne_bytes(bytes)).leak()
}

/// Waits until every part of the process is up.
///
/// # Panics
/// When it takes longer than 30 s.
pub async fn ready(lifecycle: &Lifecycle) {
    let waiting = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while !lifecycle.health().ready() {
            tick.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting)
        .await
        .expect("PostgreSQL is there");
}

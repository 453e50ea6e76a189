//! The laws of the store. `laws!` makes a test of each, on every adapter.

use std::sync::Arc;
use std::time::Duration;

use base::{SessionId, Timestamp, Uid};

use super::Store;
use crate::domain::{Client, NewSession, RefreshHash};

type Shared = Arc<dyn Store>;

const ANN: Uid = Uid::new(1).unwrap();
const BOB: Uid = Uid::new(2).unwrap();
const NOW: Timestamp = Timestamp::from_micros(1_767_323_045_678_901);

async fn open_by(store: &Shared, uid: Uid, client: Client) -> SessionId {
    let session = NewSession {
        uid,
        password_version: 1,
        client,
        refresh: RefreshHash([7; 32]),
    };
    store.open(&session, NOW).await.unwrap()
}

async fn open(store: &Shared, uid: Uid) -> SessionId {
    open_by(store, uid, Client::new("curl/8", "192.0.2.1")).await
}

async fn session_ids_count_up(store: Shared) {
    let ids = [open(&store, ANN).await, open(&store, BOB).await];
    assert_eq!(ids.map(SessionId::get), [1, 2]);
}

async fn a_session_lives_from_its_opening_to_its_end(store: Shared) {
    let session = open(&store, ANN).await;
    assert_eq!(store.living(session).await.unwrap(), Some(ANN));
    assert!(store.end(session, NOW).await.unwrap());
    assert_eq!(store.living(session).await.unwrap(), None);
}

async fn an_end_is_once_and_for_all(store: Shared) {
    let session = open(&store, ANN).await;
    assert!(store.end(session, NOW).await.unwrap());
    let later = NOW.after(Duration::from_secs(1));
    assert!(!store.end(session, later).await.unwrap());
    assert_eq!(store.living(session).await.unwrap(), None);
}

async fn the_end_of_one_session_leaves_the_others_alone(store: Shared) {
    let (one, other) = (open(&store, ANN).await, open(&store, ANN).await);
    assert!(store.end(one, NOW).await.unwrap());
    assert_eq!(store.living(other).await.unwrap(), Some(ANN));
}

async fn what_is_not_there_does_not_live(store: Shared) {
    let session = SessionId::new(99).unwrap();
    assert_eq!(store.living(session).await.unwrap(), None);
    assert!(!store.end(session, NOW).await.unwrap());
}

async fn whatever_a_client_calls_itself_can_be_stored(store: Shared) {
    for device in [
        "",
        "\0",
        "'; DROP TABLE sessions; --",
        "\u{1F600}",
        &"x".repeat(10_000),
    ] {
        let session = open_by(&store, ANN, Client::new(device, device)).await;
        assert_eq!(store.living(session).await.unwrap(), Some(ANN));
    }
}

macro_rules! laws {
    ($($law:ident),* $(,)?) => {
        #[cfg(feature = "sqlite")]
        mod on_sqlite {
            $(#[tokio::test] async fn $law() {
                let data = tempfile::tempdir().unwrap();
                let store = crate::store::SqliteStore::open(&data.path().join("sessions.db")).await.unwrap();
                super::$law(std::sync::Arc::new(store)).await;
            })*
        }
        #[cfg(feature = "servers")]
        mod on_postgres {
            $(#[tokio::test] async fn $law() {
                let lifecycle = runtime::Lifecycle::new();
                let store = super::server::fresh(&lifecycle).await;
                super::$law(std::sync::Arc::new(store)).await;
                lifecycle.stop(std::time::Duration::from_secs(5)).await;
            })*
        }
    };
}

laws![
    session_ids_count_up,
    a_session_lives_from_its_opening_to_its_end,
    an_end_is_once_and_for_all,
    the_end_of_one_session_leaves_the_others_alone,
    what_is_not_there_does_not_live,
    whatever_a_client_calls_itself_can_be_stored,
];

#[cfg(feature = "servers")]
mod server {
    use runtime::{Lifecycle, testing};

    use crate::store::PostgresStore;

    pub(super) async fn fresh(lifecycle: &Lifecycle) -> PostgresStore {
        let store = PostgresStore::connect(
            &testing::postgres(4),
            testing::schema("sessions"),
            lifecycle,
        );
        testing::ready(lifecycle).await;
        store.unwrap()
    }
}

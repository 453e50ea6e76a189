//! The laws of the store. `laws!` makes a test of each, on every adapter.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{SessionId, Timestamp, Uid};

use super::{OpenError, RenewError, SAME_ANSWER, SqlStore, Statements, Store, USE_PRECISION};
use crate::domain::{Client, NewSession, Renewal, SecretHash};

type Shared = Arc<dyn Store>;

/// What a database has and nobody is told of.
#[async_trait]
pub(super) trait Rows: Store + 'static {
    /// Sessions, with those that ended.
    async fn sessions(&self) -> i64;
}

#[async_trait]
impl<D: Statements> Rows for SqlStore<D> {
    async fn sessions(&self) -> i64 {
        let mut reader = self.pools.reader().await.unwrap();
        let count = D::query("SELECT COUNT(*) FROM sessions");
        count.value(&mut reader).await.unwrap()
    }
}

const ANN: Uid = Uid::new(1).unwrap();
const BOB: Uid = Uid::new(2).unwrap();
const NOW: Timestamp = Timestamp::from_micros(1_767_323_045_678_901);

fn new(uid: Uid, password_version: u64) -> NewSession {
    NewSession {
        uid,
        password_version,
        client: Client::new("curl/8", "192.0.2.1"),
        refresh: SecretHash([7; 32]),
    }
}

async fn open(store: &Shared, uid: Uid) -> SessionId {
    store.open(&new(uid, 1), NOW).await.unwrap()
}

async fn living(store: &Shared, session: SessionId) -> Option<Uid> {
    store.living(session, NOW).await.unwrap()
}

fn seconds(count: u64) -> Timestamp {
    NOW.after(Duration::from_secs(count))
}

/// A renewal of the secret `from` by the secret `to`.
fn renewal(from: u8, to: u8, key: Option<u8>) -> Renewal {
    Renewal {
        presented: SecretHash([from; 32]),
        key: key.map(|key| SecretHash([key; 32])),
        salt: [to; 32],
        next: SecretHash([to; 32]),
    }
}

/// The sessions that ended after `after`, and their numbers.
async fn ended(store: &Shared, after: u64) -> Vec<(u64, SessionId)> {
    store.ended_since(after, 100).await.unwrap().ended
}

async fn session_ids_count_up(store: Shared) {
    let ids = [open(&store, ANN).await, open(&store, BOB).await];
    assert_eq!(ids.map(SessionId::get), [1, 2]);
}

async fn a_session_lives_from_its_opening_to_its_end(store: Shared) {
    let session = open(&store, ANN).await;
    assert_eq!(living(&store, session).await, Some(ANN));
    assert!(store.end(ANN, session, NOW).await.unwrap());
    assert_eq!(living(&store, session).await, None);
}

async fn an_end_is_once_and_for_all(store: Shared) {
    let session = open(&store, ANN).await;
    assert!(store.end(ANN, session, NOW).await.unwrap());
    assert!(!store.end(ANN, session, seconds(1)).await.unwrap());
    assert_eq!(living(&store, session).await, None);
    let renewed = store.renew(session, &renewal(7, 8, None), NOW).await;
    assert!(matches!(renewed, Err(RenewError::Unknown)), "{renewed:?}");
    assert_eq!(ended(&store, 0).await, [(1, session)]);
}

async fn a_session_is_its_users_alone(store: Shared) {
    let (one, other) = (open(&store, ANN).await, open(&store, ANN).await);
    assert!(!store.end(BOB, one, NOW).await.unwrap());
    assert!(store.end(ANN, one, NOW).await.unwrap());
    assert_eq!(living(&store, one).await, None);
    assert_eq!(living(&store, other).await, Some(ANN));
}

async fn what_is_not_there_does_not_live(store: Shared) {
    let session = SessionId::new(99).unwrap();
    assert_eq!(living(&store, session).await, None);
    assert!(!store.end(ANN, session, NOW).await.unwrap());
    let renewed = store.renew(session, &renewal(7, 8, None), NOW).await;
    assert!(matches!(renewed, Err(RenewError::Unknown)), "{renewed:?}");
}

async fn whatever_a_client_calls_itself_can_be_stored(store: Shared) {
    for device in [
        "",
        "\0",
        "'; DROP TABLE sessions; --",
        "\u{1F600}",
        &"x".repeat(10_000),
    ] {
        let client = Client::new(device, device);
        let session = NewSession {
            client: client.clone(),
            ..new(ANN, 1)
        };
        let id = store.open(&session, NOW).await.unwrap();
        let listed = store.list(ANN).await.unwrap();
        assert_eq!((listed[0].id, &listed[0].client), (id, &client));
    }
}

async fn a_user_sees_his_living_sessions_newest_first(store: Shared) {
    let sessions = [
        open(&store, ANN).await,
        open(&store, ANN).await,
        open(&store, ANN).await,
    ];
    open(&store, BOB).await;
    store.end(ANN, sessions[1], NOW).await.unwrap();
    let listed = store.list(ANN).await.unwrap();
    let ids: Vec<SessionId> = listed.iter().map(|it| it.id).collect();
    assert_eq!(ids, [sessions[2], sessions[0]]);
    assert_eq!((listed[0].created_at, listed[0].last_used), (NOW, NOW));
}

async fn use_is_noted_to_the_minute(store: Shared) {
    let session = open(&store, ANN).await;
    let last_used = async || store.list(ANN).await.unwrap()[0].last_used;
    let soon = NOW.after(USE_PRECISION / 2);
    store.living(session, soon).await.unwrap();
    assert_eq!(last_used().await, NOW);
    let later = NOW.after(USE_PRECISION * 2);
    store.living(session, later).await.unwrap();
    assert_eq!(last_used().await, later);
}

async fn a_refresh_token_is_good_once(store: Shared) {
    let session = open(&store, ANN).await;
    let first = store
        .renew(session, &renewal(7, 8, None), seconds(1))
        .await
        .unwrap();
    assert_eq!(
        (first.uid, first.salt, first.at),
        (ANN, [8; 32], seconds(1))
    );
    store
        .renew(session, &renewal(8, 9, None), seconds(2))
        .await
        .unwrap();
    let again = store
        .renew(session, &renewal(7, 10, None), seconds(3))
        .await;
    assert!(matches!(again, Err(RenewError::Reused)), "{again:?}");
    assert_eq!(living(&store, session).await, None);
    let newest = store
        .renew(session, &renewal(9, 10, None), seconds(3))
        .await;
    assert!(matches!(newest, Err(RenewError::Unknown)), "{newest:?}");
    assert_eq!(ended(&store, 0).await, [(1, session)]);
}

async fn a_secret_that_never_was_ends_nothing(store: Shared) {
    let session = open(&store, ANN).await;
    let guessed = store.renew(session, &renewal(1, 2, Some(3)), NOW).await;
    assert!(matches!(guessed, Err(RenewError::Unknown)), "{guessed:?}");
    assert_eq!(living(&store, session).await, Some(ANN));
    store
        .renew(session, &renewal(7, 8, None), NOW)
        .await
        .unwrap();
}

async fn the_same_key_gets_the_same_answer_for_a_while(store: Shared) {
    let session = open(&store, ANN).await;
    let first = store
        .renew(session, &renewal(7, 8, Some(1)), NOW)
        .await
        .unwrap();
    let edge = NOW.after(SAME_ANSWER);
    // Also when the answer has been used already.
    store
        .renew(session, &renewal(8, 9, None), NOW)
        .await
        .unwrap();
    let again = store
        .renew(session, &renewal(7, 10, Some(1)), edge)
        .await
        .unwrap();
    assert_eq!(again, first);
    let late = edge.after(Duration::from_micros(1));
    let late = store.renew(session, &renewal(7, 11, Some(1)), late).await;
    assert!(matches!(late, Err(RenewError::Reused)), "{late:?}");
}

async fn another_key_is_another_use(store: Shared) {
    for key in [None, Some(2)] {
        let session = open(&store, ANN).await;
        store
            .renew(session, &renewal(7, 8, Some(1)), NOW)
            .await
            .unwrap();
        let other = store.renew(session, &renewal(7, 9, key), NOW).await;
        assert!(matches!(other, Err(RenewError::Reused)), "{other:?}");
        // Its hash may be another session's.
        store.end_others(ANN, None, NOW).await.unwrap();
    }
}

async fn of_many_renewals_at_once_one_is_the_first(store: Shared) {
    let session = open(&store, ANN).await;
    let mut renewing = tokio::task::JoinSet::new();
    for to in 10..18 {
        let store = Arc::clone(&store);
        renewing.spawn(async move { store.renew(session, &renewal(7, to, Some(1)), NOW).await });
    }
    let answers: Vec<_> = renewing
        .join_all()
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert!(answers.iter().all(|it| *it == answers[0]), "{answers:?}");
}

async fn the_others_end_and_the_one_stays(store: Shared) {
    let sessions = [
        open(&store, ANN).await,
        open(&store, ANN).await,
        open(&store, ANN).await,
    ];
    let bobs = open(&store, BOB).await;
    assert_eq!(
        store.end_others(ANN, Some(sessions[1]), NOW).await.unwrap(),
        2
    );
    assert_eq!(living(&store, sessions[1]).await, Some(ANN));
    assert_eq!(living(&store, bobs).await, Some(BOB));
    assert_eq!(ended(&store, 0).await, [(1, sessions[0]), (2, sessions[2])]);
    assert_eq!(store.end_others(ANN, None, NOW).await.unwrap(), 1);
}

async fn an_old_password_opens_nothing_and_keeps_nothing(store: Shared) {
    let (one, kept) = (open(&store, ANN).await, open(&store, ANN).await);
    store
        .password_changed(ANN, 2, Some(kept), NOW)
        .await
        .unwrap();
    assert_eq!(
        (living(&store, one).await, living(&store, kept).await),
        (None, Some(ANN))
    );
    let late = store.open(&new(ANN, 1), NOW).await;
    assert!(matches!(late, Err(OpenError::OldPassword)), "{late:?}");
    let fresh = store.open(&new(ANN, 2), NOW).await.unwrap();
    // Told again, or of something older, it changes nothing.
    store
        .password_changed(ANN, 2, Some(kept), NOW)
        .await
        .unwrap();
    store.password_changed(ANN, 1, None, NOW).await.unwrap();
    assert_eq!(living(&store, kept).await, Some(ANN));
    assert_eq!(living(&store, fresh).await, Some(ANN));
    assert_eq!(living(&store, open(&store, BOB).await).await, Some(BOB));
}

async fn a_login_races_a_new_password(store: Shared) {
    for round in 1..20 {
        let mut opening = tokio::task::JoinSet::new();
        for _ in 0..3 {
            let store = Arc::clone(&store);
            opening.spawn(async move { store.open(&new(ANN, round), NOW).await });
        }
        store
            .password_changed(ANN, round + 1, None, NOW)
            .await
            .unwrap();
        for opened in opening.join_all().await {
            match opened {
                Ok(session) => assert_eq!(living(&store, session).await, None, "round {round}"),
                Err(error) => assert!(matches!(error, OpenError::OldPassword), "{error}"),
            }
        }
    }
}

async fn ends_are_numbered_without_gaps_under_concurrency(store: Shared) {
    let mut ending = tokio::task::JoinSet::new();
    for uid in 1..=20 {
        let store = Arc::clone(&store);
        ending.spawn(async move {
            let uid = Uid::new(uid).unwrap();
            for _ in 0..3 {
                open(&store, uid).await;
            }
            store.end_others(uid, None, NOW).await.unwrap()
        });
    }
    assert_eq!(ending.join_all().await.into_iter().sum::<usize>(), 60);
    let all = ended(&store, 0).await;
    assert!(all.iter().map(|(no, _)| *no).eq(1..=60));
    let page = store.ended_since(10, 5).await.unwrap();
    assert!(page.ended.iter().map(|(no, _)| *no).eq(11..=15));
    assert_eq!((page.first, page.head), (1, 60));
}

async fn a_ticket_is_good_once_and_for_its_time(store: Shared) {
    let session = open(&store, ANN).await;
    let ticket = |no| SecretHash([no; 32]);
    for no in [1, 2, 3] {
        store
            .put_ticket(&ticket(no), session, seconds(30))
            .await
            .unwrap();
    }
    let taken = store.take_ticket(&ticket(1), seconds(30)).await.unwrap();
    assert_eq!(taken, Some((session, ANN)));
    assert_eq!(
        store.take_ticket(&ticket(1), seconds(30)).await.unwrap(),
        None
    );
    assert_eq!(
        store.take_ticket(&ticket(2), seconds(31)).await.unwrap(),
        None
    );
    assert_eq!(store.take_ticket(&ticket(9), NOW).await.unwrap(), None);
    store.end(ANN, session, NOW).await.unwrap();
    assert_eq!(store.take_ticket(&ticket(3), NOW).await.unwrap(), None);
}

async fn what_is_idle_ends_and_what_is_old_is_forgotten(store: Shared) {
    let idle = open(&store, ANN).await;
    let used = open(&store, ANN).await;
    store.living(used, seconds(100)).await.unwrap();
    assert_eq!(
        store.sweep(seconds(50), NOW, seconds(200)).await.unwrap(),
        1
    );
    assert_eq!(living(&store, idle).await, None);
    assert_eq!(living(&store, used).await, Some(ANN));
    assert_eq!(ended(&store, 0).await, [(1, idle)]);
    store.end(ANN, used, seconds(300)).await.unwrap();
    store.sweep(NOW, seconds(250), seconds(300)).await.unwrap();
    let ends = store.ended_since(0, 100).await.unwrap();
    assert_eq!((ends.ended, ends.first, ends.head), (vec![(2, used)], 2, 2));
}

async fn a_session_that_ended_is_kept_no_longer_than_its_end(rows: Arc<impl Rows>) {
    let store: Shared = Arc::clone(&rows) as Shared;
    let (old, young) = (open(&store, ANN).await, open(&store, ANN).await);
    let lives = open(&store, ANN).await;
    let spends = renewal(7, 8, None);
    store.renew(old, &spends, NOW).await.unwrap();
    store.end(ANN, old, seconds(100)).await.unwrap();
    store.end(ANN, young, seconds(200)).await.unwrap();
    store.sweep(NOW, seconds(100), seconds(300)).await.unwrap();
    assert_eq!(rows.sessions().await, 3);
    store.sweep(NOW, seconds(200), seconds(300)).await.unwrap();
    assert_eq!(rows.sessions().await, 2);
    assert_eq!(ended(&store, 1).await, [(2, young)]);

    // It has ended all the same, and its ID is nobody else's.
    assert_eq!(living(&store, old).await, None);
    assert!(!store.end(ANN, old, NOW).await.unwrap());
    let renewed = store.renew(old, &spends, NOW).await;
    assert!(matches!(renewed, Err(RenewError::Unknown)), "{renewed:?}");
    assert_eq!(living(&store, lives).await, Some(ANN));
    store.end_others(ANN, None, seconds(300)).await.unwrap();
    store.sweep(NOW, seconds(400), seconds(500)).await.unwrap();
    assert_eq!(rows.sessions().await, 0);
    assert!(open(&store, ANN).await > lives);
}

async fn a_session_that_is_said_to_live_is_not_swept(store: Shared) {
    for round in 1..20 {
        // All are idle when the sweep begins.
        let mut sessions = Vec::new();
        for _ in 0..20 {
            sessions.push(open(&store, ANN).await);
        }
        let (idle, now) = (seconds(round * 1_000), seconds(round * 2_000));
        let mut using = tokio::task::JoinSet::new();
        for &session in sessions.iter().rev() {
            let store = Arc::clone(&store);
            using.spawn(async move { (session, store.living(session, now).await.unwrap()) });
        }
        store.sweep(idle, NOW, now).await.unwrap();
        for (session, lived) in using.join_all().await {
            let lives = store.living(session, now).await.unwrap();
            assert_eq!(lives, lived, "round {round}, session {session}");
        }
        store.end_others(ANN, None, now).await.unwrap();
    }
}

/// Runs laws on a file that no other test has.
#[cfg(feature = "sqlite")]
async fn on_sqlite(law: impl AsyncFnOnce(Arc<super::SqliteStore>)) {
    let data = tempfile::tempdir().unwrap();
    let store = super::SqliteStore::open(&data.path().join("sessions.db")).await;
    law(Arc::new(store.unwrap())).await;
}

/// Runs laws in a schema that no other test has.
#[cfg(feature = "servers")]
async fn on_postgres(law: impl AsyncFnOnce(Arc<super::PostgresStore>)) {
    let connect = super::PostgresStore::connect;
    runtime::testing::on_postgres("sessions", 4, connect, async |store| {
        law(Arc::new(store)).await;
    })
    .await;
}

base::laws! {
    #[cfg(feature = "sqlite")]
    on_sqlite,
    #[cfg(feature = "servers")]
    on_postgres;
    session_ids_count_up,
    a_session_lives_from_its_opening_to_its_end,
    an_end_is_once_and_for_all,
    a_session_is_its_users_alone,
    what_is_not_there_does_not_live,
    whatever_a_client_calls_itself_can_be_stored,
    a_user_sees_his_living_sessions_newest_first,
    use_is_noted_to_the_minute,
    a_refresh_token_is_good_once,
    a_secret_that_never_was_ends_nothing,
    the_same_key_gets_the_same_answer_for_a_while,
    another_key_is_another_use,
    of_many_renewals_at_once_one_is_the_first,
    the_others_end_and_the_one_stays,
    an_old_password_opens_nothing_and_keeps_nothing,
    a_login_races_a_new_password,
    ends_are_numbered_without_gaps_under_concurrency,
    a_ticket_is_good_once_and_for_its_time,
    what_is_idle_ends_and_what_is_old_is_forgotten,
    a_session_that_ended_is_kept_no_longer_than_its_end,
    a_session_that_is_said_to_live_is_not_swept,
}

//! session-service as its callers see it: over gRPC, on `SQLite`.

use std::time::Duration;

use base::{ManualClock, OsEntropy};
use proto::session::sessions_client::SessionsClient;
use proto::session::{CreateRequest, Issued, Verdict, VerifyRequest};
use runtime::config::{Environment, Secret, load};
use runtime::{Call, Channel, Lifecycle, RequestId};

use super::*;
use crate::Config;
use crate::store::SqliteStore;

mod ends;

const SECRET: &str = "a secret of these tests, long enough";

struct World {
    sessions: SessionsClient<Channel>,
    store: SqliteStore,
    clock: Arc<ManualClock>,
    lifecycle: Lifecycle,
    data: tempfile::TempDir,
}

fn call() -> Call {
    Call::new(RequestId::parse("test").unwrap(), Duration::from_secs(30))
}

impl World {
    async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&data.path().join("sessions.db"))
            .await
            .unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(
            1_767_323_045_678_901,
        )));
        let lifecycle = Lifecycle::new();
        Self {
            sessions: serve(&store, &clock, &lifecycle, SECRET),
            store,
            clock,
            lifecycle,
            data,
        }
    }

    /// The same system with another secret.
    fn restarted_with(self, secret: &str) -> Self {
        Self {
            sessions: serve(&self.store, &self.clock, &self.lifecycle, secret),
            ..self
        }
    }

    async fn log_in(&self, uid: u64) -> base::Result<Issued> {
        let call = call();
        let request = call.request(CreateRequest {
            uid,
            password_version: 1,
            device: "curl/8".to_owned(),
            address: "192.0.2.1".to_owned(),
        });
        call.wait(self.sessions.clone().create(request)).await
    }

    async fn verify(&self, token: &str) -> base::Result<Verdict> {
        let call = call();
        let request = call.request(VerifyRequest {
            token: token.to_owned(),
        });
        call.wait(self.sessions.clone().verify(request)).await
    }

    async fn refuses(&self, token: &str) -> bool {
        let verdict = self.verify(token).await;
        verdict.is_err_and(|error| error.code() == Code::Unauthenticated)
    }
}

fn config(secret: &str) -> Config {
    let mut config = load::<Config>(None, &Environment::new()).unwrap().config;
    config.jwt_secret = Some(Secret::new(secret));
    config
}

fn serve(
    store: &SqliteStore,
    clock: &Arc<ManualClock>,
    lifecycle: &Lifecycle,
    secret: &str,
) -> SessionsClient<Channel> {
    let ports = Ports {
        store: Arc::new(store.clone()),
        clock: clock.clone(),
        entropy: Arc::new(OsEntropy),
    };
    let routes = crate::build(&config(secret), ports, lifecycle).unwrap();
    let token = Secret::new("the token of this test");
    SessionsClient::new(Channel::in_process(routes, &token, lifecycle).unwrap())
}

#[tokio::test]
async fn a_login_gives_a_token_that_says_who_it_is() {
    let world = World::new().await;
    let issued = world.log_in(7).await.unwrap();
    let day = Duration::from_hours(24);
    let expected = world.clock.now().after(day).seconds() * 1_000_000;
    assert_eq!(issued.expires_at, expected);
    let verdict = world.verify(&issued.token).await.unwrap();
    let expected = (7, issued.session_id, issued.expires_at);
    assert_eq!(
        (verdict.uid, verdict.session_id, verdict.expires_at),
        expected
    );
}

#[tokio::test]
async fn every_login_is_a_session_of_its_own() {
    let world = World::new().await;
    let (one, other) = (
        world.log_in(7).await.unwrap(),
        world.log_in(7).await.unwrap(),
    );
    assert_ne!(one.session_id, other.session_id);
    assert_ne!(one.token, other.token);
    assert!(
        one.refresh_token
            .starts_with(&format!("{}.", one.session_id))
    );
}

#[tokio::test]
async fn nobody_has_no_session() {
    let error = World::new().await.log_in(0).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_token_is_good_until_it_expires() {
    let world = World::new().await;
    let issued = world.log_in(7).await.unwrap();
    world.clock.advance(Duration::from_hours(23));
    assert!(world.verify(&issued.token).await.is_ok());
    world.clock.advance(Duration::from_hours(1));
    assert!(world.refuses(&issued.token).await);
}

#[tokio::test]
async fn a_token_ends_with_its_session_and_with_no_other() {
    let world = World::new().await;
    let (one, other) = (
        world.log_in(7).await.unwrap(),
        world.log_in(7).await.unwrap(),
    );
    let ended = SessionId::new(one.session_id).unwrap();
    let ann = Uid::new(7).unwrap();
    assert!(
        world
            .store
            .end(ann, ended, world.clock.now())
            .await
            .unwrap()
    );
    let error = world.verify(&one.token).await.unwrap_err();
    let said = (error.code(), error.detail());
    assert_eq!(said, (Code::Unauthenticated, "the session has ended"));
    assert!(world.verify(&other.token).await.is_ok());
}

/// As after a restore from backup: the id is another's now.
#[tokio::test]
async fn a_token_for_another_users_session_is_refused() {
    let world = World::new().await;
    let issued = world.log_in(7).await.unwrap();
    let empty = World::new().await;
    assert!(
        empty.refuses(&issued.token).await,
        "there is no such session"
    );
    assert_eq!(empty.log_in(8).await.unwrap().session_id, issued.session_id);
    assert!(empty.refuses(&issued.token).await);
}

#[tokio::test]
async fn a_token_of_another_secret_is_refused() {
    let world = World::new().await;
    let issued = world.log_in(7).await.unwrap();
    let world = world.restarted_with("another secret of these tests, as long");
    assert!(world.refuses(&issued.token).await);
}

#[tokio::test]
async fn no_token_and_no_secret_is_in_the_database() {
    let world = World::new().await;
    let issued = world.log_in(7).await.unwrap();
    let renewed = world.refresh(&issued.refresh_token, "key").await.unwrap();
    let ticket = world
        .make_ticket(7, issued.session_id)
        .await
        .unwrap()
        .ticket;
    let secret = |issued: &Issued| issued.refresh_token.split_once('.').unwrap().1.to_owned();
    let secrets = [
        secret(&issued),
        secret(&renewed),
        issued.token,
        renewed.token,
        ticket,
    ];
    for file in std::fs::read_dir(world.data.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for secret in &secrets {
            let found = bytes
                .windows(secret.len())
                .any(|at| at == secret.as_bytes());
            assert!(!found);
        }
    }
}

#[tokio::test]
async fn without_a_secret_the_service_does_not_start() {
    let world = World::new().await;
    let config = load::<Config>(None, &Environment::new()).unwrap().config;
    let ports = Ports::new(Arc::new(world.store.clone()));
    let refused = crate::build(&config, ports, &world.lifecycle).map(|_| ());
    assert!(refused.unwrap_err().detail().contains("JWT_SECRET"));
}

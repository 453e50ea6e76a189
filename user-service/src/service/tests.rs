//! user-service as its callers see it: over gRPC, on `SQLite` and the memory cache, with
//! session-service as a fake.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use base::{OsEntropy, SystemClock};
use cache::Memory;
use proto::user::users_client::UsersClient;
use proto::user::verify_password_request::Login as Said;
use proto::user::{
    ChangeNameRequest, ChangePasswordRequest, GetProfileRequest, RegisterRequest,
    VerifyPasswordReply, VerifyPasswordRequest,
};
use runtime::config::{Environment, Secret, Span, load};
use runtime::{Call, Channel, RequestId};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::*;
use crate::Config;
use crate::store::SqliteStore;

/// session-service: what it was told, and whether it can be reached.
#[derive(Default)]
struct FakeSessions {
    told: Mutex<Vec<Untold>>,
    is_away: Mutex<bool>,
}

#[async_trait]
impl Sessions for FakeSessions {
    async fn password_changed(&self, _: &Call, change: &Untold) -> base::Result<()> {
        if *self.is_away.lock().unwrap() {
            return Err(Error::unavailable("not reachable", "on purpose"));
        }
        self.told.lock().unwrap().push(*change);
        Ok(())
    }
}

impl FakeSessions {
    fn set_away(&self, is_away: bool) {
        *self.is_away.lock().unwrap() = is_away;
    }

    fn told(&self) -> Vec<Untold> {
        self.told.lock().unwrap().clone()
    }
}

struct World {
    users: UsersClient<Channel>,
    sessions: Arc<FakeSessions>,
    store: SqliteStore,
    lifecycle: Lifecycle,
    _data: tempfile::TempDir,
}

fn config() -> Config {
    let mut config = load::<Config>(None, &Environment::new()).unwrap().config;
    config.argon2.memory_kib = 64;
    config.argon2.passes = 1;
    // The laws here are not about a busy machine.
    config.argon2.max_wait = Span(Duration::from_secs(30));
    config
}

async fn world() -> World {
    world_of(&config()).await
}

async fn world_of(config: &Config) -> World {
    let data = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&data.path().join("users.db"))
        .await
        .unwrap();
    let lifecycle = Lifecycle::new();
    let sessions = Arc::<FakeSessions>::default();
    World {
        users: serve(config, &store, &sessions, &lifecycle),
        sessions,
        store,
        lifecycle,
        _data: data,
    }
}

fn serve(
    config: &Config,
    store: &SqliteStore,
    sessions: &Arc<FakeSessions>,
    lifecycle: &Lifecycle,
) -> UsersClient<Channel> {
    let ports = Ports {
        store: Arc::new(store.clone()),
        cache: Arc::new(Memory::new()),
        sessions: Arc::clone(sessions) as Arc<dyn Sessions>,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(OsEntropy),
    };
    let routes = crate::build(config, ports, lifecycle).unwrap();
    let token = Secret::new("the token of this test");
    UsersClient::new(Channel::in_process(routes, &token, lifecycle).unwrap())
}

fn call() -> Call {
    Call::new(RequestId::parse("test").unwrap(), Duration::from_secs(30))
}

impl World {
    async fn register(&self, name: &str, email: &str, password: &str) -> base::Result<u64> {
        let call = call();
        let request = call.request(RegisterRequest {
            username: name.to_owned(),
            email: email.to_owned(),
            password: password.to_owned(),
        });
        let reply = call.wait(self.users.clone().register(request)).await?;
        Ok(reply.uid)
    }

    async fn ann(&self) -> u64 {
        let registered = self.register("Ann", "Ann@example.org", "correct horse");
        registered.await.unwrap()
    }

    async fn log_in(&self, login: Said, password: &str) -> base::Result<VerifyPasswordReply> {
        let call = call();
        let request = call.request(VerifyPasswordRequest {
            login: Some(login),
            password: password.to_owned(),
        });
        call.wait(self.users.clone().verify_password(request)).await
    }

    async fn name_of(&self, uid: u64) -> base::Result<String> {
        let call = call();
        let request = call.request(GetProfileRequest { uid });
        let profile = call.wait(self.users.clone().get_profile(request)).await?;
        Ok(profile.username)
    }

    async fn rename(&self, uid: u64, name: &str) -> base::Result<()> {
        let call = call().by(Uid::new(uid).unwrap());
        let request = call.request(ChangeNameRequest {
            new_name: name.to_owned(),
        });
        call.wait(self.users.clone().change_name(request)).await?;
        Ok(())
    }

    /// Changes a password from session 3.
    async fn change_password(&self, uid: u64, old: &str, new: &str) -> base::Result<()> {
        let call = call().by(Uid::new(uid).unwrap());
        let request = call.request(ChangePasswordRequest {
            old_password: old.to_owned(),
            new_password: new.to_owned(),
            session_id: 3,
        });
        call.wait(self.users.clone().change_password(request))
            .await
            .map(drop)
    }
}

fn name(name: &str) -> Said {
    Said::Username(name.to_owned())
}

fn email(email: &str) -> Said {
    Said::Email(email.to_owned())
}

#[tokio::test]
async fn who_registered_logs_in_by_name_or_address_in_any_case() {
    let world = world().await;
    let uid = world.ann().await;
    assert_eq!(uid, 1);
    for login in [name("Ann"), name("aNN"), email("ann@EXAMPLE.org")] {
        let verified = world.log_in(login, "correct horse").await.unwrap();
        assert_eq!((verified.uid, verified.password_version), (1, 1));
    }
}

#[tokio::test]
async fn a_taken_name_and_a_taken_address_are_refused_in_the_same_words() {
    let world = world().await;
    world.ann().await;
    let by_name = world.register("aNN", "other@example.org", "correct horse");
    let by_email = world.register("Other", "ANN@example.org", "correct horse");
    let (by_name, by_email) = (by_name.await.unwrap_err(), by_email.await.unwrap_err());
    assert_eq!(
        (by_name.code(), by_email.code()),
        (Code::Conflict, Code::Conflict)
    );
    assert_eq!(by_name.detail(), by_email.detail());
}

#[tokio::test]
async fn registration_names_the_field_at_fault() {
    let world = world().await;
    for (name, email, password, field) in [
        ("an", "a@b.org", "12345678", "Username"),
        ("ann", "a@b", "12345678", "Email"),
        ("ann", "a@b.org", "1234567", "Password"),
    ] {
        let error = world.register(name, email, password).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.detail().starts_with(field), "{error}");
    }
}

#[tokio::test]
async fn every_failed_login_gets_the_same_answer() {
    let world = world().await;
    world.ann().await;
    for (login, password) in [
        (name("Ann"), "wrong horse"),
        (name("Nobody"), "correct horse"),
        (name("no such name!"), "correct horse"),
        (email("nobody@example.org"), "correct horse"),
        (email("not an address"), "correct horse"),
        (name("Ann"), ""),
        (name("Ann"), "short"),
    ] {
        let error = world.log_in(login, password).await.unwrap_err();
        let said = (error.code(), error.detail());
        assert_eq!(said, (Code::Unauthenticated, "wrong name or password"));
    }
}

/// Compared are medians of many tries in turn, at a cost that outweighs all else.
#[tokio::test]
async fn an_unknown_user_takes_as_long_as_a_wrong_password() {
    let mut config = config();
    config.argon2.memory_kib = 4 * 1_024;
    let world = world_of(&config).await;
    world.ann().await;
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..25 {
        for (who, times) in [("Ann", &mut known), ("Nobody", &mut unknown)] {
            let started = Instant::now();
            assert!(world.log_in(name(who), "wrong horse").await.is_err());
            times.push(started.elapsed());
        }
    }
    known.sort();
    unknown.sort();
    let ratio = known[12].as_secs_f64() / unknown[12].as_secs_f64();
    assert!((0.6..1.6).contains(&ratio), "{ratio}");
}

#[tokio::test]
async fn a_login_renews_a_hash_that_was_made_at_another_cost() {
    let world = world().await;
    world.ann().await;
    let mut dearer = config();
    dearer.argon2.passes = 2;
    let world = World {
        users: serve(&dearer, &world.store, &world.sessions, &world.lifecycle),
        ..world
    };
    let ann = Login::Username(Username::parse("", "Ann").unwrap());
    for _ in 0..2 {
        let verified = world.log_in(name("Ann"), "correct horse").await.unwrap();
        assert_eq!(verified.password_version, 1);
        let stored = world.store.credentials(&ann).await.unwrap().unwrap();
        assert!(stored.hash.phc.contains("m=64,t=2,p=1"));
    }
}

#[tokio::test]
async fn a_new_name_is_seen_at_once() {
    let world = world().await;
    let uid = world.ann().await;
    assert_eq!(world.name_of(uid).await.unwrap(), "Ann");
    world.rename(uid, "Anna").await.unwrap();
    assert_eq!(world.name_of(uid).await.unwrap(), "Anna");
    world.rename(uid, "ANNA").await.unwrap();
    assert_eq!(world.name_of(uid).await.unwrap(), "ANNA");
    let old = world.log_in(name("Ann"), "correct horse").await;
    assert_eq!(old.unwrap_err().code(), Code::Unauthenticated);
    assert!(world.log_in(name("anna"), "correct horse").await.is_ok());
}

#[tokio::test]
async fn a_name_that_another_has_is_refused_and_nothing_changes() {
    let world = world().await;
    let ann = world.ann().await;
    let bob = world.register("Bob", "bob@example.org", "correct horse");
    let bob = bob.await.unwrap();
    let error = world.rename(bob, "ann").await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
    assert_eq!(world.name_of(ann).await.unwrap(), "Ann");
    assert_eq!(world.name_of(bob).await.unwrap(), "Bob");
}

#[tokio::test]
async fn who_is_not_there_is_not_found_and_who_does_not_say_who_he_is_may_not() {
    let world = world().await;
    assert_eq!(world.name_of(7).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(
        world.name_of(0).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    assert_eq!(
        world.rename(7, "Anna").await.unwrap_err().code(),
        Code::NotFound
    );
    let call = call();
    let request = call.request(ChangeNameRequest {
        new_name: "Anna".to_owned(),
    });
    let answer = call.wait(world.users.clone().change_name(request)).await;
    assert_eq!(answer.unwrap_err().code(), Code::Unauthenticated);
}

/// What session-service is told of the change of this user's password to `version`.
fn change(uid: u64, version: u64) -> Untold {
    Untold {
        uid: Uid::new(uid).unwrap(),
        version,
        kept: SessionId::new(3),
    }
}

#[tokio::test]
async fn a_new_password_takes_the_place_of_the_old_and_sessions_are_told() {
    let world = world().await;
    let uid = world.ann().await;
    let changed = world.change_password(uid, "correct horse", "battery staple");
    changed.await.unwrap();
    assert_eq!(world.sessions.told(), [change(uid, 2)]);
    let old = world.log_in(name("Ann"), "correct horse").await;
    assert_eq!(old.unwrap_err().code(), Code::Unauthenticated);
    let verified = world.log_in(name("Ann"), "battery staple").await.unwrap();
    assert_eq!(verified.password_version, 2);
    let changed = world.change_password(uid, "battery staple", "correct horse");
    changed.await.unwrap();
    assert_eq!(world.sessions.told(), [change(uid, 2), change(uid, 3)]);
}

#[tokio::test]
async fn a_password_is_not_changed_by_who_does_not_know_it_nor_to_what_is_none() {
    let world = world().await;
    let uid = world.ann().await;
    for (who, old, new, code) in [
        (uid, "wrong horse", "battery staple", Code::PermissionDenied),
        (uid, "", "battery staple", Code::PermissionDenied),
        (uid, "correct horse", "staple", Code::InvalidArgument),
        (99, "correct horse", "battery staple", Code::NotFound),
    ] {
        let refused = world.change_password(who, old, new).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
    }
    assert_eq!(world.sessions.told(), []);
    assert!(world.log_in(name("Ann"), "correct horse").await.is_ok());
}

#[tokio::test]
async fn of_many_changes_of_one_password_one_wins() {
    let world = Arc::new(world().await);
    let uid = world.ann().await;
    let mut changing = JoinSet::new();
    for n in 0..6 {
        let world = Arc::clone(&world);
        changing.spawn(async move {
            let new = format!("password {n}");
            let changed = world.change_password(uid, "correct horse", &new).await;
            changed.map(|()| new).map_err(|refused| refused.code())
        });
    }
    let outcomes = changing.join_all().await;
    let refused = outcomes
        .iter()
        .filter(|it| **it == Err(Code::PermissionDenied));
    assert_eq!(refused.count(), 5);
    let winner = outcomes.iter().find_map(|it| it.as_ref().ok()).unwrap();
    assert!(world.log_in(name("Ann"), winner).await.is_ok());
    assert_eq!(world.sessions.told(), [change(uid, 2)]);
}

#[tokio::test]
async fn a_change_that_sessions_were_not_told_of_is_told_when_they_are_back() {
    let world = world().await;
    let uid = world.ann().await;
    world.sessions.set_away(true);
    let changed = world.change_password(uid, "correct horse", "battery staple");
    assert_eq!(changed.await.unwrap_err().code(), Code::Unavailable);
    // It counts all the same.
    assert!(world.log_in(name("Ann"), "battery staple").await.is_ok());
    assert_eq!(world.sessions.told(), []);
    world.sessions.set_away(false);
    let telling = async {
        while world.sessions.told().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), telling)
        .await
        .unwrap();
    assert_eq!(world.sessions.told(), [change(uid, 2)]);
}

#[tokio::test]
async fn a_profile_tells_when_it_was_made() {
    let world = world().await;
    let uid = world.ann().await;
    let call = call();
    let request = call.request(GetProfileRequest { uid });
    let profile = call
        .wait(world.users.clone().get_profile(request))
        .await
        .unwrap();
    assert_eq!(profile.email, "Ann@example.org");
    let age = SystemClock.now().micros() - profile.created_at;
    assert!(
        (0..60_000_000).contains(&age),
        "{}",
        Timestamp::from_micros(age)
    );
}

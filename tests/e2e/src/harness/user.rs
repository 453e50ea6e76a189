//! A user of a scenario, and what one does.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::{Clock, SystemClock};
use client::wire::{Code, RoomId, Uid, frame::Sent, response::LoggedIn};
use client::{Api, Error, Refusal, Socket};
use tokio::sync::Semaphore;

use super::Feed;

/// Someone who registered and logged in.
pub(crate) struct User {
    pub(crate) uid: Uid,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) password: String,
    /// The user at each gateway.
    apis: Vec<Api>,
}

/// Hashing a password takes memory and time on purpose, and a system that is asked for
/// too much of it at once says no.
static LOGINS: Semaphore = Semaphore::const_new(2);

impl User {
    /// Registers a new user and logs them in; `gateways` are all of the system.
    pub(super) async fn register(gateways: &[Api]) -> Self {
        let gateway = |index: usize| &gateways[index % gateways.len()];
        let name = unique("u");
        let email = format!("{name}@example.org");
        let password = format!("secret of {name}");
        let _turn = LOGINS.acquire().await.unwrap();
        let uid = retrying(|| gateway(0).register(&name, &email, &password)).await;
        let api = retrying(|| gateway(0).login(&email, &password)).await;
        let token = api.token().unwrap();
        let apis = (0..2)
            .map(|index| gateway(index).with_token(token))
            .collect();
        Self {
            uid,
            name,
            email,
            password,
            apis,
        }
    }

    /// The user at the first gateway.
    pub(crate) fn api(&self) -> &Api {
        self.api_at(0)
    }

    /// The user at one of the two gateways.
    pub(crate) fn api_at(&self, gateway: usize) -> &Api {
        &self.apis[gateway]
    }

    pub(crate) fn token(&self) -> &str {
        self.api().token().unwrap()
    }

    /// One more session.
    pub(crate) async fn log_in(&self) -> LoggedIn {
        let _turn = LOGINS.acquire().await.unwrap();
        retrying(|| self.api().login_by_name(&self.name, &self.password)).await
    }

    /// A new open room, with the user as its only member.
    pub(crate) async fn room(&self) -> RoomId {
        self.api().create_room(&unique("r"), false).await.unwrap()
    }

    /// A new private room, with the user as its only member.
    pub(crate) async fn private_room(&self) -> RoomId {
        self.api().create_room(&unique("p"), true).await.unwrap()
    }

    /// A new open room that `others` have joined, in this order.
    pub(crate) async fn room_with(&self, others: &[&Self]) -> RoomId {
        let room = self.room().await;
        for other in others {
            other.api().join(room).await.unwrap();
        }
        room
    }

    /// A connection to the first gateway, in no room.
    pub(crate) async fn connect(&self) -> Socket {
        self.connect_at(0).await
    }

    /// A connection to one of the two gateways, in no room.
    pub(crate) async fn connect_at(&self, gateway: usize) -> Socket {
        self.api_at(gateway).connect().await.unwrap()
    }

    /// A connection to the first gateway that has entered `room`.
    pub(crate) async fn enter(&self, room: RoomId) -> Feed {
        self.enter_at(0, room).await
    }

    /// A connection to one of the two gateways that has entered `room`.
    pub(crate) async fn enter_at(&self, gateway: usize, room: RoomId) -> Feed {
        let mut socket = self.connect_at(gateway).await;
        let entered = socket.enter(room).await.unwrap();
        Feed::new(socket, entered)
    }

    /// A connection to one of the two gateways that has entered `room` and gets every kind
    /// of event.
    pub(crate) async fn enter_for_all_at(&self, gateway: usize, room: RoomId) -> Feed {
        let mut feed = self.enter_at(gateway, room).await;
        feed.socket.hello().await.unwrap();
        feed
    }

    /// Says `text` in `room` on a connection of its own.
    pub(crate) async fn say(&self, room: RoomId, text: &str) -> Sent {
        let mut feed = self.enter(room).await;
        let sent = feed.say(text).await;
        feed.socket.close().await;
        sent
    }

    /// Says each of `texts` in `room`, one after the other.
    pub(crate) async fn say_all(&self, room: RoomId, texts: &[&str]) {
        let mut feed = self.enter(room).await;
        for text in texts {
            feed.say(text).await;
        }
        feed.socket.close().await;
    }
}

/// A name that no one else has, in this run or another: 15 or 16 letters and digits.
pub(crate) fn unique(prefix: &str) -> String {
    static RUN: OnceLock<u64> = OnceLock::new();
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let run = RUN.get_or_init(|| SystemClock.now().micros().unsigned_abs());
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}{}{}", base36(*run, 11), base36(count, 3))
}

fn base36(mut number: u64, width: usize) -> String {
    let mut digits = Vec::new();
    while number > 0 || digits.len() < width {
        digits.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[usize::try_from(number % 36).unwrap()]);
        number /= 36;
    }
    digits.reverse();
    String::from_utf8(digits).unwrap()
}

/// Asks again when the system is too busy, as it says.
async fn retrying<T, F: Future<Output = Result<T, Error>>>(call: impl Fn() -> F) -> T {
    for _ in 0..20 {
        match call().await {
            Err(error) if matches!(error.code(), Some(Code::RateLimited | Code::Unavailable)) => {
                let wait = error.refusal().and_then(|refusal| refusal.retry_after);
                tokio::time::sleep(wait.unwrap_or(Duration::from_millis(200))).await;
            }
            other => return other.unwrap(),
        }
    }
    panic!("too busy for too long");
}

/// The server's no, which has to be of this code, with the status that belongs to it.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, Error>, code: Code) -> Refusal {
    let error = result.unwrap_err();
    let Error::Refused(refusal) = error else {
        panic!("{code} expected, got {error:?}")
    };
    assert_eq!(refusal.code, Some(code), "{refusal}");
    assert!(
        refusal
            .status
            .is_none_or(|status| status == code.http_status()),
        "{refusal:?}"
    );
    refusal
}

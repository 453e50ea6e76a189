//! A [`Chat`] stays in its rooms whatever happens to connections, servers and tokens.

mod backoff;
mod connection;
mod core;
mod driver;
mod outbox;
mod rooms;
mod tag;
mod tokens;

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use wire::event::Event;
use wire::frame::Sent;
use wire::{Clock, Epoch, MessageText, Nonce, RoomId, Seq, SystemClock, Uid};

use self::backoff::{Random, unique_name};
use self::core::Core;
use self::driver::{Driver, Ends, Wish};
use self::outbox::Post;
use self::tokens::Credentials;
pub use self::tokens::Tokens;
use crate::error::Ended;
use crate::{Api, Error, Refusal, Result};

/// A place in a room's log: the last event one has. It can be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Position {
    /// Which life of the log `seq` was counted in, if that is known.
    pub epoch: Option<Epoch>,
    /// The event.
    pub seq: Seq,
}

/// Where to begin in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what happens from now on.
    Now,
    /// With the oldest event that there is.
    Beginning,
    /// Directly after this one, as it came with an [`Item`].
    After(Position),
}

/// What [`Events`] yields. Of each room, the events are gapless and in order.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Item {
    /// Something happened in a room.
    Event {
        /// What.
        event: Event,
        /// Where to go on from, once this is dealt with.
        position: Position,
    },
    /// Something happened in a room that this version has no type for.
    Unknown {
        /// The room.
        room: RoomId,
        /// Where to go on from.
        position: Position,
        /// All that the server said.
        fields: serde_json::Map<String, serde_json::Value>,
    },
    /// The log is not the one that was followed, or what would follow is gone: the next
    /// event of the room is the one after `position`.
    Reset(Reset),
    /// The room's events end here: one is a member no more.
    Gone {
        /// The room.
        room: RoomId,
        /// Why.
        why: Gone,
    },
    /// All ends here.
    Ended(Ended),
}

impl Item {
    /// The room that it is about.
    pub fn room(&self) -> Option<RoomId> {
        match self {
            Self::Event { event, .. } => Some(event.room),
            Self::Unknown { room, .. } | Self::Gone { room, .. } => Some(*room),
            Self::Reset(reset) => Some(reset.room),
            Self::Ended(_) => None,
        }
    }

    /// Where to go on from in its room, once it is dealt with.
    pub fn position(&self) -> Option<Position> {
        match self {
            Self::Event { position, .. } | Self::Unknown { position, .. } => Some(*position),
            Self::Reset(reset) => Some(reset.position),
            Self::Gone { .. } | Self::Ended(_) => None,
        }
    }
}

/// A log that begins afresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reset {
    /// The room.
    pub room: RoomId,
    /// The next event is the one after this.
    pub position: Position,
    /// The newest event.
    pub head: Seq,
    /// The oldest event kept; [`Api::events`] reads what is before `position`.
    pub first: Seq,
}

/// Why a room's events end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// The user left, or was made to leave by another.
    Left {
        /// Who made him.
        by: Option<Uid>,
    },
    /// The server does not give the room's events (any more).
    Refused(Refusal),
}

/// How the connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// One is being opened.
    Connecting,
    /// There is one.
    Online,
    /// There is none; the next try is to come.
    Offline {
        /// Why.
        reason: String,
    },
    /// There will be none.
    Ended(Ended),
}

/// How long things may take. The defaults fit the server's.
#[derive(Debug, Clone)]
pub struct Timings {
    /// How long a call over HTTP, and the opening of a connection, may take.
    pub call: Duration,
    /// A connection from which nothing comes for so long is dead: two of the server's
    /// pings, which come every 25 s, and a little.
    pub silence: Duration,
    /// A connection on which an answer takes so long is dead, too.
    pub answer: Duration,
    /// The first pause after a failure …
    pub retry_least: Duration,
    /// … and the longest, when pauses have doubled often enough.
    pub retry_most: Duration,
    /// A connection that held for so long was a good one: pauses begin small again.
    pub settled: Duration,
    /// The pause, at least, after the server said that this client floods it.
    pub flood_pause: Duration,
    /// How long before its end a token is replaced.
    pub refresh_before: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(10),
            silence: Duration::from_secs(55),
            answer: Duration::from_secs(20),
            retry_least: Duration::from_millis(200),
            retry_most: Duration::from_secs(30),
            settled: Duration::from_secs(10),
            flood_pause: Duration::from_secs(60),
            refresh_before: Duration::from_secs(60),
        }
    }
}

/// What a [`Chat`] is made of.
#[derive(Clone)]
pub struct ChatBuilder {
    tokens: Tokens,
    gateways: Vec<String>,
    timings: Timings,
    queue: usize,
    outbox: usize,
    window: usize,
    clock: Arc<dyn Clock>,
}

impl ChatBuilder {
    /// One more address of the same system; another is tried when one fails.
    #[must_use]
    pub fn gateway(mut self, base: impl Into<String>) -> Self {
        self.gateways.push(base.into());
        self
    }

    /// Other timings.
    #[must_use]
    pub fn timings(mut self, timings: Timings) -> Self {
        self.timings = timings;
        self
    }

    /// How many items may wait for the user (1,024).
    #[must_use]
    pub fn queue(mut self, items: usize) -> Self {
        self.queue = items.max(1);
        self
    }

    /// How many messages may wait for their answer (256), and in how many rooms at once
    /// one may be under way (64). [`Chat::send`] waits for a place.
    #[must_use]
    pub fn outbox(mut self, messages: usize, window: usize) -> Self {
        self.outbox = messages.max(1);
        self.window = window.max(1);
        self
    }

    /// Another clock, by which tokens end.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Starts. This does not wait for a connection: [`Chat::status`] tells.
    ///
    /// # Errors
    /// [`Error::Usage`] when an address is none.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(self) -> Result<(Chat, Events)> {
        let gateways: Result<Vec<Api>> = self.gateways.iter().map(|base| Api::new(base)).collect();
        let gateways: Vec<Api> = gateways?
            .into_iter()
            .map(|api| api.with_deadline(self.timings.call))
            .collect();
        let (queue, items) = mpsc::channel(self.queue);
        let (wishes, wished) = mpsc::channel(16);
        let (posts, posted) = mpsc::channel(1);
        let status = watch::Sender::new(Status::Connecting);
        let uid = watch::Sender::new(None);
        let closing = watch::Sender::new(false);
        let (at, given_up) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let now = Instant::now();
        let credentials = Credentials::new(self.tokens, &self.timings, now, self.clock.now());
        let tokens = credentials.watch();
        let core = Core::new(&self.timings, self.outbox, self.window, Random::new());
        let (status_of, uid_of) = (status.subscribe(), uid.subscribe());
        let ends = Ends {
            wishes: wished,
            posts: posted,
            given_up: Arc::clone(&given_up),
            items: queue,
            status,
            uid,
            at: Arc::clone(&at),
            closing: closing.subscribe(),
        };
        let driver = Driver::new(
            core,
            credentials,
            gateways.clone(),
            self.timings,
            self.clock,
            ends,
        );
        let mut tasks = JoinSet::new();
        tasks.spawn(driver.run());
        let shared = Shared {
            gateways,
            at,
            wishes,
            posts,
            given_up,
            status: status_of,
            uid: uid_of,
            tokens,
            closing,
            name: unique_name(),
            sent: AtomicUsize::new(0),
            tasks: Mutex::new(tasks),
        };
        Ok((Chat(Arc::new(shared)), Events { items }))
    }
}

/// A user's place in the system: one connection at a time, kept up; rooms, followed
/// without a gap; messages, sent until they are answered. Clones are handles of the same.
/// When the last is dropped, everything stops at once; [`Chat::close`] says goodbye.
#[derive(Clone)]
pub struct Chat(Arc<Shared>);

struct Shared {
    gateways: Vec<Api>,
    at: Arc<AtomicUsize>,
    wishes: mpsc::Sender<Wish>,
    posts: mpsc::Sender<Post>,
    given_up: Arc<Notify>,
    status: watch::Receiver<Status>,
    uid: watch::Receiver<Option<Uid>>,
    tokens: watch::Receiver<Tokens>,
    closing: watch::Sender<bool>,
    /// With the number of the message, its nonce.
    name: String,
    sent: AtomicUsize,
    /// The driver. Dropping this ends it.
    tasks: Mutex<JoinSet<()>>,
}

impl Chat {
    /// A chat of the holder of `tokens`, at the gateway `base`.
    pub fn builder(base: impl Into<String>, tokens: impl Into<Tokens>) -> ChatBuilder {
        ChatBuilder {
            tokens: tokens.into(),
            gateways: vec![base.into()],
            timings: Timings::default(),
            queue: 1024,
            outbox: 256,
            window: 64,
            clock: Arc::new(SystemClock),
        }
    }

    /// Follows `room`. The answer is where its events begin in [`Events`]: the first is
    /// the one after it. A failure that may pass is waited out; giving up waiting does not
    /// take the wish back, [`Chat::unsubscribe`] does.
    ///
    /// # Errors
    /// [`Error::Refused`] with `permission_denied` for who is not a member, `not_found`,
    /// `invalid_argument` when the position is beyond the log; [`Error::Usage`] when the
    /// room is followed already, or 200 are; [`Error::Ended`].
    pub async fn subscribe(&self, room: RoomId, start: Start) -> Result<Position> {
        let (caller, answer) = oneshot::channel();
        self.ask(Wish::Subscribe(room, start, caller)).await?;
        answer.await.unwrap_or_else(|_| Err(self.ended()))
    }

    /// Follows `room` no more. Items that wait in [`Events`] already may still come.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn unsubscribe(&self, room: RoomId) -> Result<()> {
        let (done, answer) = oneshot::channel();
        self.ask(Wish::Unsubscribe(room, done)).await?;
        answer.await.map_err(|_| self.ended())
    }

    /// Says `text` in `room`, which need not be followed, and waits until it is durable.
    /// See [`Chat::send_as`].
    ///
    /// # Errors
    /// As [`Chat::send_as`].
    pub async fn send(&self, room: RoomId, text: &str) -> Result<Sent> {
        let number = self.0.sent.fetch_add(1, Ordering::Relaxed);
        let nonce = format!("{}-{number}", self.0.name);
        self.send_as(room, text, &nonce).await
    }

    /// Says `text` in `room` under a `nonce` (1–64 characters): however often that is done
    /// within 24 h, by however many processes, there is one such message.
    ///
    /// It is sent again after every failure that may pass, until it is answered. Messages
    /// to one room are sent in the order in which these futures were first polled. Whoever
    /// drops this future gives the message up: it may be in the log or not.
    ///
    /// # Errors
    /// [`Error::Refused`] with `permission_denied`, `not_found`, `nonce_reused`,
    /// `internal`; [`Error::Usage`] for a text or nonce that cannot be one;
    /// [`Error::Ended`], and then it may be in the log or not.
    pub async fn send_as(&self, room: RoomId, text: &str, nonce: &str) -> Result<Sent> {
        let refuse = |error: wire::Error| Error::Usage(error.to_string());
        let text = MessageText::parse("Text", text).map_err(refuse)?;
        let nonce = Nonce::parse("Nonce", nonce).map_err(refuse)?;
        // Dropped last, so that what it tells of is true.
        let _given_up = Tells(&self.0.given_up);
        let (caller, answer) = oneshot::channel();
        let post = Post {
            room,
            text,
            nonce,
            caller,
        };
        let posting = self.0.posts.send(post).await;
        posting.map_err(|_| self.ended())?;
        answer.await.unwrap_or_else(|_| Err(self.ended()))
    }

    /// The user, as soon as the server has said who that is.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn uid(&self) -> Result<Uid> {
        let mut uid = self.0.uid.clone();
        let known = uid.wait_for(Option::is_some).await;
        known.ok().and_then(|uid| *uid).ok_or_else(|| self.ended())
    }

    /// The tokens in use, and every new pair. Who stores them can go on with the session
    /// after a restart; the old refresh token is worth nothing after a minute.
    pub fn tokens(&self) -> watch::Receiver<Tokens> {
        self.0.tokens.clone()
    }

    /// How the connection is, and every change of that.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.0.status.clone()
    }

    /// Typed calls with the token and at the gateway in use now.
    pub fn api(&self) -> Api {
        let at = self.0.at.load(Ordering::Relaxed) % self.0.gateways.len();
        self.0.gateways[at].with_token(&self.0.tokens.borrow().token)
    }

    /// Ends the connection with a goodbye, and everything else, for all handles. Messages
    /// without an answer get [`Error::Ended`].
    pub async fn close(self) {
        self.0.closing.send_replace(true);
        let tasks = {
            let mut tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *tasks)
        };
        tasks.join_all().await;
    }

    async fn ask(&self, wish: Wish) -> Result<()> {
        let asking = self.0.wishes.send(wish).await;
        asking.map_err(|_| self.ended())
    }

    fn ended(&self) -> Error {
        Error::Ended(match *self.0.status.borrow() {
            Status::Ended(ended) => ended,
            _ => Ended::Closed,
        })
    }
}

impl std::fmt::Debug for Chat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chat")
            .field("gateways", &self.0.gateways)
            .field("status", &*self.0.status.borrow())
            .finish_non_exhaustive()
    }
}

/// What happens in the rooms that are followed, all in one stream: each room in its own
/// order, rooms as they come. Who takes slowly makes the server send slowly; nothing is
/// lost, and nothing grows. Who drops it hears nothing more.
#[derive(Debug)]
pub struct Events {
    items: mpsc::Receiver<Item>,
}

impl Events {
    /// The next item; `None` when the chat was closed, or has ended with
    /// [`Item::Ended`]. Dropping this future loses nothing.
    pub async fn next(&mut self) -> Option<Item> {
        self.items.recv().await
    }
}

impl Stream for Events {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.items.poll_recv(cx)
    }
}

/// Tells the driver, when it is dropped, to look who still waits.
struct Tells<'a>(&'a Notify);

impl Drop for Tells<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[cfg(test)]
mod tests;

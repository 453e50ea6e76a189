//! A [`Chat`] stays in its rooms whatever happens to connections, servers and tokens.

mod backoff;
mod builder;
mod connection;
mod core;
mod driver;
mod item;
mod outbox;
mod rooms;
mod tag;
mod timings;
mod tokens;

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use wire::frame::Sent;
use wire::{MessageText, Nonce, RoomId, Uid};

pub use self::builder::ChatBuilder;
use self::driver::Wish;
pub use self::item::{Gone, Item, Position, Reset, Start, Status};
use self::outbox::Post;
pub use self::timings::Timings;
pub use self::tokens::Tokens;
use crate::{Api, Ended, Error, Result};

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
        ChatBuilder::new(base.into(), tokens.into())
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
    /// It is sent again after every failure that may pass, until the server has answered;
    /// what a proxy says for it is such a failure, of whatever kind. Messages to
    /// one room are sent in the order in which these futures were first polled. Whoever
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

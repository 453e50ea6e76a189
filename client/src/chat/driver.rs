//! The one task of a [`Chat`](super::Chat): it owns the connection and the calls under
//! way, and carries between them, the [`Core`] and the user.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use wire::event::EventsPage;
use wire::frame::{Sent, ServerFrame};
use wire::response::LoggedIn;
use wire::{Clock, Code, RoomId, Uid, limits};

use super::backoff::{Backoff, Random};
use super::connection::{Connection, open};
use super::core::Core;
use super::outbox::Post;
use super::rooms::{Caller, Page};
use super::tag::Tag;
use super::tokens::Credentials;
use super::{Item, Start, Status, Timings};
use crate::{Api, Ended, Error, Result};

/// The close code of a connection whose session has ended (`/asyncapi.json`).
const SESSION_ENDED: u16 = 4001;
/// Far too many frames.
const FLOODING: u16 = 4029;
/// The server goes away; another does not.
const GOING_AWAY: u16 = 1001;

/// What the user asks for.
pub(super) enum Wish {
    Subscribe(RoomId, Start, Caller),
    Unsubscribe(RoomId, oneshot::Sender<()>),
}

/// The driver's ends of what it shares with the handles.
pub(super) struct Ends {
    pub(super) wishes: mpsc::Receiver<Wish>,
    pub(super) posts: mpsc::Receiver<Post>,
    pub(super) given_up: Arc<Notify>,
    pub(super) items: mpsc::Sender<Item>,
    pub(super) status: watch::Sender<Status>,
    pub(super) uid: watch::Sender<Option<Uid>>,
    /// Which gateway is in use.
    pub(super) at: Arc<AtomicUsize>,
    pub(super) closing: watch::Receiver<bool>,
}

type Call<T> = Pin<Box<dyn Future<Output = T> + Send>>;

enum Link {
    Down { until: Instant },
    Opening(String, Call<Result<(Box<Connection>, Uid)>>),
    Up(Box<Connection>),
}

/// A page that was asked for, with which token, and what came.
type PageRead = (Page, String, Result<EventsPage<ServerFrame>>);

pub(super) struct Driver {
    core: Core,
    credentials: Credentials,
    gateways: Vec<Api>,
    link: Link,
    backoff: Backoff,
    random: Random,
    timings: Timings,
    clock: Arc<dyn Clock>,
    ends: Ends,
    /// Whether the connection was read from in the last turn, and since when.
    reading: bool,
    reading_since: Instant,
    refresh: Option<Call<Result<LoggedIn>>>,
    page: Option<Call<PageRead>>,
    posts: FuturesUnordered<Call<(Tag, String, Result<Sent>)>>,
}

impl Driver {
    pub(super) fn new(
        core: Core,
        credentials: Credentials,
        gateways: Vec<Api>,
        timings: Timings,
        clock: Arc<dyn Clock>,
        ends: Ends,
    ) -> Self {
        let now = Instant::now();
        Self {
            core,
            credentials,
            gateways,
            link: Link::Down { until: now },
            backoff: Backoff::new(timings.retry_least, timings.retry_most),
            random: Random::new(),
            timings,
            clock,
            ends,
            reading: false,
            reading_since: now,
            refresh: None,
            page: None,
            posts: FuturesUnordered::new(),
        }
    }

    pub(super) async fn run(mut self) {
        let ended = loop {
            if let Err(ended) = self.turn().await {
                break ended;
            }
        };
        self.core.end(|| Error::Ended(ended));
        self.ends.status.send_replace(Status::Ended(ended));
        self.ends.posts.close();
        self.ends.wishes.close();
        if let Link::Up(connection) = std::mem::replace(&mut self.link, down(Instant::now())) {
            connection.close().await;
        }
        if ended == Ended::Closed {
            return;
        }
        let Ends {
            wishes,
            posts,
            items,
            closing,
            ..
        } = &mut self.ends;
        let rest = async {
            while self.core.rooms.has_item() {
                hand_over(items, &mut self.core).await;
            }
            // Whoever does not listen need not know.
            let _ = items.send(Item::Ended(ended)).await;
        };
        tokio::pin!(rest);
        loop {
            tokio::select! {
                () = &mut rest => return,
                () = closed(closing) => return,
                // Whoever asked too late is told so now, and not when the user has taken
                // what came before.
                Some(_) = posts.recv() => {}
                Some(_) = wishes.recv() => {}
            }
        }
    }

    /// Begins what can be begun, and waits for the next thing to happen.
    async fn turn(&mut self) -> std::result::Result<(), Ended> {
        let now = Instant::now();
        self.begin(now);
        let wake_at = self.wake_at(now);
        let Ends {
            wishes,
            posts,
            given_up,
            items,
            closing,
            ..
        } = &mut self.ends;
        tokio::select! {
            () = closed(closing) => return Err(Ended::Closed),
            () = hand_over(items, &mut self.core), if self.core.rooms.has_item() => {}
            heard = heard(&mut self.link, self.reading) => return self.heard(heard),
            Some(wish) = wishes.recv() => self.wish(wish),
            Some(post) = posts.recv(), if !self.core.outbox.is_full() => self.core.send(post),
            () = given_up.notified() => self.core.outbox.sweep(),
            outcome = call(&mut self.refresh) => {
                self.refresh = None;
                return self.refreshed(outcome);
            }
            (page, token, outcome) = call(&mut self.page) => {
                self.page = None;
                let refused = self.look_at(&outcome, &token);
                self.core.paged(page, outcome, Instant::now());
                return refused;
            }
            Some((tag, token, outcome)) = self.posts.next() => {
                let refused = self.look_at(&outcome, &token);
                self.core.posted(tag, outcome, Instant::now());
                return refused;
            }
            () = sleep_until(wake_at) => return self.look_at_the_time(),
        }
        Ok(())
    }

    /// Begins all that is due and possible.
    fn begin(&mut self, now: Instant) {
        if self.refresh.is_none() && self.credentials.due().is_some_and(|due| due <= now) {
            let refresh = self.credentials.refresh(&self.gateway());
            self.refresh = Some(Box::pin(refresh));
        }
        let usable = self.credentials.usable();
        if let Link::Down { until } = self.link
            && until <= now
            && usable
            && self.refresh.is_none()
        {
            let (token, api) = self.caller();
            let uid = *self.ends.uid.borrow();
            self.ends.status.send_replace(Status::Connecting);
            self.link = Link::Opening(token, Box::pin(open(api, uid)));
        }
        if let Link::Up(connection) = &mut self.link {
            while connection.takes_more()
                && let Some(frame) = self.core.outgoing(now)
            {
                connection.put(&frame);
            }
        }
        if usable {
            if self.page.is_none()
                && let Some(page) = self.core.next_page(now)
            {
                self.page = Some(Box::pin(read_page(self.caller(), page)));
            }
            while let Some(message) = self.core.next_post(now) {
                let ((token, api), tag) = (self.caller(), message.tag);
                self.posts.push(Box::pin(async move {
                    let (text, nonce) = (message.text.as_str(), message.nonce.as_str());
                    let posted = api.post(tag.room, text, Some(nonce)).await;
                    let sent = posted.map(|posted| Sent {
                        message_id: posted.message_id,
                        room: tag.room,
                        timestamp: posted.timestamp,
                        reference: None,
                    });
                    (tag, token, sent)
                }));
            }
        }
        // A user who does not take what came stops the reading, and the server with it,
        // unless someone waits for an answer: then what finds no place is left to the log.
        let reading = !self.core.rooms.has_item() || self.core.someone_waits();
        if reading && !self.reading {
            self.reading_since = now;
            if let Link::Up(connection) = &mut self.link {
                connection.listen_again(now);
            }
        }
        self.reading = reading;
    }

    fn wish(&mut self, wish: Wish) {
        match wish {
            Wish::Subscribe(room, start, caller) => self.core.subscribe(room, start, caller),
            Wish::Unsubscribe(room, done) => {
                self.core.unsubscribe(room);
                let _ = done.send(());
            }
        }
    }

    fn heard(&mut self, heard: Heard) -> std::result::Result<(), Ended> {
        let now = Instant::now();
        match heard {
            Heard::Open(Ok((connection, uid))) => {
                self.ends.uid.send_replace(Some(uid));
                self.core.rooms.is(uid);
                self.core.connected();
                self.link = Link::Up(connection);
                self.reading = false;
                self.ends.status.send_replace(Status::Online);
                Ok(())
            }
            Heard::Open(Err(error)) => {
                if let Link::Opening(token, _) = &self.link
                    && error.code() == Some(Code::Unauthenticated)
                {
                    self.credentials.refused(token, now)?;
                }
                self.lost(&error, now)
            }
            Heard::Frame(Ok(None)) => Ok(()),
            Heard::Frame(Ok(Some(frame))) => match self.core.frame(frame, now) {
                Ok(()) => Ok(()),
                Err(_hole) => {
                    let words = "an event is missing".to_owned();
                    self.lost(&Error::Protocol(words), now)
                }
            },
            Heard::Frame(Err(error)) => self.lost(&error, now),
        }
    }

    /// There is no connection any more, or none came about: the next is tried for.
    fn lost(&mut self, error: &Error, now: Instant) -> std::result::Result<(), Ended> {
        if error.close_code() == Some(SESSION_ENDED) {
            return Err(Ended::Session);
        }
        if let Link::Up(connection) = &self.link
            && now >= connection.since + self.timings.settled
        {
            self.backoff.reset();
        }
        let token_refused = error.code() == Some(Code::Unauthenticated);
        let at_once = token_refused || error.close_code() == Some(GOING_AWAY);
        let at_once = at_once && self.backoff.is_fresh();
        let asked = error.refusal().and_then(|refusal| refusal.retry_after);
        let pause = self.backoff.next(&mut self.random, asked);
        let pause = match error.close_code() {
            _ if at_once => Duration::ZERO,
            Some(FLOODING) => pause.max(self.timings.flood_pause),
            _ => pause,
        };
        if !token_refused {
            self.try_the_next();
        }
        self.core.cut();
        self.link = down(now + pause);
        let reason = error.to_string();
        self.ends.status.send_replace(Status::Offline { reason });
        Ok(())
    }

    fn refreshed(&mut self, outcome: Result<LoggedIn>) -> std::result::Result<(), Ended> {
        let (now, wall) = (Instant::now(), self.clock.now());
        if outcome.is_err() && !matches!(self.link, Link::Up(_)) {
            self.try_the_next();
        }
        self.credentials
            .refreshed(outcome, now, wall, &mut self.random)
    }

    /// A call that was refused for its token needs another.
    fn look_at<T>(&mut self, outcome: &Result<T>, token: &str) -> std::result::Result<(), Ended> {
        match outcome {
            Err(error) if error.code() == Some(Code::Unauthenticated) => {
                self.credentials.refused(token, Instant::now())
            }
            _ => Ok(()),
        }
    }

    fn look_at_the_time(&mut self) -> std::result::Result<(), Ended> {
        let now = Instant::now();
        let words = match self.patience() {
            Some((until, words)) if until <= now => words,
            _ => return Ok(()),
        };
        let reason = words.to_owned();
        self.lost(&Error::Closed { code: None, reason }, now)
    }

    /// Until when the connection counts as alive if nothing comes, and why no longer.
    fn patience(&self) -> Option<(Instant, &'static str)> {
        let Link::Up(connection) = &self.link else {
            return None;
        };
        if !self.reading {
            return None;
        }
        let silent_at = connection.silent_since() + self.timings.silence;
        let unanswered = self.core.unanswered_since();
        let unanswered_at =
            unanswered.map(|since| since.max(self.reading_since) + self.timings.answer);
        match unanswered_at {
            Some(at) if at < silent_at => Some((at, "an answer did not come")),
            _ => Some((silent_at, "the server is silent")),
        }
    }

    /// When there is something to do by itself; at least now and then.
    fn wake_at(&self, now: Instant) -> Instant {
        let opening = match self.link {
            Link::Down { until } => Some(until),
            _ => None,
        };
        let refresh = self.credentials.due().filter(|_| self.refresh.is_none());
        let paused = [opening, refresh].into_iter().flatten();
        let paused = paused.filter(|at| *at > now);
        let patience = self.patience().map(|(at, _)| at);
        paused
            .chain(patience)
            .chain(self.core.wake_after(now))
            .fold(now + Duration::from_mins(1), Instant::min)
    }

    fn gateway(&self) -> Api {
        let at = self.ends.at.load(Ordering::Relaxed);
        self.gateways[at % self.gateways.len()].clone()
    }

    /// The token, and the gateway as its holder asks it.
    fn caller(&self) -> (String, Api) {
        let token = self.credentials.token();
        let api = self.gateway().with_token(&token);
        (token, api)
    }

    fn try_the_next(&self) {
        let at = self.ends.at.load(Ordering::Relaxed);
        let next = (at + 1) % self.gateways.len();
        self.ends.at.store(next, Ordering::Relaxed);
    }
}

/// Waits until the chat is closed.
async fn closed(closing: &mut watch::Receiver<bool>) {
    // Without a handle it is closed, too.
    let _ = closing.wait_for(|closing| *closing).await;
}

/// Hands an item to the user once he has a place for it. Without a listener it is taken
/// as heard.
async fn hand_over(items: &mpsc::Sender<Item>, core: &mut Core) {
    let permit = items.reserve().await;
    if let (Some(item), Ok(permit)) = (core.next_item(), permit) {
        permit.send(item);
    }
}

/// What came of the connection.
enum Heard {
    Open(Result<(Box<Connection>, Uid)>),
    Frame(Result<Option<ServerFrame>>),
}

async fn heard(link: &mut Link, reading: bool) -> Heard {
    match link {
        Link::Down { .. } => pending().await,
        Link::Opening(_, opening) => Heard::Open(opening.await),
        Link::Up(connection) => Heard::Frame(connection.turn(reading).await),
    }
}

async fn read_page((token, api): (String, Api), page: Page) -> PageRead {
    let Page { room, after } = page;
    let read = api.events(room, after.seq, after.epoch, limits::EVENTS_PAGE);
    (page, token, read.await)
}

/// What a call under way comes to, or nothing for ever.
async fn call<T>(call: &mut Option<Call<T>>) -> T {
    match call {
        Some(call) => call.await,
        None => pending().await,
    }
}

fn down(until: Instant) -> Link {
    Link::Down { until }
}

//! One connection: what it reads, what it writes, when it ends.

mod rooms;

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use base::{Code, Error, MessageText, Nonce, RoomId, Seq};
use futures_util::{FutureExt, SinkExt, StreamExt};
use runtime::Call;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Bytes, Error as SocketError, Message, Utf8Bytes};
use wire::frame::{Command, Entered, Fault, Framed, HELLO, Hello, Left, Pong, Read, ServerFrame};

use super::answer::Answer;
use super::end::End;
use super::entering::{Done, Way, Wish};
use super::{Who, Wire};
use crate::Gateway;
use crate::fanout::Frame;
use crate::outbound::{Link, Next, Outlet, UnderWay};
use crate::posts::Post;
use crate::reading;
use crate::sessions::Place;
use rooms::Membership;

/// Frames read in one turn, most. A read of the socket brings many, and tokio counts reads:
/// without turns of our own some clients in full flow would keep everything else waiting,
/// the streams to the log included.
const TURN: usize = 32;
/// How long a client may take to read what was written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long answers are waited for when the process ends: as long as a post may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Frames that a client may send within [`FLOOD_PERIOD`], most, where there are limits.
/// What is too much of it is refused long before; this is for who does not listen.
const FLOOD: u32 = 30_000;
/// Frames are counted for so long.
const FLOOD_PERIOD: Duration = Duration::from_secs(10);
/// How long saying goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The version of the protocol in which events of every kind go live.
const VERSION: u32 = 2;
/// Rooms that a connection may be subscribed to, most.
const ROOMS: usize = 200;

/// Something that takes a while, and during which nothing more is read.
type Operation = Pin<Box<dyn Future<Output = Done> + Send>>;
/// What a read of the socket brings; nothing, at its end.
type Incoming = Option<Result<Message, SocketError>>;

pub(super) struct Connection<W> {
    gateway: Gateway,
    socket: WebSocketStream<W>,
    who: Who,
    link: Arc<Link>,
    outlet: Outlet,
    /// Where an unaddressed message goes.
    current: Option<RoomId>,
    rooms: HashMap<RoomId, Membership>,
    operation: Option<Operation>,
    heard_at: Instant,
    /// Held as long as the connection is to end with its session.
    _place: Place,
    /// Frames since when.
    frames: (u32, Instant),
}

impl<W: Wire> Connection<W> {
    pub(super) fn new(gateway: Gateway, socket: WebSocketStream<W>, who: Who) -> Self {
        // Answers to posts have their own room in the queue.
        let settings = &gateway.config.websocket;
        let (link, outlet) = Link::new(settings.queue + settings.window);
        let place = gateway.sessions.enlist(who.session, &link);
        Self {
            gateway,
            socket,
            who,
            link,
            outlet,
            current: None,
            rooms: HashMap::new(),
            operation: None,
            heard_at: Instant::now(),
            _place: place,
            frames: (0, Instant::now()),
        }
    }

    pub(super) async fn run(&mut self) {
        let end = match self.live().await {
            Ok(()) => End::GONE,
            Err(end) => end,
        };
        for room in self.rooms.values() {
            room.handle.dismiss(&self.link);
        }
        Box::pin(self.close(end)).await;
    }

    async fn close(&mut self, end: End) {
        let closing = async {
            let _ = self.socket.close(Some(end.frame())).await;
            // The other side's goodbye, so that ours is not lost with the socket.
            while let Some(Ok(_)) = self.socket.next().await {}
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
        // It ends by itself. What the client still sends must not become a reset, which
        // would take our goodbye away from it.
        let _ = self.socket.get_mut().shutdown().await;
    }

    async fn live(&mut self) -> Result<(), End> {
        self.write(Utf8Bytes::from_static(HELLO)).await?;
        let mut ping_at = Instant::now() + self.gateway.config.websocket.ping_every.0;
        let mut alarm = pin!(tokio::time::sleep_until(ping_at));
        loop {
            let reading = self.is_reading();
            tokio::select! {
                biased;
                next = self.outlet.next() => match next {
                    Next::Frames(frames) => self.write_all(frames).await?,
                    Next::End(ending) => return Err(ending.into()),
                    Next::Drain => {
                        Box::pin(self.answer_under_way()).await?;
                        return Err(End::GOING_AWAY);
                    }
                },
                done = work(&mut self.operation) => {
                    self.operation = None;
                    Box::pin(self.done(done)).await?;
                    // Nothing was read meanwhile, so silence says nothing.
                    self.heard_at = Instant::now();
                }
                message = self.socket.next(), if reading => self.read_turn(message).await?,
                () = alarm.as_mut() => {
                    let settings = &self.gateway.config.websocket;
                    let (every, silent_after) = (settings.ping_every.0, settings.silent_after.0);
                    let now = Instant::now();
                    if reading && now >= self.heard_at + silent_after {
                        return Err(End::SILENT);
                    }
                    if now >= ping_at {
                        ping_at = now + every;
                        self.feed(Message::Ping(Bytes::new())).await?;
                        self.flush().await?;
                    }
                    // While nothing is read, silence is looked at with the next ping.
                    let silent_at = self.heard_at + silent_after;
                    let next = if silent_at > now { ping_at.min(silent_at) } else { ping_at };
                    alarm.as_mut().reset(next);
                }
            }
        }
    }

    /// Writes the answers to what was taken in, for so long as that can take.
    async fn answer_under_way(&mut self) -> Result<(), End> {
        let deadline = Instant::now() + DRAIN_TIMEOUT;
        while self.link.under_way() > 0 {
            match tokio::time::timeout_at(deadline, self.outlet.filled()).await {
                Ok(frames) => self.write_all(frames).await?,
                Err(_) => return Ok(()),
            }
        }
        // An answer is in the queue before it counts as given.
        self.write_queued().await?;
        self.flush().await
    }

    /// Takes in what is there, up to a turn, before any of it is answered.
    async fn read_turn(&mut self, first: Incoming) -> Result<(), End> {
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(message) = next {
            match message {
                Some(Ok(message)) => self.read(message).await?,
                Some(Err(error)) => return Err(End::broken(&error)),
                None => return Err(End::GONE),
            }
            taken += 1;
            if taken == TURN {
                tokio::task::yield_now().await;
                return Ok(());
            }
            next = if self.is_reading() {
                self.socket.next().now_or_never()
            } else {
                None
            };
        }
        Ok(())
    }

    /// Whether more may be taken in now.
    fn is_reading(&self) -> bool {
        self.operation.is_none() && self.link.under_way() < self.gateway.config.websocket.window
    }

    async fn read(&mut self, message: Message) -> Result<(), End> {
        self.heard_at = Instant::now();
        self.count_frame()?;
        match message {
            Message::Text(text) => self.obey(&text).await,
            Message::Binary(_) => Err(End::BINARY),
            Message::Ping(_) => self.flush().await,
            Message::Pong(_) | Message::Frame(_) => Ok(()),
            Message::Close(_) => Err(End::GONE),
        }
    }

    fn count_frame(&mut self) -> Result<(), End> {
        let (count, since) = self.frames;
        if self.heard_at - since > FLOOD_PERIOD {
            self.frames = (1, self.heard_at);
            return Ok(());
        }
        self.frames = (count + 1, since);
        if count >= FLOOD && self.gateway.config.limits.enabled {
            return Err(End::FLOODING);
        }
        Ok(())
    }

    /// Does what a frame says. Whatever is not a message is rare, and its work is boxed: it
    /// would make the task of every quiet connection large.
    async fn obey(&mut self, frame: &str) -> Result<(), End> {
        let (command, reference) = match Framed::parse(frame) {
            Ok(Framed { reference, command }) => (command, reference),
            Err(refused) => {
                return Box::pin(self.refuse(&refused.error, refused.reference)).await;
            }
        };
        let Command::Message { room, text, nonce } = command else {
            return Box::pin(self.command(command, reference)).await;
        };
        match self.post(room, text, nonce, reference) {
            Ok(()) => Ok(()),
            Err((error, reference)) => Box::pin(self.refuse(&error, reference)).await,
        }
    }

    /// Sends a message on its way, or gives its reference back to be refused.
    fn post(
        &mut self,
        room: Option<RoomId>,
        text: MessageText,
        nonce: Option<Nonce>,
        reference: Option<String>,
    ) -> Result<(), (Error, Option<String>)> {
        let checked = self.addressed(room).and_then(|room| {
            self.gateway.limits.send(self.who.uid)?;
            Ok((room, nonce.map_or_else(|| self.gateway.nonces.next(), Ok)?))
        });
        let (room, nonce) = match checked {
            Ok(checked) => checked,
            Err(error) => return Err((error, reference)),
        };
        let request_id = self.who.request_id.clone();
        let answer = Answer::new(&self.link, room, request_id.clone(), reference);
        self.gateway.posts.send(Post {
            room,
            uid: self.who.uid,
            text,
            nonce,
            request_id,
            waiter: Box::new(answer),
        });
        Ok(())
    }

    /// Sends a read marker on its way. The room hears of it, this connection too; an answer
    /// has who asked with a reference.
    fn mark(&self, room: Option<RoomId>, id: Seq, reference: Option<String>) -> base::Result<()> {
        let room = self.addressed(room)?;
        self.gateway.limits.authenticated(self.who.uid)?;
        let (gateway, call, uid) = (self.gateway.clone(), self.call(), self.who.uid);
        let under_way = UnderWay::begin(&self.link);
        self.gateway.lifecycle.tasks().spawn(async move {
            match reading::mark(&gateway, &call, room, id).await {
                Ok(_) if reference.is_none() => {}
                Ok(id) => under_way.answer(&ServerFrame::Read(Read {
                    room,
                    uid,
                    id,
                    reference,
                })),
                Err(error) => {
                    let fault = Fault::new(&error, reference);
                    let fault = fault.of_request(call.request_id().as_str());
                    under_way.answer(&ServerFrame::Error(fault));
                }
            }
        });
        Ok(())
    }

    async fn command(&mut self, command: Command, reference: Option<String>) -> Result<(), End> {
        match command {
            // They were sent on their way.
            Command::Message { .. } => Ok(()),
            Command::Read { room, id } => match self.mark(room, id, reference.clone()) {
                Ok(()) => Ok(()),
                Err(error) => self.refuse(&error, reference).await,
            },
            Command::Enter {
                room: Some(room),
                after,
                epoch,
            } => {
                self.wish(Wish {
                    way: Way::Enter,
                    room,
                    after,
                    epoch,
                    reference,
                })
                .await
            }
            Command::Enter { room: None, .. } => {
                self.leave_current(None);
                self.write_queued().await?;
                self.answer(ServerFrame::Enter(Entered {
                    reference,
                    ..Entered::default()
                }))
                .await
            }
            Command::Subscribe { room, after, epoch } => {
                let subscribed = self.rooms.iter().filter(|(_, it)| it.subscribed);
                if subscribed.filter(|(id, _)| **id != room).count() >= ROOMS {
                    let error =
                        Error::invalid("RoomID", "a connection is subscribed to 200 rooms at most");
                    return self.refuse(&error, reference).await;
                }
                self.wish(Wish {
                    way: Way::Subscribe,
                    room,
                    after,
                    epoch,
                    reference,
                })
                .await
            }
            Command::Unsubscribe { room } => {
                if self.current == Some(room) {
                    if let Some(membership) = self.rooms.get_mut(&room) {
                        membership.subscribed = false;
                    }
                } else {
                    self.forget(room);
                }
                self.write_queued().await?;
                self.answer(ServerFrame::Unsubscribe(Left { room, reference }))
                    .await
            }
            Command::Ping => self.answer(ServerFrame::Pong(Pong { reference })).await,
            Command::Hello { version } => {
                if version >= VERSION {
                    self.link.want_every_kind();
                }
                if reference.is_none() {
                    return Ok(());
                }
                let version = version.min(VERSION);
                self.answer(ServerFrame::Hello(Hello { version, reference }))
                    .await
            }
        }
    }

    fn call(&self) -> Call {
        self.gateway
            .call(self.who.request_id.clone())
            .by(self.who.uid)
    }

    async fn write_frames(&mut self, frames: Vec<Frame>) -> Result<(), End> {
        for frame in frames {
            self.feed(Message::Text(frame.text)).await?;
        }
        self.flush().await
    }

    async fn refuse(&mut self, error: &Error, reference: Option<String>) -> Result<(), End> {
        if error.code() == Code::Internal {
            let (request_id, cause) = (self.who.request_id.as_str(), error.cause());
            tracing::error!(request_id, cause, "a command failed");
        }
        let fault = Fault::new(error, reference).of_request(self.who.request_id.as_str());
        self.answer(ServerFrame::Error(fault)).await
    }

    async fn answer(&mut self, frame: ServerFrame) -> Result<(), End> {
        self.write(frame.to_json().into()).await
    }

    async fn write(&mut self, frame: Utf8Bytes) -> Result<(), End> {
        self.feed(Message::Text(frame)).await?;
        self.flush().await
    }

    /// Writes what waited, with one flush.
    async fn write_all(&mut self, frames: VecDeque<Utf8Bytes>) -> Result<(), End> {
        for frame in frames {
            self.feed(Message::Text(frame)).await?;
        }
        self.outlet.written();
        self.flush().await
    }

    /// Writes everything that waits now.
    async fn write_queued(&mut self) -> Result<(), End> {
        for frame in self.outlet.take() {
            self.feed(Message::Text(frame)).await?;
        }
        self.outlet.written();
        Ok(())
    }

    async fn feed(&mut self, message: Message) -> Result<(), End> {
        let feeding = self.socket.feed(message);
        written(&self.link, &self.outlet, feeding).await
    }

    async fn flush(&mut self) -> Result<(), End> {
        written(&self.link, &self.outlet, self.socket.flush()).await
    }
}

/// Waits for a write; a client that does not read loses the connection.
async fn written(
    link: &Link,
    outlet: &Outlet,
    writing: impl Future<Output = Result<(), SocketError>>,
) -> Result<(), End> {
    let mut writing = pin!(writing);
    // Mostly there is nothing to wait for.
    if let Some(outcome) = writing.as_mut().now_or_never() {
        return outcome.map_err(|_| End::GONE);
    }
    outlet.set_waiting(true);
    let boxed = Box::pin(async {
        tokio::select! {
            biased;
            outcome = tokio::time::timeout(WRITE_TIMEOUT, writing) => match outcome {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(End::GONE),
                Err(_) => Err(End::TOO_SLOW),
            },
            ending = link.ended() => Err(ending.into()),
        }
    });
    let outcome = boxed.await;
    outlet.set_waiting(false);
    outcome
}

/// The operation under way, or nothing for ever.
async fn work(operation: &mut Option<Operation>) -> Done {
    match operation {
        Some(operation) => operation.await,
        None => std::future::pending().await,
    }
}

//! A WebSocket connection with typed frames.
//!
//! Waiting for an answer keeps what else arrives meanwhile: [`Socket::next`] yields
//! every frame that was not such an answer, in the order the server sent them.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{
    self, Message,
    client::IntoClientRequest,
    protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
};
use wire::frame::{Command, Entered, Framed, Hello, Left, Pong, Sent, ServerFrame};
use wire::{Epoch, MessageText, Nonce, RoomId, Seq};

use crate::tls::Raw;
use crate::{Api, Error, Refusal, Result};

/// Frames kept while an answer is awaited, at most.
const BACKLOG: usize = 16 * 1024;

/// Where the token travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenIn {
    /// In the `Authorization` header; what programs should do.
    Header,
    /// In the URL, as browsers have to.
    Query,
}

/// A connection. One task uses it; what it reads and writes can be interleaved with
/// `tokio::select!`, since [`Socket::next`] loses nothing when it is dropped.
#[derive(Debug)]
pub struct Socket {
    raw: Raw,
    backlog: VecDeque<ServerFrame>,
    references: u64,
    deadline: Duration,
}

impl Socket {
    /// Opens a connection and reads the server's first frame.
    ///
    /// # Errors
    /// [`Error::Refused`] when the server refuses the upgrade.
    pub async fn connect(api: &Api, token_in: TokenIn) -> Result<Self> {
        let token = api.token().unwrap_or_default();
        match token_in {
            TokenIn::Header => Self::start(api, "/ws", token).await,
            TokenIn::Query => Self::start(api, &format!("/ws?token={token}"), "").await,
        }
    }

    /// As [`Socket::connect`], with what [`Api::ticket`] gave in place of a token.
    ///
    /// # Errors
    /// As [`Socket::connect`]; a ticket is good once.
    pub async fn connect_with_ticket(api: &Api, ticket: &str) -> Result<Self> {
        Self::start(api, &format!("/ws?ticket={ticket}"), "").await
    }

    async fn start(api: &Api, path: &str, token: &str) -> Result<Self> {
        let deadline = api.deadline();
        let raw = timeout(deadline, open(api, path, token))
            .await
            .map_err(|_| Error::Deadline)??;
        let mut socket = Self {
            raw,
            backlog: VecDeque::new(),
            references: 0,
            deadline,
        };
        match socket.next().await? {
            ServerFrame::Enter(Entered { room: None, .. }) => Ok(socket),
            other => Err(Error::Protocol(format!("first frame {other:?}"))),
        }
    }

    /// The next frame, which has to come before the deadline of a call.
    ///
    /// # Errors
    /// [`Error::Deadline`]; [`Error::Closed`] when the connection ended.
    pub async fn next(&mut self) -> Result<ServerFrame> {
        self.next_within(self.deadline).await
    }

    /// The next frame, which has to come within `patience`.
    ///
    /// # Errors
    /// As [`Socket::next`].
    pub async fn next_within(&mut self, patience: Duration) -> Result<ServerFrame> {
        if let Some(frame) = self.backlog.pop_front() {
            return Ok(frame);
        }
        timeout(patience, self.read())
            .await
            .map_err(|_| Error::Deadline)?
    }

    /// Switches to `room`; its events arrive from now on.
    ///
    /// # Errors
    /// `permission_denied` when not a member, `not_found`.
    pub async fn enter(&mut self, room: RoomId) -> Result<Entered> {
        self.enter_at(Some(room), None, None).await
    }

    /// Switches to `room` (`None`: to no room) and resumes after event `after` of the
    /// log's life `epoch`.
    ///
    /// # Errors
    /// As [`Socket::enter`]; `invalid_argument` when `after` is beyond the log's end.
    pub async fn enter_at(
        &mut self,
        room: Option<RoomId>,
        after: Option<Seq>,
        epoch: Option<Epoch>,
    ) -> Result<Entered> {
        match self.ask(Command::Enter { room, after, epoch }).await? {
            ServerFrame::Enter(entered) => Ok(entered),
            other => Err(unexpected(&other)),
        }
    }

    /// Gets the events of `room` too, from now on or after event `after`.
    ///
    /// # Errors
    /// As [`Socket::enter_at`].
    pub async fn subscribe(&mut self, room: RoomId, after: Option<Seq>) -> Result<Entered> {
        match self
            .ask(Command::Subscribe {
                room,
                after,
                epoch: None,
            })
            .await?
        {
            ServerFrame::Subscribe(entered) => Ok(entered),
            other => Err(unexpected(&other)),
        }
    }

    /// Gets the events of `room` no more.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub async fn unsubscribe(&mut self, room: RoomId) -> Result<Left> {
        match self.ask(Command::Unsubscribe { room }).await? {
            ServerFrame::Unsubscribe(left) => Ok(left),
            other => Err(unexpected(&other)),
        }
    }

    /// Says `text` in the current room and waits until it is durable.
    ///
    /// # Errors
    /// `invalid_argument`, `permission_denied`, `rate_limited`, `unavailable`.
    pub async fn say(&mut self, text: &str) -> Result<Sent> {
        self.say_in(None, text, None).await
    }

    /// Says `text` in `room` (`None`: the current one), safe to repeat with the same
    /// `nonce`, and waits until it is durable.
    ///
    /// # Errors
    /// As [`Socket::say`]; `nonce_reused`.
    pub async fn say_in(
        &mut self,
        room: Option<RoomId>,
        text: &str,
        nonce: Option<&str>,
    ) -> Result<Sent> {
        let refuse = |error: wire::Error| Error::Usage(error.to_string());
        let text = MessageText::parse("Text", text).map_err(refuse)?;
        let nonce = nonce
            .map(|nonce| Nonce::parse("Nonce", nonce))
            .transpose()
            .map_err(refuse)?;
        match self.ask(Command::Message { room, text, nonce }).await? {
            ServerFrame::Sent(sent) => Ok(sent),
            other => Err(unexpected(&other)),
        }
    }

    /// Says that this user has read up to event `id` of `room` (`None`: the current one), and
    /// answers where the marker is then. Others' markers come as [`ServerFrame::Read`] to who
    /// said [`Socket::hello`].
    ///
    /// # Errors
    /// `invalid_argument` when `id` is beyond the newest event, `permission_denied`,
    /// `rate_limited`, `unavailable`.
    pub async fn mark_read(&mut self, room: Option<RoomId>, id: Seq) -> Result<Seq> {
        match self.ask(Command::Read { room, id }).await? {
            ServerFrame::Read(read) => Ok(read.id),
            other => Err(unexpected(&other)),
        }
    }

    /// Asks for a pong: all frames sent before have been dealt with or queued then.
    ///
    /// # Errors
    /// [`Error::Deadline`], [`Error::Closed`].
    pub async fn ping(&mut self) -> Result<Pong> {
        match self.ask(Command::Ping).await? {
            ServerFrame::Pong(pong) => Ok(pong),
            other => Err(unexpected(&other)),
        }
    }

    /// Says that this client counts Seq: events of every kind come from now on.
    ///
    /// # Errors
    /// As [`Socket::ping`].
    pub async fn hello(&mut self) -> Result<Hello> {
        match self.ask(Command::Hello { version: 2 }).await? {
            ServerFrame::Hello(hello) => Ok(hello),
            other => Err(unexpected(&other)),
        }
    }

    /// Sends a command without waiting for its answer, which [`Socket::next`] yields.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Deadline`].
    pub async fn send(&mut self, frame: &Framed) -> Result<()> {
        self.send_text(frame.to_json()).await
    }

    /// Sends any text as a frame.
    ///
    /// # Errors
    /// As [`Socket::send`].
    pub async fn send_text(&mut self, text: impl Into<String>) -> Result<()> {
        let sending = self.raw.send(Message::text(text.into()));
        timeout(self.deadline, sending)
            .await
            .map_err(|_| Error::Deadline)?
            .map_err(ended)
    }

    /// Sends `command` with a reference of its own and waits for the frame that
    /// carries it back.
    ///
    /// # Errors
    /// [`Error::Refused`] when that is an error frame.
    pub async fn ask(&mut self, command: Command) -> Result<ServerFrame> {
        self.references += 1;
        let reference = format!("sdk-{}", self.references);
        self.send(&Framed {
            reference: Some(reference.clone()),
            command,
        })
        .await?;
        let deadline = self.deadline;
        let waiting = async {
            loop {
                let frame = self.read().await?;
                if reference_of(&frame) == Some(&reference) {
                    return Ok(frame);
                }
                if self.backlog.len() == BACKLOG {
                    return Err(Error::Protocol(
                        "too many frames before the answer".to_owned(),
                    ));
                }
                self.backlog.push_back(frame);
            }
        };
        match timeout(deadline, waiting)
            .await
            .map_err(|_| Error::Deadline)??
        {
            ServerFrame::Error(fault) => Err(Error::Refused(Refusal::from_frame(fault))),
            frame => Ok(frame),
        }
    }

    /// The connection below the frames, for who wants to send what no client should.
    pub fn raw(&mut self) -> &mut Raw {
        &mut self.raw
    }

    /// The connection itself, where nothing was read ahead.
    pub(crate) fn into_raw(self) -> Raw {
        self.raw
    }

    /// Says goodbye and waits for the server's, for the deadline of a call at most.
    pub async fn close(mut self) {
        let goodbye = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        let closing = async {
            if self.raw.close(Some(goodbye)).await.is_ok() {
                while let Some(Ok(_)) = self.raw.next().await {}
            }
        };
        // Whoever does not answer a goodbye is left without one.
        let _ = timeout(self.deadline, closing).await;
    }

    /// Reads from the connection until there is a frame.
    async fn read(&mut self) -> Result<ServerFrame> {
        loop {
            match self.raw.next().await {
                Some(Ok(Message::Text(text))) => {
                    return ServerFrame::parse(&text)
                        .map_err(|error| Error::Protocol(error.to_string()));
                }
                Some(Ok(Message::Close(frame))) => {
                    // The answer to it waits for the next read, which may never come.
                    let _ = self.raw.flush().await;
                    return Err(closed(frame));
                }
                Some(Ok(Message::Binary(_))) => {
                    return Err(Error::Protocol("a binary frame".to_owned()));
                }
                // tungstenite answers pings itself, with the next read.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Err(ended(error)),
                None => return Err(closed(None)),
            }
        }
    }
}

impl Api {
    /// Opens a WebSocket, with the token in the `Authorization` header.
    ///
    /// # Errors
    /// `unauthenticated`, before the upgrade.
    pub async fn connect(&self) -> Result<Socket> {
        Socket::connect(self, TokenIn::Header).await
    }
}

/// Upgrades at `path`, with `token` in a header unless it is empty.
async fn open(api: &Api, path: &str, token: &str) -> Result<Raw> {
    let (scheme, address) = match api.base().split_once("://") {
        Some(("https", address)) => ("wss", address),
        Some((_, address)) => ("ws", address),
        None => ("ws", api.base()),
    };
    let url = format!("{scheme}://{address}{path}");
    let mut request = url.into_client_request().map_err(refused_upgrade)?;
    if !token.is_empty() {
        let value = http::HeaderValue::from_str(&format!("Bearer {token}"));
        let value = value.map_err(|_| Error::Usage("a token that no header can carry".into()))?;
        request
            .headers_mut()
            .insert(http::header::AUTHORIZATION, value);
    }
    let uri = request.uri();
    let host = uri
        .host()
        .unwrap_or_default()
        .trim_matches(['[', ']'])
        .to_owned();
    let usual = if scheme == "wss" { 443 } else { 80 };
    let port = uri.port_u16().unwrap_or(usual);
    let transport = |error: std::io::Error| Error::Transport(error.to_string());
    let stream = TcpStream::connect((host, port)).await.map_err(transport)?;
    stream.set_nodelay(true).map_err(transport)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(8 * 1024)
        .write_buffer_size(0)
        .max_message_size(Some(1024 * 1024));
    let opening = api.tls().upgrade(request, stream, config);
    opening.await.map_err(refused_upgrade)
}

fn refused_upgrade(error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Http(answer) => {
            let body = answer.body().as_deref().unwrap_or_default();
            Error::Refused(Refusal::from_http(
                answer.status().as_u16(),
                answer.headers(),
                body,
            ))
        }
        tungstenite::Error::Url(error) => Error::Usage(error.to_string()),
        error => Error::Transport(error.to_string()),
    }
}

pub(crate) fn closed(frame: Option<CloseFrame>) -> Error {
    match frame {
        Some(frame) => Error::Closed {
            code: Some(frame.code.into()),
            reason: frame.reason.to_string(),
        },
        None => Error::Closed {
            code: None,
            reason: String::new(),
        },
    }
}

pub(crate) fn ended(error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Io(_)
        | tungstenite::Error::Protocol(_) => Error::Closed {
            code: None,
            reason: error.to_string(),
        },
        error => Error::Protocol(error.to_string()),
    }
}

fn unexpected(frame: &ServerFrame) -> Error {
    Error::Protocol(format!("an answer of another kind: {frame:?}"))
}

/// The reference that `frame` carries back.
fn reference_of(frame: &ServerFrame) -> Option<&String> {
    match frame {
        ServerFrame::Enter(entered) | ServerFrame::Subscribe(entered) => entered.reference.as_ref(),
        ServerFrame::Unsubscribe(left) => left.reference.as_ref(),
        ServerFrame::Sent(sent) => sent.reference.as_ref(),
        ServerFrame::Error(fault) => fault.reference.as_ref(),
        ServerFrame::Pong(pong) => pong.reference.as_ref(),
        ServerFrame::Hello(hello) => hello.reference.as_ref(),
        ServerFrame::Read(read) => read.reference.as_ref(),
        ServerFrame::Event(_) | ServerFrame::Other(_) => None,
    }
}

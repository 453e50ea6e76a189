//! A server that does what a test says, over real TCP.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::wire::{Epoch, RoomId, Seq};
use client::{Chat, ChatBuilder, Events, Item, Message, Position, Timings, Tokens};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const OWN: u64 = 7;

pub(crate) fn room(number: u64) -> RoomId {
    RoomId::new(number).unwrap()
}

pub(crate) fn at(seq: u64) -> Position {
    Position {
        epoch: Some(Epoch(1)),
        seq: Seq(seq),
    }
}

pub(crate) fn event(kind: &str, seq: u64, uid: u64) -> Value {
    json!({
        "Type": kind, "ID": seq, "Seq": seq, "RoomID": 1, "UID": uid, "Text": format!("e{seq}"),
        "Timestamp": "2026-01-02T03:04:05.678Z"
    })
}

/// Timings of which a test need not wait for any.
pub(crate) fn swift() -> Timings {
    Timings {
        call: Duration::from_secs(5),
        silence: Duration::from_secs(30),
        answer: Duration::from_secs(30),
        retry_least: Duration::from_millis(5),
        retry_most: Duration::from_millis(50),
        ..Timings::default()
    }
}

/// A login as the server answers it.
pub(crate) fn login(name: &str) -> Value {
    json!({
        "token": format!("token-{name}"), "RefreshToken": format!("refresh-{name}"),
        "ExpiresAt": "2200-01-01T00:00:00Z", "SessionID": 1
    })
}

pub(crate) fn tokens(name: &str) -> Tokens {
    let login: client::wire::response::LoggedIn = serde_json::from_value(login(name)).unwrap();
    login.into()
}

/// A gateway: its connections and its requests, in the order in which they come.
pub(crate) struct Server {
    pub(crate) base: String,
    sockets: mpsc::Receiver<Ws>,
    requests: mpsc::Receiver<Asked>,
    /// The token that it takes.
    token: Arc<Mutex<String>>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (to_sockets, sockets) = mpsc::channel(16);
        let (to_requests, requests) = mpsc::channel(16);
        let token = Arc::new(Mutex::new("token-one".to_owned()));
        let mut tasks = JoinSet::new();
        let good = Arc::clone(&token);
        tasks.spawn(async move {
            let mut served = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let token = good.lock().unwrap().clone();
                served.spawn(serve(
                    stream,
                    token,
                    to_sockets.clone(),
                    to_requests.clone(),
                ));
            }
        });
        Self {
            base,
            sockets,
            requests,
            token,
            _tasks: tasks,
        }
    }

    pub(crate) fn takes(&self, token: &str) {
        token.clone_into(&mut self.token.lock().unwrap());
    }

    pub(crate) fn chat(&self) -> ChatBuilder {
        Chat::builder(&self.base, tokens("one")).timings(swift())
    }

    /// The next connection, greeted.
    pub(crate) async fn socket(&mut self) -> Ws {
        timeout(PATIENCE, self.sockets.recv())
            .await
            .expect("no connection")
            .unwrap()
    }

    /// The next request but for a profile.
    pub(crate) async fn request(&mut self) -> Asked {
        timeout(PATIENCE, self.requests.recv())
            .await
            .expect("no request")
            .unwrap()
    }

    pub(crate) fn has_socket(&mut self) -> bool {
        self.sockets.try_recv().is_ok()
    }
}

/// A request that waits for its answer.
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: Value,
    stream: TcpStream,
}

impl Asked {
    pub(crate) async fn answer(mut self, status: u16, headers: &str, body: &Value) {
        let body = body.to_string();
        let answer = format!(
            "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}",
            body.len()
        );
        self.stream.write_all(answer.as_bytes()).await.unwrap();
    }

    pub(crate) async fn refuse(self, status: u16, code: &str, headers: &str) {
        let problem = json!({
            "type": "x", "title": "x", "status": status, "detail": "no", "Code": code, "RequestID": "r"
        });
        self.answer(status, headers, &problem).await;
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let mut lines = self.head.lines();
        lines.find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    }
}

async fn serve(
    stream: TcpStream,
    token: String,
    sockets: mpsc::Sender<Ws>,
    requests: mpsc::Sender<Asked>,
) {
    let mut begin = [0; 8];
    while stream.peek(&mut begin).await.unwrap_or(0) < begin.len() {
        if stream.peek(&mut begin).await.unwrap_or(0) == 0 {
            return;
        }
    }
    if begin.starts_with(b"GET /ws") {
        #[expect(
            clippy::result_large_err,
            reason = "tungstenite asks for this signature"
        )]
        let check = |request: &Request, response: Response| {
            let given = request.headers().get("authorization");
            if given.is_some_and(|given| *given == format!("Bearer {token}")) {
                return Ok(response);
            }
            let body = r#"{"type":"x","title":"x","status":401,"detail":"no","Code":"unauthenticated","RequestID":"r"}"#;
            let mut refusal = ErrorResponse::new(Some(body.to_owned()));
            *refusal.status_mut() = http::StatusCode::UNAUTHORIZED;
            Err(refusal)
        };
        if let Ok(raw) = tokio_tungstenite::accept_hdr_async(stream, check).await {
            let mut ws = Ws {
                raw,
                seen: VecDeque::new(),
            };
            ws.say(&json!({"Type": "enter", "RoomID": 0})).await;
            // A test that is over takes no more.
            let _ = sockets.send(ws).await;
        }
        return;
    }
    if let Some(asked) = read_request(stream).await {
        let known = asked.header("authorization") == Some(format!("Bearer {token}"));
        if asked.line.starts_with("GET /profile") {
            if known {
                let at = "2026-01-02T03:04:05.678Z";
                let own = json!({"UID": OWN, "Username": "ann", "CreatedAt": at});
                asked.answer(200, "", &own).await;
            } else {
                asked.refuse(401, "unauthenticated", "").await;
            }
        } else {
            let _ = requests.send(asked).await;
        }
    }
}

async fn read_request(mut stream: TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse().unwrap())
        });
        if body.len() >= length.unwrap_or(0) {
            return Some(Asked {
                line: head.lines().next()?.to_owned(),
                head: head.to_owned(),
                body: serde_json::from_str(body).unwrap_or_default(),
                stream,
            });
        }
    }
}

/// The server's side of a connection.
pub(crate) struct Ws {
    raw: WebSocketStream<TcpStream>,
    seen: VecDeque<Value>,
}

impl Ws {
    pub(crate) async fn say(&mut self, frame: &Value) {
        self.raw
            .send(Message::text(frame.to_string()))
            .await
            .unwrap();
    }

    /// The client's next command.
    pub(crate) async fn hear(&mut self) -> Value {
        if let Some(frame) = self.seen.pop_front() {
            return frame;
        }
        loop {
            let message = timeout(PATIENCE, self.raw.next())
                .await
                .expect("no command");
            if let Message::Text(text) = message.expect("the client went").unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// The next command, which is of this type.
    pub(crate) async fn hear_a(&mut self, kind: &str) -> Value {
        let frame = self.hear().await;
        assert_eq!(frame["Type"], kind, "{frame}");
        frame
    }

    /// Grants the next wish, which asks for what comes after `after`.
    pub(crate) async fn grant(&mut self, after: Option<u64>, head: u64, more: Value) {
        let wish = self.hear_a("subscribe").await;
        assert_eq!(wish.get("After").and_then(Value::as_u64), after, "{wish}");
        let mut answer = json!({
            "Type": "subscribe", "RoomID": wish["RoomID"], "Seq": head, "Epoch": 1, "First": 1,
            "Ref": wish["Ref"]
        });
        if let (Value::Object(answer), Value::Object(more)) = (&mut answer, more) {
            answer.extend(more);
        }
        self.say(&answer).await;
    }

    pub(crate) async fn refuse(&mut self, command: &Value, code: &str) {
        let retryable = ["unavailable", "rate_limited", "deadline_exceeded"].contains(&code);
        self.say(&json!({
            "Type": "error", "Error": "no", "Code": code, "Retryable": retryable,
            "Ref": command["Ref"]
        }))
        .await;
    }

    pub(crate) async fn sent(&mut self, message: &Value, id: u64) {
        self.say(&json!({
            "Type": "sent", "MessageID": id, "RoomID": message["RoomID"], "Ref": message["Ref"],
            "Timestamp": "2026-01-02T03:04:05.678Z"
        }))
        .await;
    }

    pub(crate) async fn close(mut self, code: u16) {
        let code = CloseCode::from(code);
        let close = CloseFrame {
            code,
            reason: "".into(),
        };
        self.raw.close(Some(close)).await.unwrap();
        while let Some(Ok(_)) = self.raw.next().await {}
    }

    /// The code of the client's goodbye; `None`: it went without one.
    pub(crate) async fn goodbye(mut self) -> Option<u16> {
        loop {
            match timeout(PATIENCE, self.raw.next())
                .await
                .expect("the client stays")
            {
                Some(Ok(Message::Close(frame))) => return frame.map(|it| it.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }
}

/// The next item, in time.
pub(crate) async fn next(events: &mut Events) -> Item {
    timeout(PATIENCE, events.next())
        .await
        .expect("nothing comes")
        .expect("it has ended")
}

/// The next items are the events from `first` to `last`.
pub(crate) async fn comes(events: &mut Events, first: u64, last: u64) {
    for seq in first..=last {
        match next(events).await {
            Item::Event { event, position } => {
                assert_eq!((event.seq, position.seq), (Seq(seq), Seq(seq)));
            }
            other => panic!("{other:?} in place of event {seq}"),
        }
    }
}

/// Waits, with the patience of a test.
pub(crate) async fn soon<T>(it: impl Future<Output = T>) -> T {
    timeout(PATIENCE, it).await.expect("it takes too long")
}

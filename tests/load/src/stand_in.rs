//! A small server of the contract for the tests of the generator, with faults to plant.
//!
//! Its WebSockets are a library's, so the hand-made ones meet an independent reader.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, protocol::Role};

use crate::ledger::Counts;
use crate::proc::Process;
use crate::report::Report;
use crate::scan;
use crate::scenario::{Bench, GRACE};
use crate::suite::Line;
use crate::system::System;

/// What goes wrong for one receiver, once, at the event `FAULTY`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    Lose,
    Double,
    Swap,
    HangUp,
}

const FAULTY: u64 = 40;

#[derive(Default)]
struct State {
    users: u64,
    rooms: HashMap<u64, Room>,
}

#[derive(Default)]
struct Room {
    seq: u64,
    /// Messages by their numbers.
    log: Vec<(u64, String)>,
    listeners: Vec<mpsc::Sender<String>>,
    held: Option<String>,
}

impl Room {
    fn post(&mut self, frame: &dyn Fn(u64) -> String, fault: Fault) -> u64 {
        self.seq += 1;
        let frame = frame(self.seq);
        self.log.push((self.seq, frame.clone()));
        for (index, listener) in self.listeners.iter().enumerate() {
            let mut frames = vec![frame.clone()];
            if index == 1 && self.seq == FAULTY {
                match fault {
                    Fault::None => {}
                    Fault::Lose => frames.clear(),
                    Fault::Double => frames.push(frame.clone()),
                    Fault::Swap => self.held = frames.pop(),
                    Fault::HangUp => frames = vec![String::new()],
                }
            } else if index == 1 {
                frames.extend(self.held.take());
            }
            for frame in frames {
                // A listener that has hung up is no one's concern.
                let _ = listener.try_send(frame);
            }
        }
        self.seq
    }
}

/// Serves connections until it is dropped.
async fn serve(listener: TcpListener, fault: Fault) {
    let state = Arc::new(Mutex::new(State::default()));
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let state = Arc::clone(&state);
        connections.spawn(async move { connection(stream, &state, fault).await });
    }
}

async fn connection(stream: TcpStream, state: &Mutex<State>, fault: Fault) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut stream = BufReader::new(stream);
    loop {
        let (mut request, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
            if request.is_empty() {
                request = line;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        if request.starts_with("GET /ws?token=token ") {
            let consent = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
            stream.write_all(consent).await.ok()?;
            return socket(stream.into_inner(), state, fault).await;
        }
        let (status, answer) = answer(&request, &body, &mut state.lock().unwrap());
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        stream.write_all((head + &answer).as_bytes()).await.ok()?;
    }
}

fn answer(request: &str, body: &[u8], state: &mut State) -> (u16, String) {
    match request.split(" HTTP").next().unwrap() {
        "POST /register" => {
            assert!(scan::text(body, "Username").unwrap().len() <= 20);
            state.users += 1;
            (201, format!(r#"{{"UID":{}}}"#, state.users))
        }
        "PUT /login" | "POST /login" => (200, r#"{"token":"token","SessionID":1}"#.to_owned()),
        "POST /create-room" => {
            assert!(scan::text(body, "Name").unwrap().len() <= 20);
            let id = state.rooms.len() as u64 + 1;
            state.rooms.insert(
                id,
                Room {
                    seq: 1,
                    ..Room::default()
                },
            );
            (201, format!(r#"{{"RoomID":{id}}}"#))
        }
        "PUT /invite" => {
            let room = scan::number(body, "RoomID").unwrap();
            state.rooms.get_mut(&room).unwrap().seq += 1;
            (200, r#"{"status":"invited"}"#.to_owned())
        }
        "GET /profile" | "GET /rooms" => (200, "{}".to_owned()),
        other => (404, other.to_owned()),
    }
}

async fn socket(stream: TcpStream, state: &Mutex<State>, fault: Fault) -> Option<()> {
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    // Large enough for a whole test; what does not fit would be a loss of our own making.
    let (listener, mut frames) = mpsc::channel(100_000);
    listener
        .try_send(r#"{"Type":"enter","RoomID":0}"#.to_owned())
        .ok()?;
    let mut room = 0;
    loop {
        tokio::select! {
            frame = frames.recv() => match frame? {
                hang_up if hang_up.is_empty() => return socket.close(None).await.ok(),
                frame => {
                    socket.feed(Message::Ping("are you there".into())).await.ok()?;
                    socket.send(Message::text(frame)).await.ok()?;
                }
            },
            message = socket.next() => {
                let Message::Text(text) = message?.ok()? else { continue };
                let event = scan::event(text.as_bytes());
                let mut state = state.lock().unwrap();
                let named = scan::number(text.as_bytes(), "RoomID").unwrap_or(0);
                if event.kind == b"enter" || event.kind == b"subscribe" {
                    room = named;
                    let seq = state.rooms[&room].seq;
                    let kind = std::str::from_utf8(event.kind).unwrap();
                    let frame = format!(r#"{{"Type":"{kind}","RoomID":{room},"Seq":{seq}}}"#);
                    listener.try_send(frame).ok()?;
                    let entered = state.rooms.get_mut(&room)?;
                    if let Some(after) = scan::number(text.as_bytes(), "After") {
                        let missed = entered.log.iter().filter(|(id, _)| *id > after);
                        for (_, frame) in missed {
                            listener.try_send(frame.clone()).ok()?;
                        }
                    }
                    entered.listeners.push(listener.clone());
                } else {
                    let room = if named == 0 { room } else { named };
                    let said = std::str::from_utf8(event.text).unwrap();
                    let frame = |id: u64| format!(
                        r#"{{"Type":"message","ID":{id},"RoomID":{room},"UID":1,"Text":"{said}"}}"#
                    );
                    let id = state.rooms.get_mut(&room)?.post(&frame, fault);
                    let reference = event.reference;
                    let sent = format!(r#"{{"Type":"sent","MessageID":{id},"Ref":"{reference}"}}"#);
                    listener.try_send(sent).ok()?;
                }
            }
        }
    }
}

/// Runs `scenario` for a second against a server with `fault`.
async fn run(scenario: &str, fault: Fault, grace: Duration) -> Report {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = format!("http://{}", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(serve(listener, fault));
    // It serves in the place of two gateways, and of their processes.
    let pids = ["gateway-1", "gateway-2"].map(|name| Process {
        name: name.to_owned(),
        pid: std::process::id(),
    });
    let mut bench = Bench {
        system: System::given(&[gateway.clone(), gateway], &pids),
        length: Duration::from_secs(1),
        grace,
    };
    let line = Line::read(scenario).unwrap();
    line.scenario.run(&mut bench).await.unwrap()
}

const PIPELINE: &str = "pipeline --rooms 1 --members 4";

async fn pipeline(fault: Fault) -> Counts {
    let report = run(PIPELINE, fault, Duration::from_millis(300)).await;
    let counts = report.counts().unwrap().clone();
    assert_eq!(report.sound(), fault == Fault::None, "{report}");
    assert!(counts.acked > FAULTY, "{report}");
    assert_eq!(
        (counts.sent, counts.expected),
        (counts.acked, counts.acked * 4)
    );
    counts
}

#[tokio::test]
async fn a_pipeline_over_a_faultless_server_is_sound() {
    let counts = pipeline(Fault::None).await;
    assert_eq!(counts.delivered, counts.expected);
}

#[tokio::test]
async fn a_planted_loss_duplicate_and_swap_are_found() {
    let lost = pipeline(Fault::Lose).await;
    assert_eq!((lost.missing, lost.duplicated, lost.disordered), (1, 0, 0));
    let doubled = pipeline(Fault::Double).await;
    assert_eq!(
        (doubled.missing, doubled.duplicated, doubled.disordered),
        (0, 1, 0)
    );
    let swapped = pipeline(Fault::Swap).await;
    assert_eq!(
        (swapped.missing, swapped.duplicated, swapped.disordered),
        (0, 0, 1)
    );
}

#[tokio::test]
async fn a_connection_that_ends_misses_what_the_others_get() {
    let counts = pipeline(Fault::HangUp).await;
    assert_eq!(counts.missing, counts.expected - counts.delivered);
    assert!(counts.missing > 0);
}

#[tokio::test]
async fn the_other_scenarios_run() {
    let scenarios = [
        "bare --connections 5",
        "hot-room --members 6 --senders 2",
        "latency --rooms 2 --members 3",
        "idle --connections 15,30 --users 10 --room 15",
        "fan-out --members 3,20 --users 4 --deliveries 500",
        "rooms-sweep --rooms 3,120 --rate 300 --window 60",
        "requests --connections 2 --rooms 1",
        "logins --connections 2 --rounds 1",
        "skipped --rooms 60 --rate 100 --quiet 1",
        "soak --minutes 0.03 --warm-up 0 --every 1 --rate 50 --rooms 2 --members 3",
    ];
    let reports = scenarios.map(|scenario| run(scenario, Fault::None, GRACE));
    let reports = futures_util::future::join_all(reports).await;
    for (scenario, report) in scenarios.iter().zip(reports) {
        assert!(report.sound(), "{report}");
        let json = serde_json::to_string(&report).unwrap();
        let name = scenario.split(' ').next();
        assert_eq!(scan::text(&json.into_bytes(), "scenario"), name);
    }
}

#[tokio::test]
async fn who_was_cut_off_comes_back_and_misses_nothing() {
    let storm = "reconnect-storm --connections 24 --room 8 --share 50 --users 9 --rate 100";
    let report = run(storm, Fault::None, GRACE).await;
    assert!(report.sound(), "{report}");
    let counts = report.counts().unwrap();
    assert_eq!((counts.acked, counts.delivered), (100, 900));
    assert!(report.figures().get("all caught up s").unwrap() > 0.0);
}

#[tokio::test]
async fn an_open_loop_sends_at_its_rate() {
    let latency = run("latency --rooms 2 --members 3", Fault::None, GRACE).await;
    let counts = latency.counts().unwrap();
    assert_eq!((counts.sent, counts.acked, counts.delivered), (50, 50, 150));
    let fast = "pipeline --rooms 2 --members 3 --rate 2500";
    let counts = run(fast, Fault::None, GRACE)
        .await
        .counts()
        .unwrap()
        .clone();
    assert_eq!((counts.sent, counts.acked), (2500, 2500));
}

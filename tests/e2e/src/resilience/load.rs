//! A load that keeps count: who said what, what was acknowledged, what everyone heard.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::time::Duration;

use client::wire::frame::{EventKind, Sent, ServerFrame};
use client::wire::response::Entry;
use client::wire::{RoomId, Seq};
use client::{Api, Error, Socket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::harness::{User, World};

const ROOMS: usize = 4;
/// Messages that each writer has acknowledged before the fault, and again after it.
const ENOUGH: usize = 25;
/// How long the system may take to be whole again.
const RECOVERY: Duration = Duration::from_mins(1);

/// Messages by their number in the room.
type Acked = Vec<(Seq, String)>;

struct Writer {
    acked: watch::Receiver<usize>,
}

/// Writes and listens in some rooms, each with a member on either gateway; makes the
/// fault once all are under way, and goes on until all have recovered. Then compares
/// what was acknowledged and heard with what the log has.
pub(super) async fn under_load(world: &World, fault: impl Future<Output = ()>) {
    let (stop, stopped) = watch::channel(false);
    let (tell_end, end) = watch::channel(HashMap::<RoomId, Seq>::new());
    let (mut writers, mut listeners) = (JoinSet::new(), JoinSet::new());
    let mut progress = Vec::new();
    let mut readers = HashMap::new();
    for _ in 0..ROOMS {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        for (gateway, user) in [(0, &ann), (1, &bob)] {
            let (count, acked) = watch::channel(0);
            writers.spawn(write(
                Client::new(user, gateway, room),
                stopped.clone(),
                count,
            ));
            listeners.spawn(listen(Client::new(user, gateway, room), end.clone()));
            progress.push(Writer { acked });
        }
        readers.insert(room, ann);
    }

    all_go_on(&mut progress).await;
    fault.await;
    all_go_on(&mut progress).await;

    stop.send_replace(true);
    let mut acked: HashMap<RoomId, Acked> = HashMap::new();
    while let Some(written) = writers.join_next().await {
        let (room, messages) = written.unwrap();
        acked.entry(room).or_default().extend(messages);
    }
    let mut heads = HashMap::new();
    for (room, reader) in &readers {
        let log = whole_log(reader.api(), *room).await;
        compare(&log, &acked[room]);
        heads.insert(*room, log.last().unwrap().id);
    }
    tell_end.send_replace(heads);
    let hearing = async {
        while let Some(heard) = listeners.join_next().await {
            heard.unwrap();
        }
    };
    timeout(RECOVERY, hearing)
        .await
        .expect("everyone to hear everything in time");
}

/// Waits until each writer has that many more messages acknowledged.
async fn all_go_on(progress: &mut [Writer]) {
    for writer in progress {
        let enough = *writer.acked.borrow() + ENOUGH;
        let going_on = writer.acked.wait_for(|acked| *acked >= enough);
        timeout(RECOVERY, going_on)
            .await
            .expect("progress in time")
            .unwrap();
    }
}

/// The log from its first entry on, which has to be without a hole.
async fn whole_log(api: &Api, room: RoomId) -> Vec<Entry> {
    let mut log: Vec<Entry> = Vec::new();
    loop {
        let before = log.last().map(|entry| Seq(entry.id.get() - 1));
        if before == Some(Seq::START) {
            break;
        }
        match api.messages(room, before, 100).await {
            Ok(page) => log.extend(page),
            Err(error) => pause_after(&error).await,
        }
    }
    log.reverse();
    let ids = log.iter().map(|entry| entry.id.get());
    assert!(
        ids.eq(1..=log.len() as u64),
        "the log of room {room} has a hole or a repeat"
    );
    assert!(
        log.is_sorted_by_key(|entry| entry.timestamp),
        "time goes back in room {room}"
    );
    log
}

fn compare(log: &[Entry], acked: &Acked) {
    let messages = log.iter().filter(|entry| entry.kind == EventKind::Message);
    let mut texts = HashSet::new();
    for message in messages {
        assert!(
            texts.insert(&message.text),
            "{} is there twice",
            message.text
        );
    }
    for (id, text) in acked {
        let index = usize::try_from(id.get()).unwrap() - 1;
        let entry = log
            .get(index)
            .unwrap_or_else(|| panic!("{text} ({id}) is missing"));
        assert_eq!(&entry.text, text, "acknowledged as {id}");
    }
}

/// A client that comes back, here or at the other gateway.
struct Client {
    apis: [Api; 2],
    gateway: usize,
    room: RoomId,
    name: String,
    connected: Option<(Socket, Seq)>,
}

impl Client {
    fn new(user: &User, gateway: usize, room: RoomId) -> Self {
        let api = |gateway| user.api_at(gateway).with_deadline(Duration::from_secs(5));
        let name = format!("{}@{gateway}", user.uid);
        Self {
            apis: [api(0), api(1)],
            gateway,
            room,
            name,
            connected: None,
        }
    }

    /// A connection in the room, and the newest event when it was entered.
    async fn connection(&mut self) -> Result<&mut (Socket, Seq), Error> {
        if self.connected.is_none() {
            let mut socket = self.apis[self.gateway].connect().await?;
            let entered = socket.enter(self.room).await?;
            self.connected = Some((socket, entered.seq.unwrap()));
        }
        // It has just been made where there was none.
        self.connected.as_mut().ok_or(Error::Deadline)
    }

    async fn say(&mut self, text: &str) -> Result<Sent, Error> {
        let (socket, _) = self.connection().await?;
        let sent = socket.say_in(None, text, Some(text)).await;
        // What arrived meanwhile is the listener's business.
        while socket.next_within(Duration::ZERO).await.is_ok() {}
        sent
    }

    /// After a failure that may pass. A refusal leaves the connection as it is.
    async fn recover(&mut self, error: &Error) {
        if error.refusal().is_none() || self.connected.is_none() {
            self.connected = None;
            self.gateway = 1 - self.gateway;
        }
        pause_after(error).await;
    }
}

async fn pause_after(error: &Error) {
    assert!(error.retryable(), "{error:?}");
    let wait = error.refusal().and_then(|refusal| refusal.retry_after);
    sleep(wait.unwrap_or(Duration::from_millis(100))).await;
}

/// Says one thing after the other, each until it is acknowledged.
async fn write(
    mut client: Client,
    stopped: watch::Receiver<bool>,
    count: watch::Sender<usize>,
) -> (RoomId, Acked) {
    let mut acked = Vec::new();
    while !*stopped.borrow() {
        let text = format!("{} {}", client.name, acked.len());
        match client.say(&text).await {
            Ok(sent) => {
                acked.push((sent.message_id, text));
                count.send_replace(acked.len());
            }
            Err(error) => client.recover(&error).await,
        }
    }
    (client.room, acked)
}

/// Listens until the room's end, once that is known. On one connection nothing is
/// left out and nothing comes twice.
async fn listen(mut client: Client, end: watch::Receiver<HashMap<RoomId, Seq>>) {
    let room = client.room;
    loop {
        let (socket, heard) = match client.connection().await {
            Ok(connected) => connected,
            Err(error) => {
                client.recover(&error).await;
                continue;
            }
        };
        if end.borrow().get(&room).is_some_and(|end| *heard >= *end) {
            return;
        }
        match socket.next_within(Duration::from_millis(500)).await {
            Ok(ServerFrame::Event(event)) => {
                assert_eq!(event.seq, heard.next(), "in room {room}");
                *heard = event.seq;
            }
            Ok(other) => panic!("{other:?}"),
            Err(Error::Deadline) => {}
            Err(error) => client.recover(&error).await,
        }
    }
}

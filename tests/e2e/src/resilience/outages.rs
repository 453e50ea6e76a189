//! What an outage of Kafka costs: moments, however many rooms are watched.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::wire::frame::ServerFrame;
use client::wire::{RoomId, Seq};
use client::{Api, Socket};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::harness::User;
use crate::harness::distributed::Dev;

/// Rooms watched at once.
const ROOMS: usize = 1_000;
/// Rooms of one connection.
const EACH: usize = 200;
/// How late an event may come while Kafka is down.
const LATE: Duration = Duration::from_secs(2);
/// How soon all is as before when Kafka is back.
const CURRENT: Duration = Duration::from_secs(5);

/// When each message was acknowledged, and how late it came.
#[derive(Clone, Default)]
struct Clocks(Arc<Mutex<HashMap<(RoomId, Seq), Instant>>>);

impl Clocks {
    fn sent(&self, room: RoomId, seq: Seq) {
        let mut clocks = self.0.lock().unwrap();
        clocks.entry((room, seq)).or_insert_with(Instant::now);
    }

    /// How long after its answer a message came; nothing, when it came before.
    fn came(&self, room: RoomId, seq: Seq) -> Duration {
        let mut clocks = self.0.lock().unwrap();
        clocks
            .entry((room, seq))
            .or_insert_with(Instant::now)
            .elapsed()
    }
}

async fn rooms_of(ann: &User, bob: &User) -> Vec<RoomId> {
    let mut making = JoinSet::new();
    for _ in 0..8 {
        let (anns, bobs) = (ann.api().clone(), bob.api().clone());
        making.spawn(async move {
            let mut rooms = Vec::new();
            for _ in 0..ROOMS / 8 {
                let name = crate::harness::unique("k");
                let room = anns.create_room(&name, false).await.unwrap();
                bobs.join(room).await.unwrap();
                rooms.push(room);
            }
            rooms
        });
    }
    making.join_all().await.concat()
}

/// A connection in many rooms.
struct Follower {
    socket: Socket,
    last: HashMap<RoomId, Seq>,
}

impl Follower {
    async fn start(api: Api, rooms: Vec<RoomId>) -> Self {
        let mut socket = api.connect().await.unwrap();
        let mut last = HashMap::new();
        for room in rooms {
            last.insert(room, subscribe(&mut socket, room).await);
        }
        Self { socket, last }
    }

    /// Tells how late the latest event of its rooms came.
    async fn follow(mut self, clocks: Clocks, until: Instant) -> Duration {
        let mut latest = Duration::ZERO;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            match timeout(left, self.socket.next_within(left)).await {
                Ok(Ok(ServerFrame::Event(event))) => {
                    let before = self.last.insert(event.room, event.seq).unwrap();
                    assert_eq!(event.seq, before.next(), "in room {}", event.room);
                    latest = latest.max(clocks.came(event.room, event.seq));
                }
                Ok(Ok(frame)) => panic!("{frame:?}"),
                Ok(Err(client::Error::Deadline)) | Err(_) => {}
                Ok(Err(error)) => panic!("{error:?}"),
            }
        }
        latest
    }
}

/// Subscribes, be it at the second try: so many at once may be more than can be served.
async fn subscribe(socket: &mut Socket, room: RoomId) -> Seq {
    loop {
        match socket.subscribe(room, None).await {
            Ok(entered) => return entered.seq.unwrap(),
            Err(error) => assert!(error.retryable(), "{error:?}"),
        }
    }
}

/// Says something in room after room until then.
async fn write(api: Api, rooms: Vec<RoomId>, clocks: Clocks, until: Instant) -> usize {
    let mut socket = api.connect().await.unwrap();
    let mut said = 0;
    for room in rooms.iter().cycle() {
        if Instant::now() >= until {
            break;
        }
        if said < rooms.len() {
            subscribe(&mut socket, *room).await;
        }
        let sent = socket
            .say_in(Some(*room), "on it goes", None)
            .await
            .unwrap();
        clocks.sent(*room, sent.message_id);
        while socket.next_within(Duration::ZERO).await.is_ok() {}
        said += 1;
    }
    said
}

disruptive_scenarios! {
    async fn kafka_down_a_thousand_rooms_are_two_seconds_late_at_most(world: World) {
        let dev = Dev::from_env();
        let (ann, bob) = world.two_users().await;
        let rooms = rooms_of(&ann, &bob).await;
        let mut starting = JoinSet::new();
        for part in rooms.chunks(EACH) {
            starting.spawn(Follower::start(bob.api_at(1).clone(), part.to_vec()));
        }
        let ready = starting.join_all().await;
        let clocks = Clocks::default();
        let until = Instant::now() + Duration::from_secs(35);
        let (mut followers, mut writers) = (JoinSet::new(), JoinSet::new());
        for follower in ready {
            followers.spawn(follower.follow(clocks.clone(), until));
        }
        for part in rooms.chunks(EACH) {
            let writer = write(ann.api().clone(), part.to_vec(), clocks.clone(), until - CURRENT);
            writers.spawn(writer);
        }
        sleep(Duration::from_secs(5)).await;
        dev.kill("kafka").await;
        sleep(Duration::from_secs(12)).await;
        dev.up("kafka").await;
        let said: usize = writers.join_all().await.into_iter().sum();
        let late = followers.join_all().await.into_iter().max().unwrap();
        assert!(late <= LATE, "{late:?} late, of {said} messages");
        println!("{late:?} late at most, of {said} messages in {ROOMS} rooms");
        dev.well_again().await;
    }
}

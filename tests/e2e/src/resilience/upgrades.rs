//! Releases that follow each other, and restarts in good order, one process after the
//! other, under load: no client sees any of it but, where its own gateway goes, by a 1001.

use std::time::Duration;

use client::Api;
use client::wire::RoomId;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::chats::while_talking;
use crate::harness::distributed::Dev;
use crate::harness::next_release::NextRelease;
use crate::harness::original::Original;
use crate::harness::{Feed, World};

/// How often each of the simple clients asks for something.
const PACE: Duration = Duration::from_millis(200);

/// Clients that try nothing twice, on both gateways: any error at all is their end. They
/// make do with their connections, which therefore must not end.
struct Simple {
    stop: watch::Sender<bool>,
    clients: JoinSet<usize>,
}

impl Simple {
    async fn start(world: &World) -> Self {
        let (stop, stopped) = watch::channel(false);
        let again = || Again::until(stopped.clone());
        let mut clients = JoinSet::new();
        for gateway in 0..2 {
            let (ann, bob, carl) = world.three_users().await;
            let room = ann.room_with(&[&bob]).await;
            let feed = ann.enter_at(gateway, room).await;
            let mut original = Original::connect(bob.api_at(gateway)).await;
            original.enter(room).await;
            clients.spawn(say(feed, again()));
            clients.spawn(ask(ann.api_at(gateway).clone(), room, again()));
            clients.spawn(come_and_go(carl.api_at(gateway).clone(), room, again()));
            clients.spawn(hear_as_ever(original, stopped.clone()));
        }
        Self { stop, clients }
    }

    /// Stops them, and tells how many answers and events they had.
    async fn end(self) -> usize {
        self.stop.send_replace(true);
        self.clients.join_all().await.into_iter().sum()
    }
}

/// Does something again and again until it is time to stop.
struct Again {
    pace: Interval,
    stopped: watch::Receiver<bool>,
    number: usize,
}

impl Again {
    fn until(stopped: watch::Receiver<bool>) -> Self {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            pace,
            stopped,
            number: 0,
        }
    }

    /// The number of the next time, when that is due; `None` when there is none.
    async fn next(&mut self) -> Option<usize> {
        self.pace.tick().await;
        if *self.stopped.borrow() {
            return None;
        }
        self.number += 1;
        Some(self.number)
    }
}

async fn say(mut feed: Feed, mut again: Again) -> usize {
    while let Some(number) = again.next().await {
        let star = if number.is_multiple_of(5) { " *" } else { "" };
        feed.say(&format!("{number}{star}")).await;
        while feed.socket.next_within(Duration::ZERO).await.is_ok() {}
    }
    again.number
}

async fn ask(api: Api, room: RoomId, mut again: Again) -> usize {
    while let Some(number) = again.next().await {
        let posted = api.post(room, &format!("over HTTP {number}"), None).await;
        let id = posted.unwrap().message_id;
        let newest = api.messages(room, None, 20).await.unwrap();
        assert!(newest[0].id >= id);
        let page = api.events(room, id, None, 20).await.unwrap();
        assert!(page.head >= id);
        assert_eq!(api.rooms().await.unwrap(), [room]);
    }
    again.number
}

async fn come_and_go(api: Api, room: RoomId, mut again: Again) -> usize {
    while again.next().await.is_some() {
        api.join(room).await.unwrap();
        api.post(room, "here *", None).await.unwrap();
        api.leave(room).await.unwrap();
    }
    again.number
}

/// Hears what the original had, in order, and nothing else.
async fn hear_as_ever(mut original: Original, mut stopped: watch::Receiver<bool>) -> usize {
    let (mut heard, mut last) = (0, 0);
    loop {
        let frame = tokio::select! {
            frame = original.next() => frame,
            _ = stopped.wait_for(|stopped| *stopped) => return heard,
        };
        let id = frame["ID"]
            .as_u64()
            .unwrap_or_else(|| panic!("no event: {frame}"));
        assert!(id > last, "{id} after {last}");
        last = id;
        heard += 1;
    }
}

disruptive_scenarios! {
    async fn a_rolling_upgrade_and_the_way_back_are_seen_by_no_client(world: World) {
        let dev = Dev::from_env();
        let simple = Simple::start(&world).await;
        let told = while_talking(&world, async |talk| {
            dev.down("message-1").await;
            let first = NextRelease::in_place_of(1, &dev).await;
            // Side by side.
            talk.goes_on().await;
            dev.down("message-2").await;
            let second = NextRelease::in_place_of(2, &dev).await;
            talk.goes_on().await;
            // Back, on a database that is ahead.
            second.end().await;
            dev.up("message-2").await;
            dev.well_again().await;
            talk.goes_on().await;
            first.end().await;
            dev.up("message-1").await;
            dev.well_again().await;
        })
        .await;
        let simple = simple.end().await;
        println!("{told:?}; {simple} answers and events of simple clients");
        assert!(told.unknown > 0, "the next release did what only it does");
        assert_eq!(told.interruptions, 0, "no connection ended");
    }

    async fn restarts_one_after_the_other_are_seen_by_no_user_of_the_sdk(world: World) {
        let dev = Dev::from_env();
        let ann = world.user().await;
        let room = ann.room().await;
        let told = while_talking(&world, async |talk| {
            for (index, gateway) in ["gateway-1", "gateway-2"].into_iter().enumerate() {
                let mut drained = ann.enter_at(index, room).await;
                let ending = async {
                    dev.down(gateway).await;
                    dev.up(gateway).await;
                    dev.well_again().await;
                };
                let (end, ()) = tokio::join!(drained.end(), ending);
                assert_eq!(end, Some(1001));
                talk.goes_on().await;
            }
            for service in ["message-1", "message-2", "user", "session", "rooms"] {
                dev.down(service).await;
                dev.up(service).await;
                dev.well_again().await;
                talk.goes_on().await;
            }
        })
        .await;
        println!("{told:?}");
        assert!(told.interruptions >= 4, "the gateways' clients had to move");
    }
}

//! Coming back: where one was, the log goes on, on every gateway and over HTTP.

use client::wire::event::EventsPage;
use client::wire::frame::{EventKind, ServerFrame};
use client::wire::{Code, Epoch, RoomId, Seq};
use client::{Api, Method, Socket};
use http::HeaderMap;
use tokio::task::JoinSet;

use crate::harness::{User, refused};

/// Posts `count` messages, many at once: numbered, in no order.
async fn fill(user: &User, room: RoomId, count: u64) {
    let mut posts = JoinSet::new();
    for lane in 0..8 {
        let api = user.api().clone();
        posts.spawn(async move {
            for number in (lane..count).step_by(8) {
                api.post(room, &number.to_string(), None).await.unwrap();
            }
        });
    }
    posts.join_all().await;
}

/// The Seqs of the next `count` events of a room, which nothing else may come between.
async fn seqs(socket: &mut Socket, room: RoomId, count: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    while seqs.len() < count {
        match socket.next().await.unwrap() {
            ServerFrame::Event(event) if event.room == room => seqs.push(event.seq.get()),
            other => panic!("{other:?}"),
        }
    }
    seqs
}

async fn whole_log(api: &Api, room: RoomId, limit: u32) -> Vec<ServerFrame> {
    let mut log: Vec<ServerFrame> = Vec::new();
    loop {
        let after = log.last().map_or(Seq::START, |it| it.place().unwrap().1);
        let page = api.events(room, after, None, limit).await.unwrap();
        assert!(!page.reset && page.first == Seq(1));
        let done = page.events.is_empty();
        assert_eq!(done, after == page.head);
        if done {
            return log;
        }
        log.extend(page.events);
    }
}

scenarios! {
    async fn who_resumes_gets_exactly_what_followed_then_what_is_new(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        ann.say_all(room, &["3", "4", "5"]).await;
        for after in 0..=5 {
            let mut socket = bob.connect_at(after % 2).await;
            let after = Seq(after as u64);
            let entered = socket.enter_at(Some(room), Some(after), None).await.unwrap();
            assert_eq!((entered.seq, entered.truncated, entered.reset), (Some(Seq(5)), false, false));
            assert!(entered.epoch.is_some());
            assert_eq!(entered.first, Some(Seq(1)));
            let missed = seqs(&mut socket, room, usize::try_from(5 - after.get()).unwrap()).await;
            assert!(missed.into_iter().eq(after.get() + 1..=5));
        }
        let mut socket = bob.connect().await;
        refused(socket.enter_at(Some(room), Some(Seq(6)), None).await, Code::InvalidArgument);
        refused(bob.api().events(room, Seq(6), None, 10).await, Code::InvalidArgument);
    }

    async fn who_resumes_while_others_write_misses_nothing_and_gets_nothing_twice(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let writing = fill(&ann, room, 400);
        let reading = async {
            let (mut last, mut gateway) = (Seq::START, 0);
            while last < Seq(402) {
                let mut socket = bob.connect_at(gateway).await;
                gateway = 1 - gateway;
                socket.subscribe(room, Some(last)).await.unwrap();
                for _ in 0..37 {
                    if last == Seq(402) {
                        break;
                    }
                    let next = seqs(&mut socket, room, 1).await[0];
                    assert_eq!(next, last.next().get());
                    last = Seq(next);
                }
            }
        };
        tokio::join!(writing, reading);
    }

    async fn who_was_away_for_long_gets_the_newest_thousand_and_pages_the_rest(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        fill(&ann, room, 1_098).await;
        let mut socket = bob.connect_at(1).await;
        let entered = socket.enter_at(Some(room), Some(Seq(99)), None).await.unwrap();
        assert_eq!((entered.seq, entered.truncated), (Some(Seq(1_100)), true));
        assert!(seqs(&mut socket, room, 1_000).await.into_iter().eq(101..=1_100));
        let page = bob.api().events(room, Seq(99), entered.epoch, 1).await.unwrap();
        assert_eq!(page.events[0].place(), Some((room, Seq(100))));
        let entered = socket.enter_at(Some(room), Some(Seq(100)), None).await.unwrap();
        assert!(!entered.truncated);
        assert!(seqs(&mut socket, room, 1_000).await.into_iter().eq(101..=1_100));
    }

    async fn who_comes_from_another_life_of_the_log_is_reset(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        ann.say(room, "hello").await;
        let mut socket = bob.connect().await;
        let now = socket.enter(room).await.unwrap().epoch.unwrap();
        let other = Some(Epoch(now.0 + 1));
        for after in [0, 2, 3, 900] {
            let entered = socket.enter_at(Some(room), Some(Seq(after)), other).await.unwrap();
            assert!(entered.reset && !entered.truncated);
            assert_eq!((entered.seq, entered.epoch), (Some(Seq(3)), Some(now)));
            assert_eq!(seqs(&mut socket, room, 3).await, [1, 2, 3]);
            let page = bob.api().events(room, Seq(after), other, 2).await.unwrap();
            assert!(page.reset);
            assert_eq!((page.events.len(), page.head, page.epoch), (2, Seq(3), now));
        }
    }

    async fn the_log_over_http_is_what_connections_get(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let mut feed = bob.enter(room).await;
        ann.say_all(room, &["\"one\"", "two\n", "three"]).await;
        bob.api().leave(room).await.unwrap();
        let mut live = Vec::new();
        for _ in 3..=6 {
            live.push(ServerFrame::Event(feed.event().await));
        }
        for limit in [1, 2, 1_000] {
            assert_eq!(whole_log(ann.api_at(1), room, limit).await[2..], live);
        }
        refused(bob.api().events(room, Seq(0), None, 10).await, Code::PermissionDenied);
    }

    async fn a_page_of_the_log_has_the_documented_keys(world: World) {
        let ann = world.user().await;
        let room = ann.room().await;
        let path = format!("/rooms/{room}/events");
        let answer = ann.api().raw(Method::GET, &path, HeaderMap::new(), "").await.unwrap();
        let page: serde_json::Map<String, serde_json::Value> = answer.json().unwrap();
        let keys: Vec<_> = page.keys().map(String::as_str).collect();
        assert_eq!(keys, ["Epoch", "Events", "First", "Head"]);
        let typed: EventsPage<ServerFrame> = answer.json().unwrap();
        assert_eq!(typed.head, Seq(1));
        for (query, field) in [("After=-1", "After"), ("Limit=0", "Limit"), ("Limit=1001", "Limit"), ("Epoch=x", "Epoch")] {
            let path = format!("{path}?{query}");
            let answer = ann.api().raw(Method::GET, &path, HeaderMap::new(), "").await.unwrap();
            assert_eq!(answer.status, 400);
            assert!(answer.json::<client::wire::Problem>().unwrap().detail.starts_with(field));
        }
        let nowhere = RoomId::new(client::wire::MAX_ID).unwrap();
        refused(ann.api().events(nowhere, Seq(0), None, 1).await, Code::NotFound);
        let nobody = world.gateway(0);
        refused(nobody.events(room, Seq(0), None, 1).await, Code::Unauthenticated);
    }

    async fn large_messages_are_replayed_whole(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        // Four bytes a character: 8 kB each, 4 MB in all.
        let text = "\u{1f980}".repeat(2_000);
        let mut posts = JoinSet::new();
        for _ in 0..8 {
            let (api, text) = (ann.api().clone(), text.clone());
            posts.spawn(async move {
                for _ in 0..60 {
                    api.post(room, &text, None).await.unwrap();
                }
            });
        }
        posts.join_all().await;
        let mut socket = bob.connect_at(1).await;
        socket.enter_at(Some(room), Some(Seq(0)), None).await.unwrap();
        assert!(seqs(&mut socket, room, 482).await.into_iter().eq(1..=482));
        assert_eq!(whole_log(bob.api(), room, 1_000).await.len(), 482);
    }

    async fn many_rooms_are_resumed_on_one_connection_at_once(world: World) {
        let (ann, bob) = world.two_users().await;
        let mut rooms = Vec::new();
        for _ in 0..60 {
            let room = ann.room_with(&[&bob]).await;
            rooms.push(room);
        }
        let mut posts = JoinSet::new();
        for part in rooms.chunks(8) {
            let (api, part) = (ann.api().clone(), part.to_vec());
            posts.spawn(async move {
                for room in part {
                    for number in 0..20 {
                        api.post(room, &format!("{number}"), None).await.unwrap();
                    }
                }
            });
        }
        posts.join_all().await;
        let mut socket = bob.connect_at(1).await;
        for &room in &rooms {
            let frame = serde_json::json!({ "Type": "subscribe", "RoomID": room, "After": 1 });
            socket.send_text(frame.to_string()).await.unwrap();
        }
        let mut last = std::collections::HashMap::new();
        while last.values().filter(|seq| **seq == Seq(22)).count() < rooms.len() {
            match socket.next().await.unwrap() {
                ServerFrame::Subscribe(entered) => {
                    last.insert(entered.room.unwrap(), Seq(1));
                }
                ServerFrame::Event(event) => {
                    let seq = last.get_mut(&event.room).expect("the answer comes first");
                    assert_eq!(event.seq, seq.next());
                    *seq = event.seq;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    async fn a_hello_is_answered_when_it_has_a_reference(world: World) {
        let ann = world.user().await;
        let mut socket = ann.connect().await;
        socket.send_text(r#"{"Type":"hello","Version":2}"#).await.unwrap();
        socket.ping().await.unwrap();
        assert!(socket.next_within(std::time::Duration::ZERO).await.is_err());
        assert_eq!(socket.hello().await.unwrap().version, 2);
    }

    async fn history_goes_on_after_an_id_and_around_one(world: World) {
        let ann = world.user().await;
        let room = ann.room().await;
        ann.say_all(room, &["2", "3", "4", "5", "6"]).await;
        let ids = |entries: Vec<client::wire::response::Entry>| -> Vec<u64> {
            entries.iter().map(|entry| entry.id.get()).collect()
        };
        let api = ann.api_at(1);
        assert_eq!(ids(api.messages_after(room, Seq(0), 3).await.unwrap()), [1, 2, 3]);
        assert_eq!(ids(api.messages_after(room, Seq(4), 100).await.unwrap()), [5, 6]);
        assert_eq!(ids(api.messages_after(room, Seq(6), 100).await.unwrap()), [0; 0]);
        assert_eq!(ids(api.messages_around(room, Seq(4), 3).await.unwrap()), [5, 4, 3]);
        let kinds = api.messages_around(room, Seq(1), 2).await.unwrap();
        assert_eq!(kinds[1].kind, EventKind::Join);
    }
}

//! Who is put out of a room is out of it everywhere, from one event on.

use client::Error;
use client::wire::frame::{EventKind, ServerFrame};
use client::wire::{Code, Seq};

use crate::harness::refused;

scenarios! {
    async fn who_is_kicked_gets_his_leave_and_nothing_more(world: World) {
        let (ann, bob, carl) = world.three_users().await;
        let room = ann.room_with(&[&bob, &carl]).await;
        let mut feeds = [bob.enter_at(0, room).await, bob.enter_at(1, room).await];
        let mut carls = carl.enter_at(1, room).await;
        ann.api().kick(room, bob.uid).await.unwrap();
        for feed in &mut feeds {
            let leave = feed.sees_leave(bob.uid).await;
            assert_eq!(leave.by, Some(ann.uid));
        }
        ann.say(room, "he is gone").await;
        for feed in &mut feeds {
            feed.hears_nothing().await;
        }
        carls.sees_leave(bob.uid).await;
        carls.hears("he is gone").await;
        refused(bob.api_at(1).post(room, "hello?", None).await, Code::PermissionDenied);
        refused(feeds[1].socket.enter(room).await, Code::PermissionDenied);
        assert_eq!(bob.api().rooms().await.unwrap(), []);
        bob.api().join(room).await.unwrap();
    }

    async fn only_the_owner_kicks_and_not_himself(world: World) {
        let (ann, bob, carl) = world.three_users().await;
        let room = ann.room_with(&[&bob, &carl]).await;
        refused(bob.api().kick(room, carl.uid).await, Code::PermissionDenied);
        refused(bob.api().kick(room, ann.uid).await, Code::PermissionDenied);
        refused(ann.api().kick(room, ann.uid).await, Code::InvalidArgument);
        let stranger = world.user().await;
        refused(stranger.api().kick(room, carl.uid).await, Code::PermissionDenied);
        refused(ann.api().kick(room, stranger.uid).await, Code::Conflict);
        ann.api().kick(room, carl.uid).await.unwrap();
        refused(ann.api().kick(room, carl.uid).await, Code::Conflict);
    }

    async fn nothing_is_said_after_a_kick_however_they_race(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room().await;
        for round in 0..6 {
            bob.api().join(room).await.unwrap();
            let mut talk = tokio::task::JoinSet::new();
            for lane in 0..4 {
                let api = bob.api_at(lane % 2).clone();
                talk.spawn(async move {
                    let mut acked = Vec::new();
                    let mut socket = api.connect().await.unwrap();
                    if socket.enter(room).await.is_err() {
                        return acked;
                    }
                    loop {
                        match socket.say("still here").await {
                            Ok(sent) => acked.push(sent.message_id),
                            Err(Error::Refused(no)) => {
                                // Whether his gateway has put him out already differs.
                                assert!(matches!(
                                    no.code,
                                    Some(Code::PermissionDenied | Code::InvalidArgument)
                                ), "{no}");
                                return acked;
                            }
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                });
            }
            let api = bob.api_at(round % 2).clone();
            talk.spawn(async move {
                let mut acked = Vec::new();
                while let Ok(posted) = api.post(room, "and by HTTP", None).await {
                    acked.push(posted.message_id);
                }
                acked
            });
            // Once some of it is written.
            let mut feed = ann.enter(room).await;
            for _ in 0..20 {
                feed.event().await;
            }
            ann.api_at(round % 2).kick(room, bob.uid).await.unwrap();
            let acked = talk.join_all().await.concat();
            let log = ann.api().messages(room, None, 100).await.unwrap();
            let newest = &log[0];
            assert_eq!((newest.kind, newest.uid), (EventKind::Leave, bob.uid), "round {round}");
            assert!(acked.iter().all(|&id| id < newest.id));
        }
    }

    async fn who_follows_many_rooms_loses_only_the_one(world: World) {
        let (ann, bob) = world.two_users().await;
        let (room, other) = (ann.room_with(&[&bob]).await, ann.room_with(&[&bob]).await);
        let mut socket = bob.connect_at(1).await;
        socket.subscribe(room, Some(Seq(2))).await.unwrap();
        socket.subscribe(other, Some(Seq(2))).await.unwrap();
        ann.api().kick(room, bob.uid).await.unwrap();
        ann.say(room, "without him").await;
        ann.say(other, "with him").await;
        let mut seen = Vec::new();
        while seen.len() < 2 {
            match socket.next().await.unwrap() {
                ServerFrame::Event(event) => seen.push((event.room, event.kind)),
                frame => panic!("{frame:?}"),
            }
        }
        seen.sort_by_key(|(seen, _)| *seen != room);
        assert_eq!(seen, [(room, EventKind::Leave), (other, EventKind::Message)]);
    }
}

//! Invitations, leaving, and what a member has that no one else has.

use client::wire::frame::EventKind::{self, Join, Leave, Message};
use client::wire::frame::ServerFrame;
use client::wire::{Code, MAX_ID, Uid};

use crate::harness::{Feed, refused};

scenarios! {
    async fn who_is_invited_is_a_member_at_once(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.private_room().await;
        ann.api().invite(room, bob.uid).await.unwrap();
        assert_eq!(bob.api_at(1).rooms().await.unwrap(), [room]);
        let mut feed = bob.enter_at(1, room).await;
        feed.say("thanks").await;
        feed.hears("thanks").await;
    }

    async fn only_the_creator_invites(world: World) {
        let (ann, bob, carl) = world.three_users().await;
        let room = ann.room_with(&[&bob]).await;
        refused(bob.api().invite(room, carl.uid).await, Code::PermissionDenied);
        refused(carl.api().invite(room, carl.uid).await, Code::PermissionDenied);
        assert_eq!(carl.api().rooms().await.unwrap(), []);
    }

    async fn an_invitation_needs_someone_who_exists_and_is_not_in(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        refused(ann.api().invite(room, Uid::new(MAX_ID).unwrap()).await, Code::NotFound);
        refused(ann.api().invite(room, bob.uid).await, Code::Conflict);
        refused(ann.api().invite(room, ann.uid).await, Code::Conflict);
    }

    async fn members_see_who_joins_and_who_was_invited(world: World) {
        let (ann, bob, carl) = world.three_users().await;
        let room = ann.room().await;
        let mut feed = ann.enter(room).await;
        bob.api_at(1).join(room).await.unwrap();
        let join = feed.sees_join(bob.uid).await;
        assert_eq!(join.by, None);
        ann.api_at(1).invite(room, carl.uid).await.unwrap();
        let join = feed.sees_join(carl.uid).await;
        assert_eq!(join.by, Some(ann.uid));
    }

    async fn a_stranger_neither_enters_nor_reads(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room().await;
        ann.say(room, "not for you").await;
        refused(bob.api().messages(room, None, 100).await, Code::PermissionDenied);
        let mut socket = bob.connect().await;
        refused(socket.enter(room).await, Code::PermissionDenied);
        // Nothing else happened: the connection is still in no room.
        refused(socket.say("hello?").await, Code::InvalidArgument);
    }

    async fn a_member_who_leaves_gets_nothing_more(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let mut near = ann.enter_at(0, room).await;
        let mut far = ann.enter_at(1, room).await;
        let mut feeds = [bob.enter_at(0, room).await, bob.enter_at(1, room).await];
        bob.api().leave(room).await.unwrap();
        for feed in &mut feeds {
            feed.sees_leave(bob.uid).await;
        }
        near.say("after you left").await;
        // Both gateways have delivered it to those who may have it.
        for feed in [&mut near, &mut far] {
            feed.sees_leave(bob.uid).await;
            feed.hears("after you left").await;
        }
        for feed in &mut feeds {
            feed.hears_nothing().await;
        }
    }

    async fn who_enters_while_he_leaves_hears_nothing_after_his_leave(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room().await;
        let mut anns = [ann.enter_at(0, room).await, ann.enter_at(1, room).await];
        for round in 0..20 {
            let gateway = round % 2;
            bob.api().join(room).await.unwrap();
            let mut socket = bob.connect_at(gateway).await;
            let (left, entered) = tokio::join!(bob.api().leave(room), socket.enter(room));
            left.unwrap();
            anns[0].say("after you left").await;
            for feed in &mut anns {
                feed.sees_join(bob.uid).await;
                feed.sees_leave(bob.uid).await;
                feed.hears("after you left").await;
            }
            let Ok(entered) = entered else { continue };
            let mut bobs = Feed::new(socket, entered);
            bobs.send(r#"{"Type":"ping"}"#).await;
            let mut is_told = false;
            loop {
                match bobs.socket.next().await.unwrap() {
                    ServerFrame::Pong(_) => break,
                    ServerFrame::Event(event) if event.kind != Message => {
                        is_told |= event.kind == EventKind::Leave;
                    }
                    // His leave was before what he asked for.
                    ServerFrame::Error(fault) if fault.code == Code::PermissionDenied => {
                        is_told = true;
                    }
                    other => panic!("in round {round} he gets {other:?}"),
                }
            }
            assert!(is_told, "in round {round} he believes to be inside");
        }
    }

    async fn a_former_member_neither_says_nor_reads(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let mut feed = bob.enter_at(1, room).await;
        bob.api_at(0).leave(room).await.unwrap();
        let refusal = feed.socket.say("one more thing").await.unwrap_err();
        let code = refusal.code().unwrap();
        // Whether the gateway has put him out of the room already is a matter of moments.
        assert!(matches!(code, Code::PermissionDenied | Code::InvalidArgument), "{refusal}");
        refused(bob.api().messages(room, None, 100).await, Code::PermissionDenied);
        refused(feed.socket.enter(room).await, Code::PermissionDenied);
        assert_eq!(bob.api().rooms().await.unwrap(), []);
        let history = ann.api().messages(room, None, 100).await.unwrap();
        assert_eq!(history[0].kind, EventKind::Leave);
    }

    async fn who_left_and_came_back_says_nothing_on_the_old_connection_until_he_enters(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let mut feed = bob.enter(room).await;
        bob.api().leave(room).await.unwrap();
        feed.sees_leave(bob.uid).await;
        bob.api().join(room).await.unwrap();
        refused(feed.socket.say("can I be heard?").await, Code::PermissionDenied);
        feed.socket.enter(room).await.unwrap();
        feed.say("now I can").await;
        feed.hears("now I can").await;
    }

    async fn who_left_does_not_enter_the_room_he_is_still_shown_in(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let mut feed = bob.enter_at(1, room).await;
        bob.api_at(0).leave(room).await.unwrap();
        refused(feed.socket.enter(room).await, Code::PermissionDenied);
    }

    async fn the_creator_who_left_last_comes_back_as_the_one_who_invites(world: World) {
        let (ann, bob, carl) = world.three_users().await;
        let room = ann.room().await;
        ann.api().leave(room).await.unwrap();
        bob.api().join(room).await.unwrap();
        refused(bob.api().invite(room, carl.uid).await, Code::PermissionDenied);
        ann.api().join(room).await.unwrap();
        ann.api().invite(room, carl.uid).await.unwrap();
    }

    async fn leaving_is_for_members(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room().await;
        refused(bob.api().leave(room).await, Code::Conflict);
    }

    async fn who_comes_back_has_all_of_the_log(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        bob.api().leave(room).await.unwrap();
        ann.say(room, "meanwhile").await;
        bob.api().join(room).await.unwrap();
        let history = bob.api().messages(room, None, 100).await.unwrap();
        let kinds: Vec<_> = history.iter().rev().map(|entry| entry.kind).collect();
        assert_eq!(kinds, [Join, Join, Leave, Message, Join]);
        let mut feed = bob.enter(room).await;
        feed.say("back").await;
        feed.hears("back").await;
    }

    async fn a_join_is_in_effect_on_every_gateway_when_it_is_answered(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room().await;
        for _ in 0..5 {
            bob.api_at(0).join(room).await.unwrap();
            let mut feed = bob.enter_at(1, room).await;
            feed.say("in").await;
            bob.api_at(1).leave(room).await.unwrap();
            let mut socket = bob.connect_at(0).await;
            refused(socket.enter(room).await, Code::PermissionDenied);
        }
        assert_eq!(ann.api().messages(room, None, 100).await.unwrap().len(), 16);
    }

    async fn many_who_join_at_once_are_all_in_the_log_once(world: World) {
        let ann = world.user().await;
        let room = ann.room().await;
        let mut feed = ann.enter(room).await;
        let mut others = Vec::new();
        for _ in 0..6 {
            others.push(world.user().await);
        }
        let mut joins = tokio::task::JoinSet::new();
        for (index, other) in others.iter().enumerate() {
            let api = other.api_at(index % 2).clone();
            joins.spawn(async move { api.join(room).await.unwrap() });
        }
        joins.join_all().await;
        let mut joined = Vec::new();
        for seq in 2..=7 {
            let event = feed.event().await;
            assert_eq!((event.kind, event.seq.get()), (EventKind::Join, seq));
            joined.push(event.uid);
        }
        joined.sort();
        let mut expected: Vec<_> = others.iter().map(|other| other.uid).collect();
        expected.sort();
        assert_eq!(joined, expected);
    }
}

//! Rooms: making, finding, listing, entering as a member.

use client::wire::{Code, MAX_ID, RoomId};

use crate::harness::{refused, unique};

/// A room that there is not.
fn nowhere() -> RoomId {
    RoomId::new(MAX_ID).unwrap()
}

scenarios! {
    async fn a_room_is_as_its_creator_made_it(world: World) {
        let ann = world.user().await;
        for is_private in [false, true] {
            let name = unique("R");
            let id = ann.api().create_room(&name, is_private).await.unwrap();
            let room = ann.api_at(1).room(id).await.unwrap();
            assert_eq!((room.room_id, room.name, room.creator_uid), (id, Some(name), ann.uid));
            assert_eq!(room.is_private, is_private);
        }
    }

    async fn a_creator_is_the_first_member(world: World) {
        let ann = world.user().await;
        let room = ann.room().await;
        assert_eq!(ann.api_at(1).rooms().await.unwrap(), [room]);
        ann.say(room, "first").await;
    }

    async fn the_name_of_a_room_is_taken_whatever_its_case(world: World) {
        let (ann, bob) = world.two_users().await;
        let name = unique("r");
        ann.api().create_room(&name, true).await.unwrap();
        refused(ann.api().create_room(&name, false).await, Code::Conflict);
        refused(bob.api_at(1).create_room(&name.to_uppercase(), false).await, Code::Conflict);
    }

    async fn an_open_room_is_there_for_everyone(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room().await;
        for asker in [world.gateway(0), bob.api(), bob.api_at(1)] {
            assert_eq!(asker.room(room).await.unwrap().room_id, room);
        }
    }

    async fn a_token_that_is_not_believed_hides_no_open_room(world: World) {
        let ann = world.user().await;
        let (open, private) = (ann.room().await, ann.private_room().await);
        let unknown = RoomId::try_from(MAX_ID).unwrap();
        let stranger = world.gateway(0).with_token("not.a.token");
        assert_eq!(stranger.room(open).await.unwrap().room_id, open);
        refused(stranger.room(private).await, Code::Unauthenticated);
        refused(stranger.room(unknown).await, Code::Unauthenticated);
    }

    async fn a_private_room_is_there_for_its_members_alone(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.private_room().await;
        refused(world.gateway(0).room(room).await, Code::NotFound);
        refused(bob.api().room(room).await, Code::NotFound);
        // That it exists is no secret.
        refused(bob.api().join(room).await, Code::PermissionDenied);
        ann.api().invite(room, bob.uid).await.unwrap();
        assert!(bob.api_at(1).room(room).await.unwrap().is_private);
    }

    async fn rooms_are_listed_ascending_and_for_their_members_alone(world: World) {
        let (ann, bob) = world.two_users().await;
        let mut expected = Vec::new();
        for _ in 0..3 {
            expected.push(ann.room().await);
            let bobs = bob.room().await;
            ann.api().join(bobs).await.unwrap();
            expected.push(bobs);
        }
        expected.sort();
        assert_eq!(ann.api().rooms().await.unwrap(), expected);
        assert_eq!(bob.api().rooms().await.unwrap().len(), 3);
        let carl = world.user().await;
        assert_eq!(carl.api().rooms().await.unwrap(), []);
    }

    async fn a_list_of_rooms_is_never_old(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room().await;
        for _ in 0..3 {
            assert_eq!(bob.api_at(1).rooms().await.unwrap(), []);
            bob.api_at(0).join(room).await.unwrap();
            assert_eq!(bob.api_at(1).rooms().await.unwrap(), [room]);
            bob.api_at(0).leave(room).await.unwrap();
        }
    }

    async fn who_joins_may_read_and_say(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room().await;
        bob.api().join(room).await.unwrap();
        bob.say(room, "here I am").await;
        let history = bob.api().messages(room, None, 100).await.unwrap();
        assert_eq!(history[0].text, "here I am");
    }

    async fn joining_twice_is_a_conflict(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        refused(bob.api_at(1).join(room).await, Code::Conflict);
        refused(ann.api().join(room).await, Code::Conflict);
    }

    async fn of_two_joins_at_once_one_is_a_conflict_and_the_log_has_one(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room().await;
        let (first, second) = tokio::join!(bob.api_at(0).join(room), bob.api_at(1).join(room));
        assert_ne!(first.is_ok(), second.is_ok(), "{first:?} {second:?}");
        refused(if first.is_err() { first } else { second }, Code::Conflict);
        assert_eq!(ann.api().messages(room, None, 100).await.unwrap().len(), 2);
    }

    async fn a_room_that_is_not_there_is_not_found(world: World) {
        let (ann, bob) = world.two_users().await;
        refused(ann.api().room(nowhere()).await, Code::NotFound);
        refused(ann.api().join(nowhere()).await, Code::NotFound);
        refused(ann.api().invite(nowhere(), bob.uid).await, Code::NotFound);
        refused(ann.api().leave(nowhere()).await, Code::NotFound);
        refused(ann.api().messages(nowhere(), None, 100).await, Code::NotFound);
        let mut socket = ann.connect().await;
        refused(socket.enter(nowhere()).await, Code::NotFound);
    }

    async fn names_of_rooms_are_of_any_script(world: World) {
        let ann = world.user().await;
        let number: String = unique("").chars().rev().take(9).collect();
        for name in [format!("Кухня - {number}"), format!("広場! {number}"), format!("🎉 {number}")] {
            let room = ann.api().create_room(&name, false).await.unwrap();
            assert_eq!(ann.api().room(room).await.unwrap().name, Some(name));
        }
    }
}

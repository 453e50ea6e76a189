//! What is new in one's rooms, and how far one has read.

use client::wire::frame::{EventKind, ServerFrame};
use client::wire::response::{Role, RoomDetails, RoomKind};
use client::wire::{Code, MAX_ID, RoomId, Seq};
use client::{Api, Method};
use http::HeaderMap;
use serde_json::{Value, json};

use crate::harness::{refused, unique};

/// What there is to know of the one room that one is in.
async fn only_room(api: &Api) -> RoomDetails {
    let mut rooms = api.room_details().await.unwrap();
    assert_eq!(rooms.len(), 1, "{rooms:?}");
    rooms.remove(0)
}

/// How far one has read in one's only room, and how much one has not.
async fn reading(api: &Api) -> (Seq, u32) {
    let room = only_room(api).await;
    (room.last_read, room.unread)
}

async fn rooms(api: &Api, query: &str) -> Value {
    let path = format!("/rooms{query}");
    let answer = api.raw(Method::GET, &path, HeaderMap::new(), "").await;
    answer.unwrap().json().unwrap()
}

scenarios! {
    async fn ones_rooms_tell_what_is_new_in_them(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room().await;
        ann.say(room, "before he came").await;
        bob.api().join(room).await.unwrap();
        assert_eq!(reading(bob.api_at(1)).await, (Seq(3), 0));
        ann.say_all(room, &["one", "two"]).await;
        bob.say(room, "his own").await;
        let told = only_room(bob.api_at(1)).await;
        assert_eq!((told.room_id, told.kind, told.role), (room, RoomKind::Room, Role::Member));
        assert_eq!((told.last_read, told.unread, told.head), (Seq(3), 2, Seq(6)));
        let page = bob.api().events(room, Seq(0), None, 10).await.unwrap();
        assert_eq!((told.epoch, told.first), (page.epoch, page.first));
        let last = told.last_message.unwrap();
        assert_eq!((last.id, last.uid, last.text.as_str()), (Seq(6), bob.uid, "his own"));
        assert_eq!((last.kind, last.room_id), (EventKind::Message, room));
        let anns = only_room(ann.api()).await;
        assert_eq!((anns.last_read, anns.unread, anns.role), (Seq(1), 1, Role::Owner));
    }

    async fn ones_rooms_are_told_with_what_they_are(world: World) {
        let (ann, bob) = world.two_users().await;
        let name = unique("P");
        let private = ann.api().create_room(&name, true).await.unwrap();
        let open = bob.room().await;
        ann.api().join(open).await.unwrap();
        let told = ann.api_at(1).room_details().await.unwrap();
        let ids: Vec<_> = told.iter().map(|room| room.room_id).collect();
        assert_eq!(ids, [private, open]);
        assert_eq!((&told[0].name, told[0].is_private), (&Some(name), true));
        assert_eq!((told[0].head, &told[0].last_message), (Seq(1), &None));
        assert_eq!((told[1].is_private, told[1].role), (false, Role::Member));
        ann.api().leave(open).await.unwrap();
        assert_eq!(only_room(ann.api_at(1)).await.room_id, private);
        assert_eq!(rooms(ann.api(), "?details=1").await["IDs"], json!([private]));
    }

    async fn without_details_rooms_are_told_as_ever(world: World) {
        let ann = world.user().await;
        assert_eq!(rooms(ann.api(), "").await, json!({ "IDs": [] }));
        assert_eq!(rooms(ann.api(), "?Details=1").await, json!({ "IDs": [], "Rooms": [] }));
        let room = ann.room().await;
        for query in ["", "?", "?Details=0", "?Other=1"] {
            assert_eq!(rooms(ann.api_at(1), query).await, json!({ "IDs": [room] }), "{query}");
        }
        refused(world.gateway(0).room_details().await, Code::Unauthenticated);
    }

    async fn a_read_marker_moves_by_frame_and_by_http_and_never_back(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        ann.say_all(room, &["one", "two", "three"]).await;
        assert_eq!(bob.api().mark_read(room, Seq(3)).await.unwrap(), Seq(3));
        assert_eq!(reading(bob.api_at(1)).await, (Seq(3), 2));
        let mut feed = bob.enter_at(1, room).await;
        assert_eq!(feed.socket.mark_read(None, Seq(4)).await.unwrap(), Seq(4));
        assert_eq!(reading(bob.api()).await, (Seq(4), 1));
        for earlier in [Seq(1), Seq(4)] {
            assert_eq!(bob.api().mark_read(room, earlier).await.unwrap(), Seq(4));
            assert_eq!(feed.socket.mark_read(Some(room), earlier).await.unwrap(), Seq(4));
        }
        assert_eq!(reading(bob.api()).await, (Seq(4), 1));
        bob.api().mark_read(room, Seq(5)).await.unwrap();
        assert_eq!(reading(bob.api_at(1)).await, (Seq(5), 0));
        // It is his alone.
        assert_eq!(reading(ann.api()).await, (Seq(1), 0));
    }

    async fn ones_devices_and_the_others_hear_how_far_one_has_read(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        ann.say_all(room, &["one", "two", "three"]).await;
        let mut feeds = [
            ann.enter_for_all_at(0, room).await,
            ann.enter_for_all_at(1, room).await,
            bob.enter_for_all_at(0, room).await,
        ];
        let mut bobs = bob.enter_for_all_at(1, room).await;
        // An old client knows nothing of it.
        let mut old = ann.enter(room).await;
        bob.api().mark_read(room, Seq(3)).await.unwrap();
        for feed in feeds.iter_mut().chain([&mut bobs]) {
            assert_eq!(feed.sees_read(bob.uid, Seq(3)).await.room, room);
        }
        // With a reference it is answered, and the room is told all the same.
        bobs.send(json!({ "Type": "read", "ID": 4, "Ref": "r" })).await;
        let mut references = Vec::new();
        for _ in 0..2 {
            match bobs.socket.next().await.unwrap() {
                ServerFrame::Read(read) => {
                    assert_eq!((read.room, read.uid, read.id), (room, bob.uid, Seq(4)));
                    references.push(read.reference);
                }
                other => panic!("{other:?}"),
            }
        }
        references.sort();
        assert_eq!(references, [None, Some("r".to_owned())]);
        for feed in &mut feeds {
            feed.sees_read(bob.uid, Seq(4)).await;
        }
        // One that does not move is told to nobody, and without a reference not answered.
        bobs.send(json!({ "Type": "read", "ID": 2 })).await;
        bobs.send(json!({ "Type": "read", "RoomID": room, "ID": 5 })).await;
        for feed in feeds.iter_mut().chain([&mut bobs]) {
            feed.sees_read(bob.uid, Seq(5)).await;
        }
        feeds[2].socket.mark_read(None, Seq(1)).await.unwrap();
        for feed in feeds.iter_mut().chain([&mut bobs, &mut old]) {
            feed.hears_nothing().await;
        }
    }

    async fn a_room_that_one_left_for_another_tells_nothing_more(world: World) {
        let (ann, bob) = world.two_users().await;
        let (room, other) = (ann.room_with(&[&bob]).await, ann.room_with(&[&bob]).await);
        let mut moving = ann.enter_for_all_at(1, room).await;
        let mut staying = ann.enter_for_all_at(1, room).await;
        moving.socket.enter(other).await.unwrap();
        for room in [room, other] {
            bob.say(room, "hello").await;
        }
        for feed in [&mut staying, &mut moving] {
            feed.hears("hello").await;
        }
        for room in [room, other] {
            bob.api().mark_read(room, Seq(3)).await.unwrap();
        }
        staying.sees_read(bob.uid, Seq(3)).await;
        assert_eq!(moving.sees_read(bob.uid, Seq(3)).await.room, other);
    }

    async fn only_members_have_a_read_marker(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room().await;
        refused(bob.api().mark_read(room, Seq(1)).await, Code::PermissionDenied);
        let nowhere = RoomId::new(MAX_ID).unwrap();
        refused(bob.api().mark_read(nowhere, Seq(1)).await, Code::NotFound);
        refused(world.gateway(0).mark_read(room, Seq(1)).await, Code::Unauthenticated);
        refused(ann.api().mark_read(room, Seq(2)).await, Code::InvalidArgument);
        bob.api().join(room).await.unwrap();
        bob.api_at(1).mark_read(room, Seq(2)).await.unwrap();
        ann.api().kick(room, bob.uid).await.unwrap();
        refused(bob.api().mark_read(room, Seq(2)).await, Code::PermissionDenied);
        assert_eq!(bob.api().room_details().await.unwrap(), []);
    }

    async fn who_comes_back_begins_at_his_second_join(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        bob.api().leave(room).await.unwrap();
        ann.say_all(room, &["one", "two"]).await;
        bob.api().join(room).await.unwrap();
        assert_eq!(reading(bob.api_at(1)).await, (Seq(6), 0));
        ann.say(room, "three").await;
        assert_eq!(reading(bob.api_at(1)).await, (Seq(6), 1));
    }
}

//! A send that is repeated is one message, wherever and however often.

use client::wire::{Code, Seq};
use client::{Api, Method};
use http::{HeaderMap, HeaderValue};
use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::refused;

/// `POST /messages/{RoomID}` with an `Idempotency-Key`.
async fn post_with_key(
    api: &Api,
    room: client::wire::RoomId,
    text: &str,
    key: &str,
) -> (u16, Option<Seq>) {
    let mut headers = HeaderMap::new();
    headers.insert("idempotency-key", HeaderValue::from_str(key).unwrap());
    let path = format!("/messages/{room}");
    let body = json!({ "Text": text }).to_string();
    let answer = api.raw(Method::POST, &path, headers, body).await.unwrap();
    let id = answer.json::<client::wire::response::Posted>().ok();
    (answer.status, id.map(|posted| posted.message_id))
}

scenarios! {
    async fn a_thousand_copies_of_one_send_are_one_message(world: World) {
        let ann = world.user().await;
        let room = ann.room().await;
        let mut copies = JoinSet::new();
        for lane in 0..20 {
            let api = ann.api_at(lane % 2).clone();
            copies.spawn(async move {
                let mut ids = Vec::new();
                if lane < 10 {
                    for _ in 0..50 {
                        ids.push(api.post(room, "once", Some("n")).await.unwrap().message_id);
                    }
                    return ids;
                }
                let mut socket = api.connect().await.unwrap();
                socket.enter(room).await.unwrap();
                for _ in 0..50 {
                    let sent = socket.say_in(None, "once", Some("n")).await.unwrap();
                    ids.push(sent.message_id);
                }
                ids
            });
        }
        let ids: Vec<Seq> = copies.join_all().await.concat();
        assert_eq!(ids.len(), 1_000);
        assert!(ids.iter().all(|&id| id == Seq(2)));
        assert_eq!(ann.api().messages(room, None, 100).await.unwrap().len(), 2);
    }

    async fn another_body_under_a_nonce_is_refused_wherever_it_comes(world: World) {
        let ann = world.user().await;
        let room = ann.room().await;
        let first = ann.api_at(0).post(room, "once", Some("n")).await.unwrap();
        refused(ann.api_at(1).post(room, "twice", Some("n")).await, Code::NonceReused);
        let mut feed = ann.enter_at(1, room).await;
        refused(feed.socket.say_in(None, "twice", Some("n")).await, Code::NonceReused);
        let again = feed.socket.say_in(None, "once", Some("n")).await.unwrap();
        assert_eq!((again.message_id, again.timestamp), (first.message_id, first.timestamp));
    }

    async fn a_header_is_as_good_as_the_field(world: World) {
        let ann = world.user().await;
        let room = ann.room().await;
        let sent = ann.api().post(room, "once", Some("key")).await.unwrap();
        assert_eq!(post_with_key(ann.api_at(1), room, "once", "key").await, (201, Some(sent.message_id)));
        assert_eq!(post_with_key(ann.api(), room, "other", "key").await, (422, None));
    }

    async fn a_nonce_is_its_authors_and_its_rooms_own(world: World) {
        let (ann, bob) = world.two_users().await;
        let (room, other) = (ann.room_with(&[&bob]).await, ann.room().await);
        for (user, room) in [(&ann, room), (&bob, room), (&ann, other)] {
            user.api().post(room, &user.name, Some("n")).await.unwrap();
        }
        assert_eq!(ann.api().messages(room, None, 100).await.unwrap().len(), 4);
    }

    async fn a_refused_request_leaves_no_nonce(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room().await;
        refused(bob.api().post(room, "early", Some("n")).await, Code::PermissionDenied);
        bob.api().join(room).await.unwrap();
        bob.api().post(room, "another text", Some("n")).await.unwrap();
        bob.api().leave(room).await.unwrap();
        // What was accepted stays accepted, whatever he may now.
        let again = bob.api_at(1).post(room, "another text", Some("n")).await;
        assert_eq!(again.unwrap().message_id, Seq(3));
    }
}

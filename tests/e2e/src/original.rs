//! A client that was written for the Go system, among others who do all that came since:
//! it gets the frames it knows, whole, and no other.

use client::wire::frame::EventKind;
use client::wire::{RoomId, Seq};
use client::{Method, Socket};
use http::HeaderMap;
use serde_json::{Value, json};

use crate::harness::User;
use crate::harness::original::Original;

/// What the original client makes of an event.
fn heard(frame: &Value) -> (String, u64, u64, String) {
    let text = |key: &str| frame[key].as_str().unwrap_or_default().to_owned();
    let number = |key: &str| frame[key].as_u64().unwrap_or_default();
    (text("Type"), number("ID"), number("UID"), text("Text"))
}

/// Everything on a connection that the original knows nothing of.
async fn do_all_that_is_new(socket: &mut Socket, room: RoomId) {
    socket.hello().await.unwrap();
    socket.subscribe(room, Some(Seq(1))).await.unwrap();
    for _ in 0..2 {
        let said = socket.say_in(Some(room), "once", Some("n-1")).await;
        said.unwrap();
    }
    socket
        .enter_at(Some(room), Some(Seq(1)), None)
        .await
        .unwrap();
    let oddities = [
        json!({ "Type": "read", "RoomID": room, "ID": 1 }),
        json!({ "Type": "typing", "RoomID": room }),
        json!({ "Type": "sparkle", "RoomID": room, "Ref": "r" }),
        json!({ "Type": "message", "Text": "", "Ref": "r" }),
    ];
    for frame in oddities {
        socket.send_text(frame.to_string()).await.unwrap();
    }
    // All of them have been dealt with.
    socket.ping().await.unwrap();
    socket.unsubscribe(room).await.unwrap();
}

async fn history(user: &User, path: &str, body: &str) -> Value {
    let answer = user
        .api()
        .raw(Method::GET, path, HeaderMap::new(), body.to_owned())
        .await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 200);
    answer.json().unwrap()
}

scenarios! {
    async fn an_original_client_among_new_ones_gets_what_it_knows_and_nothing_else(world: World) {
        let (olga, ann, bob) = world.three_users().await;
        let (room, other) = (ann.room_with(&[&olga]).await, olga.room().await);
        for gateway in 0..2 {
            let first = ann.api().messages(room, None, 1).await.unwrap()[0].id.get() + 1;
            let mut client = Original::connect(olga.api_at(gateway)).await;
            client.enter(room).await;

            bob.api().join(room).await.unwrap();
            let mut bobs = bob.connect_at(1 - gateway).await;
            do_all_that_is_new(&mut bobs, room).await;
            let posted = ann.api_at(1).post(room, "over HTTP", Some("n-2")).await.unwrap();
            assert_eq!(ann.api().post(room, "over HTTP", Some("n-2")).await.unwrap(), posted);
            ann.api().kick(room, bob.uid).await.unwrap();
            bob.api().join(room).await.unwrap();
            bob.api().leave(room).await.unwrap();

            let [ann_is, bob_is] = [ann.uid.get(), bob.uid.get()];
            // The second time round the first nonce is known, and nothing is said.
            let once = (gateway == 0).then_some(("message", bob_is, "once"));
            let over_http = (gateway == 0).then_some(("message", ann_is, "over HTTP"));
            let happened = [
                Some(("join", bob_is, "")), once, over_http, Some(("leave", bob_is, "")),
                Some(("join", bob_is, "")), Some(("leave", bob_is, "")),
            ];
            let mut next = first;
            for (kind, uid, text) in happened.into_iter().flatten() {
                let frame = client.next().await;
                assert_eq!(heard(&frame), (kind.to_owned(), next, uid, text.to_owned()), "{frame}");
                assert_eq!(frame["RoomID"], room.get());
                next += 1;
            }

            client.say("I am still here").await;
            let mut frames = [client.next().await, client.next().await];
            frames.sort_by_key(|frame| frame["Type"].as_str().map(str::to_owned));
            let said = ("message".to_owned(), next, olga.uid.get(), "I am still here".to_owned());
            assert_eq!(heard(&frames[0]), said);
            assert_eq!((&frames[1]["Type"], &frames[1]["MessageID"]), (&json!("sent"), &json!(next)));

            // In another room nothing of the first is heard; an error is words, and no end.
            client.enter(other).await;
            ann.say(room, "behind her back").await;
            client.say("").await;
            assert_eq!(client.next().await["Type"], "error");
            client.send("nonsense").await;
            assert_eq!(client.next().await["Type"], "error");
            client.say("alone").await;
            let mut kinds = [client.next().await, client.next().await].map(|frame| frame["Type"].clone());
            kinds.sort_by_key(Value::to_string);
            assert_eq!(kinds, ["message", "sent"]);
        }
    }

    async fn the_original_s_history_is_what_it_was(world: World) {
        let (olga, bob) = world.two_users().await;
        let room = olga.room_with(&[&bob]).await;
        let mut bobs = bob.connect().await;
        do_all_that_is_new(&mut bobs, room).await;
        olga.api().kick(room, bob.uid).await.unwrap();
        let (all, up_to) = (
            history(&olga, &format!("/messages/{room}"), "").await,
            history(&olga, &format!("/messages/{room}"), r#"{"LastID":3}"#).await,
        );
        let expected = [("leave", 4, ""), ("message", 3, "once"), ("join", 2, ""), ("join", 1, "")];
        let entries = all.as_array().unwrap();
        assert_eq!(entries.len(), expected.len(), "{all}");
        for (entry, (kind, id, text)) in entries.iter().zip(expected) {
            let uid = if id == 1 { olga.uid } else { bob.uid };
            let said = (kind.to_owned(), id, uid.get(), text.to_owned());
            assert_eq!(heard(entry), said, "{entry}");
            assert_eq!(entry["RoomID"], room.get());
            assert!(EventKind::ALL.iter().any(|kind| entry["Type"] == kind.as_str()));
            assert!(entry["Timestamp"].is_string());
        }
        assert_eq!(up_to.as_array().unwrap()[..], entries[1..]);
    }
}

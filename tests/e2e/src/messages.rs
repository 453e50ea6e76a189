//! History: what was said stays readable, in one order, in pages.

use client::wire::frame::EventKind;
use client::wire::{Code, Seq};
use client::{Api, Method};
use http::HeaderMap;
use serde_json::{Value, json};

use crate::harness::refused;

/// `GET /messages/{RoomID}` with a body, as the original's clients ask.
async fn by_body(api: &Api, path: &str, body: &Value) -> Vec<u64> {
    let answer = api
        .raw(Method::GET, path, HeaderMap::new(), body.to_string())
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let entries: Vec<Value> = answer.json().unwrap();
    entries
        .iter()
        .map(|entry| entry["ID"].as_u64().unwrap())
        .collect()
}

scenarios! {
    async fn history_is_newest_first_and_begins_with_the_creators_join(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        ann.say(room, "one").await;
        let sent = bob.say(room, "two").await;
        let history = ann.api_at(1).messages(room, None, 100).await.unwrap();
        let seen: Vec<_> =
            history.iter().map(|entry| (entry.id.get(), entry.kind, entry.uid, entry.text.as_str())).collect();
        assert_eq!(seen, [
            (4, EventKind::Message, bob.uid, "two"),
            (3, EventKind::Message, ann.uid, "one"),
            (2, EventKind::Join, bob.uid, ""),
            (1, EventKind::Join, ann.uid, ""),
        ]);
        assert!(history.iter().all(|entry| entry.room_id == room));
        assert_eq!((history[0].id, history[0].timestamp), (sent.message_id, sent.timestamp));
        assert!(history.is_sorted_by(|newer, older| newer.timestamp >= older.timestamp));
    }

    async fn an_entry_has_the_documented_keys_and_no_others(world: World) {
        let ann = world.user().await;
        let room = ann.room().await;
        ann.say(room, "hello").await;
        let path = format!("/messages/{room}");
        let answer = ann.api().raw(Method::GET, &path, HeaderMap::new(), "").await.unwrap();
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let entries: Vec<serde_json::Map<String, Value>> = answer.json().unwrap();
        let mut keys: Vec<_> = entries[0].keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["ID", "RoomID", "Text", "Timestamp", "Type", "UID"]);
        let time = entries[0]["Timestamp"].as_str().unwrap();
        assert!(time.ends_with('Z') && time.contains('.'), "{time}");
    }

    async fn a_page_has_a_hundred_at_most_and_the_last_id_is_in_it(world: World) {
        let ann = world.user().await;
        let room = ann.room().await;
        let texts: Vec<String> = (2..=130).map(|number| format!("message {number}")).collect();
        ann.say_all(room, &texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let ids = async |last_id: Option<u64>, limit| {
            let page = ann.api().messages(room, last_id.map(Seq), limit).await.unwrap();
            page.iter().map(|entry| entry.id.get()).collect::<Vec<_>>()
        };
        assert_eq!(ids(None, 100).await, (31..=130).rev().collect::<Vec<_>>());
        assert_eq!(ids(Some(31), 100).await, (1..=31).rev().collect::<Vec<_>>());
        assert_eq!(ids(Some(50), 3).await, [50, 49, 48]);
        assert_eq!(ids(Some(1), 100).await, [1]);
        assert_eq!(ids(Some(5_000), 1).await, [130]);

        let path = format!("/messages/{room}");
        assert_eq!(by_body(ann.api(), &path, &json!({})).await.len(), 100);
        assert_eq!(by_body(ann.api(), &path, &json!({ "LastID": 0 })).await[0], 130);
        assert_eq!(by_body(ann.api(), &path, &json!({ "lastid": 50 })).await[0], 50);
        assert_eq!(by_body(ann.api(), &path, &json!({ "LastID": 2, "Limit": 1 })).await, [2]);
    }

    async fn history_is_read_back_to_the_letter(world: World) {
        let ann = world.user().await;
        let room = ann.room().await;
        let longest = "😀".repeat(2_000);
        let texts = [
            "\"quoted\" \\ and / slashed",
            "two\nlines\tand a tab\r\n",
            "\u{1}\u{7f}\u{85} control characters but NUL",
            "e\u{301} stays decomposed, \u{feff} stays",
            "\u{202e}right to left\u{2028}",
            " blanks at both ends ",
            "</script><b>&amp;",
            longest.as_str(),
        ];
        ann.say_all(room, &texts).await;
        let history = ann.api().messages(room, None, 100).await.unwrap();
        let read: Vec<_> =
            history.iter().rev().skip(1).map(|entry| entry.text.as_str()).collect();
        assert_eq!(read, texts);
    }

    async fn ids_count_per_room_without_gaps(world: World) {
        let (ann, bob) = world.two_users().await;
        let rooms = [ann.room_with(&[&bob]).await, ann.room_with(&[&bob]).await];
        for number in 3..8 {
            for room in rooms {
                let user = if number % 2 == 0 { &ann } else { &bob };
                assert_eq!(user.say(room, "x").await.message_id.get(), number);
            }
        }
    }

    async fn a_refused_message_leaves_no_gap(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room().await;
        let mut stranger = bob.connect().await;
        refused(stranger.enter(room).await, Code::PermissionDenied);
        let mut feed = ann.enter(room).await;
        feed.send(r#"{"Type":"message","Text":""}"#).await;
        feed.fault().await;
        assert_eq!(feed.say("next").await.message_id.get(), 2);
    }

    async fn many_who_talk_at_once_make_one_order(world: World) {
        const EACH: usize = 20;
        let (ann, bob, carl) = world.three_users().await;
        let room = ann.room_with(&[&bob, &carl]).await;
        let mut talkers = tokio::task::JoinSet::new();
        for (gateway, user) in [(0, &ann), (1, &bob), (0, &carl)] {
            let mut feed = user.enter_at(gateway, room).await;
            let uid = user.uid;
            talkers.spawn(async move {
                for number in 0..EACH {
                    feed.say(&format!("{uid} {number}")).await;
                }
            });
        }
        talkers.join_all().await;
        let history = ann.api().messages(room, None, 100).await.unwrap();
        let ids: Vec<_> = history.iter().rev().map(|entry| entry.id.get()).collect();
        assert_eq!(ids, (1..=3 + 3 * EACH as u64).collect::<Vec<_>>());
        for user in [&ann, &bob, &carl] {
            let own = history.iter().rev().filter(|entry| entry.uid == user.uid).skip(1);
            let texts: Vec<_> = own.map(|entry| entry.text.clone()).collect();
            let expected: Vec<_> =
                (0..EACH).map(|number| format!("{} {number}", user.uid)).collect();
            assert_eq!(texts, expected);
        }
    }
}

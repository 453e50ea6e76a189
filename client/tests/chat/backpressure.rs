//! Users who do not take what comes.

use std::time::Duration;

use client::Start;
use client::wire::Seq;
use futures_util::future::join;
use serde_json::json;

use crate::scripted::{Server, at, comes, event, room, soon};
use crate::{narrow, page};

#[tokio::test]
async fn who_takes_nothing_stops_the_server() {
    let mut server = Server::start().await;
    let (_chat, mut events, mut ws) = narrow(&mut server).await;
    let last = 3_000;
    let mut long = event("message", 0, 1);
    long["Text"] = json!("x".repeat(16 * 1024));
    let writing = async {
        for seq in 1..=last {
            long["Seq"] = json!(seq);
            ws.say(&long).await;
        }
    };
    tokio::pin!(writing);
    let stuck = tokio::time::timeout(Duration::from_millis(300), &mut writing).await;
    assert!(stuck.is_err(), "48 MB went somewhere");
    // Nothing was left to the log: it all comes from where it got stuck.
    join(comes(&mut events, 1, last), writing).await;
}

#[tokio::test]
async fn who_takes_nothing_is_answered_all_the_same_and_misses_nothing() {
    let mut server = Server::start().await;
    let (chat, mut events, mut ws) = narrow(&mut server).await;
    for seq in 1..=1_000 {
        ws.say(&event("message", seq, 1)).await;
    }
    // The one who should take the events waits for an answer that comes after them.
    let (sent, ()) = join(soon(chat.send(room(1), "hi")), async {
        let message = ws.hear_a("message").await;
        ws.sent(&message, 1_001).await;
    })
    .await;
    assert_eq!(sent.unwrap().message_id, Seq(1_001));
    let ((), _ws) = join(comes(&mut events, 1, 1_001), async {
        let asked = server.request().await;
        let after: u64 = asked
            .line
            .split(['=', '&'])
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        assert!(
            (4..=80).contains(&after),
            "{after} events were kept in memory"
        );
        asked.answer(200, "", &page(after + 1, 1_000, 1_000)).await;
        ws.grant(Some(1_000), 1_001, json!({})).await;
        ws.say(&event("message", 1_001, 1)).await;
        ws
    })
    .await;
}

#[tokio::test]
async fn who_has_a_last_page_to_take_is_answered_all_the_same() {
    let mut server = Server::start().await;
    let (chat, mut events) = server.chat().queue(4).start().unwrap();
    let (began, mut ws) = join(chat.subscribe(room(1), Start::Beginning), async {
        let mut ws = server.socket().await;
        ws.grant(Some(0), 9, json!({"Truncated": true})).await;
        ws
    })
    .await;
    began.unwrap();
    let asked = server.request().await;
    asked.answer(200, "", &page(1, 9, 9)).await;
    comes(&mut events, 1, 1).await;
    let (sent, ()) = join(soon(chat.send(room(1), "hi")), async {
        ws.grant(Some(9), 9, json!({})).await;
        let message = ws.hear_a("message").await;
        ws.sent(&message, 10).await;
    })
    .await;
    assert_eq!(sent.unwrap().message_id, Seq(10));
    let following = soon(chat.subscribe(room(2), Start::Now));
    let (began, ()) = join(following, ws.grant(None, 3, json!({}))).await;
    assert_eq!(began.unwrap(), at(3));
    ws.say(&event("message", 10, 1)).await;
    comes(&mut events, 2, 10).await;
}

#[tokio::test]
async fn who_has_events_to_take_is_answered_after_a_cut() {
    let mut server = Server::start().await;
    let (chat, mut events, mut ws) = narrow(&mut server).await;
    for seq in 1..=9 {
        ws.say(&event("message", seq, 1)).await;
    }
    let (sent, mut ws) = join(soon(chat.send(room(1), "hi")), async {
        ws.hear_a("message").await;
        ws.close(1001).await;
        let mut ws = server.socket().await;
        ws.grant(Some(9), 9, json!({})).await;
        let again = ws.hear_a("message").await;
        ws.sent(&again, 10).await;
        ws
    })
    .await;
    assert_eq!(sent.unwrap().message_id, Seq(10));
    ws.say(&event("message", 10, 1)).await;
    comes(&mut events, 1, 10).await;
}

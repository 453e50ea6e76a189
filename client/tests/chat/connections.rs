//! How connections end, and what comes after.

use std::time::Duration;

use client::wire::Seq;
use client::{Ended, Error, Item, Start, Timings};
use futures_util::future::join;
use serde_json::json;
use tokio::time::Instant;

use crate::scripted::{Server, at, comes, event, next, room, soon, swift};
use crate::{following, narrow};

#[tokio::test]
async fn a_room_goes_on_where_it_was_however_the_connection_ended() {
    let mut server = Server::start().await;
    let (_chat, mut events, mut ws) = following(&mut server).await;
    let mut seq = 2;
    for end in [Some(1001), Some(4008), None, Some(1011)] {
        seq += 1;
        ws.say(&event("message", seq, 1)).await;
        comes(&mut events, seq, seq).await;
        match end {
            Some(code) => ws.close(code).await,
            None => drop(ws),
        }
        ws = server.socket().await;
        let wish = ws.hear_a("subscribe").await;
        assert_eq!((&wish["After"], &wish["Epoch"]), (&json!(seq), &json!(1)));
        let head = seq + 1;
        ws.say(&json!({
            "Type": "subscribe", "RoomID": 1, "Seq": head, "Epoch": 1, "First": 1, "Ref": wish["Ref"]
        }))
        .await;
        ws.say(&event("novelty", head, 1)).await;
        let Item::Unknown { position, .. } = next(&mut events).await else {
            panic!("an event of an unknown kind counts")
        };
        assert_eq!(position.seq, Seq(head));
        seq = head;
    }
}

#[tokio::test]
async fn who_is_told_that_a_gateway_goes_away_is_at_another_at_once() {
    let (mut server, mut other) = (Server::start().await, Server::start().await);
    let timings = Timings {
        retry_least: Duration::from_hours(1),
        retry_most: Duration::from_hours(1),
        ..swift()
    };
    let chat = server.chat().gateway(&other.base).timings(timings);
    let (chat, _events) = chat.start().unwrap();
    server.socket().await.close(1001).await;
    let _ws = other.socket().await;
    assert_eq!(chat.api().base(), other.base);
}

#[tokio::test]
async fn a_silent_server_is_left() {
    let mut server = Server::start().await;
    let silence = Duration::from_millis(50);
    let timings = Timings { silence, ..swift() };
    let (_chat, _events) = server.chat().timings(timings).start().unwrap();
    let quiet = server.socket().await;
    let _ws = server.socket().await;
    assert_eq!(quiet.goodbye().await, None);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_asked_for_elsewhere() {
    let mut server = Server::start().await;
    let answer = Duration::from_millis(50);
    let timings = Timings { answer, ..swift() };
    let (chat, _events) = server.chat().timings(timings).start().unwrap();
    let following = chat.subscribe(room(1), Start::Now);
    let (began, _ws) = join(following, async {
        let mut deaf = server.socket().await;
        deaf.hear_a("subscribe").await;
        let mut ws = server.socket().await;
        ws.grant(None, 9, json!({})).await;
        ws
    })
    .await;
    assert_eq!(began.unwrap(), at(9));
}

#[tokio::test]
async fn an_ended_session_ends_everything_with_a_word() {
    let mut server = Server::start().await;
    let (chat, mut events, mut ws) = following(&mut server).await;
    let (sent, ()) = join(soon(chat.send(room(1), "hi")), async {
        ws.hear_a("message").await;
        ws.close(4001).await;
    })
    .await;
    assert!(
        matches!(sent, Err(Error::Ended(Ended::Session))),
        "{sent:?}"
    );
    assert_eq!(next(&mut events).await, Item::Ended(Ended::Session));
    assert_eq!(soon(events.next()).await, None);
    let later = chat.send(room(1), "hi").await;
    assert!(
        matches!(later, Err(Error::Ended(Ended::Session))),
        "{later:?}"
    );
    assert!(!server.has_socket());
}

#[tokio::test]
async fn after_the_end_nobody_waits_although_events_do() {
    let mut server = Server::start().await;
    let (chat, mut events, mut ws) = narrow(&mut server).await;
    for seq in 1..=9 {
        ws.say(&event("message", seq, 1)).await;
    }
    let (sent, ()) = join(soon(chat.send(room(1), "hi")), async {
        ws.hear_a("message").await;
        ws.close(4001).await;
    })
    .await;
    assert!(matches!(sent, Err(Error::Ended(_))), "{sent:?}");
    let sent = join(chat.send(room(1), "hi"), chat.send(room(2), "hi"));
    let (one, two) = soon(sent).await;
    let began = soon(chat.subscribe(room(2), Start::Now)).await;
    for refused in [one.map(drop), two.map(drop), began.map(drop)] {
        assert!(
            matches!(refused, Err(Error::Ended(Ended::Session))),
            "{refused:?}"
        );
    }
    comes(&mut events, 1, 9).await;
    assert_eq!(next(&mut events).await, Item::Ended(Ended::Session));
}

#[tokio::test]
async fn who_floods_stays_away_for_a_while() {
    let mut server = Server::start().await;
    let flood_pause = Duration::from_millis(300);
    let timings = Timings {
        flood_pause,
        ..swift()
    };
    let (_chat, _events) = server.chat().timings(timings).start().unwrap();
    let ws = server.socket().await;
    let since = Instant::now();
    ws.close(4029).await;
    let _ws = server.socket().await;
    assert!(since.elapsed() >= flood_pause);
}

#[tokio::test]
async fn who_closes_says_goodbye_and_who_drops_is_gone() {
    let mut server = Server::start().await;
    let (chat, mut events, ws) = following(&mut server).await;
    let (code, ()) = join(ws.goodbye(), chat.close()).await;
    assert_eq!(code, Some(1000));
    assert_eq!(soon(events.next()).await, None);
    let (chat, mut events, ws) = following(&mut server).await;
    drop(chat);
    assert_eq!(ws.goodbye().await, None);
    assert_eq!(soon(events.next()).await, None);
}

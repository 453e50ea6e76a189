//! How a room goes on, and how it ends.

use client::wire::{Code, Seq};
use client::{Gone, Item, Start};
use futures_util::future::join;
use serde_json::json;

use crate::scripted::{OWN, Server, at, comes, event, next, room};
use crate::{following, page};

#[tokio::test]
async fn what_a_replay_does_not_give_is_read_page_by_page() {
    let mut server = Server::start().await;
    let (chat, mut events) = server.chat().start().unwrap();
    let (began, mut ws) = join(chat.subscribe(room(1), Start::Beginning), async {
        let mut ws = server.socket().await;
        ws.grant(Some(0), 9, json!({"Truncated": true})).await;
        ws
    })
    .await;
    assert_eq!(began.unwrap(), at(0));
    ws.say(&event("message", 9, 1)).await;
    let first = server.request().await;
    let line = "GET /rooms/1/events?After=0&Limit=1000&Epoch=1 ";
    assert!(first.line.starts_with(line), "{}", first.line);
    first.answer(200, "", &page(1, 5, 9)).await;
    comes(&mut events, 1, 5).await;
    let second = server.request().await;
    assert!(second.line.contains("After=5"), "{}", second.line);
    second.refuse(503, "unavailable", "").await;
    let again = server.request().await;
    assert!(again.line.contains("After=5"), "{}", again.line);
    again.answer(200, "", &page(6, 10, 10)).await;
    ws.grant(Some(10), 11, json!({})).await;
    ws.say(&event("message", 11, 1)).await;
    comes(&mut events, 6, 11).await;
}

#[tokio::test]
async fn a_log_of_another_life_is_said_and_goes_on_with_its_newest() {
    let mut server = Server::start().await;
    let (_chat, mut events, ws) = following(&mut server).await;
    ws.close(4008).await;
    let mut ws = server.socket().await;
    let another = json!({"Reset": true, "Epoch": 2, "First": 1});
    ws.grant(Some(2), 1_500, another).await;
    ws.say(&event("message", 501, 1)).await;
    let Item::Reset(reset) = next(&mut events).await else {
        panic!("no reset")
    };
    assert_eq!((reset.position.seq, reset.head), (Seq(500), Seq(1_500)));
    comes(&mut events, 501, 501).await;
}

#[tokio::test]
async fn a_hole_is_not_passed_over() {
    let mut server = Server::start().await;
    let (_chat, mut events, mut ws) = following(&mut server).await;
    // A repeat is nothing to leave for.
    for seq in [3, 3, 4, 6] {
        ws.say(&event("message", seq, 1)).await;
    }
    let mut next = server.socket().await;
    assert_eq!(ws.goodbye().await, None);
    next.grant(Some(4), 6, json!({})).await;
    for seq in [5, 6] {
        next.say(&event("message", seq, 1)).await;
    }
    comes(&mut events, 3, 6).await;
}

#[tokio::test]
async fn a_room_that_the_user_left_ends_with_a_word() {
    let mut server = Server::start().await;
    let (chat, mut events, mut ws) = following(&mut server).await;
    ws.say(&event("leave", 3, OWN)).await;
    let wish = ws.hear_a("subscribe").await;
    assert_eq!(wish["After"], 3);
    ws.refuse(&wish, "permission_denied").await;
    comes(&mut events, 3, 3).await;
    let gone = Item::Gone {
        room: room(1),
        why: Gone::Left { by: None },
    };
    assert_eq!(next(&mut events).await, gone);
    let (began, ()) = join(chat.subscribe(room(1), Start::After(at(3))), async {
        ws.grant(Some(3), 4, json!({})).await;
    })
    .await;
    assert_eq!(began.unwrap(), at(3));
}

#[tokio::test]
async fn a_membership_that_is_lost_during_the_replay_ends_the_room() {
    let mut server = Server::start().await;
    let (_chat, mut events, ws) = following(&mut server).await;
    drop(ws);
    let mut ws = server.socket().await;
    let wish = ws.hear_a("subscribe").await;
    let (reference, head) = (wish["Ref"].clone(), 9);
    let granted = json!({
        "Type": "subscribe", "RoomID": 1, "Seq": head, "Epoch": 1, "First": 1, "Ref": reference
    });
    ws.say(&granted).await;
    ws.say(&event("message", 3, 1)).await;
    ws.refuse(&wish, "permission_denied").await;
    comes(&mut events, 3, 3).await;
    let Item::Gone {
        why: Gone::Refused(no),
        ..
    } = next(&mut events).await
    else {
        panic!("the room goes on")
    };
    assert_eq!(no.code, Some(Code::PermissionDenied));
}

#[tokio::test]
async fn a_room_that_one_may_not_follow_is_refused() {
    let mut server = Server::start().await;
    let (chat, _events) = server.chat().start().unwrap();
    let (began, ()) = join(chat.subscribe(room(1), Start::Now), async {
        let mut ws = server.socket().await;
        let wish = ws.hear_a("subscribe").await;
        ws.refuse(&wish, "unavailable").await;
        let again = ws.hear_a("subscribe").await;
        ws.refuse(&again, "permission_denied").await;
    })
    .await;
    assert_eq!(began.unwrap_err().code(), Some(Code::PermissionDenied));
}

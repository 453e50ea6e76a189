//! What becomes of a message when its answer does not come.

use std::time::Duration;

use client::wire::{Code, Seq};
use futures_util::future::join;
use serde_json::json;
use tokio::time::Instant;

use crate::following;
use crate::scripted::{Server, room};

#[tokio::test]
async fn a_message_is_sent_again_with_its_nonce_until_it_is_answered() {
    let mut server = Server::start().await;
    let (chat, _events, mut ws) = following(&mut server).await;
    let (sent, _ws) = join(chat.send(room(1), "hi"), async {
        let first = ws.hear_a("message").await;
        // It may be in the log; the answer is lost.
        drop(ws);
        let mut ws = server.socket().await;
        ws.grant(Some(2), 2, json!({})).await;
        for code in ["unavailable", "deadline_exceeded", "rate_limited"] {
            let again = ws.hear_a("message").await;
            assert_eq!(
                (&again["Nonce"], &again["Text"]),
                (&first["Nonce"], &json!("hi"))
            );
            ws.refuse(&again, code).await;
        }
        let again = ws.hear_a("message").await;
        assert_eq!(again["Nonce"], first["Nonce"]);
        ws.sent(&again, 3).await;
        ws
    })
    .await;
    assert_eq!(sent.unwrap().message_id, Seq(3));
}

#[tokio::test]
async fn messages_of_a_room_wait_for_each_other_and_a_refused_one_holds_nobody_up() {
    let mut server = Server::start().await;
    let (chat, _events, mut ws) = following(&mut server).await;
    let (one, two) = (chat.send(room(1), "one"), chat.send(room(1), "two"));
    let sending = join(one, two);
    let ((one, two), ()) = join(sending, async {
        let first = ws.hear_a("message").await;
        assert_eq!(first["Text"], "one");
        ws.refuse(&first, "unavailable").await;
        let again = ws.hear_a("message").await;
        assert_eq!(again["Text"], "one", "two must not pass one");
        ws.refuse(&again, "permission_denied").await;
        let asked = server.request().await;
        assert_eq!(asked.body["Text"], "one");
        asked.refuse(403, "permission_denied", "").await;
        let second = ws.hear_a("message").await;
        assert_eq!(second["Text"], "two");
        assert_ne!(second["Nonce"], first["Nonce"]);
        ws.sent(&second, 3).await;
    })
    .await;
    assert_eq!(one.unwrap_err().code(), Some(Code::PermissionDenied));
    assert_eq!(two.unwrap().message_id, Seq(3));
}

#[tokio::test]
async fn a_connection_that_lost_the_room_does_not_have_the_last_word() {
    let mut server = Server::start().await;
    let (chat, _events, mut ws) = following(&mut server).await;
    // He was sent away and is back; of neither has the client heard.
    let (sent, ()) = join(chat.send(room(1), "hi"), async {
        let message = ws.hear_a("message").await;
        ws.refuse(&message, "permission_denied").await;
        let asked = server.request().await;
        assert_eq!(asked.body["Nonce"], message["Nonce"]);
        let posted = json!({"MessageID": 5, "Timestamp": "2026-01-02T03:04:05.678Z"});
        asked.answer(201, "", &posted).await;
    })
    .await;
    assert_eq!(sent.unwrap().message_id, Seq(5));
}

#[tokio::test]
async fn what_stands_before_the_server_does_not_have_the_last_word() {
    let mut server = Server::start().await;
    let (chat, _events) = server.chat().start().unwrap();
    let (sent, ()) = join(chat.send(room(2), "hi"), async {
        let page = json!("<html>");
        let mut nonces = Vec::new();
        for status in [404, 500, 520, 200] {
            let asked = server.request().await;
            nonces.push(asked.body["Nonce"].clone());
            asked.answer(status, "", &page).await;
        }
        let again = server.request().await;
        assert!(nonces.iter().all(|nonce| *nonce == again.body["Nonce"]));
        let posted = json!({"MessageID": 4, "Timestamp": "2026-01-02T03:04:05.678Z"});
        again.answer(201, "", &posted).await;
    })
    .await;
    assert_eq!(sent.unwrap().message_id, Seq(4));
}

#[tokio::test]
async fn a_message_given_up_is_not_sent_again_and_the_next_goes() {
    let mut server = Server::start().await;
    let (chat, _events, mut ws) = following(&mut server).await;
    {
        let given_up = chat.send(room(1), "given up");
        tokio::pin!(given_up);
        tokio::select! {
            sent = &mut given_up => panic!("{sent:?}"),
            first = ws.hear_a("message") => ws.refuse(&first, "unavailable").await,
        }
    }
    let (sent, ()) = join(chat.send(room(1), "next"), async {
        // It may have been sent once more before it was given up.
        let next = loop {
            let message = ws.hear_a("message").await;
            if message["Text"] == "next" {
                break message;
            }
            ws.refuse(&message, "unavailable").await;
        };
        ws.sent(&next, 3).await;
    })
    .await;
    assert_eq!(sent.unwrap().message_id, Seq(3));
}

#[tokio::test]
async fn a_message_to_a_room_that_is_not_followed_goes_over_http_and_waits_as_asked() {
    let mut server = Server::start().await;
    let (chat, _events) = server.chat().start().unwrap();
    let (sent, ()) = join(chat.send_as(room(2), "hi", "mine"), async {
        let asked = server.request().await;
        assert!(
            asked.line.starts_with("POST /messages/2 "),
            "{}",
            asked.line
        );
        assert_eq!(asked.body, json!({"Text": "hi", "Nonce": "mine"}));
        let since = Instant::now();
        asked.refuse(503, "unavailable", "retry-after: 1\r\n").await;
        let again = server.request().await;
        assert!(since.elapsed() >= Duration::from_secs(1));
        assert_eq!(again.body["Nonce"], "mine");
        let posted = json!({"MessageID": 4, "Timestamp": "2026-01-02T03:04:05.678Z"});
        again.answer(201, "", &posted).await;
    })
    .await;
    assert_eq!(sent.unwrap().message_id, Seq(4));
}

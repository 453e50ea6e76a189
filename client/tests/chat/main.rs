//! What a chat does when things fail, against a server that fails as it is told.
#![cfg(test)]

mod backpressure;
mod connections;
mod messages;
mod rooms;
mod scripted;
mod tokens;

use client::{Chat, Events, Start};
use futures_util::future::join;
use serde_json::{Value, json};

use scripted::{Server, Ws, at, event, room};

/// A chat that follows room 1 after event 2.
async fn following(server: &mut Server) -> (Chat, Events, Ws) {
    let (chat, events) = server.chat().start().unwrap();
    let (began, ws) = join(chat.subscribe(room(1), Start::After(at(2))), async {
        let mut ws = server.socket().await;
        ws.grant(Some(2), 2, json!({})).await;
        ws
    })
    .await;
    assert_eq!(began.unwrap(), at(2));
    (chat, events, ws)
}

/// A chat that follows room 1 from its beginning and lets four events wait.
async fn narrow(server: &mut Server) -> (Chat, Events, Ws) {
    let (chat, events) = server.chat().queue(4).start().unwrap();
    let (began, ws) = join(chat.subscribe(room(1), Start::After(at(0))), async {
        let mut ws = server.socket().await;
        ws.grant(Some(0), 0, json!({})).await;
        ws
    })
    .await;
    began.unwrap();
    (chat, events, ws)
}

fn page(first: u64, last: u64, head: u64) -> Value {
    let events: Vec<Value> = (first..=last).map(|seq| event("message", seq, 1)).collect();
    json!({"Events": events, "Head": head, "Epoch": 1, "First": 1})
}

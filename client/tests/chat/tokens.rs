//! Tokens that are refused.

use client::{Ended, Error, Item, Status};
use serde_json::json;

use crate::scripted::{OWN, Server, login, next, soon};

#[tokio::test]
async fn a_refused_token_is_replaced_with_a_key_that_makes_it_safe_to_ask_twice() {
    let mut server = Server::start().await;
    server.takes("token-two");
    let (chat, _events) = server.chat().start().unwrap();
    let first = server.request().await;
    assert!(first.line.starts_with("POST /refresh "));
    assert_eq!(first.body, json!({"RefreshToken": "refresh-one"}));
    let key = first.header("idempotency-key").unwrap();
    // The answer is lost.
    drop(first);
    let again = server.request().await;
    assert_eq!(again.header("idempotency-key"), Some(key.clone()));
    let mut tokens = chat.tokens();
    again.answer(200, "", &login("two")).await;
    let _ws = server.socket().await;
    soon(tokens.changed()).await.unwrap();
    assert_eq!(tokens.borrow().token, "token-two");
    assert_eq!(chat.api().token(), Some("token-two"));
    assert_eq!(soon(chat.uid()).await.unwrap().get(), OWN);
}

#[tokio::test]
async fn a_refused_refresh_token_is_the_end() {
    let mut server = Server::start().await;
    server.takes("token-two");
    let (chat, mut events) = server.chat().start().unwrap();
    let refresh = server.request().await;
    refresh.refuse(401, "unauthenticated", "").await;
    assert_eq!(next(&mut events).await, Item::Ended(Ended::Session));
    assert_eq!(*chat.status().borrow(), Status::Ended(Ended::Session));
    let uid = soon(chat.uid()).await;
    assert!(matches!(uid, Err(Error::Ended(Ended::Session))), "{uid:?}");
}

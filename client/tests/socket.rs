//! The connection, against a server of a few lines.
#![cfg(test)]

use std::time::Duration;

use client::wire::frame::{EventKind, HELLO, ServerFrame};
use client::wire::{Code, RoomId, Seq};
use client::{Api, Error, Message};
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};

const EVENT: &str = r#"{"Type":"join","ID":1,"Seq":1,"RoomID":1,"UID":1,"Text":"","Timestamp":"2026-01-02T03:04:05.678Z"}"#;

async fn listen() -> (TcpListener, Api) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    (
        listener,
        Api::new(&base)
            .unwrap()
            .with_token("t")
            .with_deadline(Duration::from_secs(5)),
    )
}

async fn accept(listener: TcpListener) -> WebSocketStream<TcpStream> {
    let (stream, _) = listener.accept().await.unwrap();
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    socket.send(Message::text(HELLO)).await.unwrap();
    socket
}

#[tokio::test]
async fn what_comes_before_an_answer_is_kept_in_order() {
    let (listener, api) = listen().await;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut socket = accept(listener).await;
        let enter = socket.next().await.unwrap().unwrap();
        assert_eq!(enter.to_text().unwrap(), r#"{"Type":"enter","RoomID":1,"Ref":"sdk-1"}"#);
        let answer = r#"{"Type":"enter","RoomID":1,"Seq":1,"Ref":"sdk-1"}"#;
        for frame in [EVENT, r#"{"Type":"novelty"}"#, answer] {
            socket.send(Message::text(frame)).await.unwrap();
        }
        let say = socket.next().await.unwrap().unwrap();
        assert!(say.to_text().unwrap().contains(r#""Text":"hi""#));
        let no = r#"{"Type":"error","Error":"slower","Code":"rate_limited","Retryable":true,"Ref":"sdk-2"}"#;
        socket.send(Message::text(no)).await.unwrap();
        let code = CloseCode::Library(4008);
        socket.close(Some(CloseFrame { code, reason: "slow".into() })).await.unwrap();
        while socket.next().await.is_some() {}
    });
    let room = RoomId::new(1).unwrap();
    let mut socket = api.connect().await.unwrap();
    assert_eq!(socket.enter(room).await.unwrap().seq, Some(Seq(1)));
    let refusal = socket.say("hi").await.unwrap_err();
    assert_eq!(
        (refusal.code(), refusal.retryable()),
        (Some(Code::RateLimited), true)
    );
    let ServerFrame::Event(event) = socket.next().await.unwrap() else {
        panic!("no event")
    };
    assert_eq!(event.kind, EventKind::Join);
    assert!(matches!(
        socket.next().await.unwrap(),
        ServerFrame::Other(_)
    ));
    assert_eq!(socket.next().await.unwrap_err().close_code(), Some(4008));
    tasks.join_all().await;
}

#[tokio::test]
async fn silence_is_a_deadline_and_an_end_without_a_goodbye_is_an_end() {
    let (listener, api) = listen().await;
    let mut tasks = JoinSet::new();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    tasks.spawn(async move {
        let socket = accept(listener).await;
        ended.await.unwrap();
        drop(socket);
    });
    let mut socket = api.connect().await.unwrap();
    let silence = socket
        .next_within(Duration::from_millis(10))
        .await
        .unwrap_err();
    assert!(matches!(silence, Error::Deadline));
    end.send(()).unwrap();
    let error = socket.next().await.unwrap_err();
    assert!(
        matches!(error, Error::Closed { code: None, .. }),
        "{error:?}"
    );
    tasks.join_all().await;
}

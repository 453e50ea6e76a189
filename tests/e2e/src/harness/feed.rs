//! A connection in a room, as one follows it.

use std::time::Duration;

use client::wire::frame::{Entered, Event, EventKind, Fault, Read, Sent, ServerFrame};
use client::wire::{Seq, Uid};
use client::{Error, Socket};

/// A connection that entered a room.
pub(crate) struct Feed {
    pub(crate) socket: Socket,
    pub(crate) entered: Entered,
}

/// What may be sent as a text frame: JSON, or what only looks like it.
pub(crate) trait IntoFrame {
    fn into_frame(self) -> String;
}

impl IntoFrame for &str {
    fn into_frame(self) -> String {
        self.to_owned()
    }
}

impl IntoFrame for String {
    fn into_frame(self) -> String {
        self
    }
}

impl IntoFrame for serde_json::Value {
    fn into_frame(self) -> String {
        self.to_string()
    }
}

impl Feed {
    pub(crate) fn new(socket: Socket, entered: Entered) -> Self {
        Self { socket, entered }
    }

    /// Says `text` and waits until it is durable.
    pub(crate) async fn say(&mut self, text: &str) -> Sent {
        self.socket.say(text).await.unwrap()
    }

    /// Sends a frame as it is.
    pub(crate) async fn send(&mut self, frame: impl IntoFrame) {
        self.socket.send_text(frame.into_frame()).await.unwrap();
    }

    /// The next event; nothing but `sent` may come before it.
    pub(crate) async fn event(&mut self) -> Event {
        loop {
            match self.socket.next().await.unwrap() {
                ServerFrame::Event(event) => return event,
                ServerFrame::Sent(_) => {}
                other => panic!("an event expected, got {other:?}"),
            }
        }
    }

    /// The next event, which has to be a message.
    pub(crate) async fn message(&mut self) -> Event {
        let event = self.event().await;
        assert_eq!(event.kind, EventKind::Message, "{event:?}");
        event
    }

    /// The next event, which has to be a message with this text.
    pub(crate) async fn hears(&mut self, text: &str) -> Event {
        let event = self.message().await;
        assert_eq!(event.text, text);
        event
    }

    /// The next event, which has to be someone's join.
    pub(crate) async fn sees_join(&mut self, uid: Uid) -> Event {
        let event = self.event().await;
        assert_eq!(
            (event.kind, event.uid, event.text.as_str()),
            (EventKind::Join, uid, "")
        );
        event
    }

    /// The next event, which has to be someone's leave.
    pub(crate) async fn sees_leave(&mut self, uid: Uid) -> Event {
        let event = self.event().await;
        assert_eq!(
            (event.kind, event.uid, event.text.as_str()),
            (EventKind::Leave, uid, "")
        );
        event
    }

    /// The next frame, which has to be somebody's read marker at event `id`, and the answer
    /// to nothing.
    pub(crate) async fn sees_read(&mut self, uid: Uid, id: Seq) -> Read {
        match self.socket.next().await.unwrap() {
            ServerFrame::Read(read) => {
                assert_eq!((read.uid, read.id, &read.reference), (uid, id, &None));
                read
            }
            other => panic!("a read marker expected, got {other:?}"),
        }
    }

    /// The texts of the next `count` messages.
    pub(crate) async fn texts(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::with_capacity(count);
        while texts.len() < count {
            texts.push(self.message().await.text);
        }
        texts
    }

    /// The next frame, which has to be an error.
    pub(crate) async fn fault(&mut self) -> Fault {
        match self.socket.next().await.unwrap() {
            ServerFrame::Error(fault) => fault,
            other => panic!("an error expected, got {other:?}"),
        }
    }

    /// Asserts that no event is on its way: none came before the answer to a ping that
    /// is sent now.
    pub(crate) async fn hears_nothing(&mut self) {
        self.send(r#"{"Type":"ping"}"#).await;
        loop {
            match self.socket.next().await.unwrap() {
                ServerFrame::Pong(_) => return,
                ServerFrame::Sent(_) => {}
                other => panic!("nothing expected, got {other:?}"),
            }
        }
    }

    /// Reads on until the server ends the connection, and tells how: the close code, if
    /// there was one.
    pub(crate) async fn end(&mut self) -> Option<u16> {
        loop {
            match self.socket.next_within(Duration::from_mins(1)).await {
                Ok(_) => {}
                Err(Error::Closed { code, .. }) => return code,
                Err(error) => panic!("the end expected, got {error:?}"),
            }
        }
    }

    /// The newest event when the room was entered.
    pub(crate) fn seq(&self) -> Seq {
        self.entered.seq.expect("a room entered has a Seq")
    }
}

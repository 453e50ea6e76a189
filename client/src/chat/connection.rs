//! One connection: writes what is to be sent while it reads, and says how it ended.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
use wire::Uid;
use wire::frame::{Framed, ServerFrame};

use crate::socket::{closed, ended};
use crate::{Api, Error, Raw, Result, Socket, TokenIn};

/// Frames that may wait to be written, most.
const UNWRITTEN: usize = 16;
/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// A connection that the server has greeted.
pub(super) struct Connection {
    raw: Raw,
    unwritten: VecDeque<Message>,
    unflushed: bool,
    /// When something was last heard, or listened for again.
    heard_at: Instant,
    pub(super) since: Instant,
}

/// Opens a connection as the holder of `api`'s token, and learns who that is if it is not
/// known.
pub(super) async fn open(api: Api, uid: Option<Uid>) -> Result<(Box<Connection>, Uid)> {
    let uid = match uid {
        Some(uid) => uid,
        None => api.profile().await?.uid,
    };
    let raw = Socket::connect(&api, TokenIn::Header).await?.into_raw();
    let now = Instant::now();
    let connection = Connection {
        raw,
        unwritten: VecDeque::new(),
        unflushed: false,
        heard_at: now,
        since: now,
    };
    Ok((Box::new(connection), uid))
}

impl Connection {
    /// Whether another frame may be put in front of it.
    pub(super) fn takes_more(&self) -> bool {
        self.unwritten.len() < UNWRITTEN
    }

    pub(super) fn put(&mut self, frame: &Framed) {
        self.unwritten.push_back(Message::text(frame.to_json()));
    }

    /// Since when nothing was heard although it was listened for.
    pub(super) fn silent_since(&self) -> Instant {
        self.heard_at
    }

    /// Nobody listened until now.
    pub(super) fn listen_again(&mut self, now: Instant) {
        self.heard_at = now;
    }

    /// Writes, and reads if `reading`, until something is heard: a frame, or `None` for
    /// what is only a sign of life. Nothing is lost when this is dropped.
    ///
    /// # Errors
    /// [`Error::Closed`]; [`Error::Protocol`] for what no server should send.
    pub(super) async fn turn(&mut self, reading: bool) -> Result<Option<ServerFrame>> {
        let message = poll_fn(|cx| {
            let failed = match self.poll_write(cx) {
                Poll::Ready(Err(error)) => Some(error),
                _ => None,
            };
            if !reading && failed.is_none() {
                return Poll::Pending;
            }
            // What the server said before it stopped listening comes first: it says why.
            let read = Pin::new(&mut self.raw).poll_next(cx);
            Poll::Ready(match (read, failed) {
                (Poll::Ready(Some(Ok(message))), _) => Ok(message),
                (_, Some(error)) | (Poll::Ready(Some(Err(error))), None) => Err(ended(error)),
                (Poll::Ready(None), None) => Err(closed(None)),
                (Poll::Pending, None) => return Poll::Pending,
            })
        });
        let message = message.await?;
        self.heard_at = Instant::now();
        match message {
            Message::Text(text) => read(&text).map(Some),
            Message::Close(frame) => Err(closed(frame)),
            Message::Binary(_) => Err(Error::Protocol("a binary frame".to_owned())),
            // tungstenite has its pong ready, for the next write.
            Message::Ping(_) => {
                self.unflushed = true;
                Ok(None)
            }
            Message::Pong(_) | Message::Frame(_) => Ok(None),
        }
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<std::result::Result<(), tokio_tungstenite::tungstenite::Error>> {
        while !self.unwritten.is_empty() {
            ready!(Pin::new(&mut self.raw).poll_ready(cx))?;
            if let Some(message) = self.unwritten.pop_front() {
                Pin::new(&mut self.raw).start_send(message)?;
                self.unflushed = true;
            }
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.raw).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Says goodbye and hears the server's, for a second at most.
    pub(super) async fn close(mut self) {
        let goodbye = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        let closing = async {
            while let Some(message) = self.unwritten.pop_front() {
                if self.raw.feed(message).await.is_err() {
                    return;
                }
            }
            if self.raw.close(Some(goodbye)).await.is_ok() {
                while let Some(Ok(_)) = self.raw.next().await {}
            }
        };
        // Whoever does not answer a goodbye is left without one.
        let _ = timeout(GOODBYE, closing).await;
    }
}

/// Reads a frame. One that lacks what its type promises may be an event all the same,
/// and then it counts.
fn read(text: &str) -> Result<ServerFrame> {
    ServerFrame::parse(text).or_else(|error| {
        serde_json::from_str(text)
            .map(ServerFrame::Other)
            .map_err(|_| Error::Protocol(error.to_string()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{RoomId, Seq};

    #[test]
    fn an_event_that_is_not_understood_has_its_place_all_the_same() {
        let frame = read(r#"{"Type":"message","RoomID":1,"Seq":2,"Text":{"Rich":true}}"#).unwrap();
        assert_eq!(frame.place(), Some((RoomId::new(1).unwrap(), Seq(2))));
        assert!(matches!(read("nonsense"), Err(Error::Protocol(_))));
        assert!(matches!(read("[1]"), Err(Error::Protocol(_))));
    }
}

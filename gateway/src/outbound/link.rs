//! How the rest of the gateway reaches a connection: a bounded queue of frames.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[cfg(feature = "bench")]
use futures_util::FutureExt;
#[cfg(feature = "bench")]
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use wire::frame::ServerFrame;

use super::queue::{Ending, Next, Queue, Refused};

/// The near end of a connection's queue.
pub(crate) struct Link {
    queue: Queue,
    /// Posts and read markers without an answer.
    under_way: AtomicUsize,
    /// It knows events beyond the original ones.
    every_kind: AtomicBool,
}

impl Link {
    /// A link whose client may have `limit` frames waiting when it reads slowly, and its far
    /// end.
    pub(crate) fn new(limit: usize) -> (Arc<Self>, Outlet) {
        let link = Arc::new(Self {
            queue: Queue::new(limit),
            under_way: AtomicUsize::new(0),
            every_kind: AtomicBool::new(false),
        });
        (Arc::clone(&link), Outlet(link))
    }

    /// Puts a frame into the queue. A full queue marks the connection as too slow:
    /// it ends, and the client resumes from the log. Returns whether it is alive.
    pub(crate) fn offer(&self, frame: Utf8Bytes) -> bool {
        self.offer_after(frame, || ())
    }

    /// The same, and does `first` before anybody can take the frame.
    fn offer_after(&self, frame: Utf8Bytes, first: impl FnOnce()) -> bool {
        match self.queue.offer(frame, first) {
            Ok(()) => true,
            Err(Refused::Full) => {
                self.end(Ending::Slow);
                false
            }
            Err(Refused::Closed) => false,
        }
    }

    /// Ends the connection; the first reason counts.
    pub(crate) fn end(&self, why: Ending) {
        self.queue.end(why);
    }

    /// Ends the connection when what is under way is answered: the process goes down.
    pub(crate) fn drain(&self) {
        self.queue.drain();
    }

    /// Why it ends, if it does.
    #[cfg(test)]
    pub(crate) fn ending(&self) -> Option<Ending> {
        self.queue.ending()
    }

    /// Waits until it has to end.
    pub(crate) async fn ended(&self) -> Ending {
        self.queue.ended().await
    }

    /// The client has shown that it knows events beyond the original ones.
    pub(crate) fn want_every_kind(&self) {
        self.every_kind.store(true, Ordering::Relaxed);
    }

    /// Whether events of every kind go to this connection.
    pub(crate) fn wants_every_kind(&self) -> bool {
        self.every_kind.load(Ordering::Relaxed)
    }

    fn settle(&self) {
        self.under_way.fetch_sub(1, Ordering::Release);
    }

    /// Posts and read markers without an answer.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Acquire)
    }
}

/// The far end of a connection's queue, where it is written. The link is dead without it.
pub(crate) struct Outlet(Arc<Link>);

impl Outlet {
    /// What there is to do, once there is something.
    pub(crate) async fn next(&self) -> Next {
        self.0.queue.next().await
    }

    /// Takes all frames that wait, once there are some or a command has ended without one.
    pub(crate) async fn filled(&self) -> VecDeque<Utf8Bytes> {
        self.0.queue.filled().await
    }

    /// Takes all frames that wait.
    pub(crate) fn take(&self) -> VecDeque<Utf8Bytes> {
        self.0.queue.take()
    }

    /// Takes what waits as a connection does whose socket takes all at once; the bytes of
    /// it. When nothing waits it is woken by what comes.
    #[cfg(feature = "bench")]
    pub(crate) fn write_to_nobody(&self) -> usize {
        let Some(Next::Frames(frames)) = self.next().now_or_never() else {
            return 0;
        };
        let messages = frames.into_iter().map(Message::Text);
        let bytes = messages.map(|message| message.len()).sum();
        self.written();
        bytes
    }

    /// Says that all that was taken is written.
    pub(crate) fn written(&self) {
        self.0.queue.written();
    }

    /// Says whether the client has to be waited for now.
    pub(crate) fn set_waiting(&self, waits: bool) {
        self.0.queue.set_waiting(waits);
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.0.queue.close();
    }
}

/// A command whose answer is to come; the connection is told by its end.
pub(crate) struct UnderWay {
    link: Arc<Link>,
    is_answered: bool,
}

impl UnderWay {
    pub(crate) fn begin(link: &Arc<Link>) -> Self {
        link.under_way.fetch_add(1, Ordering::Relaxed);
        Self {
            link: Arc::clone(link),
            is_answered: false,
        }
    }

    /// Answers; nothing is under way for whoever takes the answer.
    pub(crate) fn answer(mut self, frame: &ServerFrame) {
        let frame = frame.to_json().into();
        self.is_answered = self.link.offer_after(frame, || self.link.settle());
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // The connection may wait for room to read on, or for the last of these to go down,
        // and no frame tells it.
        if !self.is_answered {
            self.link.settle();
            self.link.queue.nudge();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wire::frame::Pong;

    use super::*;

    #[tokio::test]
    async fn what_ends_without_a_frame_is_noticed() {
        let (link, outlet) = Link::new(10);
        let under_way = UnderWay::begin(&link);
        assert_eq!(link.under_way(), 1);
        drop(under_way);
        let filled = tokio::time::timeout(Duration::from_secs(10), outlet.filled());
        assert!(filled.await.unwrap().is_empty());
        assert_eq!(link.under_way(), 0);
        assert!(outlet.take().is_empty());
    }

    #[tokio::test]
    async fn who_takes_an_answer_finds_it_given() {
        let (link, outlet) = Link::new(10);
        UnderWay::begin(&link).answer(&ServerFrame::Pong(Pong::default()));
        assert_eq!((outlet.filled().await.len(), link.under_way()), (1, 0));
        // Nobody reads any more: it is settled all the same.
        let under_way = UnderWay::begin(&link);
        drop(outlet);
        under_way.answer(&ServerFrame::Pong(Pong::default()));
        assert_eq!(link.under_way(), 0);
    }
}

//! What the gateway has for a client and the client has not taken yet, and when its
//! connection is to end.
//!
//! Frames are shared by all who get them, so a place in a queue is small. It is bounded all
//! the same: a client that takes nothing in may have few waiting; one whose connection is
//! merely not served yet, for the gateway is busy with a burst, may have many.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// A client that took nothing in for so long reads slowly.
const STUCK: Duration = Duration::from_millis(250);
/// How many times more frames may wait for one that does not.
const BURST: usize = 16;

/// Why a connection has to end that did nothing wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its queue was full: it resumes from the log.
    Slow,
    /// Its session has ended.
    Session,
    /// A log that it follows was restored from a backup.
    Restored,
}

/// The frames that wait for one connection.
pub(super) struct Queue {
    state: Mutex<State>,
    news: AtomicWaker,
    limit: usize,
}

struct State {
    frames: VecDeque<Utf8Bytes>,
    /// Taken to be written, and not written yet.
    taken: usize,
    /// Since when the client has taken nothing of what is being written.
    waits_since: Option<Instant>,
    /// The first reason to end counts.
    ending: Option<Ending>,
    draining: bool,
    /// Something has ended without a frame.
    nudged: bool,
    open: bool,
}

/// What a connection has to do.
#[derive(Debug)]
pub(crate) enum Next {
    /// Write these; none where something ended without a frame.
    Frames(VecDeque<Utf8Bytes>),
    /// End.
    End(Ending),
    /// Answer what is under way, and end.
    Drain,
}

/// Why a frame cannot wait here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Too many do.
    Full,
    /// Nobody will write it any more.
    Closed,
}

impl State {
    fn take(&mut self) -> Option<VecDeque<Utf8Bytes>> {
        self.taken += self.frames.len();
        let is_news = !self.frames.is_empty() || self.nudged;
        self.nudged = false;
        is_news.then(|| std::mem::take(&mut self.frames))
    }
}

impl Queue {
    /// A queue in which `limit` frames may wait for a client that reads slowly.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            state: Mutex::new(State {
                frames: VecDeque::new(),
                taken: 0,
                waits_since: None,
                ending: None,
                draining: false,
                nudged: false,
                open: true,
            }),
            news: AtomicWaker::new(),
            limit,
        }
    }

    /// Puts a frame behind the others, and does what has to be done before it is taken.
    pub(super) fn offer(&self, frame: Utf8Bytes, first: impl FnOnce()) -> Result<(), Refused> {
        let mut state = self.state();
        if !state.open {
            return Err(Refused::Closed);
        }
        let is_first = state.frames.is_empty();
        let waiting = state.frames.len() + state.taken;
        if waiting >= self.limit {
            let is_stuck = |since: Instant| since.elapsed() > STUCK;
            if waiting >= self.limit * BURST || state.waits_since.is_some_and(is_stuck) {
                return Err(Refused::Full);
            }
        }
        state.frames.push_back(frame);
        first();
        drop(state);
        // Otherwise whoever writes knows already.
        if is_first {
            self.news.wake();
        }
        Ok(())
    }

    /// What there is to do, once there is something.
    pub(super) async fn next(&self) -> Next {
        self.once(|state| {
            if state.draining {
                return Some(Next::Drain);
            }
            let ending = state.ending.map(Next::End);
            ending.or_else(|| state.take().map(Next::Frames))
        })
        .await
    }

    /// Takes all that waits, once something does or has ended without a frame.
    pub(super) async fn filled(&self) -> VecDeque<Utf8Bytes> {
        self.once(State::take).await
    }

    /// Waits until the connection has to end.
    pub(super) async fn ended(&self) -> Ending {
        self.once(|state| state.ending).await
    }

    /// Waits until something has come of the state. One waits at a time, which is the
    /// connection itself.
    async fn once<T>(&self, mut of: impl FnMut(&mut State) -> Option<T>) -> T {
        poll_fn(|cx| {
            if let Some(it) = of(&mut self.state()) {
                return Poll::Ready(it);
            }
            self.news.register(cx.waker());
            of(&mut self.state()).map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Why the connection has to end, if it has to.
    #[cfg(test)]
    pub(super) fn ending(&self) -> Option<Ending> {
        self.state().ending
    }

    /// Ends the connection; the first reason counts.
    pub(super) fn end(&self, why: Ending) {
        self.state().ending.get_or_insert(why);
        self.news.wake();
    }

    /// Ends the connection when what is under way is answered.
    pub(super) fn drain(&self) {
        self.state().draining = true;
        self.news.wake();
    }

    /// Has whoever writes look again, though there is no frame for him.
    pub(super) fn nudge(&self) {
        self.state().nudged = true;
        self.news.wake();
    }

    /// Takes all that waits.
    pub(super) fn take(&self) -> VecDeque<Utf8Bytes> {
        self.state().take().unwrap_or_default()
    }

    /// Says that all that was taken is written.
    pub(super) fn written(&self) {
        self.state().taken = 0;
    }

    /// Says whether the client has to be waited for now.
    pub(super) fn set_waiting(&self, waits: bool) {
        self.state().waits_since = waits.then(Instant::now);
    }

    /// Nothing is written from here on.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.open = false;
        state.frames.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(queue: &Queue, count: usize) -> Result<(), Refused> {
        (0..count).try_for_each(|_| queue.offer(Utf8Bytes::from_static("frame"), || ()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_in_may_have_few_waiting() {
        let queue = Queue::new(2);
        queue.set_waiting(true);
        assert_eq!(offer(&queue, 10), Ok(()), "it has only begun to wait");
        tokio::time::advance(STUCK + Duration::from_millis(1)).await;
        assert_eq!(offer(&queue, 1), Err(Refused::Full));
        queue.set_waiting(false);
        assert_eq!(offer(&queue, 1), Ok(()));
    }

    #[tokio::test]
    async fn a_burst_is_no_slow_reader_and_yet_bounded() {
        let queue = Queue::new(2);
        assert_eq!(offer(&queue, 2 * BURST), Ok(()));
        assert_eq!(offer(&queue, 1), Err(Refused::Full));
        assert_eq!(queue.filled().await.len(), 2 * BURST);
        assert_eq!(
            offer(&queue, 1),
            Err(Refused::Full),
            "they are not written yet"
        );
        queue.written();
        assert_eq!(offer(&queue, 1), Ok(()));
        queue.close();
        assert_eq!(offer(&queue, 1), Err(Refused::Closed));
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_once_there_is_something() {
        let queue = Queue::new(2);
        let filling = async {
            tokio::task::yield_now().await;
            offer(&queue, 1)
        };
        let (frames, offered) = tokio::join!(queue.filled(), filling);
        assert_eq!((frames.len(), offered), (1, Ok(())));
    }

    #[tokio::test]
    async fn the_first_reason_to_end_counts_and_comes_before_what_waits() {
        let queue = Queue::new(2);
        assert_eq!(offer(&queue, 1), Ok(()));
        queue.end(Ending::Session);
        queue.end(Ending::Slow);
        assert!(matches!(queue.next().await, Next::End(Ending::Session)));
        assert_eq!(queue.ended().await, Ending::Session);
        queue.drain();
        assert!(matches!(queue.next().await, Next::Drain));
        assert_eq!(queue.take().len(), 1, "what waits is written all the same");
    }
}

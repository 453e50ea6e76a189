//! The messages that have no answer yet, without any I/O.
//!
//! Invariant: of every room, a message is sent only when the one before it has its final
//! answer. Two at once would not keep their order: the first may be refused for a moment
//! (a limit, a part that is away) while the second is taken. Rooms do not wait for each
//! other.

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::oneshot;
use tokio::time::Instant;
use wire::frame::{Command, Sent};
use wire::{Code, MessageText, Nonce, RoomId};

use super::backoff::{Backoff, Random};
use super::rooms::Way;
use super::tag::{Kind, Tag};
use crate::{Error, Result};

/// A message on its way.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) room: RoomId,
    pub(super) text: MessageText,
    /// The same with every try.
    pub(super) nonce: Nonce,
    /// Who waits; who does not any more has given it up.
    pub(super) caller: oneshot::Sender<Result<Sent>>,
}

/// A try to be made now.
#[derive(Debug)]
pub(super) struct Dispatch {
    pub(super) tag: Tag,
    pub(super) text: MessageText,
    pub(super) nonce: Nonce,
}

impl Dispatch {
    /// It as a frame.
    pub(super) fn command(self) -> wire::frame::Framed {
        self.tag.on(Command::Message {
            room: Some(self.tag.room),
            text: self.text,
            nonce: Some(self.nonce),
        })
    }
}

/// A try that has no answer yet.
#[derive(Debug, Clone, Copy)]
struct Flight {
    number: u64,
    way: Way,
    since: Instant,
}

/// The messages of one room, the oldest first; only that one is ever under way.
#[derive(Debug)]
struct Lane {
    posts: VecDeque<Post>,
    flight: Option<Flight>,
    not_before: Option<Instant>,
    retry: Backoff,
    /// The connection says that it has not got the room, or not any more; HTTP has the
    /// last word.
    by_http: bool,
}

pub(super) struct Outbox {
    lanes: BTreeMap<RoomId, Lane>,
    /// Whose turn it was last, so that all have theirs.
    last: Option<RoomId>,
    posts: usize,
    capacity: usize,
    window: usize,
    retry: Backoff,
}

impl Outbox {
    /// For `capacity` messages, up to `window` of them under way.
    pub(super) fn new(capacity: usize, window: usize, retry: Backoff) -> Self {
        Self {
            lanes: BTreeMap::new(),
            last: None,
            posts: 0,
            capacity,
            window,
            retry,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.posts >= self.capacity
    }

    pub(super) fn is_empty(&self) -> bool {
        self.posts == 0
    }

    /// Whether a message to this room has no answer yet.
    pub(super) fn holds(&self, room: RoomId) -> bool {
        self.lanes.contains_key(&room)
    }

    pub(super) fn push(&mut self, post: Post) {
        let retry = &self.retry;
        let lane = self.lanes.entry(post.room).or_insert_with(|| Lane {
            posts: VecDeque::new(),
            flight: None,
            not_before: None,
            retry: retry.clone(),
            by_http: false,
        });
        lane.posts.push_back(post);
        self.posts += 1;
    }

    /// The next try to be made by way of `by`, where `way` says how each room is reached.
    pub(super) fn next(
        &mut self,
        by: Way,
        number: &mut u64,
        now: Instant,
        way: impl Fn(RoomId) -> Way,
    ) -> Option<Dispatch> {
        let under_way = self.lanes.values().filter(|lane| lane.flight.is_some());
        if under_way.count() >= self.window {
            return None;
        }
        let way = |id: RoomId, lane: &Lane| match way(id) {
            Way::Frame if lane.by_http => Way::Http,
            way => way,
        };
        let ready = |(id, lane): (&RoomId, &Lane)| {
            let waits = lane.flight.is_some() || lane.not_before.is_some_and(|at| at > now);
            (!waits && way(*id, lane) == by).then_some(*id)
        };
        let later = |id: &RoomId| self.last.is_none_or(|last| *id > last);
        let after_it = self.lanes.iter().filter(|(id, _)| later(id));
        let room = after_it.chain(self.lanes.iter()).find_map(ready)?;
        let lane = self.lanes.get_mut(&room)?;
        let post = lane.posts.front()?;
        *number += 1;
        lane.flight = Some(Flight {
            number: *number,
            way: by,
            since: now,
        });
        self.last = Some(room);
        Some(Dispatch {
            tag: Tag {
                kind: Kind::Message,
                number: *number,
                room,
            },
            text: post.text.clone(),
            nonce: post.nonce.clone(),
        })
    }

    /// The answer to a try, or why there is none.
    pub(super) fn answered(
        &mut self,
        tag: Tag,
        outcome: Result<Sent>,
        random: &mut Random,
        now: Instant,
    ) {
        let Some(lane) = self.lanes.get_mut(&tag.room) else {
            return;
        };
        let Some(flight) = lane.flight.filter(|flight| flight.number == tag.number) else {
            return;
        };
        lane.flight = None;
        match outcome {
            Err(error) if passes(&error) => {
                let asked = error.refusal().and_then(|refusal| refusal.retry_after);
                lane.not_before = Some(now + lane.retry.next(random, asked));
            }
            Err(error) if flight.way == Way::Frame && is_of_the_connection(&error) => {
                lane.by_http = true;
            }
            outcome => {
                lane.retry.reset();
                lane.not_before = None;
                lane.by_http = false;
                if let Some(post) = lane.posts.pop_front() {
                    self.posts -= 1;
                    // Whoever gave up meanwhile needs no answer.
                    let _ = post.caller.send(outcome);
                }
            }
        }
        self.sweep();
    }

    /// The connection is gone: what was under way on it is to be sent again.
    pub(super) fn cut(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.by_http = false;
            if lane.flight.is_some_and(|flight| flight.way == Way::Frame) {
                lane.flight = None;
            }
        }
        self.sweep();
    }

    /// Forgets what was given up and is not under way.
    pub(super) fn sweep(&mut self) {
        self.lanes.retain(|_, lane| {
            let mut under_way = lane.flight.is_some();
            lane.posts
                .retain(|post| std::mem::take(&mut under_way) || !post.caller.is_closed());
            !lane.posts.is_empty()
        });
        self.posts = self.lanes.values().map(|lane| lane.posts.len()).sum();
    }

    /// Since when the oldest frame is without an answer.
    pub(super) fn unanswered_since(&self) -> Option<Instant> {
        let flights = self.lanes.values().filter_map(|lane| lane.flight);
        let frames = flights.filter(|flight| flight.way == Way::Frame);
        frames.map(|flight| flight.since).min()
    }

    /// When the next pause ends.
    pub(super) fn wake_after(&self, now: Instant) -> Option<Instant> {
        let idle = self.lanes.values().filter(|lane| lane.flight.is_none());
        let paused = idle.filter_map(|lane| lane.not_before);
        paused.filter(|at| *at > now).min()
    }

    /// Tells all who wait that there will be no answer.
    pub(super) fn end(&mut self, why: impl Fn() -> Error) {
        for lane in std::mem::take(&mut self.lanes).into_values() {
            for post in lane.posts {
                let _ = post.caller.send(Err(why()));
            }
        }
        self.posts = 0;
    }
}

/// Whether the same message may be taken later. A refused token is replaced meanwhile; what
/// has no code, or cannot be read, was said by something in front of the server.
fn passes(error: &Error) -> bool {
    match error {
        Error::Protocol(_) => true,
        Error::Refused(refusal) if refusal.code.is_none() => true,
        _ => error.retryable() || error.code() == Some(Code::Unauthenticated),
    }
}

/// Whether a frame was refused for what its connection has. Text and nonce were checked
/// before, so an invalid argument can only be the room; and a connection that saw its user
/// leave denies him the room until it is asked for anew, though he may be back in it.
fn is_of_the_connection(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(Code::InvalidArgument | Code::PermissionDenied)
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn post(room: u64, nonce: &str) -> (Post, oneshot::Receiver<Result<Sent>>) {
        let (caller, answer) = oneshot::channel();
        let post = Post {
            room: RoomId::new(room).unwrap(),
            text: MessageText::parse("Text", "hi").unwrap(),
            nonce: Nonce::parse("Nonce", nonce).unwrap(),
            caller,
        };
        (post, answer)
    }

    fn outbox(window: usize) -> Outbox {
        let pause = Duration::from_millis(10);
        Outbox::new(8, window, Backoff::new(pause, pause))
    }

    fn next(outbox: &mut Outbox, number: &mut u64) -> Option<String> {
        let dispatch = outbox.next(Way::Frame, number, Instant::now(), |_| Way::Frame);
        dispatch.map(|it| it.nonce.into_string())
    }

    #[test]
    fn rooms_do_not_wait_for_each_other_within_the_window() {
        let (mut outbox, mut number) = (outbox(2), 0);
        let posts = [(1, "a"), (1, "b"), (2, "c"), (3, "d")];
        let (posts, _answers): (Vec<_>, Vec<_>) = posts
            .into_iter()
            .map(|(room, nonce)| post(room, nonce))
            .unzip();
        for post in posts {
            outbox.push(post);
        }
        let sent = [
            next(&mut outbox, &mut number),
            next(&mut outbox, &mut number),
        ];
        assert_eq!(sent.map(Option::unwrap), ["a", "c"]);
        assert_eq!(next(&mut outbox, &mut number), None);
        outbox.cut();
        let sent = [
            next(&mut outbox, &mut number),
            next(&mut outbox, &mut number),
        ];
        assert_eq!(sent.map(Option::unwrap), ["d", "a"], "all have their turn");
    }

    #[test]
    fn what_was_given_up_takes_no_place() {
        let (mut outbox, mut number) = (outbox(8), 0);
        let (under_way, answer) = post(1, "a");
        let (waiting, other) = post(1, "b");
        outbox.push(under_way);
        outbox.push(waiting);
        assert_eq!(next(&mut outbox, &mut number).unwrap(), "a");
        drop((answer, other));
        outbox.sweep();
        assert_eq!(
            outbox.posts, 1,
            "the answer of what is under way still comes"
        );
        outbox.cut();
        assert!(outbox.is_empty());
    }
}

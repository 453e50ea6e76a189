//! What a [`Chat`](super::Chat) is without its connections: frames and answers go in,
//! commands, pages to read and items for the user come out. It knows no clock but the one
//! it is told, so that a test can drive it through anything.

use tokio::time::Instant;
use wire::RoomId;
use wire::event::EventsPage;
use wire::frame::{Framed, Sent, ServerFrame};

use super::backoff::{Backoff, Random};
use super::outbox::{Dispatch, Outbox, Post};
use super::rooms::{Caller, Hole, Page, Rooms, Way};
use super::tag::{Kind, Tag};
use super::{Item, Start, Timings};
use crate::{Error, Refusal, Result};

pub(super) struct Core {
    pub(super) rooms: Rooms,
    pub(super) outbox: Outbox,
    random: Random,
    /// Of the last command.
    number: u64,
    connected: bool,
}

impl Core {
    pub(super) fn new(timings: &Timings, capacity: usize, window: usize, random: Random) -> Self {
        let retry = Backoff::new(timings.retry_least, timings.retry_most);
        Self {
            rooms: Rooms::new(retry.clone()),
            outbox: Outbox::new(capacity, window, retry),
            random,
            number: 0,
            connected: false,
        }
    }

    pub(super) fn subscribe(&mut self, room: RoomId, start: Start, caller: Caller) {
        self.rooms.add(room, start, caller);
    }

    pub(super) fn unsubscribe(&mut self, room: RoomId) {
        self.rooms.remove(room);
    }

    pub(super) fn send(&mut self, post: Post) {
        self.outbox.push(post);
    }

    /// There is a connection: everything is resumed on it.
    pub(super) fn connected(&mut self) {
        self.connected = true;
    }

    /// There is none any more.
    pub(super) fn cut(&mut self) {
        self.connected = false;
        self.rooms.cut();
        self.outbox.cut();
    }

    /// Takes a frame.
    pub(super) fn frame(
        &mut self,
        frame: ServerFrame,
        now: Instant,
    ) -> std::result::Result<(), Hole> {
        match frame {
            ServerFrame::Subscribe(entered) => {
                if let Some(tag) = Tag::of(entered.reference.as_deref()) {
                    self.rooms.granted(tag, &entered);
                }
            }
            ServerFrame::Sent(sent) => {
                if let Some(tag) = Tag::of(sent.reference.as_deref()) {
                    self.posted(tag, Ok(sent), now);
                }
            }
            ServerFrame::Error(fault) => {
                let tag = Tag::of(fault.reference.as_deref());
                let refusal = Refusal::from_frame(fault);
                match tag {
                    Some(tag) if tag.kind == Kind::Subscribe => {
                        self.rooms.refused(tag, refusal, &mut self.random, now);
                    }
                    Some(tag) => self.posted(tag, Err(Error::Refused(refusal)), now),
                    None => {}
                }
            }
            ServerFrame::Event(_) | ServerFrame::Other(_) => return self.rooms.event(frame),
            ServerFrame::Enter(_)
            | ServerFrame::Unsubscribe(_)
            | ServerFrame::Pong(_)
            | ServerFrame::Hello(_)
            | ServerFrame::Read(_) => {}
        }
        Ok(())
    }

    /// The next frame to be sent.
    pub(super) fn outgoing(&mut self, now: Instant) -> Option<Framed> {
        if !self.connected {
            return None;
        }
        let outbox = &self.outbox;
        let holds = |room| outbox.holds(room);
        if let Some(framed) = self.rooms.outgoing(&mut self.number, now, holds) {
            return Some(framed);
        }
        let dispatch = self.next_message(Way::Frame, now)?;
        Some(dispatch.command())
    }

    /// The next message to be posted over HTTP.
    pub(super) fn next_post(&mut self, now: Instant) -> Option<Dispatch> {
        self.next_message(Way::Http, now)
    }

    fn next_message(&mut self, by: Way, now: Instant) -> Option<Dispatch> {
        let rooms = &self.rooms;
        let way = |room| rooms.way(room);
        self.outbox.next(by, &mut self.number, now, way)
    }

    /// What became of a message.
    pub(super) fn posted(&mut self, tag: Tag, outcome: Result<Sent>, now: Instant) {
        self.outbox.answered(tag, outcome, &mut self.random, now);
    }

    /// The next page to be read over HTTP.
    pub(super) fn next_page(&mut self, now: Instant) -> Option<Page> {
        self.rooms.next_page(now)
    }

    /// What became of a page.
    pub(super) fn paged(
        &mut self,
        page: Page,
        outcome: Result<EventsPage<ServerFrame>>,
        now: Instant,
    ) {
        self.rooms.paged(page, outcome, &mut self.random, now);
    }

    pub(super) fn next_item(&mut self) -> Option<Item> {
        self.rooms.next_item()
    }

    /// Whether to read on although the user does not take what was read: someone waits
    /// for an answer, perhaps the very one who should take it.
    pub(super) fn someone_waits(&self) -> bool {
        !self.outbox.is_empty() || self.rooms.someone_waits()
    }

    /// Since when the oldest command is without an answer.
    pub(super) fn unanswered_since(&self) -> Option<Instant> {
        let (rooms, outbox) = (&self.rooms, &self.outbox);
        let both = [rooms.unanswered_since(), outbox.unanswered_since()];
        both.into_iter().flatten().min()
    }

    /// When the next pause ends.
    pub(super) fn wake_after(&self, now: Instant) -> Option<Instant> {
        let (rooms, outbox) = (&self.rooms, &self.outbox);
        let both = [rooms.wake_after(now), outbox.wake_after(now)];
        both.into_iter().flatten().min()
    }

    /// Tells all who wait that there will be no answer.
    pub(super) fn end(&mut self, why: impl Fn() -> Error) {
        self.rooms.end(&why);
        self.outbox.end(&why);
    }
}

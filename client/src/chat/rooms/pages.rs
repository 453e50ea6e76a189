//! Reading what is too far behind for a replay, a page at a time: only when the user has
//! taken all that came before, and every room in its turn.

use std::time::Duration;

use tokio::time::Instant;
use wire::event::EventsPage;
use wire::frame::ServerFrame;
use wire::{RoomId, Seq};

use super::{NOW, Room, Rooms, State, due, is_final};
use crate::chat::backoff::Random;
use crate::chat::{Item, Position, Reset};
use crate::{Error, Result};

/// A page of a log to be read over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::chat) struct Page {
    pub(in crate::chat) room: RoomId,
    pub(in crate::chat) after: Position,
}

impl Rooms {
    /// The page to be read next, if the user has room for one.
    pub(in crate::chat) fn next_page(&mut self, now: Instant) -> Option<Page> {
        if self.fetching || !self.items.is_empty() {
            return None;
        }
        let wanted = |(id, room): (&RoomId, &Room)| match (room.state, room.position) {
            (State::Behind { not_before }, Some(after)) if due(not_before, now) => {
                Some(Page { room: *id, after })
            }
            _ => None,
        };
        let later = |id: &RoomId| self.paged.is_none_or(|paged| *id > paged);
        let after_it = self.by_id.iter().filter(|(id, _)| later(id));
        let page = after_it.chain(self.by_id.iter()).find_map(wanted)?;
        self.fetching = true;
        self.paged = Some(page.room);
        Some(page)
    }

    /// Takes a page, or why there is none.
    pub(in crate::chat) fn paged(
        &mut self,
        page: Page,
        outcome: Result<EventsPage<ServerFrame>>,
        random: &mut Random,
        now: Instant,
    ) {
        self.fetching = false;
        let Some(room) = self.by_id.get_mut(&page.room) else {
            return;
        };
        if !matches!(room.state, State::Behind { .. }) || room.position != Some(page.after) {
            return;
        }
        match outcome {
            Ok(read) => {
                let reset = read.reset || page.after.epoch.is_some_and(|had| had != read.epoch);
                if !self.take_page(page.room, read, reset) {
                    self.page_again(page.room, None, random, now);
                }
            }
            Err(Error::Refused(refusal)) if is_final(&refusal) => self.lose(page.room, refusal),
            Err(error) => {
                let asked = error.refusal().and_then(|refusal| refusal.retry_after);
                self.page_again(page.room, asked, random, now);
            }
        }
    }

    /// Hands a page over; whether it brought the room any further.
    fn take_page(&mut self, id: RoomId, page: EventsPage<ServerFrame>, reset: bool) -> bool {
        let first = page.events.first().and_then(ServerFrame::place);
        let Some(room) = self.by_id.get_mut(&id) else {
            return false;
        };
        let before = room.position.map(|position| position.seq);
        let mut position = Position {
            epoch: Some(page.epoch),
            seq: before.unwrap_or_default(),
        };
        if reset {
            position.seq = first.map_or(page.head, |(_, seq)| Seq(seq.get().saturating_sub(1)));
            self.items.push_back(Item::Reset(Reset {
                room: id,
                position,
                head: page.head,
                first: page.first,
            }));
        }
        room.position = Some(position);
        for frame in page.events {
            let here = self.by_id.get(&id).and_then(|room| room.position);
            let next = here.map(|position| (id, position.seq.next()));
            if frame.place() == next {
                self.hand_over(id, frame);
            }
        }
        let Some(room) = self.by_id.get_mut(&id) else {
            return false;
        };
        let seq = room.position.map(|position| position.seq);
        let done = seq >= Some(page.head);
        if done {
            room.state = NOW;
        }
        let moved = done || reset || seq > before;
        if moved {
            room.retry.reset();
        }
        moved
    }

    fn page_again(
        &mut self,
        id: RoomId,
        asked: Option<Duration>,
        random: &mut Random,
        now: Instant,
    ) {
        if let Some(room) = self.by_id.get_mut(&id) {
            let pause = room.retry.next(random, asked);
            room.state = State::Behind {
                not_before: Some(now + pause),
            };
        }
    }
}

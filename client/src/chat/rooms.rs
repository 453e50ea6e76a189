//! The rooms of a [`Chat`](super::Chat), without any I/O: what was handed to the user of
//! each log, what comes next, and how to get it.
//!
//! Invariant: of every room, the items are events n + 1 directly after n, whatever
//! arrives, or a [`Item::Reset`] says where they go on.

mod pages;

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::oneshot;
use tokio::time::Instant;
use wire::frame::{Command, Entered, EventKind, Framed, ServerFrame};
use wire::{Code, RoomId, Seq, Uid, limits};

pub(super) use self::pages::Page;
use super::backoff::{Backoff, Random};
use super::tag::{Kind, Tag};
use super::{Gone, Item, Position, Reset, Start};
use crate::{Error, Refusal, Result};

/// Items that may wait here; the user's own queue is behind it. An event more, and the
/// log keeps it until there is room.
const WAITING: usize = 64;
/// Items at which no room is asked for, whoever waits: a page, what came beside it, and two
/// words on each room. A log that begins anew with every connection fills no memory.
const WAITING_MOST: usize = WAITING + limits::EVENTS_PAGE as usize + 2 * MOST_ROOMS;
/// Rooms asked for at once.
const ASKED_AT_ONCE: usize = 16;
/// Rooms that a connection may be subscribed to at most (`/asyncapi.json`).
pub(super) const MOST_ROOMS: usize = 200;

/// An event came whose predecessor did not, which no server should do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hole;

/// Who waits for a room's first answer.
pub(super) type Caller = oneshot::Sender<Result<Position>>;

/// How a message gets into a room now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// As a frame: this connection has the room.
    Frame,
    /// Over HTTP: no connection of ours is to have the room.
    Http,
    /// Not yet: the room is being resumed.
    Later,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be asked for.
    Idle { not_before: Option<Instant> },
    /// Asked for, without an answer yet. What comes of the room is of an earlier wish.
    Asking { number: u64, since: Instant },
    /// Its events follow each other.
    Live { number: u64 },
    /// The log is ahead by more than a replay gives, or than the user took: it is read
    /// page by page, and what comes live is passed over.
    Behind { not_before: Option<Instant> },
}

const NOW: State = State::Idle { not_before: None };

struct Room {
    /// The last event handed over. `None`: the first will be the one after the newest.
    position: Option<Position>,
    state: State,
    caller: Option<Caller>,
    retry: Backoff,
    /// The user's own leave was the last that was said of him.
    left: Option<Gone>,
}

pub(super) struct Rooms {
    by_id: BTreeMap<RoomId, Room>,
    items: VecDeque<Item>,
    /// Rooms to be unsubscribed from on this connection.
    farewells: VecDeque<RoomId>,
    /// The room whose page was read last, so that all have their turn.
    paged: Option<RoomId>,
    fetching: bool,
    retry: Backoff,
    uid: Option<Uid>,
}

impl Rooms {
    pub(super) fn new(retry: Backoff) -> Self {
        Self {
            by_id: BTreeMap::new(),
            items: VecDeque::new(),
            farewells: VecDeque::new(),
            paged: None,
            fetching: false,
            retry,
            uid: None,
        }
    }

    /// The user's own id, by which his own leave is known.
    pub(super) fn is(&mut self, uid: Uid) {
        self.uid = Some(uid);
    }

    /// One room more.
    pub(super) fn add(&mut self, id: RoomId, start: Start, caller: Caller) {
        let refusal = if self.by_id.contains_key(&id) {
            Some("subscribed to already")
        } else if self.by_id.len() >= MOST_ROOMS {
            Some("a connection is subscribed to 200 rooms at most")
        } else {
            None
        };
        if let Some(words) = refusal {
            // Whoever does not wait any more needs no answer.
            let _ = caller.send(Err(Error::Usage(format!("room {id}: {words}"))));
            return;
        }
        let room = Room {
            position: match start {
                Start::Now => None,
                Start::Beginning => Some(Position::default()),
                Start::After(position) => Some(position),
            },
            state: NOW,
            caller: Some(caller),
            retry: self.retry.clone(),
            left: None,
        };
        self.by_id.insert(id, room);
    }

    /// A room less. What waits of it is dropped.
    pub(super) fn remove(&mut self, id: RoomId) {
        self.items.retain(|item| item.room() != Some(id));
        if self.by_id.remove(&id).is_some() {
            self.farewells.push_back(id);
        }
    }

    /// The connection is gone, and with it all that was asked of it.
    pub(super) fn cut(&mut self) {
        self.farewells.clear();
        for room in self.by_id.values_mut() {
            room.state = NOW;
        }
    }

    /// The next command for the connection. While the user has items to take, only rooms
    /// are asked for that someone waits for, perhaps the very one who should take them:
    /// whoever called, or whose message, as `holds` says, needs the room.
    pub(super) fn outgoing(
        &mut self,
        number: &mut u64,
        now: Instant,
        holds: impl Fn(RoomId) -> bool,
    ) -> Option<Framed> {
        if let Some(room) = self.farewells.pop_front() {
            return Some(Command::Unsubscribe { room }.into());
        }
        let asked = |room: &&Room| matches!(room.state, State::Asking { .. });
        let full = self.by_id.values().filter(asked).count() >= ASKED_AT_ONCE;
        if full || self.items.len() >= WAITING_MOST {
            return None;
        }
        let taken = self.items.is_empty();
        let (id, room) = self.by_id.iter_mut().find(|(id, room)| {
            matches!(room.state, State::Idle { not_before } if due(not_before, now))
                && (taken || room.caller.is_some() || holds(**id))
        })?;
        *number += 1;
        room.state = State::Asking {
            number: *number,
            since: now,
        };
        let tag = Tag {
            kind: Kind::Subscribe,
            number: *number,
            room: *id,
        };
        let command = Command::Subscribe {
            room: *id,
            after: room.position.map(|position| position.seq),
            epoch: room.position.and_then(|position| position.epoch),
        };
        Some(tag.on(command))
    }

    /// The answer to a wish.
    pub(super) fn granted(&mut self, tag: Tag, entered: &Entered) {
        let Some(room) = self.by_id.get_mut(&tag.room) else {
            return;
        };
        if !matches!(room.state, State::Asking { number, .. } if number == tag.number) {
            return;
        }
        room.retry.reset();
        let newest = entered.seq.unwrap_or_default();
        let first = entered.first.unwrap_or(Seq(1));
        let another_life = |had: Position| {
            had.epoch.is_some() && entered.epoch.is_some() && had.epoch != entered.epoch
        };
        let mut behind = false;
        let position = match room.position {
            None => Position {
                epoch: entered.epoch,
                seq: newest,
            },
            Some(had) if entered.reset || another_life(had) => {
                // Where a replay begins; one that begins elsewhere is resumed from here.
                let replay = newest.get().saturating_sub(limits::REPLAY_EVENTS);
                let seq = Seq(replay.max(first.get().saturating_sub(1)));
                let position = Position {
                    epoch: entered.epoch,
                    seq,
                };
                self.items.push_back(Item::Reset(Reset {
                    room: tag.room,
                    position,
                    head: newest,
                    first,
                }));
                position
            }
            Some(had) => {
                behind = entered.truncated;
                Position {
                    epoch: entered.epoch.or(had.epoch),
                    seq: had.seq,
                }
            }
        };
        room.position = Some(position);
        room.state = if behind {
            State::Behind { not_before: None }
        } else {
            State::Live { number: tag.number }
        };
        if let Some(caller) = room.caller.take() {
            let _ = caller.send(Ok(position));
        }
    }

    /// A wish was refused, be it after it was granted: the membership may be lost while
    /// what was missed is read.
    pub(super) fn refused(
        &mut self,
        tag: Tag,
        refusal: Refusal,
        random: &mut Random,
        now: Instant,
    ) {
        let Some(room) = self.by_id.get_mut(&tag.room) else {
            return;
        };
        let (State::Asking { number, .. } | State::Live { number }) = room.state else {
            return;
        };
        if number != tag.number {
            return;
        }
        let first = room.caller.is_some();
        if is_final(&refusal) || (first && !refusal.retryable) {
            self.lose(tag.room, refusal);
        } else {
            let pause = room.retry.next(random, refusal.retry_after);
            room.state = State::Idle {
                not_before: Some(now + pause),
            };
        }
    }

    /// Takes what may be an event.
    pub(super) fn event(&mut self, frame: ServerFrame) -> std::result::Result<(), Hole> {
        let Some((id, seq)) = frame.place() else {
            return Ok(());
        };
        let Some(room) = self.by_id.get_mut(&id) else {
            return Ok(());
        };
        let (State::Live { .. }, Some(position)) = (room.state, room.position) else {
            return Ok(());
        };
        if seq <= position.seq {
            return Ok(());
        }
        if seq != position.seq.next() {
            return Err(Hole);
        }
        if self.items.len() >= WAITING {
            room.state = State::Behind { not_before: None };
            return Ok(());
        }
        self.hand_over(id, frame);
        Ok(())
    }

    fn hand_over(&mut self, id: RoomId, frame: ServerFrame) {
        let (Some(room), Some((_, seq))) = (self.by_id.get_mut(&id), frame.place()) else {
            return;
        };
        let epoch = room.position.and_then(|position| position.epoch);
        let position = Position { epoch, seq };
        room.position = Some(position);
        let item = match frame {
            ServerFrame::Event(event) => {
                let own = Some(event.uid) == self.uid;
                match event.kind {
                    EventKind::Leave if own => {
                        room.left = Some(Gone::Left { by: event.by });
                        // Whether he came back since, the server knows.
                        if matches!(room.state, State::Live { .. }) {
                            room.state = NOW;
                        }
                    }
                    EventKind::Join if own => room.left = None,
                    _ => {}
                }
                Item::Event { event, position }
            }
            ServerFrame::Other(fields) => Item::Unknown {
                room: id,
                position,
                fields,
            },
            // Nothing else has a place in a log.
            _ => return,
        };
        self.items.push_back(item);
    }

    /// The room is not the user's any more, or never was.
    fn lose(&mut self, id: RoomId, refusal: Refusal) {
        let Some(room) = self.by_id.remove(&id) else {
            return;
        };
        if let Some(caller) = room.caller
            && caller.send(Err(Error::Refused(refusal.clone()))).is_ok()
        {
            return;
        }
        let why = match room.left {
            Some(left) if refusal.code != Some(Code::InvalidArgument) => left,
            _ => Gone::Refused(refusal),
        };
        self.items.push_back(Item::Gone { room: id, why });
    }

    pub(super) fn next_item(&mut self) -> Option<Item> {
        self.items.pop_front()
    }

    pub(super) fn has_item(&self) -> bool {
        !self.items.is_empty()
    }

    /// How a message gets into this room now.
    pub(super) fn way(&self, id: RoomId) -> Way {
        match self.by_id.get(&id).map(|room| room.state) {
            None => Way::Http,
            Some(State::Live { .. } | State::Behind { .. }) => Way::Frame,
            Some(State::Idle { .. } | State::Asking { .. }) => Way::Later,
        }
    }

    /// Whether anyone waits for the answer to a wish.
    pub(super) fn someone_waits(&self) -> bool {
        self.by_id.values().any(|room| room.caller.is_some())
    }

    /// Since when the oldest wish is without an answer.
    pub(super) fn unanswered_since(&self) -> Option<Instant> {
        let asking = |room: &Room| match room.state {
            State::Asking { since, .. } => Some(since),
            _ => None,
        };
        self.by_id.values().filter_map(asking).min()
    }

    /// When the next pause ends.
    pub(super) fn wake_after(&self, now: Instant) -> Option<Instant> {
        let paused = |room: &Room| match room.state {
            State::Idle { not_before } | State::Behind { not_before } => not_before,
            _ => None,
        };
        let paused = self.by_id.values().filter_map(paused);
        paused.filter(|at| *at > now).min()
    }

    /// Tells all who wait that there will be no answer.
    pub(super) fn end(&mut self, why: impl Fn() -> Error) {
        for room in self.by_id.values_mut() {
            if let Some(caller) = room.caller.take() {
                let _ = caller.send(Err(why()));
            }
        }
    }
}

fn due(not_before: Option<Instant>, now: Instant) -> bool {
    not_before.is_none_or(|at| at <= now)
}

/// Whether the same wish will be refused again, whenever.
fn is_final(refusal: &Refusal) -> bool {
    matches!(
        refusal.code,
        Some(Code::PermissionDenied | Code::NotFound | Code::InvalidArgument)
    )
}

//! What this process saw last of the rooms that it writes to, so that a batch of posts
//! need not be read for before it is written.
//!
//! It is a guess, and no more: a store compares it with the head rows under their locks,
//! in the statement that writes, and where another writer was there meanwhile nothing is
//! written and all is read. A head row changes with every event and every change of
//! membership, so one that is as it was stands for members that are as they were.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base::{RoomId, Uid};

use crate::domain::Entry;
use crate::sequencer::{Head, Plan, State};

/// Rooms that are known, most; beyond, all are forgotten and learned again.
const ROOMS: usize = 32_768;
/// Authors of one room that are known, most.
const AUTHORS: usize = 1_024;

/// The rooms that this process has written to.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<HashMap<RoomId, Room>>);

#[derive(Debug)]
struct Room {
    head: Head,
    /// Some who were members when the head was this.
    members: HashSet<Uid>,
}

impl Known {
    /// What a batch acts on, as far as anybody here knows. `None`: somebody has to ask.
    pub(crate) fn guess(&self, entries: &[Entry]) -> Option<State> {
        let rooms = self.rooms();
        let mut state = State::default();
        for entry in entries {
            let Entry::Post(post) = entry else {
                return None;
            };
            let room = rooms.get(&post.room)?;
            if !room.members.contains(&post.uid) {
                return None;
            }
            state.heads.insert(post.room, room.head);
            state.members.insert((post.room, post.uid));
        }
        Some(state)
    }

    /// Learns what was read for a batch, its heads under their locks and ascending, and what
    /// its commit made of it.
    pub(crate) fn learn(
        &self,
        read: &[(RoomId, Head)],
        members: &HashSet<(RoomId, Uid)>,
        plan: &Plan,
    ) {
        let mut rooms = self.rooms();
        if rooms.len() + read.len() > ROOMS {
            rooms.clear();
        }
        for &(id, before) in read {
            let head = plan.heads.get(&id).copied().unwrap_or(before);
            let room = rooms.entry(id).or_insert_with(|| Room::new(head));
            if room.head.applied != head.applied || room.members.len() > AUTHORS {
                *room = Room::new(head);
            }
            room.head = head;
        }
        for (id, uid) in members {
            // What was read of a room that another writer held is of no moment in particular,
            // and a change in the batch may have made him a member no longer.
            let is_locked = read.binary_search_by_key(id, |(room, _)| *room).is_ok();
            if is_locked
                && !plan.members.contains_key(&(*id, *uid))
                && let Some(room) = rooms.get_mut(id)
            {
                room.members.insert(*uid);
            }
        }
    }

    /// Follows a commit that was made on a guess.
    pub(crate) fn follow(&self, plan: &Plan) {
        let mut rooms = self.rooms();
        for (id, head) in &plan.heads {
            if let Some(room) = rooms.get_mut(id) {
                room.head = *head;
            }
        }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<RoomId, Room>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    fn new(head: Head) -> Self {
        Self {
            head,
            members: HashSet::new(),
        }
    }
}

/// The heads of a state, ascending by room, as rows are locked.
pub(crate) fn ascending(state: &State) -> Vec<(RoomId, Head)> {
    let mut heads: Vec<_> = state.heads.iter().map(|(&id, &head)| (id, head)).collect();
    heads.sort_unstable_by_key(|(id, _)| *id);
    heads
}

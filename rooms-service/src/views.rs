//! What is read often, through the cache: a room's info and a user's rooms.
//!
//! Invariant: nothing read here grants access to anything. Who is in a room is
//! asked of the store, always.

use std::sync::Arc;

use base::{RoomId, RoomName, Timestamp, Uid};
use cache::{Cache, cached, holding};
use runtime::StoreError;
use serde::{Deserialize, Serialize};

use crate::domain::{Kind, Room};
use crate::store::Store;

pub(crate) struct Views {
    store: Arc<dyn Store>,
    cache: Arc<dyn Cache>,
}

impl Views {
    pub(crate) fn new(store: Arc<dyn Store>, cache: Arc<dyn Cache>) -> Self {
        Self { store, cache }
    }

    /// A room. What the cache has of it never changes.
    pub(crate) async fn room(&self, room: RoomId) -> Result<Option<Room>, StoreError> {
        let load = async {
            let found = self.store.room(room).await?;
            Ok::<_, StoreError>(found.map(Entry::from))
        };
        match cached(&*self.cache, &room_key(room), load).await? {
            None => Ok(None),
            Some(entry) => match entry.into_room(room) {
                Some(found) => Ok(Some(found)),
                // Another release put it there.
                None => self.store.room(room).await,
            },
        }
    }

    /// A user's rooms, ascending.
    pub(crate) async fn rooms_of(&self, uid: Uid) -> Result<Vec<RoomId>, StoreError> {
        let load = async { self.store.rooms_of(uid).await.map(Some) };
        let rooms = cached(&*self.cache, &rooms_key(uid), load).await?;
        Ok(rooms.unwrap_or_default())
    }

    /// Runs a change after which the user's rooms may be others.
    pub(crate) async fn changing_rooms_of<T>(
        &self,
        uid: Uid,
        change: impl Future<Output = T>,
    ) -> T {
        holding(&*self.cache, vec![rooms_key(uid)], change).await
    }
}

fn room_key(room: RoomId) -> String {
    format!("rooms:info:{room}")
}

fn rooms_key(uid: Uid) -> String {
    format!("rooms:of:{uid}")
}

/// A room as the cache keeps it.
#[derive(Serialize, Deserialize)]
struct Entry {
    kind: i16,
    name: Option<String>,
    creator: Uid,
    is_private: bool,
    created_at: i64,
}

impl From<Room> for Entry {
    fn from(room: Room) -> Self {
        Self {
            kind: room.kind.number(),
            name: room.name.map(RoomName::into_string),
            creator: room.creator,
            is_private: room.is_private,
            created_at: room.created_at.micros(),
        }
    }
}

impl Entry {
    fn into_room(self, id: RoomId) -> Option<Room> {
        let name = self.name.map(|name| RoomName::parse("Name", &name));
        Some(Room {
            id,
            kind: Kind::from_number(self.kind)?,
            name: name.transpose().ok()?,
            creator: self.creator,
            is_private: self.is_private,
            created_at: Timestamp::from_micros(self.created_at),
        })
    }
}

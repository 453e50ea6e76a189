//! The short way to the screens: events go to the gateways that watch their rooms on the
//! streams on which these post, without the bus.
//!
//! It is a shortcut and nothing that anybody may rely on: every event goes by the bus as
//! well, and readers drop by Seq what they have. So what is too much is left out.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::RoomId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::Event;

/// News that wait to be sent on one stream, most; beyond, the bus alone brings them.
pub(crate) const WAITING: usize = 1_024;
/// Rooms of which one stream is told, most; of further ones the bus alone tells.
const ROOMS: usize = 65_536;

/// An event on its way to one stream.
pub(crate) struct News {
    pub(crate) event: Event,
    /// Its place among those that wait.
    _permit: OwnedSemaphorePermit,
}

/// Where the news of one stream go. There is room for [`WAITING`] of them.
type Way = Box<dyn Fn(News) + Send>;

/// A stream of posts that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct StreamId(u64);

/// All streams, and the rooms they watch; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Watchers(Arc<Mutex<Registry>>);

#[derive(Default)]
struct Registry {
    streams: HashMap<StreamId, Stream>,
    rooms: HashMap<RoomId, Vec<StreamId>>,
    opened: u64,
}

struct Stream {
    send: Way,
    places: Arc<Semaphore>,
    rooms: HashSet<RoomId>,
}

impl Watchers {
    /// Takes a stream in, which watches nothing yet. It is told for as long as the result is kept.
    pub(crate) fn open(&self, send: Way) -> Watcher {
        let mut registry = self.registry();
        registry.opened += 1;
        let id = StreamId(registry.opened);
        let stream = Stream {
            send,
            places: Arc::new(Semaphore::new(WAITING)),
            rooms: HashSet::new(),
        };
        registry.streams.insert(id, stream);
        Watcher {
            id,
            watchers: self.clone(),
        }
    }

    /// Tells of an event; not the stream on which it came, whose answer holds it.
    pub(crate) fn tell(&self, event: &Event, author: Option<StreamId>) {
        let registry = self.registry();
        let Some(streams) = registry.rooms.get(&event.room) else {
            return;
        };
        for stream in streams.iter().filter(|&&id| Some(id) != author) {
            if let Some(stream) = registry.streams.get(stream)
                && let Ok(permit) = Arc::clone(&stream.places).try_acquire_owned()
            {
                (stream.send)(News {
                    event: event.clone(),
                    _permit: permit,
                });
            }
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One stream that is told.
pub(crate) struct Watcher {
    id: StreamId,
    watchers: Watchers,
}

impl Watcher {
    pub(crate) fn id(&self) -> StreamId {
        self.id
    }

    /// From here on it is told of these rooms.
    pub(crate) fn watch(&self, rooms: impl Iterator<Item = RoomId>) {
        let mut registry = self.watchers.registry();
        let Registry {
            streams,
            rooms: watched,
            ..
        } = &mut *registry;
        let Some(stream) = streams.get_mut(&self.id) else {
            return;
        };
        for room in rooms {
            if stream.rooms.len() < ROOMS && stream.rooms.insert(room) {
                watched.entry(room).or_default().push(self.id);
            }
        }
    }

    /// And of these no longer.
    pub(crate) fn unwatch(&self, rooms: impl Iterator<Item = RoomId>) {
        let mut registry = self.watchers.registry();
        for room in rooms {
            let stream = registry.streams.get_mut(&self.id);
            if stream.is_some_and(|stream| stream.rooms.remove(&room)) {
                registry.remove(room, self.id);
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut registry = self.watchers.registry();
        if let Some(stream) = registry.streams.remove(&self.id) {
            for room in stream.rooms {
                registry.remove(room, self.id);
            }
        }
    }
}

impl Registry {
    fn remove(&mut self, room: RoomId, stream: StreamId) {
        if let Some(streams) = self.rooms.get_mut(&room) {
            streams.retain(|&id| id != stream);
            if streams.is_empty() {
                self.rooms.remove(&room);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::domain::testing::message as event;

    fn room(number: u64) -> RoomId {
        RoomId::new(number).unwrap()
    }

    fn open(watchers: &Watchers) -> (Watcher, mpsc::Receiver<News>) {
        let (sender, news) = mpsc::channel();
        let watcher = watchers.open(Box::new(move |it| sender.send(it).unwrap()));
        (watcher, news)
    }

    fn told(news: &mpsc::Receiver<News>) -> Vec<u64> {
        news.try_iter().map(|news| news.event.seq.get()).collect()
    }

    #[test]
    fn those_who_watch_are_told_but_for_the_author() {
        let watchers = Watchers::default();
        let ((one, ones), (other, others)) = (open(&watchers), open(&watchers));
        for watcher in [&one, &other] {
            watcher.watch([room(1), room(2)].into_iter());
        }
        other.unwatch(std::iter::once(room(2)));
        watchers.tell(&event(room(1), 1), Some(one.id()));
        watchers.tell(&event(room(1), 2), None);
        watchers.tell(&event(room(2), 3), None);
        watchers.tell(&event(room(3), 4), None);
        assert_eq!((told(&ones), told(&others)), (vec![2, 3], vec![1, 2]));
    }

    #[test]
    fn who_does_not_take_his_news_gets_no_more() {
        let watchers = Watchers::default();
        let (watcher, news) = open(&watchers);
        watcher.watch(std::iter::once(room(1)));
        let most = u64::try_from(WAITING).unwrap();
        for seq in 1..=most + 9 {
            watchers.tell(&event(room(1), seq), None);
        }
        assert_eq!(told(&news), (1..=most).collect::<Vec<_>>());
        watchers.tell(&event(room(1), most + 10), None);
        assert_eq!(told(&news), [most + 10]);
    }

    #[test]
    fn nothing_is_left_of_a_stream_that_ended() {
        let watchers = Watchers::default();
        let ((one, _ones), (other, _others)) = (open(&watchers), open(&watchers));
        one.watch([room(1), room(2)].into_iter());
        other.watch(std::iter::once(room(1)));
        drop(one);
        assert_eq!(watchers.registry().rooms.len(), 1);
        drop(other);
        let registry = watchers.registry();
        assert!(registry.rooms.is_empty() && registry.streams.is_empty());
    }
}

//! What the benches need of the gateway's inside; no interface, it follows what it shows.

use base::{Seq, Uid};
use proto::message::Event;

use crate::fanout::{Frame, Room, Watch};
use crate::outbound::{Link, Outlet};

/// Frames that may wait for one watcher that reads slowly, as configured by default.
const QUEUE: usize = 1_536;

/// An event as it goes out.
#[derive(Clone)]
pub struct Encoded(Frame);

impl Encoded {
    /// The frame of an event; `None` when it is none.
    pub fn new(event: &Event) -> Option<Self> {
        Frame::encode(event).map(Self)
    }

    /// Bytes of the frame.
    pub fn size(&self) -> usize {
        self.0.text.len()
    }
}

/// A room and all who watch it, each of whom waits for what comes.
pub struct Audience {
    room: Room,
    outlets: Vec<Outlet>,
}

impl Audience {
    /// So many watchers of a log that has no event yet.
    pub fn new(watchers: u64) -> Self {
        let mut room = Room::default();
        let mut outlets = Vec::new();
        for uid in (1..=watchers).filter_map(Uid::new) {
            let (link, outlet) = Link::new(QUEUE);
            let watch = Watch {
                link,
                uid,
                member_at: Seq::START,
            };
            room.admit(watch, Seq::START, Seq::START, None);
            outlet.write_to_nobody();
            outlets.push(outlet);
        }
        Self { room, outlets }
    }

    /// Puts a frame into everybody's queue.
    pub fn offer(&mut self, frame: &Encoded) {
        self.room.offer(frame.0.clone());
    }

    /// Takes all that waits out of the queues, as their connections do; the bytes of it.
    pub fn write(&self) -> usize {
        self.outlets.iter().map(Outlet::write_to_nobody).sum()
    }
}

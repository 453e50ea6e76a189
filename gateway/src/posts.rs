//! The way of a post to the log: one long-lived stream to each replica of the
//! message-service, many posts in one message.
//!
//! Invariant: posts to one room are written in the order they were taken in, also
//! across the death of a replica. A room stays with one replica while anything of
//! it is unanswered; when a stream dies, what it left unanswered is sent again, in
//! order, before anything newer. The nonce, which every post has, makes the
//! repeat known.

mod outbox;
mod stream;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{Error, MessageText, Nonce, RoomId, Uid};
use proto::message::Sent;
use runtime::{Lifecycle, Replicas, RequestId};
use tokio::sync::Notify;

use crate::fanout::Fanout;
use outbox::Outboxes;

/// How long a post may take, retries included, until its author is told that it
/// may not have happened.
const PATIENCE: Duration = Duration::from_secs(5);

/// A message on its way to the log.
pub(crate) struct Post {
    pub(crate) room: RoomId,
    pub(crate) uid: Uid,
    pub(crate) text: MessageText,
    pub(crate) nonce: Nonce,
    pub(crate) request_id: RequestId,
    pub(crate) waiter: Box<dyn Waiter>,
}

/// Who is told what became of a post.
pub(crate) trait Waiter: Send {
    /// It is durable, or it is refused.
    fn answer(self: Box<Self>, outcome: base::Result<Sent>);
}

/// The streams to all replicas; cheap to clone.
#[derive(Clone)]
pub(crate) struct Posts(Arc<Shared>);

struct Shared {
    replicas: Replicas,
    outboxes: Mutex<Outboxes>,
    /// One for each replica: there is something in its outbox.
    filled: Vec<Notify>,
}

impl Posts {
    pub(crate) fn start(replicas: Replicas, fanout: &Fanout, lifecycle: &Lifecycle) -> Self {
        let count = replicas.len();
        let posts = Self(Arc::new(Shared {
            replicas,
            outboxes: Mutex::new(Outboxes::new(count)),
            filled: (0..count).map(|_| Notify::new()).collect(),
        }));
        for index in 0..count {
            let draining = lifecycle.draining().clone();
            let work = stream::keep(posts.clone(), index, fanout.clone(), draining);
            let stopping = lifecycle.stopping().clone();
            lifecycle.spawn("post-stream", async move {
                stopping.run_until_cancelled(work).await;
            });
        }
        posts
    }

    /// Takes a post in. Its author is told in time, whatever happens.
    pub(crate) fn send(&self, post: Post) {
        let room = post.room.get();
        let taken = self
            .outboxes()
            .take(post, PATIENCE, || self.0.replicas.preferred(room));
        match taken {
            Ok(replica) => self.0.filled[replica].notify_one(),
            Err(post) => {
                let error = Error::rate_limited("too much at once", Duration::from_millis(500));
                post.waiter.answer(Err(error));
            }
        }
    }

    fn outboxes(&self) -> MutexGuard<'_, Outboxes> {
        self.0
            .outboxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves what a dead stream left to the replicas that its rooms prefer now.
    fn move_on(&self, from: usize) {
        let moved = self
            .outboxes()
            .move_on(from, |room| self.0.replicas.preferred(room.get()));
        for replica in moved {
            self.0.filled[replica].notify_one();
        }
    }
}

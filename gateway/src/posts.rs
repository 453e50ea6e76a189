//! The way of a post to the log: one long-lived stream to each replica of the
//! message-service, many posts in one message.
//!
//! Invariant: posts to one room are written in the order they were taken in, also
//! across the death of a replica. A room stays with one replica while anything of
//! it is unanswered; when a stream dies, what it left unanswered is sent again, in
//! order, before anything newer. The nonce, which every post has, makes the
//! repeat known.
//!
//! On the same streams each replica is told which rooms are watched here, and sends the news
//! of them while there are few.

mod outbox;
mod silence;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{Error, MessageText, Nonce, RoomId, Uid};
use proto::message::Sent;
use runtime::{Lifecycle, Replica, ReplicaId, Replicas, RequestId};

use crate::fanout::Fanout;
use outbox::Outboxes;
use silence::Silence;

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
    silence: Silence,
}

impl Posts {
    pub(crate) fn start(replicas: Replicas, fanout: &Fanout, lifecycle: &Lifecycle) -> Self {
        let posts = Self(Arc::new(Shared {
            replicas,
            outboxes: Mutex::default(),
            silence: Silence::default(),
        }));
        let work = posts.clone().attend(fanout.clone(), lifecycle.clone());
        let stopping = lifecycle.stopping().clone();
        lifecycle.spawn("post-streams", async move {
            stopping.run_until_cancelled(work).await;
        });
        posts
    }

    /// Takes a post in. Its author is told in time, whatever happens.
    pub(crate) fn send(&self, post: Post) {
        let room = post.room.get();
        let preferred = || self.0.replicas.preferred(room);
        let taken = self.outboxes().take(post, PATIENCE, preferred);
        if let Err(post) = taken {
            let error = Error::rate_limited("too much at once", Duration::from_millis(500));
            post.waiter.answer(Err(error));
        }
    }

    /// Gives every replica that comes a stream; one that goes ends its own.
    async fn attend(self, fanout: Fanout, lifecycle: Lifecycle) {
        let mut changes = self.0.replicas.changes();
        let mut attended = HashSet::new();
        loop {
            let current = changes.borrow_and_update().clone();
            let ids: HashSet<_> = current.iter().map(Replica::id).collect();
            for replica in current {
                if !attended.contains(&replica.id()) {
                    let draining = lifecycle.draining().clone();
                    let work = stream::serve(self.clone(), replica, fanout.clone(), draining);
                    let stopping = lifecycle.stopping().clone();
                    lifecycle.spawn("post-stream", async move {
                        stopping.run_until_cancelled(work).await;
                    });
                }
            }
            attended = ids;
            if changes.changed().await.is_err() {
                return;
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
    fn move_on(&self, from: ReplicaId) {
        self.outboxes()
            .move_on(from, |room| self.0.replicas.preferred(room.get()));
    }

    /// Forgets a replica that is none any more, and moves on what came for it meanwhile.
    fn forget(&self, gone: ReplicaId) {
        self.outboxes()
            .forget(gone, |room| self.0.replicas.preferred(room.get()));
    }
}

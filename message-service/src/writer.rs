//! Gathers entries into batches and answers them when they are committed.
//!
//! A writer takes all that waits whenever its connection is free: no timer, so a
//! lone message pays one commit and a burst shares one (group commit). Invariants:
//! entries of one room are committed in the order they were taken in; an entry is
//! answered after its commit; one past its deadline is not written, nor is one whose
//! stream has ended, for its gateway sends it again.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Code, Error, RoomId, Timestamp};
use bus::Bus;
use runtime::{Lifecycle, StoreError};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Writing;
use crate::domain::{Entry, Event, Outcome};
use crate::publisher::Publisher;
use crate::rhythm::Rhythm;
use crate::store::{Store, in_time};
use crate::watchers::{News, StreamId, Watchers};

/// How long to wait when every room of a batch is held by another writer: at first,
const BUSY_PAUSE: Duration = Duration::from_millis(2);
/// and at most, as the other may be slow because of all who ask.
const BUSY_PAUSE_MOST: Duration = Duration::from_millis(50);
/// Batches in a second whose events take the short way, most,
const SHORTCUTS_PER_SECOND: u32 = 250;
/// and after a pause at once,
const SHORTCUTS_AT_ONCE: u32 = 64;
/// and entries of such a batch. Beyond, many events are on their way together, which is what
/// the bus is good at.
const SHORTCUT_ENTRIES: usize = 32;
/// How long to wait when the store is not there.
const DOWN_PAUSE: Duration = Duration::from_millis(100);

/// A post of a stream.
pub(crate) struct Place {
    /// Its number on the stream.
    pub(crate) id: u64,
    /// The request of the client that it came with.
    pub(crate) request_id: String,
    /// Its place among those under way on the stream; free when its answer is on its way.
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// What a stream of posts is told.
pub(crate) enum Word {
    /// A post of it, and what became of it.
    Answer(Place, base::Result<Outcome>),
    /// What happened in a room that it watches.
    News(News),
}

/// An entry on its way, and who waits for it.
pub(crate) struct Job {
    pub(crate) entry: Entry,
    pub(crate) deadline: Instant,
    pub(crate) reply: Reply,
}

/// How an entry is answered.
pub(crate) enum Reply {
    /// To one caller.
    Caller(oneshot::Sender<base::Result<Outcome>>),
    /// To a stream of posts.
    Stream {
        /// Which post of it.
        place: Place,
        /// Of which stream.
        stream: StreamId,
        /// What the stream is told; there is room for every post that has a permit.
        words: mpsc::Sender<Word>,
        /// Cancelled when the stream has ended, or order can be kept no longer: a post
        /// of it was too late, so none that came after may be written. Its gateway
        /// sends again what was not answered, in order.
        lane: CancellationToken,
    },
}

impl Reply {
    fn broken(&self) -> bool {
        matches!(self, Self::Stream { lane, .. } if lane.is_cancelled())
    }

    /// The stream that the answer goes to.
    fn stream(&self) -> Option<StreamId> {
        match self {
            Self::Caller(_) => None,
            Self::Stream { stream, .. } => Some(*stream),
        }
    }

    pub(crate) fn send(self, outcome: base::Result<Outcome>) {
        match self {
            // A caller that went away has no use for the answer.
            Self::Caller(caller) => drop(caller.send(outcome)),
            Self::Stream { place, words, .. } => {
                if words.try_send(Word::Answer(place, outcome)).is_err() {
                    tracing::debug!("a stream of posts went away before its answer");
                }
            }
        }
    }

    /// It was not written in time.
    fn expire(self) {
        if let Self::Stream { lane, .. } = &self {
            lane.cancel();
        }
        self.send(Err(Error::unavailable(
            "not written in time",
            "past its deadline",
        )));
    }
}

/// The writers of this replica; cheap to clone.
#[derive(Clone)]
pub(crate) struct Writer {
    shards: Arc<[mpsc::Sender<Job>]>,
}

impl Writer {
    pub(crate) fn start(
        writing: &Writing,
        store: &Arc<dyn Store>,
        bus: &Arc<dyn Bus>,
        watchers: &Watchers,
        clock: &Arc<dyn Clock>,
        lifecycle: &Lifecycle,
    ) -> Self {
        let shards = (0..writing.writers).map(|_| {
            let (jobs, queue) = mpsc::channel(writing.queue);
            let shard = Shard {
                store: Arc::clone(store),
                clock: Arc::clone(clock),
                publisher: Publisher::start(Arc::clone(store), Arc::clone(bus), lifecycle),
                shortcut: Shortcut::new(watchers.clone()),
                batch: writing.batch,
                waiting: VecDeque::new(),
                busy_pause: BUSY_PAUSE,
            };
            let stopping = lifecycle.stopping().clone();
            lifecycle.spawn("writer", async move {
                stopping.run_until_cancelled(shard.run(queue)).await;
            });
            jobs
        });
        Self {
            shards: shards.collect(),
        }
    }

    /// Takes an entry of a stream in when there is room for it. The stream is not read
    /// meanwhile: none of it is refused, so that none overtakes another.
    pub(crate) async fn take_in_turn(&self, job: Job) {
        if let Err(mpsc::error::SendError(job)) = self.shard(job.entry.room()).send(job).await {
            job.reply
                .send(Err(Error::unavailable("going down", "the writer ended")));
        }
    }

    /// Takes an entry in, or says at once that there is too much waiting.
    fn take(&self, job: Job) {
        if let Err(refused) = self.shard(job.entry.room()).try_send(job) {
            let job = match refused {
                mpsc::error::TrySendError::Full(job) | mpsc::error::TrySendError::Closed(job) => {
                    job
                }
            };
            metrics::counter!("parley_log_shed_total").increment(1);
            let error = Error::rate_limited("too much at once", Duration::from_millis(250));
            job.reply.send(Err(error));
        }
    }

    /// Writes an entry and waits for its outcome.
    pub(crate) async fn write(&self, entry: Entry, deadline: Instant) -> base::Result<Outcome> {
        let (reply, outcome) = oneshot::channel();
        self.take(Job {
            entry,
            deadline,
            reply: Reply::Caller(reply),
        });
        match tokio::time::timeout_at(deadline, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Error::unavailable("going down", "the writer ended")),
            Err(_) => Err(Error::deadline_exceeded()),
        }
    }

    fn shard(&self, room: RoomId) -> &mpsc::Sender<Job> {
        let count = u64::try_from(self.shards.len()).unwrap_or(1);
        let index = usize::try_from(room.get() % count).unwrap_or(0);
        &self.shards[index]
    }
}

struct Shard {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    publisher: Publisher,
    shortcut: Shortcut,
    batch: usize,
    /// What was taken from the queue and is not answered, in order.
    waiting: VecDeque<Job>,
    /// How long to wait when every room is held the next time.
    busy_pause: Duration,
}

impl Shard {
    async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut taken = Vec::with_capacity(self.batch);
        loop {
            let room = self.batch.saturating_sub(self.waiting.len());
            if self.waiting.is_empty() {
                if queue.recv_many(&mut taken, room).await == 0 {
                    return;
                }
            } else {
                while taken.len() < room
                    && let Ok(job) = queue.try_recv()
                {
                    taken.push(job);
                }
            }
            self.waiting.extend(taken.drain(..));
            self.forget_late();
            if let Some(pause) = self.round().await {
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Answers what is too late, and lets go of what is behind it on its stream.
    fn forget_late(&mut self) {
        let now = Instant::now();
        let mut kept = VecDeque::with_capacity(self.waiting.len());
        for job in self.waiting.drain(..) {
            if job.reply.broken() {
                continue;
            }
            if job.deadline <= now {
                metrics::counter!("parley_log_expired_total").increment(1);
                job.reply.expire();
            } else {
                kept.push_back(job);
            }
        }
        self.waiting = kept;
    }

    /// Commits what waits. Says how long to pause before the next round.
    async fn round(&mut self) -> Option<Duration> {
        if self.waiting.is_empty() {
            return None;
        }
        self.publisher.give_way().await;
        let jobs: Vec<Job> = self.waiting.drain(..).collect();
        let (entries, waiters): (Vec<Entry>, Vec<_>) = jobs
            .into_iter()
            .map(|job| (job.entry, (job.deadline, job.reply)))
            .unzip();
        let started = Instant::now();
        let now = self.clock.now();
        let before = first_deadline(&waiters);
        match in_time(self.store.commit(&entries, now, before)).await {
            Ok(outcomes) => {
                metrics::histogram!("parley_log_commit_seconds")
                    .record(started.elapsed().as_secs_f64());
                metrics::counter!("parley_log_entries_total").increment(entries.len() as u64);
                self.answer(entries, waiters, outcomes)
            }
            Err(StoreError::Unavailable(cause)) => {
                tracing::warn!(
                    cause,
                    entries = entries.len(),
                    "the log cannot be written now"
                );
                self.put_back(entries, waiters);
                Some(DOWN_PAUSE)
            }
            Err(StoreError::Broken(cause)) => {
                tracing::error!(
                    cause,
                    entries = entries.len(),
                    "a batch was refused by the store"
                );
                self.one_by_one(entries, waiters, now).await
            }
        }
    }

    fn put_back(&mut self, entries: Vec<Entry>, waiters: Vec<(Instant, Reply)>) {
        let jobs = entries.into_iter().zip(waiters);
        self.waiting
            .extend(jobs.map(|(entry, (deadline, reply))| Job {
                entry,
                deadline,
                reply,
            }));
    }

    /// Answers each entry, publishes what is new, keeps what found its room busy.
    fn answer(
        &mut self,
        entries: Vec<Entry>,
        waiters: Vec<(Instant, Reply)>,
        outcomes: Vec<Outcome>,
    ) -> Option<Duration> {
        let count = entries.len();
        let mut news: Vec<Event> = Vec::with_capacity(count);
        let is_open = self.shortcut.is_open(count, &self.publisher);
        for ((entry, (deadline, reply)), outcome) in entries.into_iter().zip(waiters).zip(outcomes)
        {
            let before = news.len();
            match &outcome {
                Outcome::Busy => {
                    self.waiting.push_back(Job {
                        entry,
                        deadline,
                        reply,
                    });
                    continue;
                }
                Outcome::Sent(event) => news.push(event.clone()),
                Outcome::Applied { events, .. } => news.extend_from_slice(events),
                Outcome::Repeat(_) | Outcome::Refused(_) => {}
            }
            if is_open {
                self.shortcut.take(&news[before..], reply.stream());
            }
            reply.send(Ok(outcome));
        }
        self.publisher.publish(news, is_open);
        if self.waiting.len() < count {
            self.busy_pause = BUSY_PAUSE;
            return None;
        }
        let longer = (self.busy_pause * 2).min(BUSY_PAUSE_MOST);
        Some(std::mem::replace(&mut self.busy_pause, longer))
    }

    /// A batch that the store refused for its content: the entry at fault fails
    /// alone.
    async fn one_by_one(
        &mut self,
        entries: Vec<Entry>,
        waiters: Vec<(Instant, Reply)>,
        now: Timestamp,
    ) -> Option<Duration> {
        let mut entries = VecDeque::from(entries);
        let mut waiters = VecDeque::from(waiters);
        let mut busy = HashSet::new();
        while let (Some(entry), Some(waiter)) = (entries.pop_front(), waiters.pop_front()) {
            let room = entry.room();
            if busy.contains(&room) {
                self.put_back(vec![entry], vec![waiter]);
                continue;
            }
            let commit = self
                .store
                .commit(std::slice::from_ref(&entry), now, waiter.0);
            match in_time(commit).await {
                Ok(outcomes) => {
                    if outcomes.contains(&Outcome::Busy) {
                        busy.insert(room);
                    }
                    self.answer(vec![entry], vec![waiter], outcomes);
                }
                Err(StoreError::Broken(cause)) => waiter.1.send(Err(Error::internal(cause))),
                Err(StoreError::Unavailable(_)) => {
                    self.put_back(vec![entry], vec![waiter]);
                    self.put_back(entries.into(), waiters.into());
                    return Some(DOWN_PAUSE);
                }
            }
        }
        None
    }
}

/// The short way of events, open while there are few.
struct Shortcut {
    watchers: Watchers,
    rhythm: Rhythm,
    was_open: bool,
}

impl Shortcut {
    fn new(watchers: Watchers) -> Self {
        Self {
            watchers,
            rhythm: Rhythm::new(SHORTCUTS_PER_SECOND, SHORTCUTS_AT_ONCE),
            was_open: true,
        }
    }

    /// Whether the events of the next batch go by it. It opens again when none that went by
    /// the bus alone is on its way still: it would come after them, and they would be
    /// thought to be lost.
    fn is_open(&mut self, entries: usize, publisher: &Publisher) -> bool {
        let few = !self.rhythm.is_early() && entries <= SHORTCUT_ENTRIES;
        self.was_open = few && (self.was_open || publisher.is_idle());
        self.was_open
    }

    fn take(&self, events: &[Event], author: Option<StreamId>) {
        for event in events {
            self.watchers.tell(event, author);
        }
    }
}

/// When the first of those who wait gives up.
fn first_deadline(waiters: &[(Instant, Reply)]) -> Instant {
    let deadlines = waiters.iter().map(|(deadline, _)| *deadline);
    deadlines.min().unwrap_or_else(Instant::now)
}

/// What a refusal means to its author.
pub(crate) fn refused(refusal: crate::domain::Refusal) -> Error {
    use crate::domain::Refusal;
    match refusal {
        Refusal::NoRoom => Error::new(Code::NotFound, "no such room"),
        Refusal::NotMember => Error::new(Code::PermissionDenied, "not a member of the room"),
        Refusal::NonceReused => {
            Error::new(Code::NonceReused, "the nonce was used for another request")
        }
        Refusal::Gap => Error::new(Code::Conflict, "an earlier change of the room is missing"),
    }
}

//! What waits for each replica, and which replica a room is with. It talks to nobody:
//! that is the streams' work.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base::{Error, RoomId};
use runtime::ReplicaId;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Post;

/// Posts without an answer in this gateway, most.
const CAPACITY: usize = 65_536;
/// What would wait for longer than this, at the pace at which its replica has answered of
/// late, is refused at once, so that everybody has an answer soon.
const OVERLOADED: Duration = Duration::from_millis(350);
/// Posts without an answer that are no overload, however long they wait: a replica that
/// takes a moment to be replaced is not one.
const FEW: usize = 512;
/// Nor is it one while the oldest has waited for less: who had nothing to do has answered
/// nothing, and that is no pace.
const A_MOMENT: Duration = Duration::from_millis(100);
/// A pace is measured over so long at least, so that a log that stands still for a moment
/// has not become slow.
const A_WHILE: Duration = Duration::from_secs(1);

/// What a replica may take from its last look at the clock until a post is written: a
/// transaction that stands still for longer is ended by the database.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// A post with its number: ascending in the order posts were taken in.
pub(super) struct Job {
    pub(super) id: u64,
    pub(super) post: Post,
    pub(super) taken_at: Instant,
    pub(super) deadline: Instant,
    /// How often it was sent to a replica.
    tries: u32,
    /// How many its replica had answered when it was put in its outbox.
    answered_before: u64,
}

impl Job {
    /// When a replica must not begin to write it any more, so that it is certain at the
    /// deadline what became of it.
    pub(super) fn last_look(&self) -> Instant {
        self.deadline
            .checked_sub(LAST_LOOK)
            .unwrap_or(self.deadline)
    }
}

#[derive(Default)]
struct Outbox {
    /// There is something in the queue.
    filled: Arc<Notify>,
    queue: VecDeque<Job>,
    /// Sent on the stream, not answered.
    unanswered: BTreeMap<u64, Job>,
    /// How many were answered, ever.
    answered: u64,
    /// How many had been at the mark before the newest one, and at that; they are a while
    /// apart or more.
    marks: Option<[(Instant, u64); 2]>,
}

impl Outbox {
    fn push(&mut self, mut job: Job) {
        job.answered_before = self.answered;
        self.queue.push_back(job);
        self.filled.notify_one();
    }

    fn remove(&mut self, id: u64) -> Option<Job> {
        let job = self.unanswered.remove(&id)?;
        self.answered += 1;
        Some(job)
    }

    /// Whether a post that came now would wait for too long, at the better of two paces:
    /// since the oldest came, and over a while.
    fn is_overloaded(&mut self, now: Instant) -> bool {
        let mark = (now, self.answered);
        let [before, lately] = self.marks.get_or_insert([mark; 2]);
        if now - lately.0 > A_WHILE {
            (*before, *lately) = (*lately, mark);
        }
        let waiting = self.unanswered.len() + self.queue.len();
        if waiting <= FEW {
            return false;
        }
        let oldest = self.unanswered.values().next().or(self.queue.front());
        let Some(oldest) = oldest.filter(|job| now - job.taken_at > A_MOMENT) else {
            return false;
        };
        [*before, (oldest.taken_at, oldest.answered_before)]
            .iter()
            .all(|(since, answered)| {
                let answered = u128::from(self.answered - answered);
                (now - *since).as_micros() * waiting as u128 > OVERLOADED.as_micros() * answered
            })
    }
}

/// Which replica a room is with, and how many of its posts have no answer.
struct Lane {
    replica: ReplicaId,
    count: usize,
}

/// A post, and why it was not written.
pub(super) type Refused = (Post, Error);

/// The outboxes of all replicas; one that is not known yet has an empty one.
#[derive(Default)]
pub(super) struct Outboxes {
    boxes: HashMap<ReplicaId, Outbox>,
    lanes: HashMap<RoomId, Lane>,
    /// Refused, and not to be told yet.
    held: Vec<(Job, Error)>,
    next_id: u64,
    total: usize,
}

impl Outboxes {
    /// Takes a post in for the replica its room is with, else for the preferred
    /// one; gives it back when there is no room, or that replica has too much to do.
    pub(super) fn take(
        &mut self,
        post: Post,
        patience: Duration,
        preferred: impl FnOnce() -> ReplicaId,
    ) -> Result<(), Post> {
        let taken_at = Instant::now();
        let known = self.lanes.get(&post.room);
        let replica = known.map_or_else(preferred, |lane| lane.replica);
        let outbox = self.boxes.entry(replica).or_default();
        if self.total >= CAPACITY || outbox.is_overloaded(taken_at) {
            return Err(post);
        }
        let new = Lane { replica, count: 0 };
        self.lanes.entry(post.room).or_insert(new).count += 1;
        let deadline = taken_at + patience;
        self.next_id += 1;
        self.total += 1;
        outbox.push(Job {
            id: self.next_id,
            post,
            taken_at,
            deadline,
            tries: 0,
            answered_before: 0,
        });
        Ok(())
    }

    /// Tells when there is something to be sent to this replica.
    pub(super) fn filled(&mut self, replica: ReplicaId) -> Arc<Notify> {
        Arc::clone(&self.boxes.entry(replica).or_default().filled)
    }

    /// Takes up to `most` posts to be sent, with what `see` makes of each; they are
    /// unanswered from here on.
    pub(super) fn send<T>(
        &mut self,
        replica: ReplicaId,
        most: usize,
        mut see: impl FnMut(&Job) -> T,
    ) -> Vec<T> {
        let outbox = self.boxes.entry(replica).or_default();
        let count = outbox.queue.len().min(most);
        let mut sent = Vec::with_capacity(count);
        for mut job in outbox.queue.drain(..count) {
            job.tries += 1;
            sent.push(see(&job));
            outbox.unanswered.insert(job.id, job);
        }
        if !outbox.queue.is_empty() {
            outbox.filled.notify_one();
        }
        sent
    }

    /// An answer came: the post it is for, unless it was given up.
    pub(super) fn answered(&mut self, replica: ReplicaId, id: u64) -> Option<Post> {
        let job = self.boxes.get_mut(&replica)?.remove(id)?;
        self.finish(job.post.room);
        Some(job.post)
    }

    /// A post was refused, and is given back to be told so. One that was sent before is kept
    /// until its deadline: a replica that stands still may go on and write it when its author
    /// is a member again.
    pub(super) fn refused(&mut self, replica: ReplicaId, id: u64, why: Error) -> Option<Refused> {
        let job = self.boxes.get_mut(&replica)?.remove(id)?;
        self.release(job.post.room);
        if job.tries > 1 {
            self.held.push((job, why));
            return None;
        }
        self.total -= 1;
        Some((job.post, why))
    }

    /// Refusals that can be told by now.
    pub(super) fn certain(&mut self, now: Instant) -> Vec<Refused> {
        let certain: Vec<_> = self
            .held
            .extract_if(.., |(job, _)| job.deadline <= now)
            .map(|(job, why)| (job.post, why))
            .collect();
        self.total -= certain.len();
        certain
    }

    /// Posts that have been waited for too long; they are given up, and with them what
    /// their authors posted to the same rooms since: it would come before them when they
    /// are tried again.
    pub(super) fn expired(&mut self, replica: ReplicaId, now: Instant) -> Vec<Post> {
        let outbox = self.boxes.entry(replica).or_default();
        let unanswered = |job: &Job| job.deadline <= now;
        // No replica would write it any more.
        let unsent = |job: &Job| job.last_look() <= now;
        if !outbox.unanswered.values().any(unanswered) && !outbox.queue.iter().any(unsent) {
            return Vec::new();
        }
        let mut authors = HashSet::new();
        let mut give_up = |job: &Job, is_late: bool| {
            let author = (job.post.room, job.post.uid);
            if is_late {
                authors.insert(author);
            }
            authors.contains(&author)
        };
        let unanswered = outbox
            .unanswered
            .extract_if(.., |_, job| give_up(job, unanswered(job)));
        let mut late: Vec<Job> = unanswered.map(|(_, job)| job).collect();
        for job in std::mem::take(&mut outbox.queue) {
            if give_up(&job, unsent(&job)) {
                late.push(job);
            } else {
                outbox.queue.push_back(job);
            }
        }
        for job in &late {
            self.finish(job.post.room);
        }
        late.into_iter().map(|job| job.post).collect()
    }

    /// Whether anything sent has no answer.
    pub(super) fn awaits(&self, replica: ReplicaId) -> bool {
        let outbox = self.boxes.get(&replica);
        outbox.is_some_and(|outbox| !outbox.unanswered.is_empty())
    }

    /// Whether nothing waits for this replica, nor for its answer.
    pub(super) fn is_idle(&self, replica: ReplicaId) -> bool {
        let outbox = self.boxes.get(&replica);
        outbox.is_none_or(|outbox| outbox.unanswered.is_empty() && outbox.queue.is_empty())
    }

    /// What was sent on a stream that has died has to be sent again, before what was not:
    /// no answer to it will come.
    pub(super) fn take_back(&mut self, replica: ReplicaId) {
        let outbox = self.boxes.entry(replica).or_default();
        let unanswered = std::mem::take(&mut outbox.unanswered);
        let queue = std::mem::take(&mut outbox.queue);
        outbox.queue = unanswered.into_values().chain(queue).collect();
    }

    /// Gives what waits for a replica to those that the rooms prefer now, in order. Nothing
    /// is unanswered there: see [`Outboxes::take_back`].
    pub(super) fn move_on(&mut self, from: ReplicaId, preferred: impl Fn(RoomId) -> ReplicaId) {
        let Some(outbox) = self.boxes.get_mut(&from) else {
            return;
        };
        let queue = std::mem::take(&mut outbox.queue);
        let mut target: HashMap<RoomId, ReplicaId> = HashMap::new();
        for job in queue {
            let room = job.post.room;
            let to = *target.entry(room).or_insert_with(|| preferred(room));
            if let Some(lane) = self.lanes.get_mut(&room) {
                lane.replica = to;
            }
            self.boxes.entry(to).or_default().push(job);
        }
    }

    /// The same for a replica that nothing prefers any more, and forgets it.
    pub(super) fn forget(&mut self, gone: ReplicaId, preferred: impl Fn(RoomId) -> ReplicaId) {
        self.move_on(gone, preferred);
        self.boxes.remove(&gone);
    }

    fn finish(&mut self, room: RoomId) {
        self.total -= 1;
        self.release(room);
    }

    /// One post less that keeps a room where it is.
    fn release(&mut self, room: RoomId) {
        if let Some(lane) = self.lanes.get_mut(&room) {
            lane.count -= 1;
            if lane.count == 0 {
                self.lanes.remove(&room);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use base::{MessageText, Nonce, Uid};
    use proto::message::Sent;
    use runtime::RequestId;

    use super::super::Waiter;
    use super::*;

    struct Nobody;
    impl Waiter for Nobody {
        fn answer(self: Box<Self>, _: base::Result<Sent>) {}
    }

    fn post(room: u64, text: &str) -> Post {
        Post {
            room: RoomId::new(room).unwrap(),
            uid: Uid::new(1).unwrap(),
            text: MessageText::parse("Text", text).unwrap(),
            nonce: Nonce::parse("Nonce", text).unwrap(),
            request_id: RequestId::parse("r").unwrap(),
            waiter: Box::new(Nobody),
        }
    }

    const ONE: ReplicaId = ReplicaId(1);
    const OTHER: ReplicaId = ReplicaId(2);
    const LONG: Duration = Duration::from_secs(9);

    fn texts(outboxes: &mut Outboxes, replica: ReplicaId) -> Vec<(u64, String)> {
        outboxes.send(replica, 100, |job| {
            (job.id, job.post.text.as_str().to_owned())
        })
    }

    fn answer_all(outboxes: &mut Outboxes, replica: ReplicaId) -> usize {
        let sent = texts(outboxes, replica);
        sent.iter()
            .filter(|(id, _)| outboxes.answered(replica, *id).is_some())
            .count()
    }

    #[tokio::test]
    async fn a_room_stays_where_something_of_it_is_unanswered() {
        let mut outboxes = Outboxes::default();
        assert!(outboxes.take(post(1, "a"), LONG, || ONE).is_ok());
        assert!(outboxes.take(post(1, "b"), LONG, || OTHER).is_ok());
        assert_eq!(answer_all(&mut outboxes, ONE), 2);
        assert!(outboxes.take(post(1, "c"), LONG, || OTHER).is_ok());
        assert_eq!(answer_all(&mut outboxes, OTHER), 1);
    }

    #[tokio::test]
    async fn what_a_dead_stream_left_goes_before_what_is_newer() {
        let mut outboxes = Outboxes::default();
        for text in ["a", "b", "c"] {
            assert!(outboxes.take(post(1, text), LONG, || ONE).is_ok());
        }
        outboxes.send(ONE, 2, |_| ());
        outboxes.take_back(ONE);
        outboxes.move_on(ONE, |_| OTHER);
        assert!(outboxes.take(post(1, "d"), LONG, || ONE).is_ok());
        let order: Vec<_> = texts(&mut outboxes, OTHER)
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        assert_eq!(order, ["a", "b", "c", "d"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_follows_a_post_that_is_given_up_is_given_up_with_it() {
        let mut outboxes = Outboxes::default();
        let _ = outboxes.take(post(1, "late"), Duration::ZERO, || ONE);
        outboxes.send(ONE, 1, |_| ());
        for (room, text) in [(1, "behind it"), (2, "elsewhere")] {
            let _ = outboxes.take(post(room, text), LONG, || ONE);
        }
        let expired = outboxes.expired(ONE, Instant::now());
        let given_up: Vec<&str> = expired.iter().map(|post| post.text.as_str()).collect();
        assert_eq!(given_up, ["late", "behind it"]);
        assert_eq!(texts(&mut outboxes, ONE).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_dead_stream_left_late_is_given_up_with_what_follows_it() {
        let mut outboxes = Outboxes::default();
        for text in ["late", "behind it"] {
            assert!(outboxes.take(post(1, text), LONG, || ONE).is_ok());
            outboxes.send(ONE, 1, |_| ());
            tokio::time::advance(LAST_LOOK).await;
        }
        tokio::time::advance(Duration::from_secs(6)).await;
        let now = Instant::now();
        assert!(outboxes.expired(ONE, now).is_empty(), "an answer may come");
        outboxes.take_back(ONE);
        assert_eq!(outboxes.expired(ONE, now).len(), 2);
    }

    /// Takes posts in until one is refused: how many were taken.
    fn fill(outboxes: &mut Outboxes, most: usize) -> usize {
        (0..most)
            .take_while(|number| {
                let post = post(1, &number.to_string());
                outboxes.take(post, LONG, || ONE).is_ok()
            })
            .count()
    }

    /// Answers the oldest posts that have no answer.
    fn answer(outboxes: &mut Outboxes, count: usize) {
        outboxes.send(ONE, count, |_| ());
        let unanswered = outboxes.boxes[&ONE].unanswered.keys();
        let oldest: Vec<u64> = unanswered.take(count).copied().collect();
        for id in oldest {
            assert!(outboxes.answered(ONE, id).is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_would_wait_behind_too_much_is_refused_at_once() {
        let mut outboxes = Outboxes::default();
        assert_eq!(fill(&mut outboxes, FEW + 1), FEW + 1);
        tokio::time::advance(A_MOMENT).await;
        assert!(outboxes.take(post(1, "in time"), LONG, || ONE).is_ok());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(outboxes.take(post(1, "too late"), LONG, || ONE).is_err());
        assert!(outboxes.take(post(2, "elsewhere"), LONG, || OTHER).is_ok());
        answer(&mut outboxes, 10);
        assert!(outboxes.take(post(1, "again"), LONG, || ONE).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_much_longer_however_many_come() {
        let mut outboxes = Outboxes::default();
        for _ in 0..50 {
            fill(&mut outboxes, 300);
            tokio::time::advance(Duration::from_millis(20)).await;
            // Five a millisecond.
            answer(&mut outboxes, 100);
        }
        let most = 5 * OVERLOADED.as_millis() as usize;
        assert!(
            (most - 200..=most).contains(&outboxes.total),
            "{}",
            outboxes.total
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_stands_still_for_a_moment_is_not_overloaded() {
        let mut outboxes = Outboxes::default();
        for _ in 0..200 {
            assert_eq!(fill(&mut outboxes, 100), 100);
            tokio::time::advance(Duration::from_millis(10)).await;
            answer(&mut outboxes, 100);
        }
        for _ in 0..25 {
            assert_eq!(fill(&mut outboxes, 100), 100);
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(fill(&mut outboxes, 100), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_told_when_no_copy_can_be_written_any_more() {
        let mut outboxes = Outboxes::default();
        for text in ["moved", "later"] {
            assert!(outboxes.take(post(1, text), LONG, || ONE).is_ok());
            outboxes.send(ONE, 1, |_| ());
            if text == "moved" {
                outboxes.take_back(ONE);
                outboxes.move_on(ONE, |_| ONE);
                outboxes.send(ONE, 1, |_| ());
            }
        }
        let refusal = || Error::new(base::Code::PermissionDenied, "no member");
        assert!(outboxes.refused(ONE, 1, refusal()).is_none());
        assert!(outboxes.refused(ONE, 2, refusal()).is_some());
        // The room is free all the same.
        assert!(outboxes.lanes.is_empty());
        assert!(outboxes.certain(Instant::now()).is_empty());
        tokio::time::advance(LONG).await;
        let told = outboxes.certain(Instant::now());
        assert_eq!(told[0].0.text.as_str(), "moved");
        assert_eq!(outboxes.total, 0);
    }

    #[tokio::test]
    async fn a_post_given_up_is_not_answered_twice() {
        let mut outboxes = Outboxes::default();
        let _ = outboxes.take(post(1, "a"), Duration::ZERO, || ONE);
        let sent = texts(&mut outboxes, ONE);
        assert_eq!(outboxes.expired(ONE, Instant::now()).len(), 1);
        assert!(outboxes.answered(ONE, sent[0].0).is_none());
        assert!(outboxes.lanes.is_empty());
    }
}

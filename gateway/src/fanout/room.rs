//! A room as this gateway sees it: the newest Seq it delivered, a ring of recent
//! frames, who watches.
//!
//! Invariant: watchers receive Seq n + 1 directly after Seq n. [`Room::offer`]
//! decides deliver, drop or hold; nothing else does. It does not matter which way
//! an event came, nor how often.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use base::{Epoch, RoomId, Seq, Uid};
use proto::message::Mark;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use wire::frame::{Read, ServerFrame};

use super::frame::Frame;
use crate::outbound::{Ending, Link};

/// Recent frames kept for those who resume, most.
const RING: usize = 256;
/// Bytes of the frames in the ring, most.
const RING_BYTES: usize = 128 * 1024;
/// Frames that one record's read markers may make here, most. A second brings ten such
/// records from a replica.
const MARKS_TOLD: usize = 5_000;
/// Frames that wait behind a hole, most; beyond, they are fetched again later.
const HELD: usize = 1_024;

/// One connection's wish for a room's events.
#[derive(Clone)]
pub(crate) struct Watch {
    /// The connection.
    pub(crate) link: Arc<Link>,
    /// Whose it is: his own leave ends the watch,
    pub(crate) uid: Uid,
    /// unless it is not after this: he joined again before his membership was checked. What
    /// is after the Seq that he was told with the answer is live to him, though, and ends
    /// it always.
    pub(crate) member_at: Seq,
}

impl Watch {
    /// Whether this connection gets the frame.
    pub(crate) fn wants(&self, frame: &Frame) -> bool {
        frame.is_original() || self.link.wants_every_kind()
    }

    /// Whether nothing may come after this frame.
    pub(crate) fn ends_with(&self, frame: &Frame) -> bool {
        frame.ends(self.uid) && frame.seq > self.member_at
    }
}

struct Watcher {
    watch: Watch,
    /// It has, or does not want, what is up to here.
    after: Seq,
}

/// What became of the wish to watch.
#[derive(Debug)]
pub(crate) enum Admission {
    /// It watches; these frames come first.
    Watching(Vec<Frame>),
    /// His membership ended after it was checked: these frames come, the last of them is
    /// his leave unless he has it already, and he does not watch.
    Ended(Vec<Frame>),
    /// It is too far behind: read the log up to here, then ask again.
    Behind,
    /// The log was restored from a backup since: all that was granted is void.
    Restored,
}

/// One room; see the module.
#[derive(Default)]
pub(crate) struct Room {
    /// `None` until somebody found out where the log ends.
    delivered: Option<Seq>,
    /// Which life of the log all this is of, where anybody said.
    epoch: Option<Epoch>,
    /// The newest event known to exist.
    known_head: Seq,
    held: BTreeMap<Seq, Frame>,
    ring: VecDeque<Frame>,
    ring_bytes: usize,
    watchers: Vec<Watcher>,
    /// Whether somebody is fetching what is missing.
    mending: bool,
}

impl Room {
    /// Takes a frame in, from wherever it came.
    pub(crate) fn offer(&mut self, frame: Frame) {
        if !self.lives_in(frame.epoch) {
            return;
        }
        self.known_head = self.known_head.max(frame.seq);
        match self.delivered {
            Some(delivered) if frame.seq <= delivered => {}
            Some(delivered) if frame.seq == delivered.next() => {
                self.deliver(frame);
                self.release_held();
            }
            _ => self.hold(frame),
        }
    }

    /// Whether a frame of this number and life would be of use: what was delivered is not.
    pub(crate) fn wants(&self, seq: Seq, epoch: Option<Epoch>) -> bool {
        epoch > self.epoch || self.delivered.is_none_or(|delivered| seq > delivered)
    }

    /// Learns that the log goes on to `head` at least.
    pub(crate) fn note_head(&mut self, head: Seq, epoch: Option<Epoch>) {
        if self.lives_in(epoch) {
            self.known_head = self.known_head.max(head);
        }
    }

    /// Whether this is the log's life as far as anybody knows. A new one ends all that is
    /// here: the numbers of the old one mean nothing any more, and who watched resumes and
    /// is told so.
    fn lives_in(&mut self, epoch: Option<Epoch>) -> bool {
        if epoch > self.epoch {
            if self.epoch.is_some() {
                for watcher in &self.watchers {
                    watcher.watch.link.end(Ending::Restored);
                }
                let mending = self.mending;
                *self = Self::default();
                self.mending = mending;
            }
            self.epoch = epoch;
        }
        epoch.is_none() || epoch == self.epoch
    }

    /// After which Seq something that exists is missing here. `None`: nothing is,
    /// or nobody watches yet.
    pub(crate) fn hole(&self) -> Option<Seq> {
        self.delivered
            .filter(|&delivered| delivered < self.known_head)
    }

    /// The newest Seq delivered here, in this life of the log.
    pub(crate) fn delivered_in(&self, epoch: Option<Epoch>) -> Option<Seq> {
        self.delivered.filter(|_| epoch == self.epoch)
    }

    /// Whether anybody found out yet where the log ends.
    pub(crate) fn is_known(&self) -> bool {
        self.delivered.is_some()
    }

    /// Claims the work of mending the hole; `false` when somebody has it already.
    pub(crate) fn claim_mending(&mut self) -> bool {
        !std::mem::replace(&mut self.mending, true)
    }

    /// Gives the work of mending back.
    pub(crate) fn mended(&mut self) {
        self.mending = false;
    }

    /// Lets a connection watch from after `after` on, if the ring reaches back so
    /// far. `head` is where the log ended, in its life `epoch`, when the membership was
    /// checked, which was after the room was opened.
    pub(crate) fn admit(
        &mut self,
        watch: Watch,
        after: Seq,
        head: Seq,
        epoch: Option<Epoch>,
    ) -> Admission {
        if !self.lives_in(epoch) {
            return Admission::Restored;
        }
        self.known_head = self.known_head.max(head);
        let delivered = *self.delivered.get_or_insert(head);
        let oldest = self
            .ring
            .front()
            .map_or(delivered.next(), |frame| frame.seq);
        // The ring has to tell what he missed, and whether his membership ended between
        // its check and now.
        if after.min(head).next() < oldest {
            return Admission::Behind;
        }
        let end = self.ring.iter().find(|frame| watch.ends_with(frame));
        let end = end.map(|frame| frame.seq);
        let missed = self
            .ring
            .iter()
            .filter(|frame| frame.seq > after && end.is_none_or(|end| frame.seq <= end))
            .filter(|frame| watch.wants(frame))
            .cloned()
            .collect();
        self.dismiss(&watch.link);
        if end.is_some() {
            return Admission::Ended(missed);
        }
        self.watchers.push(Watcher { watch, after });
        self.release_held();
        Admission::Watching(missed)
    }

    /// Whether this connection watches.
    pub(crate) fn watched_by(&self, link: &Arc<Link>) -> bool {
        self.watchers
            .iter()
            .any(|watcher| Arc::ptr_eq(&watcher.watch.link, link))
    }

    /// Up to where a connection that watches has, or does not want, the events.
    pub(crate) fn position_of(&self, link: &Arc<Link>) -> Option<Seq> {
        let mut watchers = self.watchers.iter();
        let watcher = watchers.find(|it| Arc::ptr_eq(&it.watch.link, link))?;
        self.delivered.max(Some(watcher.after))
    }

    /// Ends a connection's watch.
    pub(crate) fn dismiss(&mut self, link: &Arc<Link>) {
        self.watchers
            .retain(|watcher| !Arc::ptr_eq(&watcher.watch.link, link));
    }

    /// Tells who watches how far others have read. Where that is many times many, each
    /// hears of himself alone, for his other devices.
    pub(crate) fn tell(&self, id: RoomId, marks: &[Mark]) {
        let frame = |mark: &Mark| {
            let uid = Uid::new(mark.uid)?;
            let frame = ServerFrame::Read(Read {
                room: id,
                uid,
                id: Seq(mark.read),
                reference: None,
            });
            Some((uid, Utf8Bytes::from(frame.to_json())))
        };
        let frames: BTreeMap<Uid, Utf8Bytes> = marks.iter().filter_map(frame).collect();
        let is_too_much = self.watchers.len() * frames.len() > MARKS_TOLD;
        for Watcher { watch, .. } in &self.watchers {
            if !watch.link.wants_every_kind() {
                continue;
            }
            if !is_too_much {
                for text in frames.values() {
                    watch.link.offer(text.clone());
                }
            } else if let Some(his) = frames.get(&watch.uid) {
                watch.link.offer(his.clone());
            }
        }
    }

    fn hold(&mut self, frame: Frame) {
        if self.held.len() < HELD {
            self.held.insert(frame.seq, frame);
        }
    }

    fn release_held(&mut self) {
        while let (Some(delivered), Some(entry)) = (self.delivered, self.held.first_entry()) {
            if *entry.key() <= delivered {
                entry.remove();
            } else if *entry.key() == delivered.next() {
                let frame = entry.remove();
                self.deliver(frame);
            } else {
                return;
            }
        }
    }

    fn deliver(&mut self, frame: Frame) {
        self.delivered = Some(frame.seq);
        self.watchers.retain_mut(|watcher| {
            if frame.seq <= watcher.after {
                return true;
            }
            if watcher.watch.wants(&frame) && !watcher.watch.link.offer(frame.text.clone()) {
                // A full queue ends the connection: the log is the buffer.
                return false;
            }
            !watcher.watch.ends_with(&frame)
        });
        self.ring_bytes += frame.text.len();
        self.ring.push_back(frame);
        while self.ring.len() > RING || self.ring_bytes > RING_BYTES {
            if let Some(old) = self.ring.pop_front() {
                self.ring_bytes -= old.text.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proto::message::{Event, Kind};

    use super::*;
    use crate::outbound::Outlet;

    fn frame(seq: u64) -> Frame {
        event(seq, Kind::Message, 1)
    }

    fn event(seq: u64, kind: Kind, uid: u64) -> Frame {
        Frame::encode(&Event {
            room_id: 1,
            seq,
            kind: kind as u32,
            uid,
            target: seq,
            text: "hello".into(),
            at: 1,
            ..Event::default()
        })
        .unwrap()
    }

    fn watch(link: &Arc<Link>, uid: u64, member_at: u64) -> Watch {
        Watch {
            link: Arc::clone(link),
            uid: Uid::new(uid).unwrap(),
            member_at: Seq(member_at),
        }
    }

    fn seqs(queue: &Outlet) -> Vec<u64> {
        let seq = |text: Utf8Bytes| {
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            value["Seq"].as_u64().unwrap()
        };
        queue.take().into_iter().map(seq).collect()
    }

    proptest! {
        #[test]
        fn whatever_the_order_watchers_get_each_event_once_and_in_order(
            mut arrivals in Just((1..=40_u64).chain(20..=40).collect::<Vec<_>>()).prop_shuffle(),
            start in 0..20_u64,
        ) {
            let (link, queue) = Link::new(1_000);
            let mut room = Room::default();
            let early = arrivals.split_off(30);
            for seq in early {
                room.offer(frame(seq));
            }
            let admission = room.admit(watch(&link, 1, start), Seq(start), Seq(start), None);
            let Admission::Watching(first) = admission else { panic!("behind") };
            prop_assert!(first.is_empty());
            for seq in arrivals {
                room.offer(frame(seq));
            }
            while let Some(after) = room.hole() {
                room.offer(frame(after.next().get()));
            }
            prop_assert_eq!(seqs(&queue), (start + 1..=40).collect::<Vec<_>>());
        }
    }

    #[test]
    fn who_resumes_gets_the_ring_first_and_nothing_twice() {
        let (first, _queue) = Link::new(100);
        let mut room = Room::default();
        room.admit(watch(&first, 1, 0), Seq(0), Seq(0), None);
        (1..=10).for_each(|seq| room.offer(frame(seq)));
        let (second, queue) = Link::new(100);
        let Admission::Watching(missed) = room.admit(watch(&second, 2, 10), Seq(7), Seq(10), None)
        else {
            panic!("behind")
        };
        assert_eq!(
            missed
                .iter()
                .map(|frame| frame.seq.get())
                .collect::<Vec<_>>(),
            [8, 9, 10]
        );
        room.offer(frame(10));
        room.offer(frame(11));
        assert_eq!(seqs(&queue), [11]);
    }

    #[test]
    fn who_is_behind_the_ring_reads_the_log() {
        let (link, _queue) = Link::new(1_000);
        let mut room = Room::default();
        room.admit(watch(&link, 1, 100), Seq(100), Seq(100), None);
        let (late, _queue) = Link::new(10);
        assert!(matches!(
            room.admit(watch(&late, 2, 100), Seq(50), Seq(100), None),
            Admission::Behind
        ));
    }

    #[test]
    fn ones_own_leave_is_the_last_event_but_not_one_from_before() {
        let (link, queue) = Link::new(100);
        let mut room = Room::default();
        room.admit(watch(&link, 7, 2), Seq(0), Seq(0), None);
        room.offer(event(1, Kind::Leave, 7));
        room.offer(event(2, Kind::Join, 7));
        room.offer(event(3, Kind::Leave, 8));
        room.offer(event(4, Kind::Leave, 7));
        room.offer(frame(5));
        assert_eq!(seqs(&queue), [1, 2, 3, 4]);
    }

    #[test]
    fn who_left_while_he_was_let_in_does_not_watch() {
        let mut room = Room::default();
        let (other, _queue) = Link::new(100);
        room.admit(watch(&other, 1, 0), Seq(0), Seq(0), None);
        (1..=4).for_each(|seq| room.offer(frame(seq)));
        room.offer(event(5, Kind::Leave, 7));
        room.offer(frame(6));
        let (link, queue) = Link::new(100);
        // He was a member when the log ended at 4, and asked for what follows 6 or 3.
        for (after, last) in [(6, vec![]), (3, vec![4, 5])] {
            let Admission::Ended(frames) = room.admit(watch(&link, 7, 4), Seq(after), Seq(4), None)
            else {
                panic!("he is no member")
            };
            let frames: Vec<u64> = frames.iter().map(|frame| frame.seq.get()).collect();
            assert_eq!(frames, last);
        }
        // Whether he left is not in the ring any more: his membership is checked again.
        for seq in 7..=300 {
            room.offer(frame(seq));
        }
        let again = room.admit(watch(&link, 7, 4), Seq(300), Seq(4), None);
        assert!(matches!(again, Admission::Behind));
        room.offer(frame(301));
        assert_eq!(seqs(&queue), [0; 0]);
    }

    fn mark(uid: u64) -> Mark {
        Mark { uid, read: 7 }
    }

    #[test]
    fn how_far_one_has_read_is_told_to_those_who_know_the_word() {
        let mut room = Room::default();
        let links: Vec<_> = (1..=3).map(|_| Link::new(10)).collect();
        for ((link, _), uid) in links.iter().zip([1, 2, 2]) {
            room.admit(watch(link, uid, 0), Seq(0), Seq(0), None);
        }
        links[0].0.want_every_kind();
        links[1].0.want_every_kind();
        room.tell(RoomId::new(1).unwrap(), &[mark(2)]);
        let told = |at: usize| links[at].1.take().into_iter().collect::<Vec<_>>();
        let frame = r#"{"Type":"read","RoomID":1,"UID":2,"ID":7}"#;
        assert_eq!((told(0), told(1)), (vec![frame.into()], vec![frame.into()]));
        assert!(told(2).is_empty());
    }

    #[test]
    fn where_many_read_along_ones_own_devices_alone_are_told() {
        let mut room = Room::default();
        let links: Vec<_> = (0..100).map(|_| Link::new(100)).collect();
        for ((link, _), uid) in links.iter().zip(1..) {
            link.want_every_kind();
            room.admit(watch(link, uid, 0), Seq(0), Seq(0), None);
        }
        for (marks, expected) in [(50, [50, 50, 50]), (51, [0, 1, 0])] {
            // The first watcher has not read along.
            let marks: Vec<_> = (2..).step_by(2).map(mark).take(marks).collect();
            room.tell(RoomId::new(1).unwrap(), &marks);
            let told = links.iter().map(|(_, queue)| queue.take().len());
            assert_eq!(told.collect::<Vec<_>>()[..3], expected);
        }
    }

    #[test]
    fn a_full_queue_ends_the_connection_and_nobody_else() {
        let ((slow, _slow_queue), (quick, quick_queue)) = (Link::new(1), Link::new(100));
        let mut room = Room::default();
        room.admit(watch(&slow, 1, 0), Seq(0), Seq(0), None);
        room.admit(watch(&quick, 2, 0), Seq(0), Seq(0), None);
        (1..=30).for_each(|seq| room.offer(frame(seq)));
        assert_eq!(slow.ending(), Some(crate::outbound::Ending::Slow));
        assert_eq!(seqs(&quick_queue), (1..=30).collect::<Vec<_>>());
    }
}

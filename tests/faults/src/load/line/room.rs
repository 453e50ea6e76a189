//! One room of a line: how far it is, and all that it got.

use std::time::Duration;

use base::{Clock, SystemClock};
use client::wire::frame::{Entered, Event, EventKind};
use client::wire::{Epoch, RoomId, Seq, Timestamp, Uid};
use tokio::time::Instant;

use super::super::outage::{Outage, WORTH_TELLING, Who};
use crate::ledger::{self, Delivery, Micros, Span, Stream};

/// Whether a connection gets a room's events.
pub(in crate::load) enum Stay {
    /// No, and it asks again then.
    Outside(Instant),
    /// It has asked.
    Asked,
    /// Yes.
    Inside,
}

/// A room that a line watches.
pub(in crate::load) struct Watched {
    pub(super) room: RoomId,
    /// Its user stays a member.
    pub(super) steady: bool,
    pub(super) stay: Stay,
    pub(super) cursor: Seq,
    pub(super) epoch: Option<Epoch>,
    /// The replay leaves out older events.
    pub(super) truncated: bool,
    pub(super) late: Late,
    /// When it began to wait for events.
    began: Timestamp,
    pub(super) stream: Stream,
    /// Its user's leave has come, and no join after it.
    left: bool,
    /// What it had when it asked.
    pub(super) asked: Seq,
    /// The newest event when it was entered.
    goal: Seq,
}

impl Watched {
    pub(in crate::load) fn new(room: RoomId, uid: Uid, label: &str, steady: bool) -> Self {
        Self {
            room,
            steady,
            stay: Stay::Outside(Instant::now()),
            cursor: Seq::START,
            epoch: None,
            truncated: false,
            late: Late::default(),
            began: SystemClock.now(),
            stream: Stream {
                reader: label.to_owned(),
                uid,
                spans: Vec::new(),
            },
            left: false,
            asked: Seq::START,
            goal: Seq::START,
        }
    }

    pub(super) fn enter(&mut self, entered: &Entered, at: Micros, gateway: usize, connection: u32) {
        self.stay = Stay::Inside;
        self.left = false;
        self.epoch = entered.epoch;
        self.truncated = entered.truncated;
        self.goal = entered.seq.unwrap_or_default();
        self.stream.spans.push(Span {
            after: self.asked,
            entered: self.goal,
            at,
            gateway,
            connection,
            deliveries: Vec::new(),
        });
    }

    pub(super) fn caught_up(&self) -> bool {
        matches!(self.stay, Stay::Inside) && self.cursor >= self.goal
    }

    pub(super) fn keep(&mut self, event: ledger::Event, at: Micros, live: bool) {
        let delivery = Delivery {
            seq: event.seq,
            print: event.print(),
            at: u32::try_from(at / 1_000).unwrap_or(u32::MAX),
            live,
        };
        if self.stream.spans.is_empty() {
            // An event before any answer: kept as one of a span that nobody entered, which
            // the checker calls by its name.
            self.enter(&Entered::default(), at, 0, 0);
        }
        if let Some(span) = self.stream.spans.last_mut() {
            span.deliveries.push(delivery);
        }
        self.cursor = self.cursor.max(event.seq);
        if self.steady {
            self.mind_delay(event.timestamp, at);
        }
    }

    /// After its user's leave nothing more comes before the room is entered again. In a
    /// replay a leave may be an old one, with the join that made him a member again.
    pub(super) fn mind_leave(&mut self, event: &Event, own: Uid) {
        if event.uid == own && event.kind.changes_membership() {
            self.left = event.kind == EventKind::Leave;
        }
        if self.left && self.cursor >= self.goal {
            self.left = false;
            self.stay = Stay::Outside(Instant::now() + Duration::from_millis(100));
        }
    }

    /// How long after it was written down an event came: the machine has one clock. What
    /// is older than the reader is late from his beginning on.
    fn mind_delay(&mut self, written: Timestamp, now: Micros) {
        let since = written.max(self.began);
        let delay = SystemClock.now().micros() - since.micros();
        let delay = u64::try_from(delay).unwrap_or(0);
        self.late.note(delay, now, &self.stream.reader);
    }
}

/// Events that come late, one outage for those that come together.
#[derive(Default)]
pub(super) struct Late {
    now: Option<Outage>,
    ended: Vec<Outage>,
}

/// What was held up comes in one go.
const TOGETHER: Micros = 2_000_000;

impl Late {
    fn note(&mut self, delay: Micros, now: Micros, label: &str) {
        if delay < WORTH_TELLING {
            if let Some(late) = &self.now
                && now > late.from + late.lasted + TOGETHER
            {
                self.ended.extend(self.now.take());
            }
            return;
        }
        let from = now.saturating_sub(delay);
        match &mut self.now {
            Some(late) if late.from + late.lasted + TOGETHER >= now => {
                if delay > late.lasted {
                    (late.from, late.lasted) = (from, delay);
                }
            }
            late => self.ended.extend(late.replace(Outage {
                who: Who::Reader,
                client: label.to_owned(),
                from,
                lasted: delay,
            })),
        }
    }

    pub(super) fn finish(mut self) -> Vec<Outage> {
        self.ended.extend(self.now.take());
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How late an event came that was written 20 s ago, to one who waits since `began`.
    fn lateness(began: Timestamp, live: bool) -> Option<Micros> {
        let (room, uid) = (RoomId::new(1).unwrap(), Uid::new(1).unwrap());
        let mut watched = Watched::new(room, uid, "reader", true);
        watched.began = began;
        let event = ledger::Event {
            seq: Seq(1),
            kind: EventKind::Message,
            id: Seq(1),
            uid,
            text: 0,
            timestamp: SystemClock.now().before(Duration::from_secs(20)),
        };
        watched.keep(event, 30_000_000, live);
        watched.late.finish().pop().map(|outage| outage.lasted)
    }

    #[test]
    fn an_event_that_was_paged_late_counts_as_one_that_came_late() {
        let began = SystemClock.now().before(Duration::from_mins(1));
        for live in [false, true] {
            assert!(lateness(began, live) >= Some(20_000_000));
        }
    }

    #[test]
    fn nobody_waits_for_an_event_before_he_is_there() {
        assert_eq!(lateness(SystemClock.now(), true), None);
    }
}

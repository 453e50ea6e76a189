//! Who heard what: finds every event that is lost, doubled, changed or out of order.
//!
//! A room's `Log` is what the first receiver of each ID heard. Each receiver's `Ledger`
//! follows the IDs it gets, which must rise by one. Both together say that everyone saw
//! the same events in the same order; `Log::close` adds that each acknowledgement is true.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// IDs beyond this are taken for nonsense; they would only cost memory.
const HIGHEST: u64 = 100_000_000;
/// A jump over more IDs than this is not noted ID by ID.
const WIDEST: u64 = 1_000_000;

/// A message by its sender and the sender's own count, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) sender: u16,
    pub(crate) number: u32,
}

/// What has an ID in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Message(Said),
    /// A join or a leave.
    Membership,
}

/// How an ID came to one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// For the first time, on time or late.
    First,
    /// Once more.
    Again,
}

/// An acknowledgement: what was said got this ID.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ack {
    pub(crate) said: Said,
    pub(crate) id: u64,
}

/// The outcome of a room, or of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    /// Messages that reached a receiver, each once.
    pub(crate) delivered: u64,
    /// Acknowledged messages times receivers.
    pub(crate) expected: u64,
    /// An ID twice at one receiver, or one message under two IDs.
    pub(crate) duplicated: u64,
    /// An ID that a receiver never got.
    pub(crate) missing: u64,
    /// An ID that came after a higher one, or a sender's messages in another order.
    pub(crate) disordered: u64,
    /// An ID that means one thing here and another there, or a stranger's event.
    pub(crate) mismatched: u64,
}

impl Counts {
    /// Whether every acknowledged message came everywhere, once and in order.
    pub(crate) fn sound(&self) -> bool {
        self.duplicated + self.missing + self.disordered + self.mismatched == 0
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.acked += other.acked;
        self.delivered += other.delivered;
        self.expected += other.expected;
        self.duplicated += other.duplicated;
        self.missing += other.missing;
        self.disordered += other.disordered;
        self.mismatched += other.mismatched;
    }
}

/// One receiver's view of a room.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The first ID it owed an ear to.
    first: u64,
    last: u64,
    holes: BTreeSet<u64>,
    /// IDs skipped without a note, see `WIDEST`.
    skipped: u64,
    delivered: u64,
    duplicated: u64,
    disordered: u64,
    mismatched: u64,
}

impl Ledger {
    /// For a receiver that entered when the room's newest ID was `seq`;
    /// 0 if the server did not say, then its first event is where it begins.
    pub(crate) fn new(seq: u64) -> Self {
        let first = if seq == 0 { 0 } else { seq + 1 };
        Self {
            first,
            last: seq,
            ..Self::default()
        }
    }

    /// Notes that `event` came with `id`.
    pub(crate) fn hear(&mut self, log: &mut Log, id: u64, event: Event) -> Arrival {
        if id == 0 || id > HIGHEST {
            self.mismatched += 1;
            return Arrival::Again;
        }
        if self.first == 0 {
            (self.first, self.last) = (id, id - 1);
        }
        if id > self.last {
            let jumped = id - self.last - 1;
            if jumped > WIDEST {
                self.skipped += jumped;
            } else {
                self.holes.extend(self.last + 1..id);
            }
            self.last = id;
        } else if self.holes.remove(&id) {
            self.disordered += 1;
        } else {
            self.duplicated += 1;
            return Arrival::Again;
        }
        if matches!(event, Event::Message(_)) {
            self.delivered += 1;
        }
        if !log.note(id, event) {
            self.mismatched += 1;
        }
        Arrival::First
    }

    /// The highest ID it got.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Notes something that does not belong here: another room's event, a text of no one's.
    pub(crate) fn stranger(&mut self) {
        self.mismatched += 1;
    }

    /// Whether nothing up to `id` is outstanding.
    pub(crate) fn caught_up(&self, id: u64) -> bool {
        self.last >= id && self.holes.is_empty()
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    event: Option<Event>,
    heard: u32,
}

/// What a room's receivers heard, by ID.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// ID 1 is at index 0.
    entries: Vec<Entry>,
    acks: Vec<Ack>,
    /// The highest ID acknowledged.
    acked: u64,
}

impl Log {
    /// Counts one receiver more for `id`; false if another one heard something else.
    fn note(&mut self, id: u64, event: Event) -> bool {
        let Some(index) = index(id) else { return false };
        if index >= self.entries.len() {
            self.entries.resize(
                index + 1,
                Entry {
                    event: None,
                    heard: 0,
                },
            );
        }
        let entry = &mut self.entries[index];
        entry.heard += 1;
        *entry.event.get_or_insert(event) == event
    }

    /// How many receivers have heard `id`.
    pub(crate) fn heard(&self, id: u64) -> u32 {
        index(id)
            .and_then(|index| self.entries.get(index))
            .map_or(0, |entry| entry.heard)
    }

    /// Notes an acknowledgement.
    pub(crate) fn ack(&mut self, ack: Ack) {
        self.acks.push(ack);
        if ack.id <= HIGHEST {
            self.acked = self.acked.max(ack.id);
        }
    }

    /// The highest ID that everyone must get.
    pub(crate) fn highest(&self) -> u64 {
        let heard = u64::try_from(self.entries.len()).unwrap_or(u64::MAX);
        heard.max(self.acked)
    }

    /// The verdict on the room, of which `ledgers` are all the receivers.
    pub(crate) fn close(&self, ledgers: &[Ledger]) -> Counts {
        let mut counts = self.check_messages();
        self.check_acks(&mut counts);
        let receivers = u64::try_from(ledgers.len()).unwrap_or(u64::MAX);
        counts.expected = counts.acked * receivers;
        let highest = self.highest();
        for ledger in ledgers {
            let before = self.acks.iter().filter(|ack| ack.id < ledger.first).count();
            let noted = u64::try_from(ledger.holes.len() + before).unwrap_or(u64::MAX);
            counts.missing += if ledger.first == 0 {
                counts.acked
            } else {
                noted + ledger.skipped + highest.saturating_sub(ledger.last)
            };
            counts.delivered += ledger.delivered;
            counts.duplicated += ledger.duplicated;
            counts.disordered += ledger.disordered;
            counts.mismatched += ledger.mismatched;
        }
        counts
    }

    /// Each sender's messages must stand in the log once and in the order sent.
    fn check_messages(&self) -> Counts {
        let mut counts = Counts::default();
        let mut seen: BTreeMap<u16, (u32, BTreeSet<u32>)> = BTreeMap::new();
        for entry in &self.entries {
            let Some(Event::Message(Said { sender, number })) = entry.event else {
                continue;
            };
            // The next number due, and those before it that were passed over.
            let (due, passed) = seen.entry(sender).or_default();
            if number >= *due {
                passed.extend(*due..number);
                *due = number + 1;
            } else if passed.remove(&number) {
                counts.disordered += 1;
            } else {
                counts.duplicated += 1;
            }
        }
        counts
    }

    /// Each acknowledged ID must be that message in the log. An ID that no one heard
    /// is not judged here: every receiver misses it already.
    fn check_acks(&self, counts: &mut Counts) {
        let mut ids = BTreeSet::new();
        for ack in &self.acks {
            counts.acked += 1;
            let heard = index(ack.id).and_then(|index| self.entries.get(index));
            let other = heard
                .and_then(|entry| entry.event)
                .is_some_and(|event| event != Event::Message(ack.said));
            if other || !ids.insert(ack.id) || index(ack.id).is_none() {
                counts.mismatched += 1;
            }
        }
    }
}

fn index(id: u64) -> Option<usize> {
    if id > HIGHEST {
        None
    } else {
        usize::try_from(id.checked_sub(1)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(number: u32) -> Said {
        Said { sender: 3, number }
    }

    /// A room where messages 0 to 9 got the IDs 11 to 20 and were acknowledged, and where
    /// one receiver heard everything and another one heard `ids`.
    fn room(ids: &[u64]) -> Counts {
        let (mut log, mut good, mut other) = (Log::default(), Ledger::new(10), Ledger::new(10));
        for number in 0..10 {
            let id = u64::from(number) + 11;
            log.ack(Ack {
                said: said(number),
                id,
            });
            good.hear(&mut log, id, Event::Message(said(number)));
        }
        for &id in ids {
            let number = u32::try_from(id - 11).unwrap();
            other.hear(&mut log, id, Event::Message(said(number)));
        }
        log.close(&[good, other])
    }

    fn fine() -> Counts {
        Counts {
            acked: 10,
            delivered: 20,
            expected: 20,
            ..Counts::default()
        }
    }

    #[test]
    fn a_faultless_room_is_sound() {
        let ids: Vec<u64> = (11..=20).collect();
        assert_eq!(room(&ids), fine());
        assert!(room(&ids).sound());
    }

    #[test]
    fn a_duplicate_is_found() {
        let counts = room(&[11, 12, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
        assert_eq!(
            counts,
            Counts {
                duplicated: 1,
                ..fine()
            }
        );
        assert!(!counts.sound());
    }

    #[test]
    fn a_loss_is_found_at_the_beginning_in_the_middle_and_at_the_end() {
        for lost in [11, 14, 20] {
            let ids: Vec<u64> = (11..=20).filter(|&id| id != lost).collect();
            assert_eq!(
                room(&ids),
                Counts {
                    missing: 1,
                    delivered: 19,
                    ..fine()
                },
                "{lost}"
            );
        }
        assert_eq!(
            room(&[]),
            Counts {
                missing: 10,
                delivered: 10,
                ..fine()
            }
        );
    }

    #[test]
    fn a_swap_is_found() {
        let counts = room(&[11, 12, 14, 13, 15, 16, 17, 18, 19, 20]);
        assert_eq!(
            counts,
            Counts {
                disordered: 1,
                ..fine()
            }
        );
    }

    #[test]
    fn another_text_under_the_same_id_is_found() {
        let (mut log, mut one, mut two) = (Log::default(), Ledger::new(0), Ledger::new(0));
        one.hear(&mut log, 5, Event::Message(said(0)));
        one.hear(&mut log, 6, Event::Message(said(1)));
        two.hear(&mut log, 5, Event::Message(said(1)));
        two.hear(&mut log, 6, Event::Message(said(0)));
        assert_eq!(log.close(&[one, two]).mismatched, 2);
    }

    #[test]
    fn a_false_acknowledgement_is_found() {
        let (mut log, mut one) = (Log::default(), Ledger::new(0));
        one.hear(&mut log, 5, Event::Message(said(0)));
        log.ack(Ack {
            said: said(1),
            id: 5,
        });
        assert_eq!(log.close(&[one]).mismatched, 1);
    }

    #[test]
    fn a_message_posted_twice_or_out_of_the_senders_order_is_found() {
        let (mut log, mut one) = (Log::default(), Ledger::new(1));
        for (id, number) in [(2, 0), (3, 0), (4, 3), (5, 2), (6, 4)] {
            one.hear(&mut log, id, Event::Message(said(number)));
        }
        let counts = log.close(&[one]);
        assert_eq!(
            (counts.duplicated, counts.disordered, counts.missing),
            (1, 1, 0)
        );
    }

    #[test]
    fn joins_count_as_events_but_not_as_deliveries() {
        let (mut log, mut one) = (Log::default(), Ledger::new(1));
        one.hear(&mut log, 2, Event::Membership);
        one.hear(&mut log, 3, Event::Message(said(0)));
        assert!(one.caught_up(3) && !one.caught_up(4));
        let counts = log.close(&[one]);
        assert!(counts.sound());
        assert_eq!(counts.delivered, 1);
    }

    #[test]
    fn nonsense_ids_cost_no_memory() {
        let (mut log, mut one) = (Log::default(), Ledger::new(1));
        one.hear(&mut log, u64::MAX, Event::Membership);
        one.hear(&mut log, 0, Event::Membership);
        log.ack(Ack {
            said: said(0),
            id: u64::MAX,
        });
        assert_eq!(log.close(&[one]).mismatched, 3);
    }
}

//! Faults planted in an otherwise sound log or ledger are found, each by its name.

use std::collections::BTreeMap;

use client::wire::frame::EventKind;
use client::wire::{RoomId, Seq, Timestamp, Uid};
use proptest::prelude::*;

use super::{Kind, check};
use crate::ledger::{Ack, Delivery, Event, RoomLedger, Span, Stream, Tag, Way, hash};
use crate::random::Random;

const CREATOR: u64 = 1;
/// Stays from his join on.
const WRITER: u64 = 2;
/// Comes and goes.
const GUEST: u64 = 3;

/// A sound history: a log of about `length` events, and what everyone was told of it.
fn sound(seed: u64, length: u64) -> (Vec<Event>, RoomLedger) {
    let mut random = Random::new(seed);
    let mut log = Vec::new();
    append(&mut log, EventKind::Join, CREATOR);
    append(&mut log, EventKind::Join, WRITER);
    let mut inside = false;
    // The guest's leaves and joins in turn, so that each kind of mutation has its place.
    for step in 0..length {
        if step % 8 == 7 {
            let kind = if inside {
                EventKind::Leave
            } else {
                EventKind::Join
            };
            append(&mut log, kind, GUEST);
            inside = !inside;
        } else {
            append(&mut log, EventKind::Message, random.between(1, 2));
        }
    }
    let ledger = RoomLedger {
        room: RoomId::new(9).unwrap(),
        acks: acks(&log),
        doubts: Vec::new(),
        streams: vec![
            stream("reader", CREATOR, resumed(&log, &mut random)),
            stream("guest", GUEST, visits(&log)),
        ],
    };
    (log, ledger)
}

fn append(log: &mut Vec<Event>, kind: EventKind, user: u64) {
    let seq = Seq(log.len() as u64 + 1);
    let text = match kind {
        EventKind::Message => hash(&format!("text {seq}")),
        _ => hash(""),
    };
    log.push(Event {
        seq,
        kind,
        id: seq,
        uid: uid(user),
        text,
        timestamp: Timestamp::from_micros(1_000 + seq.get().cast_signed()),
    });
}

fn uid(user: u64) -> Uid {
    Uid::new(user).unwrap()
}

fn acks(log: &[Event]) -> Vec<Ack> {
    let mut places = BTreeMap::<Uid, u32>::new();
    let mut ack = |event: &Event| {
        let place = places.entry(event.uid).or_default();
        *place += 1;
        Ack {
            nonce: Tag {
                writer: u32::try_from(event.uid.get()).unwrap(),
                number: *place,
            },
            uid: event.uid,
            text: event.text,
            id: event.id,
            timestamp: event.timestamp,
            // Each waits for a few answers at once.
            sent: event.seq.get() * 10,
            told: event.seq.get() * 10 + 35,
            gateway: 1,
            way: Way::Socket,
            connection: 1,
            place: *place,
            tries: 1,
        }
    };
    let messages = log.iter().filter(|event| event.kind == EventKind::Message);
    messages.map(&mut ack).collect()
}

fn stream(reader: &str, user: u64, spans: Vec<Span>) -> Stream {
    let reader = reader.to_owned();
    Stream {
        reader,
        uid: uid(user),
        spans,
    }
}

fn delivery(event: &Event) -> Delivery {
    Delivery {
        seq: event.seq,
        print: event.print(),
        at: 0,
        live: true,
    }
}

fn span(entered: u64, events: &[Event]) -> Span {
    let first = events.first().map_or(1, |event| event.seq.get());
    Span {
        after: Seq(first - 1),
        entered: Seq(entered),
        at: 0,
        gateway: 1,
        connection: 1,
        deliveries: events.iter().map(delivery).collect(),
    }
}

/// One who was always inside, over two connections.
fn resumed(log: &[Event], random: &mut Random) -> Vec<Span> {
    let cut = usize::try_from(random.between(2, log.len() as u64 - 1)).unwrap();
    vec![span(2, &log[..cut]), span(cut as u64, &log[cut..])]
}

/// One span a visit; what happened meanwhile is replayed at the next.
fn visits(log: &[Event]) -> Vec<Span> {
    let mut spans = Vec::new();
    let (mut from, mut joined) = (0, None);
    for event in log.iter().filter(|event| event.uid == uid(GUEST)) {
        let seq = usize::try_from(event.seq.get()).unwrap();
        if event.kind == EventKind::Join {
            joined = Some(seq);
        } else if let Some(at) = joined.take() {
            spans.push(span(at as u64, &log[from..seq]));
            from = seq;
        }
    }
    if let Some(at) = joined {
        spans.push(span(at as u64, &log[from..]));
        from = log.len();
    }
    if from < log.len() {
        // He has come back in the end, as the load's members do.
        let rest = spans.last_mut().map(|span| &mut span.deliveries);
        assert!(rest.is_none(), "a guest who is outside in the end");
    }
    spans
}

fn kinds(log: &[Event], ledger: &RoomLedger) -> Vec<Kind> {
    let mut kinds: Vec<_> = check(log, ledger).counted.into_keys().collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// Long enough for three visits, the last of which has not ended.
const LENGTH: u64 = 43;

fn planted(plant: impl FnOnce(&mut Vec<Event>, &mut RoomLedger)) -> Vec<Kind> {
    let (mut log, mut ledger) = sound(5, LENGTH);
    plant(&mut log, &mut ledger);
    kinds(&log, &ledger)
}

#[test]
fn a_sound_history_passes() {
    assert_eq!(planted(|_, _| ()), []);
}

#[test]
fn an_event_of_another_kind_is_no_change_of_membership() {
    // A member reacts, in the middle of a stay that goes on.
    let react = |user| {
        let (mut log, mut ledger) = sound(5, 7);
        append(&mut log, EventKind::React, user);
        append(&mut log, EventKind::Message, WRITER);
        ledger.acks = acks(&log);
        ledger.streams = vec![stream("writer", WRITER, vec![span(2, &log)])];
        kinds(&log, &ledger)
    };
    assert_eq!(react(WRITER), []);
    // Nobody may react from outside.
    assert_eq!(react(GUEST), [Kind::NonMember]);
}

#[test]
fn a_lost_message_is_found() {
    // A later message took its place, and all readers agree.
    let kinds = planted(|log, ledger| {
        let text = hash("something else");
        log[20].text = text;
        ledger.acks.push(Ack {
            text,
            ..ledger.acks[0]
        });
        ledger.acks.last_mut().unwrap().nonce.number = 99;
    });
    assert!(kinds.contains(&Kind::Lost), "{kinds:?}");
}

#[test]
fn a_lost_last_message_is_found() {
    let kinds = planted(|log, ledger| {
        log.pop();
        ledger.streams.clear();
    });
    assert_eq!(kinds, [Kind::Lost]);
}

#[test]
fn a_message_that_is_there_twice_is_found() {
    let kinds = planted(|log, ledger| {
        log[20].text = log[21].text;
        ledger.streams.clear();
    });
    assert!(kinds.contains(&Kind::Doubled), "{kinds:?}");
}

#[test]
fn an_acknowledgement_with_a_wrong_id_is_found() {
    let kinds = planted(|_, ledger| ledger.acks[3].id = Seq(40));
    assert!(kinds.contains(&Kind::WrongId), "{kinds:?}");
}

#[test]
fn two_answers_with_two_ids_to_one_nonce_are_found() {
    let kinds = planted(|_, ledger| {
        let again = Ack {
            id: Seq(40),
            ..ledger.acks[3]
        };
        ledger.acks.push(again);
    });
    assert!(kinds.contains(&Kind::WrongId), "{kinds:?}");
}

#[test]
fn another_time_than_was_acknowledged_is_found() {
    let kinds = planted(|_, ledger| ledger.acks[3].timestamp = Timestamp::from_micros(1));
    assert_eq!(kinds, [Kind::Altered]);
}

#[test]
fn a_message_that_nobody_was_told_of_is_found() {
    let kinds = planted(|_, ledger| {
        ledger.acks.remove(3);
    });
    assert_eq!(kinds, [Kind::Unknown]);
}

#[test]
fn what_is_in_doubt_may_be_there_but_not_twice() {
    let kinds = planted(|_, ledger| {
        let doubt = ledger.acks.remove(3);
        ledger.doubts.push(doubt.text);
    });
    assert_eq!(kinds, []);
    let kinds = planted(|log, ledger| {
        let doubt = ledger.acks.remove(3);
        ledger.doubts.push(doubt.text);
        let again = Seq(log.len() as u64 + 1);
        let written = log.iter().find(|event| event.text == doubt.text);
        log.push(Event {
            seq: again,
            id: again,
            ..*written.unwrap()
        });
        ledger.streams.clear();
    });
    assert!(kinds.contains(&Kind::Doubled), "{kinds:?}");
}

#[test]
fn a_hole_in_the_log_is_found() {
    let kinds = planted(|log, ledger| {
        let gone = log.remove(20);
        ledger.acks.retain(|ack| ack.id != gone.id);
        ledger.streams.clear();
    });
    assert_eq!(kinds, [Kind::Hole]);
}

#[test]
fn a_swap_in_the_log_is_found() {
    let kinds = planted(|log, _| log.swap(20, 21));
    assert!(kinds.contains(&Kind::Hole), "{kinds:?}");
}

#[test]
fn time_that_goes_back_is_found() {
    let kinds = planted(|log, ledger| {
        log[20].timestamp = Timestamp::from_micros(1);
        let id = log[20].id;
        for ack in ledger.acks.iter_mut().filter(|ack| ack.id == id) {
            ack.timestamp = Timestamp::from_micros(1);
        }
        ledger.streams.clear();
    });
    assert_eq!(kinds, [Kind::TimeBack]);
}

#[test]
fn a_message_that_overtook_one_already_answered_is_found() {
    let kinds = planted(|_, ledger| {
        for ack in &mut ledger.acks {
            ack.tries = 2;
        }
        ledger.acks[9].sent = 1_000;
    });
    assert_eq!(kinds, [Kind::Reordered]);
}

#[test]
fn a_connection_whose_order_was_not_kept_is_found() {
    let kinds = planted(|_, ledger| {
        let first = ledger.acks[0];
        let own: Vec<_> = (0..ledger.acks.len())
            .filter(|index| ledger.acks[*index].uid == first.uid)
            .take(2)
            .collect();
        let place = ledger.acks[own[0]].place;
        ledger.acks[own[0]].place = ledger.acks[own[1]].place;
        ledger.acks[own[1]].place = place;
    });
    assert_eq!(kinds, [Kind::Reordered]);
}

#[test]
fn a_message_by_a_non_member_is_found() {
    let kinds = planted(|log, ledger| {
        // The guest's first join comes later.
        assert_eq!(log[4].kind, EventKind::Message);
        log[4].uid = uid(GUEST);
        let id = log[4].id;
        let ack = ledger.acks.iter_mut().find(|ack| ack.id == id).unwrap();
        ack.uid = uid(GUEST);
        ledger.streams.clear();
    });
    assert_eq!(kinds, [Kind::NonMember]);
}

#[test]
fn a_second_join_without_a_leave_is_found() {
    let kinds = planted(|log, ledger| {
        let leave = log.iter().position(|event| event.kind == EventKind::Leave);
        log[leave.unwrap()].kind = EventKind::Join;
        ledger.streams.clear();
    });
    assert_eq!(kinds, [Kind::NonMember]);
}

#[test]
fn an_event_after_ones_own_leave_is_found() {
    let kinds = planted(|_, ledger| {
        // What the next visit begins with came on the connection of the last one.
        let spans = &mut ledger.streams[1].spans;
        let leaked = spans[1].deliveries.remove(0);
        spans[0].deliveries.push(leaked);
    });
    assert_eq!(kinds, [Kind::Leak]);
}

#[test]
fn an_entry_from_outside_is_found() {
    let kinds = planted(|_, ledger| {
        let spans = &mut ledger.streams[1].spans;
        let left = spans[0].deliveries.last().unwrap().seq;
        spans[1].entered = left;
    });
    assert_eq!(kinds, [Kind::OutsiderIn]);
}

/// A stream that was let in at the guest's leave without having it, and was then given
/// `more` events beyond it.
fn let_in_at_his_leave(more: usize) -> Vec<Kind> {
    planted(|_, ledger| {
        let spans = &mut ledger.streams[1].spans;
        let left = spans[0].deliveries.len();
        let (end, beyond) = (spans[0].deliveries.split_off(left - 2), more);
        let beyond = spans[1].deliveries.drain(..beyond);
        let entered = end[1].seq;
        let deliveries: Vec<_> = end.iter().copied().chain(beyond).collect();
        let between = Span {
            after: Seq(end[0].seq.get() - 1),
            entered,
            deliveries,
            ..spans[0].clone()
        };
        spans.insert(1, between);
    })
}

#[test]
fn who_leaves_while_he_is_let_in_gets_nothing_after_it() {
    assert_eq!(let_in_at_his_leave(0), []);
    assert_eq!(let_in_at_his_leave(1), [Kind::Leak]);
}

#[test]
fn a_hole_in_a_stream_is_found() {
    let kinds = planted(|_, ledger| {
        ledger.streams[0].spans[0].deliveries.remove(1);
    });
    assert_eq!(kinds, [Kind::StreamHole]);
}

#[test]
fn a_repeat_in_a_stream_is_found() {
    let kinds = planted(|_, ledger| {
        let deliveries = &mut ledger.streams[0].spans[0].deliveries;
        let again = deliveries[1];
        deliveries.insert(2, again);
    });
    assert_eq!(kinds, [Kind::StreamRepeat]);
}

#[test]
fn a_swap_in_a_stream_is_found() {
    let kinds = planted(|_, ledger| ledger.streams[0].spans[0].deliveries.swap(0, 1));
    assert_eq!(kinds, [Kind::StreamOrder]);
}

#[test]
fn another_event_than_the_log_has_is_found() {
    let kinds = planted(|_, ledger| ledger.streams[0].spans[0].deliveries[1].print ^= 1);
    assert_eq!(kinds, [Kind::StreamDiffers]);
}

#[test]
fn a_stream_without_the_newest_event_is_found() {
    let kinds = planted(|_, ledger| {
        let last = ledger.streams[0].spans.last_mut().unwrap();
        last.deliveries.pop();
    });
    assert_eq!(kinds, [Kind::Behind]);
}

/// Changes one thing at `place`, if that can be done there.
fn mutate(log: &mut Vec<Event>, ledger: &mut RoomLedger, what: u8, place: usize) -> bool {
    let reader = &mut ledger.streams[0].spans[0].deliveries;
    let ack = place % ledger.acks.len();
    let (logged, got) = (place % log.len(), place % reader.len());
    match what {
        0 => drop(log.remove(logged)),
        1 => log.insert(logged, log[logged]),
        2 => {
            let place = place % (log.len() - 1);
            log.swap(place, place + 1);
        }
        3 => log[logged].text ^= 1,
        4 => log[logged].uid = uid(77),
        5 => log[logged].timestamp = Timestamp::from_micros(0),
        6 => drop(ledger.acks.remove(ack)),
        7 => ledger.acks[ack].id = Seq(ledger.acks[ack].id.get() + 1),
        8 => ledger.acks[ack].uid = uid(77),
        9 => drop(reader.remove(got)),
        10 => reader.insert(got, reader[got]),
        11 if reader.len() > 1 => {
            let place = place % (reader.len() - 1);
            reader.swap(place, place + 1);
        }
        12 => reader[got].print ^= 1,
        13 => {
            let spans = &mut ledger.streams[1].spans;
            let visit = place % (spans.len() - 1);
            let leaked = spans[visit + 1].deliveries.remove(0);
            spans[visit].deliveries.push(leaked);
        }
        _ => return false,
    }
    true
}

proptest! {
    #[test]
    fn any_sound_history_passes(seed: u64, visits in 1_u64..20) {
        let (log, ledger) = sound(seed, visits * 16 - 5);
        prop_assert_eq!(kinds(&log, &ledger), []);
    }

    #[test]
    fn any_single_change_is_found(seed: u64, visits in 2_u64..20, what in 0_u8..14, place: usize) {
        let (mut log, mut ledger) = sound(seed, visits * 16 - 5);
        prop_assume!(mutate(&mut log, &mut ledger, what, place));
        prop_assert_ne!(kinds(&log, &ledger), []);
    }
}

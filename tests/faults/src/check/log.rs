//! The log by itself, and against the acknowledgements.

use std::collections::HashMap;

use client::wire::frame::EventKind;

use super::{Found, Kind, Members};
use crate::ledger::{Ack, Event, RoomLedger};

pub(super) fn check(log: &[Event], members: &Members, ledger: &RoomLedger, found: &mut Found) {
    in_sequence(log, found);
    by_members(log, members, found);
    as_acknowledged(log, ledger, found);
    in_order_of_sending(&ledger.acks, found);
}

/// Seq counts from 1 without a gap, and time never goes back.
fn in_sequence(log: &[Event], found: &mut Found) {
    let mut last = 0;
    for event in log {
        let seq = event.seq.get();
        if seq != last + 1 {
            let words = format!("event {seq} comes directly after event {last}");
            found.add(Kind::Hole, vec![last, seq], vec![], words);
        }
        last = seq;
    }
    for pair in log.windows(2) {
        if pair[1].timestamp < pair[0].timestamp {
            let seqs = vec![pair[0].seq.get(), pair[1].seq.get()];
            let words = format!("{} comes after {}", pair[1].timestamp, pair[0].timestamp);
            found.add(Kind::TimeBack, seqs, vec![], words);
        }
    }
}

/// Every author is inside directly before his event, but for who joins.
fn by_members(log: &[Event], members: &Members, found: &mut Found) {
    for event in log {
        let seq = event.seq.get();
        let inside = members.has(event.uid, seq.saturating_sub(1));
        if inside == (event.kind == EventKind::Join) {
            let place = if inside { "inside" } else { "outside" };
            let (kind, uid) = (event.kind.as_str(), event.uid);
            let words = format!("{kind} of user {uid}, who was {place} at event {seq}");
            found.add(Kind::NonMember, vec![seq], vec![], words);
        }
    }
}

/// What was acknowledged is there once, where and as the answer said; nothing else is,
/// but what is in doubt.
fn as_acknowledged(log: &[Event], ledger: &RoomLedger, found: &mut Found) {
    let acks = &ledger.acks;
    let mut places: HashMap<u64, Vec<&Event>> = HashMap::new();
    let messages = log.iter().filter(|event| event.kind == EventKind::Message);
    for event in messages.clone() {
        places.entry(event.text).or_default().push(event);
    }
    let mut told: HashMap<u64, &Ack> = HashMap::with_capacity(acks.len());
    for ack in acks {
        told.insert(ack.text, ack);
        let nonces = || vec![ack.nonce.to_string()];
        let id = ack.id.get();
        let Some(events) = places.get(&ack.text) else {
            let words = format!("acknowledged as {id}, and nowhere in the log: {ack:?}");
            found.add(Kind::Lost, vec![id], nonces(), words);
            continue;
        };
        let Some(event) = events.iter().find(|event| event.id == ack.id) else {
            let seqs: Vec<_> = events.iter().map(|event| event.seq.get()).collect();
            let words = format!("acknowledged as {id}, and in the log as {seqs:?}: {ack:?}");
            found.add(Kind::WrongId, seqs, nonces(), words);
            continue;
        };
        if (event.uid, event.timestamp) != (ack.uid, ack.timestamp) {
            let words = format!("in the log as {event:?}, acknowledged as {ack:?}");
            found.add(Kind::Altered, vec![id], nonces(), words);
        }
    }
    for (text, events) in &places {
        if events.len() > 1 {
            let seqs: Vec<_> = events.iter().map(|event| event.seq.get()).collect();
            let nonces = told.get(text).map(|ack| ack.nonce.to_string());
            let words = format!("one text at {seqs:?}");
            found.add(Kind::Doubled, seqs, nonces.into_iter().collect(), words);
        }
    }
    let known = |text| told.contains_key(text) || ledger.doubts.contains(text);
    for event in messages.filter(|event| !known(&event.text)) {
        let words = format!("nobody was told of it: {event:?}");
        found.add(Kind::Unknown, vec![event.seq.get()], vec![], words);
    }
}

/// What was sent after another's answer comes after it, whoever sent it; and what was
/// sent once, on one connection, keeps that connection's order.
fn in_order_of_sending(acks: &[Ack], found: &mut Found) {
    let mut by_id: Vec<_> = acks.iter().collect();
    by_id.sort_unstable_by_key(|ack| ack.id);
    let mut latest: Option<&Ack> = None;
    let mut on_connection: HashMap<_, &Ack> = HashMap::new();
    for ack in by_id {
        if let Some(earlier) = latest.filter(|earlier| ack.told < earlier.sent) {
            let words = "was answered before the other was sent";
            reordered(earlier, ack, words, found);
        }
        if latest.is_none_or(|earlier| ack.sent > earlier.sent) {
            latest = Some(ack);
        }
        if ack.tries == 1 {
            let own = (ack.nonce.writer, ack.connection);
            let before = on_connection.insert(own, ack);
            if let Some(earlier) = before.filter(|earlier| earlier.place > ack.place) {
                let words = "was sent before the other on the same connection";
                reordered(earlier, ack, words, found);
            }
        }
    }
}

fn reordered(earlier: &Ack, later: &Ack, words: &str, found: &mut Found) {
    let seqs = vec![earlier.id.get(), later.id.get()];
    let nonces = vec![earlier.nonce.to_string(), later.nonce.to_string()];
    let words = format!("the later one {words}: {earlier:?}, {later:?}");
    found.add(Kind::Reordered, seqs, nonces, words);
}

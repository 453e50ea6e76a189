//! What one reader got, against the log.

use std::collections::{HashMap, HashSet};

use super::{Found, Kind, Members};
use crate::ledger::{Delivery, Event, Span, Stream};

pub(super) fn check(
    log: &HashMap<u64, Event>,
    members: &Members,
    stream: &Stream,
    found: &mut Found,
) {
    as_logged(log, stream, found);
    while_inside(members, stream, found);
}

/// Each event once, in order, as the log has it, up to the newest.
fn as_logged(log: &HashMap<u64, Event>, stream: &Stream, found: &mut Found) {
    let all = || stream.spans.iter().flat_map(|span| &span.deliveries);
    let got: HashSet<_> = all().map(|delivery| delivery.seq.get()).collect();
    let head = log.keys().copied().max().unwrap_or(0);
    let mut seen = HashSet::with_capacity(got.len());
    let mut next = 1;
    for delivery in all() {
        let seq = delivery.seq.get();
        let said = |words: &str| told(stream, delivery, words);
        match log.get(&seq) {
            Some(event) if event.print() == delivery.print => {}
            Some(event) => {
                let words = said(&format!("which the log has as {event:?}"));
                found.add(Kind::StreamDiffers, vec![seq], vec![], words);
            }
            None => {
                let words = said("which the log does not have");
                found.add(Kind::StreamDiffers, vec![seq], vec![], words);
            }
        }
        if !seen.insert(seq) {
            found.add(Kind::StreamRepeat, vec![seq], vec![], said("again"));
        } else if seq > next {
            let missing = (next..seq).filter(|seq| !got.contains(seq)).count();
            let words = said(&format!("when {next} was due"));
            let (kind, seqs) = if missing > 0 {
                (Kind::StreamHole, vec![next, seq])
            } else {
                (Kind::StreamOrder, vec![next, seq])
            };
            found.add(kind, seqs, vec![], words);
        }
        next = next.max(seq + 1);
    }
    if next <= head {
        let reader = &stream.reader;
        let words = format!("{reader} waits for {next}, and the log has {head}");
        found.add(Kind::Behind, vec![next, head], vec![], words);
    }
}

/// Whoever enters is inside, and after his own leave nothing comes until he enters again.
fn while_inside(members: &Members, stream: &Stream, found: &mut Found) {
    for span in &stream.spans {
        let (after, entered) = (span.after.get(), span.entered.get());
        let mut last = entered;
        if !members.has(stream.uid, entered) {
            // He may have left while he was let in, at an event that he did not have yet.
            let left = members.last_leave(stream.uid, entered);
            let Some(left) = left.filter(|left| *left > after) else {
                let words = format!("{} entered from outside: {}", stream.reader, brief(span));
                found.add(Kind::OutsiderIn, vec![entered], vec![], words);
                continue;
            };
            last = left - 1;
        }
        let Some(left) = members.next_leave(stream.uid, last) else {
            continue;
        };
        for delivery in &span.deliveries {
            if delivery.live && delivery.seq.get() > left {
                let words = format!("after its user's leave {left}: {}", brief(span));
                let words = told(stream, delivery, &words);
                found.add(Kind::Leak, vec![left, delivery.seq.get()], vec![], words);
            }
        }
    }
}

fn brief(span: &Span) -> String {
    let ends = [span.deliveries.first(), span.deliveries.last()];
    let [first, last] = ends.map(|delivery| delivery.map_or(0, |delivery| delivery.seq.get()));
    format!(
        "asked after {}, answered {} by gateway {} on connection {} at {} us, then given {first} to {last}",
        span.after, span.entered, span.gateway, span.connection, span.at
    )
}

fn told(stream: &Stream, delivery: &Delivery, words: &str) -> String {
    let (reader, seq, at) = (&stream.reader, delivery.seq, delivery.at);
    format!("{reader} got {seq} {words}, at {at} ms")
}

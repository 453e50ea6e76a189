//! One who writes over a WebSocket, a window of unanswered messages at a time, and reads
//! along.

use std::time::Duration;

use client::wire::RoomId;
use client::wire::frame::{Fault, Sent};
use tokio::sync::watch;
use tokio::time::Instant;

use super::line::{Heard, Line};
use super::sending::{Sending, Told, outage};
use super::{Kept, Phase, Phases};
use crate::check::Kind;
use crate::ledger::{Ack, Way};

/// How far a writer may fall behind its pace before what it missed is forgotten.
const CATCHING_UP: Duration = Duration::from_secs(5);
/// How often it looks what it is to do.
const LOOK: Duration = Duration::from_millis(50);

pub(super) struct Writer {
    pub(super) line: Line,
    pub(super) sending: Sending,
    pub(super) window: usize,
    /// The time from one message to the next.
    pub(super) pace: Duration,
    /// Counts its acknowledgements.
    pub(super) acked: watch::Sender<u64>,
    pub(super) settled: watch::Sender<usize>,
}

impl Writer {
    pub(super) async fn run(mut self, phases: Phases) -> Kept {
        let mut next = Instant::now();
        let mut settled = false;
        loop {
            let phase = phases.borrow().clone();
            match phase {
                Phase::Work { .. } => {
                    self.line.mind_home(&phases);
                    next = self.write_by(next);
                }
                Phase::Settle { until } => {
                    let in_vain = Instant::now() >= until;
                    if !settled && (self.sending.len() == 0 || in_vain) {
                        settled = true;
                        self.settled.send_modify(|count| *count += 1);
                    }
                }
                Phase::Drain { heads, until } => {
                    if self.line.has_all(&heads) || Instant::now() >= until {
                        break;
                    }
                }
            }
            self.send_due().await;
            let until = Instant::now() + LOOK;
            let until = if settled {
                until
            } else {
                until.min(next.max(Instant::now()))
            };
            match self.line.hear(until).await {
                Heard::Sent(sent) => self.acknowledged(&sent),
                Heard::Refused(fault) => self.refused(&fault),
                Heard::Quiet | Heard::Connected | Heard::Lost => {}
            }
        }
        for pending in self.sending.into_pending() {
            let (tag, tries) = (pending.tag, pending.tries);
            let words = format!(
                "{}: {tag} has no answer, sent {tries} times",
                self.line.label
            );
            self.line.violation(Kind::Stuck, Some(pending.room), &words);
        }
        self.line.finish()
    }

    /// Writes what is due by its pace, and tells when there is more.
    fn write_by(&mut self, mut next: Instant) -> Instant {
        let now = Instant::now();
        if next <= now {
            // Also of what is forgotten: it would have been written.
            let due = self.line.shared.at(next);
            self.sending.fall_due(due);
        }
        if next + CATCHING_UP < now {
            next = now;
        }
        while next <= now && self.sending.len() < self.window && self.line.inside() {
            self.sending.write(self.line.shared.now());
            next += self.pace;
        }
        if next <= now { now + LOOK / 10 } else { next }
    }

    async fn send_due(&mut self) {
        let connection = self.line.connection;
        if self.sending.overdue(connection) {
            self.line.give_up("unanswered for too long");
        }
        if !self.line.inside() {
            return;
        }
        for number in self.sending.due(connection) {
            if let Some(frame) = self.sending.frame(number, connection) {
                self.line.send(&frame).await;
            }
        }
    }

    fn acknowledged(&mut self, sent: &Sent) {
        let told = Told {
            at: self.line.shared.now(),
            gateway: self.line.gateway(),
            way: Way::Socket,
        };
        let number = self.sending.number(sent.reference.as_deref());
        let acked = number.and_then(|number| {
            let (id, at) = (sent.message_id, sent.timestamp);
            self.sending.acknowledge(number, id, at, &told)
        });
        let Some((room, ack, waited)) = acked else {
            self.acknowledged_again(number, sent);
            return;
        };
        if room != sent.room {
            self.wrong_room(room, sent);
        }
        self.line.kept.acks.push((room, ack));
        if let Some(waited) = waited {
            let outage = outage(&self.line.label, waited, told.at);
            self.line.kept.outages.push(outage);
        }
        self.acked.send_modify(|count| *count += 1);
    }

    /// After a refusal for now it was sent twice on one connection: both answers count.
    fn acknowledged_again(&mut self, number: Option<u32>, sent: &Sent) {
        self.line.kept.meet("answered again");
        let acks = self.line.kept.acks.iter().rev();
        let mut same = acks.filter(|(_, ack)| Some(ack.nonce.number) == number);
        if let Some(&(room, ack)) = same.next() {
            let again = Ack {
                id: sent.message_id,
                timestamp: sent.timestamp,
                tries: ack.tries + 1,
                ..ack
            };
            self.line.kept.acks.push((room, again));
        }
    }

    fn wrong_room(&mut self, room: RoomId, sent: &Sent) {
        let words = format!("{}: {sent:?} of a message to room {room}", self.line.label);
        self.line.violation(Kind::Altered, Some(room), &words);
    }

    fn refused(&mut self, fault: &Fault) {
        self.line.kept.meet(format!("send: {}", fault.code));
        let Some(number) = self.sending.number(fault.reference.as_deref()) else {
            return;
        };
        if fault.retryable {
            self.sending.put_off(number);
        } else if let Some(pending) = self.sending.drop(number) {
            let words = format!("{}: {}: {fault:?}", self.line.label, pending.tag);
            self.line
                .violation(Kind::Refused, Some(pending.room), &words);
        }
    }
}

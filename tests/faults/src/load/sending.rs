//! What a writer has sent and not been answered: each message keeps its nonce and its
//! text until it is acknowledged, however often it is sent.

use std::collections::BTreeMap;
use std::time::Duration;

use client::wire::frame::{Command, Framed};
use client::wire::{MessageText, Nonce, RoomId, Timestamp, Uid};
use tokio::time::Instant;

use super::outage::{Outage, WORTH_TELLING, Who};
use crate::ledger::{Ack, Micros, Tag, Way, hash};
use crate::random::Random;

/// An answer is due within 5 s; what has none after this is sent elsewhere.
pub(super) const PATIENCE: Duration = Duration::from_secs(6);

/// A message without an answer.
pub(super) struct Pending {
    pub(super) tag: Tag,
    pub(super) room: RoomId,
    pub(super) text: String,
    pub(super) tries: u32,
    /// When it was sent for the first time.
    sent: Micros,
    /// The connection it was sent on last, when, and its place there.
    connection: u32,
    last: Instant,
    place: u32,
    /// It was refused, and is to be sent again then.
    again: Option<Instant>,
}

pub(super) struct Sending {
    writer: u32,
    uid: Uid,
    rooms: Vec<RoomId>,
    numbers: u32,
    places: u32,
    pending: BTreeMap<u32, Pending>,
    /// Since when an answer is missing, while one is.
    waits_since: Option<Micros>,
    /// When the last one came.
    answered: Micros,
    random: Random,
}

/// Where and when an answer came.
pub(super) struct Told {
    pub(super) at: Micros,
    pub(super) gateway: usize,
    pub(super) way: Way,
}

impl Sending {
    pub(super) fn new(writer: u32, uid: Uid, rooms: Vec<RoomId>, random: Random) -> Self {
        Self {
            writer,
            uid,
            rooms,
            numbers: 0,
            places: 0,
            pending: BTreeMap::new(),
            waits_since: None,
            answered: 0,
            random,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// A message is due, which cannot be written perhaps: its answer is missing from then on.
    pub(super) fn fall_due(&mut self, due: Micros) {
        let since = due.max(self.answered);
        self.waits_since.get_or_insert(since);
    }

    /// A new message, to its rooms in turn.
    pub(super) fn write(&mut self, now: Micros) -> u32 {
        self.numbers += 1;
        let tag = Tag {
            writer: self.writer,
            number: self.numbers,
        };
        let turn = usize::try_from(self.numbers).unwrap_or(0) % self.rooms.len();
        let length = usize::try_from(self.random.between(1, 150)).unwrap_or(1);
        self.fall_due(now);
        let pending = Pending {
            tag,
            room: self.rooms[turn],
            text: format!("{tag} {}", "é".repeat(length)),
            tries: 0,
            sent: now,
            connection: 0,
            last: Instant::now(),
            place: 0,
            again: None,
        };
        self.pending.insert(tag.number, pending);
        tag.number
    }

    /// What is to be sent on `connection` now, in the order it was written.
    pub(super) fn due(&self, connection: u32) -> Vec<u32> {
        let now = Instant::now();
        let due = |pending: &Pending| {
            pending.connection != connection || pending.again.is_some_and(|again| again <= now)
        };
        self.pending
            .iter()
            .filter(|(_, pending)| due(pending))
            .map(|(number, _)| *number)
            .collect()
    }

    /// Message `number`, which is sent on `connection` now.
    pub(super) fn send(&mut self, number: u32, connection: u32) -> Option<&Pending> {
        self.places += 1;
        let pending = self.pending.get_mut(&number)?;
        pending.tries += 1;
        pending.connection = connection;
        pending.last = Instant::now();
        pending.place = self.places;
        pending.again = None;
        Some(pending)
    }

    /// The same as a frame.
    pub(super) fn frame(&mut self, number: u32, connection: u32) -> Option<Framed> {
        let pending = self.send(number, connection)?;
        let nonce = pending.tag.to_string();
        let command = Command::Message {
            room: Some(pending.room),
            text: MessageText::parse("Text", &pending.text).ok()?,
            nonce: Some(Nonce::parse("Nonce", &nonce).ok()?),
        };
        let reference = Some(nonce);
        Some(Framed { reference, command })
    }

    /// Whether something has waited on `connection` for longer than it should.
    pub(super) fn overdue(&self, connection: u32) -> bool {
        self.pending.values().any(|pending| {
            pending.connection == connection
                && pending.again.is_none()
                && pending.last.elapsed() > PATIENCE
        })
    }

    /// Message `number` was refused for now.
    pub(super) fn put_off(&mut self, number: u32) {
        let pause = Duration::from_millis(self.random.between(50, 200));
        if let Some(pending) = self.pending.get_mut(&number) {
            pending.again = Some(Instant::now() + pause);
        }
    }

    /// Message `number` was refused for good.
    pub(super) fn drop(&mut self, number: u32) -> Option<Pending> {
        let refused = self.pending.remove(&number);
        if self.pending.is_empty() {
            self.waits_since = None;
        }
        refused
    }

    /// The number in a frame's reference.
    pub(super) fn number(&self, reference: Option<&str>) -> Option<u32> {
        let (writer, number) = reference?.strip_prefix('w')?.split_once('-')?;
        (writer.parse() == Ok(self.writer)).then(|| number.parse().ok())?
    }

    /// Takes an acknowledgement, and tells how long answers had been missing when that was
    /// long. `None`: the message has had its answer.
    pub(super) fn acknowledge(
        &mut self,
        number: u32,
        id: client::wire::Seq,
        timestamp: Timestamp,
        told: &Told,
    ) -> Option<(RoomId, Ack, Option<Micros>)> {
        let pending = self.pending.remove(&number)?;
        let since = self.waits_since.unwrap_or(told.at);
        let waited = told.at.saturating_sub(since);
        self.answered = told.at;
        self.waits_since = (!self.pending.is_empty()).then_some(told.at);
        let ack = Ack {
            nonce: pending.tag,
            uid: self.uid,
            text: hash(&pending.text),
            id,
            timestamp,
            sent: pending.sent,
            told: told.at,
            gateway: told.gateway,
            way: told.way,
            connection: pending.connection,
            place: pending.place,
            tries: pending.tries,
        };
        let waited = (waited >= WORTH_TELLING).then_some(waited);
        Some((pending.room, ack, waited))
    }

    /// All that has no answer.
    pub(super) fn into_pending(self) -> impl Iterator<Item = Pending> {
        self.pending.into_values()
    }
}

/// The outage of a writer that ended at `now`.
pub(super) fn outage(client: &str, lasted: Micros, now: Micros) -> Outage {
    Outage {
        who: Who::Writer,
        client: client.to_owned(),
        from: now.saturating_sub(lasted),
        lasted,
    }
}

#[cfg(test)]
mod tests {
    use client::wire::Seq;

    use super::*;

    const SECOND: Micros = 1_000_000;

    fn sending() -> Sending {
        let (uid, room) = (Uid::new(1).unwrap(), RoomId::new(1).unwrap());
        Sending::new(1, uid, vec![room], Random::new(1))
    }

    /// How long answers had been missing when that of message `number` came.
    fn waited(sending: &mut Sending, number: u32, at: Micros) -> Option<Micros> {
        let told = Told {
            at,
            gateway: 1,
            way: Way::Socket,
        };
        let answer = sending.acknowledge(number, Seq(1), Timestamp::from_micros(0), &told);
        answer.unwrap().2
    }

    #[test]
    fn an_answer_is_missed_from_when_the_first_message_that_could_not_be_written_was_due() {
        let mut sending = sending();
        for due in 1..9 {
            sending.fall_due(due * SECOND);
        }
        let number = sending.write(9 * SECOND);
        assert_eq!(waited(&mut sending, number, 10 * SECOND), Some(9 * SECOND));
        // And not from then on: nothing was due.
        let number = sending.write(20 * SECOND);
        assert_eq!(waited(&mut sending, number, 20 * SECOND), None);
    }

    #[test]
    fn what_was_due_before_an_answer_is_missed_from_that_answer_on() {
        let mut sending = sending();
        let number = sending.write(SECOND);
        assert_eq!(waited(&mut sending, number, 5 * SECOND), Some(4 * SECOND));
        sending.fall_due(2 * SECOND);
        let number = sending.write(5 * SECOND);
        assert_eq!(waited(&mut sending, number, 6 * SECOND), Some(SECOND));
    }

    #[test]
    fn a_refusal_is_an_answer() {
        let mut sending = sending();
        let number = sending.write(SECOND);
        assert!(sending.drop(number).is_some());
        let number = sending.write(9 * SECOND);
        assert_eq!(waited(&mut sending, number, 9 * SECOND), None);
    }
}

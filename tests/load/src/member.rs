//! One connection in its rooms: it listens, keeps a ledger of each, and sends if it is a
//! sender.
//!
//! Every message carries a reference, for a refusal may overtake the answers to messages
//! that were sent before.

use std::collections::VecDeque;
use std::io::Result;
use std::pin::pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};

use crate::ledger::{Ack, Arrival, Event, Ledger, Said};
use crate::room::{Room, Run};
use crate::scan;
use crate::stamp::Stamp;
use crate::ws::Socket;

/// When a sender sends.
#[derive(Debug)]
pub(crate) enum Pace {
    /// Closed loop: as long as fewer than this many messages are unanswered.
    Window(usize),
    /// Open loop: whenever a tick comes, whatever is unanswered. The tick is the intended
    /// time, from which latency counts, so that being late is part of it.
    Ticks(mpsc::Receiver<u64>),
}

/// What makes a connection a sender; it sends to its rooms in turn.
#[derive(Debug)]
pub(crate) struct Sender {
    /// Who it is in its rooms.
    id: u16,
    pace: Pace,
    /// The length of a text.
    bytes: usize,
    turn: usize,
    frame: Vec<u8>,
}

/// A connection's place in a room.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) room: Arc<Room>,
    pub(crate) ledger: Ledger,
    /// The newest ID when it entered again, once it has.
    pub(crate) resumed: Option<u64>,
    sent: u32,
    unanswered: VecDeque<Stamp>,
}

/// A connection that has entered its rooms.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) socket: Socket,
    /// By the rooms' IDs.
    seats: Vec<Seat>,
    unanswered: usize,
    /// Whether what it hears counts for `Tally::live`.
    live: bool,
}

/// What became of a connection: its ledgers, with the IDs of their rooms.
pub(crate) type Ledgers = Vec<(u64, Ledger)>;

impl Member {
    /// A connection that sits in `rooms`.
    pub(crate) fn new(
        socket: Socket,
        rooms: impl IntoIterator<Item = (Arc<Room>, Ledger)>,
    ) -> Self {
        let seats = rooms
            .into_iter()
            .map(|(room, ledger)| Seat::new(room, ledger));
        let mut seats: Vec<Seat> = seats.collect();
        seats.sort_by_key(|seat| seat.room.id);
        Self {
            socket,
            seats,
            unanswered: 0,
            live: false,
        }
    }

    /// Counts what it hears for `Tally::live`.
    pub(crate) fn live(self) -> Self {
        Self { live: true, ..self }
    }

    /// Sends if there is a sender, listens until nothing is outstanding, and hands in its
    /// ledgers.
    pub(crate) async fn run(mut self, sender: Option<Sender>, run: Arc<Run>) -> Ledgers {
        let mut ended = Ok(());
        if let Some(sender) = sender {
            ended = self.send(sender, &run).await;
            for seat in &mut self.seats {
                for _ in seat.unanswered.drain(..) {
                    run.error("unanswered");
                }
                seat.room.sender_done(seat.sent);
            }
            run.sender_done();
        }
        if ended.is_ok() {
            ended = self.listen_to_the_end(&run).await;
        }
        self.leave(ended, &run)
    }

    /// Hangs up, unless the connection has `ended` by itself, and hands in its ledgers.
    pub(crate) fn leave(self, ended: Result<()>, run: &Run) -> Ledgers {
        match ended {
            Ok(()) => self.socket.close(),
            Err(error) => run.error(format!("connection: {error}")),
        }
        let ledger = |seat: Seat| (seat.room.id, seat.ledger);
        self.seats.into_iter().map(ledger).collect()
    }

    /// Its first, and most often its only, seat.
    pub(crate) fn seat(&mut self) -> Option<&mut Seat> {
        self.seats.first_mut()
    }

    /// Sends until the run stops and everything is answered, or the grace is over.
    async fn send(&mut self, mut sender: Sender, run: &Run) -> Result<()> {
        let mut over = pin!(sleep_until(run.stop));
        let (mut stopped, mut late) = (false, false);
        loop {
            if !stopped && let Pace::Window(window) = sender.pace {
                while self.unanswered < window {
                    self.say(&mut sender, run.now());
                }
            }
            if stopped && self.unanswered == 0 {
                return Ok(());
            }
            tokio::select! {
                // The busiest comes last, or it could keep the others from being seen.
                biased;
                () = &mut over => {
                    if late {
                        return Ok(());
                    }
                    late = true;
                    // An open loop stops when its ticks do.
                    stopped |= matches!(sender.pace, Pace::Window(_));
                    over.as_mut().reset(run.stop + run.grace);
                }
                intended = tick(&mut sender.pace), if !stopped => match intended {
                    Some(intended) => self.say(&mut sender, intended),
                    None => stopped = true,
                },
                turn = self.turn(run) => turn?,
            }
        }
    }

    /// Queues the next message, with the time it counts from.
    fn say(&mut self, sender: &mut Sender, intended: u64) {
        let seats = self.seats.len();
        let index = sender.turn % seats.max(1);
        sender.turn += 1;
        let Some(seat) = self.seats.get_mut(index) else {
            return;
        };
        let room = (seats > 1).then_some(seat.room.id);
        let reference = reference(seat.sent, index, seats);
        let stamp = Stamp {
            sender: sender.id,
            number: seat.sent,
            sent: intended,
        };
        seat.sent += 1;
        seat.unanswered.push_back(stamp);
        self.unanswered += 1;
        self.socket.send(sender.write(room, reference, stamp));
    }

    /// Listens until the run has ended and nothing is outstanding.
    pub(crate) async fn listen_to_the_end(&mut self, run: &Run) -> Result<()> {
        let mut ended = pin!(run.ended());
        loop {
            tokio::select! {
                biased;
                turn = self.turn(run) => turn?,
                () = &mut ended => break,
            }
        }
        let last: Vec<u64> = self.seats.iter().map(|seat| seat.room.highest()).collect();
        let rest = async {
            let caught_up = |(seat, &last): (&Seat, &u64)| seat.ledger.caught_up(last);
            while !self.seats.iter().zip(&last).all(caught_up) {
                self.turn(run).await?;
            }
            Ok(())
        };
        // What is outstanding after that is missing; the ledger knows.
        timeout(run.grace, rest).await.unwrap_or(Ok(()))
    }

    /// Waits for frames and handles them. Nothing is lost when the future is dropped.
    pub(crate) async fn turn(&mut self, run: &Run) -> Result<()> {
        let Self {
            socket,
            seats,
            unanswered,
            live,
        } = self;
        // All frames of one read came at the same time.
        let mut now = None;
        let take = |frame: &[u8]| {
            let now = *now.get_or_insert_with(|| run.now());
            let event = scan::event(frame);
            match event.kind {
                b"message" => message(&event, seats, *live, now, run),
                b"join" | b"leave" => match find(seats, event.room_id) {
                    Some(seat) => {
                        let Seat { room, ledger, .. } = seat;
                        room.log(|log| ledger.hear(log, event.id, Event::Membership));
                    }
                    None => stranger(seats),
                },
                b"sent" => match answered(seats, event.reference) {
                    Some((said, room)) => {
                        *unanswered -= 1;
                        acknowledged(said, event.message_id, room, now, run);
                    }
                    None => run.error("acknowledgement of nothing"),
                },
                b"error" => {
                    if answered(seats, event.reference).is_some() {
                        *unanswered -= 1;
                    }
                    run.error(String::from_utf8_lossy(event.code));
                }
                b"enter" => {
                    if event.gap {
                        run.error("a replay with a gap");
                    }
                    if let Some(seat) = find(seats, event.room_id) {
                        seat.resumed = Some(event.seq);
                    }
                }
                // Whatever else there is, the contract lets us ignore it.
                _ => {}
            }
        };
        socket.turn(take).await
    }
}

impl Seat {
    fn new(room: Arc<Room>, ledger: Ledger) -> Self {
        Self {
            room,
            ledger,
            resumed: None,
            sent: 0,
            unanswered: VecDeque::new(),
        }
    }
}

impl Sender {
    /// A sender known as `id` in its rooms, with texts of `bytes` bytes.
    pub(crate) fn new(id: u16, pace: Pace, bytes: u16) -> Self {
        Self {
            id,
            pace,
            bytes: bytes.into(),
            turn: 0,
            frame: Vec::new(),
        }
    }

    /// Begins with another of its rooms than the first.
    pub(crate) fn beginning_at(self, turn: usize) -> Self {
        Self { turn, ..self }
    }

    /// The frame of a message, to a room of the connection's if it has several.
    fn write(&mut self, room: Option<u64>, reference: u64, stamp: Stamp) -> &[u8] {
        use std::io::Write as _;
        self.frame.clear();
        // Writing to a vector cannot fail.
        let _ = write!(self.frame, r#"{{"Type":"message","Ref":"{reference}","#);
        if let Some(room) = room {
            let _ = write!(self.frame, r#""RoomID":{room},"#);
        }
        self.frame.extend_from_slice(br#""Text":""#);
        stamp.write(&mut self.frame, self.bytes);
        self.frame.extend_from_slice(br#""}"#);
        &self.frame
    }
}

/// The next tick of an open loop; a closed loop has none.
async fn tick(pace: &mut Pace) -> Option<u64> {
    match pace {
        Pace::Ticks(ticks) => ticks.recv().await,
        Pace::Window(_) => std::future::pending().await,
    }
}

fn find(seats: &mut [Seat], room: u64) -> Option<&mut Seat> {
    if let [only] = seats {
        return (only.room.id == room).then_some(only);
    }
    let index = seats
        .binary_search_by_key(&room, |seat| seat.room.id)
        .ok()?;
    seats.get_mut(index)
}

/// How the message `number` to the room at `index` of `seats` is referred to.
fn reference(number: u32, index: usize, seats: usize) -> u64 {
    let wide = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
    u64::from(number) * wide(seats) + wide(index)
}

/// Takes the message that an answer with `reference` is about.
fn answered(seats: &mut [Seat], reference: u64) -> Option<(Stamp, &Room)> {
    let count = u64::try_from(seats.len()).ok().filter(|&count| count > 0)?;
    let index = usize::try_from(reference % count).ok()?;
    let Seat {
        room, unanswered, ..
    } = seats.get_mut(index)?;
    let about = |stamp: &Stamp| u64::from(stamp.number) == reference / count;
    // Nearly always the first.
    let position = unanswered.iter().position(about)?;
    Some((unanswered.remove(position)?, room))
}

/// Notes something that belongs to no room of this connection.
fn stranger(seats: &mut [Seat]) {
    if let Some(seat) = seats.first_mut() {
        seat.ledger.stranger();
    }
}

fn message(event: &scan::Event<'_>, seats: &mut [Seat], live: bool, now: u64, run: &Run) {
    let (Some(stamp), Some(seat)) = (Stamp::read(event.text), find(seats, event.room_id)) else {
        stranger(seats);
        return;
    };
    let Stamp {
        sender,
        number,
        sent,
    } = stamp;
    let Seat { room, ledger, .. } = seat;
    let said = Event::Message(Said { sender, number });
    let (arrival, heard) = room.log(|log| (ledger.hear(log, event.id, said), log.heard(event.id)));
    if arrival == Arrival::First {
        let latency = micros(sent, now);
        let mut tally = run.tally();
        tally.delivered_in_time += u64::from(now < run.at(run.stop));
        tally.delivery.saturating_record(latency);
        if heard == room.receivers {
            tally.last.saturating_record(latency);
        }
        if live && run.is_live() {
            tally.live.saturating_record(latency);
        }
    }
}

/// Handles a `sent`, which is about the message with `stamp`.
fn acknowledged(stamp: Stamp, id: u64, room: &Room, now: u64, run: &Run) {
    let Stamp {
        sender,
        number,
        sent,
    } = stamp;
    let ack = Ack {
        said: Said { sender, number },
        id,
    };
    room.log(|log| log.ack(ack));
    let mut tally = run.tally();
    tally.acked_in_time += u64::from(now < run.at(run.stop));
    tally.ack.saturating_record(micros(sent, now));
}

/// From `from` to `to`, both in nanoseconds, in microseconds, rounded up.
fn micros(from: u64, to: u64) -> u64 {
    to.saturating_sub(from).div_ceil(1000)
}

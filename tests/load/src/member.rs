//! One connection in a room: it listens, keeps its ledger, and sends if it is a sender.
//!
//! A sender's answers come in the order of its frames (the contract says so), so the
//! oldest unanswered message is the one that a `sent` or an `error` is about.

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

/// What makes a connection a sender.
#[derive(Debug)]
pub(crate) struct Sender {
    id: u16,
    pace: Pace,
    /// The length of a text.
    bytes: usize,
    next: u32,
    unanswered: VecDeque<Stamp>,
    frame: Vec<u8>,
}

/// A connection that has entered its room.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) socket: Socket,
    pub(crate) room: Arc<Room>,
    pub(crate) ledger: Ledger,
    pub(crate) sender: Option<Sender>,
}

impl Member {
    /// Sends if it is a sender, listens until nothing is outstanding, and hands in its ledger.
    pub(crate) async fn run(mut self, run: Arc<Run>) -> Ledger {
        let sent = self.send(&run).await;
        if let Some(sender) = self.sender.take() {
            for _ in sender.unanswered {
                run.error("unanswered");
            }
            self.room.sender_done(sender.next);
        }
        let listened = match sent {
            Ok(()) => self.listen_to_the_end(&run).await,
            Err(error) => Err(error),
        };
        match listened {
            Ok(()) => self.socket.close(),
            Err(error) => run.error(format!("connection: {error}")),
        }
        self.ledger
    }

    /// Sends until the run stops and everything is answered, or the grace is over.
    async fn send(&mut self, run: &Run) -> Result<()> {
        let mut over = pin!(sleep_until(run.stop));
        let mut stopped = false;
        while let Some(sender) = &mut self.sender {
            if !stopped && let Pace::Window(window) = sender.pace {
                while sender.unanswered.len() < window {
                    sender.say(&mut self.socket, run.now());
                }
            }
            if stopped && sender.unanswered.is_empty() {
                return Ok(());
            }
            let room = &self.room;
            let ledger = &mut self.ledger;
            // Split, because ticks and answers are awaited at the same time.
            let Sender {
                pace, unanswered, ..
            } = sender;
            tokio::select! {
                // The busiest comes last, or it could keep the others from being seen.
                biased;
                () = &mut over => {
                    if stopped {
                        return Ok(());
                    }
                    // An open loop stops when its ticks do.
                    stopped = matches!(sender.pace, Pace::Window(_));
                    over.as_mut().reset(run.stop + run.grace);
                }
                intended = tick(pace), if !stopped => match intended {
                    Some(intended) => sender.say(&mut self.socket, intended),
                    None => stopped = true,
                },
                turn = turn(&mut self.socket, room, ledger, Some(unanswered), run) => turn?,
            }
        }
        Ok(())
    }

    async fn listen_to_the_end(&mut self, run: &Run) -> Result<()> {
        let room = Arc::clone(&self.room);
        let mut ended = pin!(room.ended());
        let last = loop {
            tokio::select! {
                biased;
                turn = turn(&mut self.socket, &room, &mut self.ledger, None, run) => turn?,
                last = &mut ended => break last,
            }
        };
        let rest = async {
            while !self.ledger.caught_up(last) {
                turn(&mut self.socket, &room, &mut self.ledger, None, run).await?;
            }
            Ok(())
        };
        // What is outstanding after that is missing; the ledger knows.
        timeout(run.grace, rest).await.unwrap_or(Ok(()))
    }
}

impl Sender {
    /// A sender known as `id` in its room, with texts of `bytes` bytes.
    pub(crate) fn new(id: u16, pace: Pace, bytes: usize) -> Self {
        let unanswered = VecDeque::new();
        Self {
            id,
            pace,
            bytes,
            next: 0,
            unanswered,
            frame: Vec::new(),
        }
    }

    /// Queues the next message, with the time it counts from.
    fn say(&mut self, socket: &mut Socket, sent: u64) {
        let stamp = Stamp {
            sender: self.id,
            number: self.next,
            sent,
        };
        self.next += 1;
        self.unanswered.push_back(stamp);
        self.frame.clear();
        self.frame
            .extend_from_slice(br#"{"Type":"message","Text":""#);
        stamp.write(&mut self.frame, self.bytes);
        self.frame.extend_from_slice(br#""}"#);
        socket.send(&self.frame);
    }
}

/// The next tick of an open loop; a closed loop has none.
async fn tick(pace: &mut Pace) -> Option<u64> {
    match pace {
        Pace::Ticks(ticks) => ticks.recv().await,
        Pace::Window(_) => std::future::pending().await,
    }
}

/// Waits for frames and handles them.
async fn turn(
    socket: &mut Socket,
    room: &Room,
    ledger: &mut Ledger,
    mut unanswered: Option<&mut VecDeque<Stamp>>,
    run: &Run,
) -> Result<()> {
    // All frames of one read came at the same time.
    let mut now = None;
    socket
        .turn(|frame| {
            let now = *now.get_or_insert_with(|| run.now());
            let event = scan::event(frame);
            match event.kind {
                b"message" => message(&event, room, ledger, now, run),
                b"join" | b"leave" if event.room_id == room.id => {
                    room.log(|log| ledger.hear(log, event.id, Event::Membership));
                }
                b"join" | b"leave" => ledger.stranger(),
                b"sent" => {
                    match unanswered
                        .as_mut()
                        .and_then(|unanswered| unanswered.pop_front())
                    {
                        Some(oldest) => answer(oldest, event.message_id, room, now, run),
                        None => run.error("acknowledgement of nothing"),
                    }
                }
                b"error" => {
                    if let Some(unanswered) = &mut unanswered {
                        unanswered.pop_front();
                    }
                    run.error(String::from_utf8_lossy(event.code));
                }
                // Whatever else there is, the contract lets us ignore it.
                _ => {}
            }
        })
        .await
}

fn message(event: &scan::Event<'_>, room: &Room, ledger: &mut Ledger, now: u64, run: &Run) {
    let stamp = Stamp::read(event.text).filter(|_| event.room_id == room.id);
    let Some(Stamp {
        sender,
        number,
        sent,
    }) = stamp
    else {
        ledger.stranger();
        return;
    };
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
    }
}

/// Handles a `sent`, which is about `oldest`.
fn answer(oldest: Stamp, id: u64, room: &Room, now: u64, run: &Run) {
    let Stamp {
        sender,
        number,
        sent,
    } = oldest;
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

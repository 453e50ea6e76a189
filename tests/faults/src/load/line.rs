//! A connection that comes back: to another gateway when its own does not answer, home
//! when all is well, and to each room after the last event that it had. It keeps all
//! events, in the order they came.

mod room;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use client::wire::frame::{Command, Event, Fault, Framed, Sent, ServerFrame};
use client::wire::{Code, Seq};
use client::{Error, Socket};
use tokio::time::{Instant, sleep_until};

use super::outage::CatchUp;
use super::users::User;
use super::{Kept, Phase, Phases, Shared, history, word_for};
use crate::check::Kind;
use crate::ledger::Micros;
use crate::random::Random;
pub(super) use room::{Stay, Watched};

/// How long a connection may be silent before it is asked whether it lives,
const SILENT: Duration = Duration::from_secs(1);
/// and before it is given up.
const DEAD: Duration = Duration::from_secs(3);
/// How long opening one may take.
const OPENING: Duration = Duration::from_secs(2);

/// What a line hears; events it keeps itself.
pub(super) enum Heard {
    /// Nothing for its owner.
    Quiet,
    /// It is connected, for the first time or anew: nothing sent before has an answer.
    Connected,
    /// It is not connected any more.
    Lost,
    /// A message is durable.
    Sent(Sent),
    /// A message is refused.
    Refused(Fault),
}

pub(super) struct Line {
    pub(super) user: Arc<User>,
    pub(super) label: String,
    pub(super) kept: Kept,
    pub(super) shared: Arc<Shared>,
    /// Counts its connections.
    pub(super) connection: u32,
    rooms: Vec<Watched>,
    home: usize,
    at: usize,
    calm: u64,
    socket: Option<Socket>,
    opened: Micros,
    heard: Instant,
    asked: bool,
    not_before: Instant,
    /// When the gateway that it was connected to was killed, until it has caught up.
    killed: Option<Micros>,
    random: Random,
}

impl Line {
    pub(super) fn new(
        user: &Arc<User>,
        label: String,
        home: usize,
        rooms: Vec<Watched>,
        shared: &Arc<Shared>,
        random: Random,
    ) -> Self {
        Self {
            user: Arc::clone(user),
            label,
            kept: Kept::default(),
            shared: Arc::clone(shared),
            connection: 0,
            rooms,
            home: home % shared.gateways,
            at: home % shared.gateways,
            calm: 0,
            socket: None,
            opened: 0,
            heard: Instant::now(),
            asked: false,
            not_before: Instant::now(),
            killed: None,
            random,
        }
    }

    /// The gateway it is at, from 1.
    pub(super) fn gateway(&self) -> usize {
        self.at + 1
    }

    /// The next thing that it hears, by `until`.
    pub(super) async fn hear(&mut self, until: Instant) -> Heard {
        if self.socket.is_none() {
            return self.open(until).await;
        }
        if let Err(error) = self.ask_for_rooms().await {
            return self.lose(&error);
        }
        let patience = if self.asked { DEAD } else { SILENT };
        let wait = until.min(self.heard + patience);
        let Some(socket) = &mut self.socket else {
            return Heard::Lost;
        };
        let wait = wait.saturating_duration_since(Instant::now());
        match socket.next_within(wait).await {
            Ok(frame) => {
                self.heard = Instant::now();
                self.asked = false;
                self.take(frame).await
            }
            Err(Error::Deadline) => self.mind_silence().await,
            Err(error) => self.lose(&error),
        }
    }

    /// Sends `frame`, if it is connected; an error shows when it next hears.
    pub(super) async fn send(&mut self, frame: &Framed) {
        if let Some(socket) = &mut self.socket
            && let Err(error) = socket.send(frame).await
        {
            self.lose(&error);
        }
    }

    /// Whether it is in all of its rooms now.
    pub(super) fn inside(&self) -> bool {
        let inside = |watched: &Watched| matches!(watched.stay, Stay::Inside);
        self.socket.is_some() && self.rooms.iter().all(inside)
    }

    /// Tries elsewhere: this gateway does not do what it should.
    pub(super) fn give_up(&mut self, why: &str) {
        // It is on its way to another already.
        if self.socket.is_none() {
            return;
        }
        self.kept.meet(why);
        self.hang_up();
    }

    /// Goes back to its own gateway once the system is well.
    pub(super) fn mind_home(&mut self, phases: &Phases) {
        let Phase::Work { calm } = *phases.borrow() else {
            return;
        };
        if calm > self.calm {
            self.calm = calm;
            if self.at != self.home {
                self.kept.meet("went home");
                self.hang_up();
                self.at = self.home;
            }
        }
    }

    /// Whether it has all of its rooms.
    pub(super) fn has_all(
        &self,
        heads: &std::collections::HashMap<client::wire::RoomId, Seq>,
    ) -> bool {
        self.rooms.iter().all(|watched| {
            heads
                .get(&watched.room)
                .is_none_or(|head| watched.cursor >= *head)
        })
    }

    /// All that it kept, when it is done.
    pub(super) fn finish(mut self) -> Kept {
        for watched in self.rooms {
            let outages = watched.late.finish();
            self.kept.outages.extend(outages);
            let stream = watched.stream;
            self.kept.streams.push((watched.room, stream));
        }
        self.kept
    }

    async fn open(&mut self, until: Instant) -> Heard {
        if Instant::now() < self.not_before {
            sleep_until(until.min(self.not_before)).await;
            return Heard::Quiet;
        }
        let api = self.user.apis[self.at].with_deadline(OPENING);
        match api.connect().await {
            Ok(socket) => {
                self.socket = Some(socket);
                self.connection += 1;
                self.opened = self.shared.now();
                self.heard = Instant::now();
                self.asked = false;
                for watched in &mut self.rooms {
                    watched.stay = Stay::Outside(Instant::now());
                }
                Heard::Connected
            }
            Err(error) => {
                if !error.retryable() {
                    let words = format!("{}: connecting: {error}", self.label);
                    self.violation(Kind::Refused, None, &words);
                }
                self.lose(&error)
            }
        }
    }

    async fn ask_for_rooms(&mut self) -> client::Result<()> {
        let now = Instant::now();
        for place in 0..self.rooms.len() {
            let watched = &mut self.rooms[place];
            let (Stay::Outside(again), Some(socket)) = (&watched.stay, &mut self.socket) else {
                continue;
            };
            if *again > now {
                continue;
            }
            watched.stay = Stay::Asked;
            watched.asked = watched.cursor;
            let (room, epoch) = (watched.room, watched.epoch);
            let after = Some(watched.cursor);
            // One room is entered, the others come with it.
            let command = if place == 0 {
                let room = Some(room);
                Command::Enter { room, after, epoch }
            } else {
                Command::Subscribe { room, after, epoch }
            };
            let reference = Some(format!("room {place}"));
            socket.send(&Framed { reference, command }).await?;
        }
        Ok(())
    }

    async fn take(&mut self, frame: ServerFrame) -> Heard {
        match frame {
            ServerFrame::Event(event) => return self.keep(&event).await,
            ServerFrame::Sent(sent) => return Heard::Sent(sent),
            ServerFrame::Enter(entered) | ServerFrame::Subscribe(entered) => {
                let (at, gateway) = (self.shared.now(), self.gateway());
                let own = place_of(entered.reference.as_deref());
                if let Some(watched) = own.and_then(|place| self.rooms.get_mut(place)) {
                    if entered.reset {
                        let words = format!("{}: {entered:?} after {}", self.label, watched.cursor);
                        let room = Some(watched.room);
                        watched.enter(&entered, at, gateway, self.connection);
                        self.violation(Kind::Reset, room, &words);
                    } else {
                        watched.enter(&entered, at, gateway, self.connection);
                    }
                }
                self.mind_catching_up();
            }
            ServerFrame::Error(fault) => match place_of(fault.reference.as_deref()) {
                Some(place) => return self.kept_out(place, &fault),
                None => return Heard::Refused(fault),
            },
            ServerFrame::Unsubscribe(_)
            | ServerFrame::Pong(_)
            | ServerFrame::Hello(_)
            | ServerFrame::Read(_)
            | ServerFrame::Other(_) => {}
        }
        Heard::Quiet
    }

    async fn keep(&mut self, event: &Event) -> Heard {
        let Some(place) = self
            .rooms
            .iter()
            .position(|watched| watched.room == event.room)
        else {
            let words = format!(
                "{}: an event of a room never asked for: {event:?}",
                self.label
            );
            self.violation(Kind::Leak, Some(event.room), &words);
            return Heard::Quiet;
        };
        if self.rooms[place].truncated && event.seq > self.rooms[place].cursor.next() {
            // What the replay left out is to be had by HTTP.
            let (room, after) = (self.rooms[place].room, self.rooms[place].cursor);
            let api = &self.user.apis[self.at];
            match history::between(api, room, after, event.seq).await {
                Ok(events) => {
                    self.kept.meet("paged after truncation");
                    let at = self.shared.now();
                    for event in events {
                        self.rooms[place].keep(event, at, false);
                    }
                }
                // Not this event either, then: it is asked for again.
                Err(error) => return self.lose(&error),
            }
        }
        let now = self.shared.now();
        let watched = &mut self.rooms[place];
        watched.truncated = false;
        watched.keep(event.into(), now, true);
        watched.mind_leave(event, self.user.uid);
        self.mind_catching_up();
        Heard::Quiet
    }

    /// A room was not entered.
    fn kept_out(&mut self, place: usize, fault: &Fault) -> Heard {
        self.kept.meet(format!("enter: {}", fault.code));
        let Some(watched) = self.rooms.get_mut(place) else {
            return Heard::Quiet;
        };
        watched.stay = Stay::Outside(Instant::now() + Duration::from_millis(150));
        let outside = !watched.steady && fault.code == Code::PermissionDenied;
        if outside {
            return Heard::Quiet;
        }
        if fault.retryable {
            return self.lose(&Error::Deadline);
        }
        let (room, words) = (watched.room, format!("{}: {fault:?}", self.label));
        self.violation(Kind::Refused, Some(room), &words);
        Heard::Quiet
    }

    async fn mind_silence(&mut self) -> Heard {
        let silent = self.heard.elapsed();
        if silent >= DEAD {
            return self.lose(&Error::Deadline);
        }
        if silent >= SILENT && !self.asked {
            self.asked = true;
            self.send(&Command::Ping.into()).await;
        }
        Heard::Quiet
    }

    fn lose(&mut self, error: &Error) -> Heard {
        self.kept.meet(word_for(error));
        self.hang_up();
        Heard::Lost
    }

    fn hang_up(&mut self) {
        let killed = self.shared.killed[self.at].load(Ordering::Relaxed);
        let was_open = self.socket.take().is_some();
        if was_open && killed > self.opened && self.killed.is_none() {
            self.killed = Some(killed);
        }
        self.at = (self.at + 1) % self.shared.gateways;
        let pause = self.random.between(20, 150);
        self.not_before = Instant::now() + Duration::from_millis(pause);
    }

    /// Whether it has all that there was when it came back after a kill.
    fn mind_catching_up(&mut self) {
        let Some(killed) = self.killed else { return };
        if self.rooms.iter().all(Watched::caught_up) {
            self.killed = None;
            if self.rooms.iter().all(|watched| watched.steady) {
                self.kept.catch_ups.push(CatchUp {
                    client: self.label.clone(),
                    killed,
                    took: self.shared.now().saturating_sub(killed),
                });
            }
        }
    }

    pub(super) fn violation(
        &mut self,
        kind: Kind,
        room: Option<client::wire::RoomId>,
        words: &str,
    ) {
        let words = format!("{words}, at {} us", self.shared.now());
        self.kept.violations.push(crate::check::Violation {
            kind,
            room,
            seqs: Vec::new(),
            nonces: Vec::new(),
            words,
        });
    }
}

/// The room that an answer is about, by the reference that it was asked with.
fn place_of(reference: Option<&str>) -> Option<usize> {
    reference?.strip_prefix("room ")?.parse().ok()
}

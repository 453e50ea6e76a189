//! A client as the contract asks for: it resumes, repeats with its nonce, and checks
//! every frame that it gets.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use base::{Code, Epoch, MessageText, Nonce, RoomId, Seq};
use futures_util::{SinkExt, StreamExt};
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use wire::frame::{Command, Entered, Event, EventKind, Fault, Framed, Sent, ServerFrame};

use super::ROOMS;
use super::house::House;
use super::log::World;

/// Messages without an answer, most.
const WINDOW: usize = 4;
/// A gateway gives posts up four seconds after it has read them, when no replica will write
/// them any more, or at five; a little earlier for who wrote them before they were read.
const GIVEN_UP: Duration = Duration::from_millis(3_500);
/// How long nothing may come before the connection is given up.
const SILENCE: Duration = Duration::from_mins(1);

/// What happened to clients, so that a test in which nothing did is noticed.
#[derive(Debug, Default, Clone)]
pub(super) struct Report {
    events: u64,
    acked: u64,
    resumed: u64,
    truncated: u64,
    resets: u64,
    too_slow: u64,
    going_away: u64,
    cut: u64,
    turned_away: u64,
    /// Told by the replicas, not by clients.
    pub(super) news: u64,
}

impl Report {
    fn counts(&mut self) -> [&mut u64; 10] {
        [
            &mut self.events,
            &mut self.acked,
            &mut self.resumed,
            &mut self.truncated,
            &mut self.resets,
            &mut self.too_slow,
            &mut self.going_away,
            &mut self.cut,
            &mut self.turned_away,
            &mut self.news,
        ]
    }

    /// Whether things went every way they can go.
    pub(super) fn is_telling(&self) -> bool {
        self.clone().counts().into_iter().all(|count| *count > 0)
    }
}

impl AddAssign for Report {
    fn add_assign(&mut self, mut other: Self) {
        for (sum, more) in self.counts().into_iter().zip(other.counts()) {
            *sum += *more;
        }
    }
}

/// The near end of a client.
pub(super) struct Client {
    task: JoinHandle<Report>,
    writes: watch::Sender<bool>,
}

impl Client {
    pub(super) fn start(uid: u64, world: &Arc<World>, house: &Arc<House>) -> Self {
        let (writes, may_write) = watch::channel(true);
        let state = State {
            uid,
            world: Arc::clone(world),
            house: Arc::clone(house),
            may_write,
            rooms: (1..=ROOMS).map(|room| (room, Place::default())).collect(),
            outbox: Vec::new(),
            written: 0,
            report: Report::default(),
        };
        Self {
            task: super::spawn(state.live()),
            writes,
        }
    }

    /// From here on it waits until it has everything.
    pub(super) fn write_no_more(&self) {
        self.writes.send_replace(false);
    }

    pub(super) async fn finish(self) -> Report {
        match self.task.await {
            Ok(report) => report,
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        }
    }
}

/// Where a client is in a room.
#[derive(Default)]
struct Place {
    /// The newest event it has.
    last: u64,
    /// The event that has to come next on this connection: not a new one, where it asked
    /// again for a room that it was getting already.
    next: u64,
    /// The event that it asked to go on after; without one it asked for what is to come.
    asked: Option<u64>,
    /// The newest event as the answer has it: what is after it is live.
    told: u64,
    /// It has seen its user leave, live: nothing more comes before the next answer.
    left: bool,
    epoch: Option<u64>,
    standing: Standing,
    /// What it was sent in this life of the log.
    has: BTreeMap<u64, String>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Standing {
    #[default]
    Out,
    /// It asked.
    Asked,
    In,
    /// It asks again then.
    Later(Instant),
}

/// A message without an answer.
struct Pending {
    room: u64,
    number: u64,
    sent_at: Option<Instant>,
}

impl Pending {
    fn may_be_given_up(&self) -> bool {
        self.sent_at.is_some_and(|at| at.elapsed() >= GIVEN_UP)
    }

    fn nonce(&self, uid: u64) -> String {
        format!("{uid}-{}", self.number)
    }
}

type Socket = WebSocketStream<DuplexStream>;

/// Why a connection is over.
struct Over;

struct State {
    uid: u64,
    world: Arc<World>,
    house: Arc<House>,
    may_write: watch::Receiver<bool>,
    rooms: BTreeMap<u64, Place>,
    outbox: Vec<Pending>,
    written: u64,
    report: Report,
}

impl State {
    async fn live(mut self) -> Report {
        loop {
            if let Some(wire) = self.house.connect(&self.world, self.uid).await {
                let mut socket = Socket::from_raw_socket(wire, Role::Client, None).await;
                for place in self.rooms.values_mut() {
                    place.standing = Standing::Out;
                }
                // What may have been given up, while what follows it was written, is not
                // tried again: that would be another order.
                for late in self.outbox.extract_if(.., |it| it.may_be_given_up()) {
                    self.world.note_given_up(late.room, self.uid, late.number);
                }
                for pending in &mut self.outbox {
                    pending.sent_at = None;
                }
                if self.connection(&mut socket).await.is_ok() {
                    self.compare();
                    return self.report;
                }
            }
            sleep(self.world.millis(0, 300)).await;
        }
    }

    /// Lives until the connection is over (an error), or it has everything.
    async fn connection(&mut self, socket: &mut Socket) -> Result<(), Over> {
        let mut act_at = Instant::now();
        loop {
            self.ask_for_rooms(socket).await?;
            self.send_messages(socket).await?;
            if self.has_everything() {
                return Ok(());
            }
            tokio::select! {
                biased;
                got = timeout(SILENCE, socket.next()) => self.take(got.ok().flatten())?,
                () = sleep_until(act_at) => {
                    self.act().await?;
                    act_at = Instant::now() + self.world.millis(5, 200);
                }
            }
        }
    }

    /// Does something of its own accord.
    async fn act(&mut self) -> Result<(), Over> {
        if !*self.may_write.borrow() {
            return Ok(());
        }
        match self.world.number(0, 99) {
            0..50 if self.outbox.len() < WINDOW => {
                self.written += 1;
                self.outbox.push(Pending {
                    room: self.world.number(1, ROOMS),
                    number: self.written,
                    sent_at: None,
                });
            }
            // It does something else, and does not read.
            50..54 => sleep(self.world.millis(200, 3_000)).await,
            // Its network is gone.
            54..56 => return Err(Over),
            _ => {}
        }
        Ok(())
    }

    async fn ask_for_rooms(&mut self, socket: &mut Socket) -> Result<(), Over> {
        for (&room, place) in &mut self.rooms {
            match place.standing {
                Standing::Out => {}
                Standing::Later(at) if Instant::now() >= at => {}
                _ => continue,
            }
            place.standing = Standing::Asked;
            place.asked = (!self.world.chance(5)).then_some(place.last);
            let command = Command::Subscribe {
                room: RoomId::new(room).unwrap(),
                after: place.asked.map(Seq),
                epoch: place.epoch.map(Epoch).filter(|_| place.asked.is_some()),
            };
            send(socket, format!("r{room}"), command).await?;
        }
        Ok(())
    }

    async fn send_messages(&mut self, socket: &mut Socket) -> Result<(), Over> {
        for pending in &mut self.outbox {
            let inside = self.rooms[&pending.room].standing == Standing::In;
            if pending.sent_at.is_some() || !inside {
                continue;
            }
            pending.sent_at = Some(Instant::now());
            let text = pending.number.to_string();
            let command = Command::Message {
                room: RoomId::new(pending.room),
                text: MessageText::parse("Text", &text).unwrap(),
                nonce: Some(Nonce::parse("Nonce", &pending.nonce(self.uid)).unwrap()),
            };
            send(socket, format!("m{}", pending.number), command).await?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        got: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>,
    ) -> Result<(), Over> {
        match got {
            Some(Ok(Message::Text(text))) => {
                self.frame(ServerFrame::parse(&text).unwrap());
                Ok(())
            }
            Some(Ok(Message::Ping(_))) => Ok(()),
            Some(Ok(Message::Close(frame))) => {
                match frame.map(|frame| u16::from(frame.code)) {
                    Some(1001) => self.report.going_away += 1,
                    Some(4008) => self.report.too_slow += 1,
                    other => panic!("closed with {other:?}"),
                }
                Err(Over)
            }
            Some(Ok(other)) => panic!("{other:?}"),
            Some(Err(_)) | None => {
                self.report.cut += 1;
                Err(Over)
            }
        }
    }

    fn frame(&mut self, frame: ServerFrame) {
        match frame {
            ServerFrame::Event(event) => self.event(&event),
            ServerFrame::Subscribe(entered) => self.entered(&entered),
            ServerFrame::Sent(sent) => self.sent(&sent),
            ServerFrame::Error(fault) => self.refused(&fault),
            ServerFrame::Enter(Entered { room: None, .. }) => {}
            other => panic!("{other:?}"),
        }
    }

    fn event(&mut self, event: &Event) {
        let (room, seq) = (event.room.get(), event.seq.get());
        let place = self.rooms.get_mut(&room).unwrap();
        let epoch = place.epoch.unwrap();
        self.world
            .check_event(self.uid, room, epoch, seq, &event.text);
        assert_eq!(seq, place.next, "user {} in room {room}", self.uid);
        assert!(
            !place.left,
            "user {} got {seq} of {room} after he left",
            self.uid
        );
        place.next += 1;
        let is_own_leave = event.kind == EventKind::Leave && event.uid.get() == self.uid;
        place.left = is_own_leave && seq > place.told;
        if seq <= place.last {
            return;
        }
        place.last = seq;
        place.has.insert(seq, event.text.clone());
        self.report.events += 1;
        // While it waits for an answer, that tells where it stands.
        let is_in = matches!(place.standing, Standing::In);
        if is_own_leave && is_in {
            let later = Instant::now() + self.world.millis(0, 400);
            place.standing = Standing::Later(later);
        }
    }

    fn entered(&mut self, entered: &Entered) {
        let place = self.rooms.get_mut(&entered.room.unwrap().get()).unwrap();
        let (head, epoch) = (entered.seq.unwrap().get(), entered.epoch.unwrap().0);
        let newest = head.saturating_sub(1_000);
        let (after, is_new_life) = match place.asked {
            None => {
                assert!(!entered.reset && !entered.truncated);
                (head, place.epoch != Some(epoch))
            }
            Some(_) if entered.reset => {
                assert_ne!(place.epoch, Some(epoch), "nothing was restored");
                self.report.resets += 1;
                (newest, true)
            }
            Some(asked) => {
                assert!(place.epoch.is_none_or(|before| before == epoch));
                assert!(asked <= head);
                assert_eq!(entered.truncated, asked < newest);
                self.report.truncated += u64::from(entered.truncated);
                // The rest is to be had by HTTP.
                (asked.max(newest), false)
            }
        };
        if is_new_life {
            place.last = 0;
            place.has.clear();
        }
        place.last = place.last.max(after);
        place.next = after + 1;
        self.report.resumed += u64::from(place.last > 0);
        (place.told, place.left) = (head, false);
        place.epoch = Some(epoch);
        place.standing = Standing::In;
    }

    fn sent(&mut self, sent: &Sent) {
        let pending = self.answered(sent.reference.as_deref().unwrap());
        let room = sent.room.get();
        assert_eq!(pending.room, room);
        // The life it was written in is known where it stands in the record; else the
        // room's own word, which is newer, is taken.
        let epoch = self.rooms[&room].epoch.unwrap();
        let (nonce, seq) = (pending.nonce(self.uid), sent.message_id.get());
        self.world.note_acked(room, epoch, self.uid, &nonce, seq);
        self.report.acked += 1;
    }

    fn refused(&mut self, fault: &Fault) {
        let reference = fault.reference.as_deref().unwrap();
        if let Some(room) = reference.strip_prefix('r') {
            let place = self.rooms.get_mut(&room.parse().unwrap()).unwrap();
            let expected = [
                Code::PermissionDenied,
                Code::Unavailable,
                Code::DeadlineExceeded,
            ];
            assert!(
                expected.contains(&fault.code),
                "{fault:?} at {}",
                place.last
            );
            self.report.turned_away += u64::from(fault.code == Code::PermissionDenied);
            place.standing = Standing::Later(Instant::now() + self.world.millis(20, 500));
            return;
        }
        let pending = self.answered(reference);
        let alone = self.outbox.iter().all(|other| other.room != pending.room);
        assert_ne!(fault.code, Code::NonceReused);
        // What others follow cannot be sent again without changing the order.
        if fault.retryable && alone {
            self.outbox.push(Pending {
                sent_at: None,
                ..pending
            });
        }
    }

    /// Takes the message out that a reference stands for.
    fn answered(&mut self, reference: &str) -> Pending {
        let number: u64 = reference.strip_prefix('m').unwrap().parse().unwrap();
        let mut outbox = self.outbox.iter();
        let index = outbox.position(|pending| pending.number == number);
        let index = index.unwrap_or_else(|| panic!("{number} is answered twice"));
        self.outbox.remove(index)
    }

    fn has_everything(&self) -> bool {
        let whole = |(&room, place): (&u64, &Place)| {
            let ends = |log: &mut super::log::Log| {
                place.last == log.head() && place.epoch == Some(log.epoch)
            };
            place.standing == Standing::In && self.world.room(room, ends).unwrap()
        };
        !*self.may_write.borrow() && self.outbox.is_empty() && self.rooms.iter().all(whole)
    }

    /// What it has is what the logs have.
    fn compare(&self) {
        for (&room, place) in &self.rooms {
            self.world.room(room, |log| {
                for (&seq, text) in &place.has {
                    let event = &log.events[usize::try_from(seq).unwrap() - 1];
                    assert_eq!((&event.text, event.seq), (text, seq), "room {room}");
                }
            });
        }
    }
}

async fn send(socket: &mut Socket, reference: String, command: Command) -> Result<(), Over> {
    let framed = Framed {
        reference: Some(reference),
        command,
    };
    let sending = socket.send(Message::text(framed.to_json()));
    // A gateway that does not read for so long is as good as gone.
    match timeout(SILENCE, sending).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Over),
    }
}

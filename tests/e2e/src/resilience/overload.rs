//! More than the log can write: everybody has an answer soon, much of it is refused, and
//! memory has a bound.

use std::time::Duration;

use client::wire::frame::{Command, Framed, ServerFrame};
use client::wire::{Code, MessageText, RoomId, Seq};
use client::{Api, Socket};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::harness::User;
use crate::harness::distributed::Dev;
use crate::harness::extra_gateway::ExtraGateway;
use crate::harness::extra_messages::ExtraMessages;

const MIB: u64 = 1 << 20;
/// How soon everybody is to have an answer.
const SOON: Duration = Duration::from_secs(1);
/// How long the last answers are waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was offered on one connection, and what came of it.
#[derive(Default)]
struct Tally {
    /// What was said to be durable: where, and its number here.
    sent: Vec<(Seq, usize)>,
    /// Refused, and written by no one.
    limited: usize,
    /// Refused, and written perhaps.
    unavailable: usize,
    waits: Vec<Duration>,
    /// The most that the generator itself was late.
    lag: Duration,
}

/// A connection in a room of its own, on which messages are sent without waiting.
struct Flood {
    api: Api,
    socket: Socket,
    room: RoomId,
    round: &'static str,
}

impl Flood {
    async fn start(user: &User, gateway: &Api) -> Self {
        let (api, room) = (gateway.with_token(user.token()), user.room().await);
        let mut socket = api.connect().await.unwrap();
        socket.enter(room).await.unwrap();
        let round = "";
        Self {
            api,
            socket,
            room,
            round,
        }
    }

    fn text(&self, number: usize) -> String {
        format!("{} {number} {}", self.round, "x".repeat(80))
    }

    /// Says something so often, for that long, with `window` without an answer at
    /// most, and waits for all answers. How long one takes counts from before it is written.
    async fn run(&mut self, every: Duration, period: Duration, window: usize) -> Tally {
        let (began, mut tally) = (Instant::now(), Tally::default());
        let mut asked_at = Vec::new();
        while began.elapsed() < period || tally.waits.len() < asked_at.len() {
            while asked_at.len() - tally.waits.len() < window && began.elapsed() < period {
                let due = began + every * u32::try_from(asked_at.len()).unwrap();
                let now = Instant::now();
                if due > now {
                    break;
                }
                tally.lag = tally.lag.max(now - due);
                let text = MessageText::parse("Text", &self.text(asked_at.len())).unwrap();
                let command = Command::Message {
                    room: None,
                    text,
                    nonce: None,
                };
                let reference = Some(asked_at.len().to_string());
                self.socket
                    .send(&Framed { reference, command })
                    .await
                    .unwrap();
                asked_at.push(now);
            }
            self.take(&mut tally, &asked_at).await;
            let missing = asked_at.len() - tally.waits.len();
            assert!(
                began.elapsed() < period + PATIENCE,
                "{missing} have no answer"
            );
        }
        tally
    }

    /// Takes what has come.
    async fn take(&mut self, tally: &mut Tally, asked_at: &[Instant]) {
        let mut patience = Duration::from_millis(2);
        loop {
            let reference = match self.socket.next_within(patience).await {
                Ok(ServerFrame::Sent(sent)) => {
                    let number: usize = sent.reference.as_deref().unwrap().parse().unwrap();
                    tally.sent.push((sent.message_id, number));
                    number
                }
                Ok(ServerFrame::Error(fault)) => {
                    assert!(fault.retryable, "{fault:?}");
                    match fault.code {
                        Code::RateLimited => tally.limited += 1,
                        Code::Unavailable => tally.unavailable += 1,
                        _ => panic!("{fault:?}"),
                    }
                    fault.reference.as_deref().unwrap().parse().unwrap()
                }
                Ok(ServerFrame::Event(_)) => continue,
                Err(client::Error::Deadline) => return,
                other => panic!("{other:?}"),
            };
            tally.waits.push(asked_at[reference].elapsed());
            patience = Duration::ZERO;
        }
    }

    /// Asserts that what was acknowledged is in the log, and nothing that was not tried.
    async fn is_kept(&self, tally: &Tally, from: Seq) {
        let mut log = Vec::new();
        let mut after = from;
        loop {
            let page = self
                .api
                .events(self.room, after, None, 1_000)
                .await
                .unwrap();
            if page.events.is_empty() {
                break;
            }
            after = page.events.last().unwrap().place().unwrap().1;
            log.extend(page.events);
        }
        for (seq, number) in &tally.sent {
            let index = usize::try_from(seq.get() - from.get()).unwrap() - 1;
            let ServerFrame::Event(event) = &log[index] else {
                panic!("{:?}", log[index]);
            };
            assert_eq!((event.seq, &event.text), (*seq, &self.text(*number)));
        }
        let most = tally.sent.len() + tally.unavailable;
        assert!((tally.sent.len()..=most).contains(&log.len()));
    }
}

/// Floods on all connections at once, and gives them back with what came of it.
async fn flood_all(
    floods: Vec<Flood>,
    (round, every, period, window): (&'static str, Duration, Duration, usize),
) -> Vec<(Flood, Tally)> {
    let mut running = JoinSet::new();
    for mut flood in floods {
        flood.round = round;
        running.spawn(async move {
            let tally = flood.run(every, period, window).await;
            (flood, tally)
        });
    }
    running.join_all().await
}

disruptive_scenarios! {
    async fn at_three_times_its_load_a_gateway_answers_or_sheds_within_a_second_and_stays_small(world: World) {
        const CONNECTIONS: usize = 32;
        // What waits is written together, so the more is offered the more can be done, and too
        // much today is not too much tomorrow. In batches of this size it is the log that is
        // too slow, and no faster when more waits.
        const BATCH: usize = 4;
        // Enough to fill every batch, and less in all than the 512 that may always wait.
        const WINDOW: usize = 8;
        // 65,536 posts without an answer, a kilobyte each with all that belongs to it; and
        // for each connection 512 frames that wait, 1,024 answers that are to come, a room's
        // ring, buffers: two megabytes. The rest is the process with nothing to do.
        const MOST: u64 = (64 + 2 * CONNECTIONS as u64 + 64) * MIB;
        let dev = Dev::from_env();
        let messages = ExtraMessages::start(&dev, BATCH).await;
        let gateway = ExtraGateway::start_before(&dev, &messages).await;
        let api = Api::new(&format!("http://{}", gateway.address())).unwrap();
        let user = world.user().await;
        let mut floods = Vec::new();
        for _ in 0..CONNECTIONS {
            floods.push(Flood::start(&user, &api).await);
        }

        // As much as it can do.
        let period = Duration::from_secs(6);
        let measured = flood_all(floods, ("measure", Duration::ZERO, period, WINDOW)).await;
        let served: usize = measured.iter().map(|(_, tally)| tally.sent.len()).sum();
        assert!(measured.iter().all(|(_, tally)| tally.sent.len() == tally.waits.len()));
        let apart = period * u32::try_from(CONNECTIONS).unwrap() / u32::try_from(served).unwrap();
        let quiet = gateway.memory().now;
        let mut from = Vec::new();
        for (flood, _) in &measured {
            let head = flood.api.events(flood.room, Seq(1), None, 1).await.unwrap().head;
            from.push((flood.room, head));
        }

        let floods = measured.into_iter().map(|(flood, _)| flood).collect();
        let period = Duration::from_secs(15);
        let flooded = flood_all(floods, ("flood", apart / 3, period, usize::MAX)).await;
        let peak = gateway.memory().most;

        let mut waits: Vec<Duration> = Vec::new();
        let (mut sent, mut limited, mut unavailable) = (0, 0, 0);
        let mut lag = Duration::ZERO;
        for (flood, tally) in &flooded {
            let (_, from) = from.iter().find(|(room, _)| *room == flood.room).unwrap();
            flood.is_kept(tally, *from).await;
            waits.extend(&tally.waits);
            sent += tally.sent.len();
            limited += tally.limited;
            unavailable += tally.unavailable;
            lag = lag.max(tally.lag);
        }
        waits.sort();
        let at = |percent: usize| waits[waits.len() * percent / 100];
        let most = waits.last().unwrap();
        println!(
            "served {served} in 6 s; offered {} in 15 s, {lag:?} late at most: {sent} sent, {limited} limited, \
             {unavailable} unavailable; answered after {:?} (p50), {:?} (p99), {most:?} at most; \
             {} MiB before, {} MiB at most of {}",
            waits.len(), at(50), at(99), quiet / MIB, peak / MIB, MOST / MIB,
        );
        assert!(limited > 0, "it was no overload");
        // It shares the processors with what it measures. When its turn comes late it writes
        // all that was due meanwhile before it reads, and by then its next turn may be as late.
        assert!(at(99) <= SOON + 2 * lag, "{:?}", at(99));
        assert!(at(50) <= SOON + lag, "{:?}", at(50));
        assert!(peak <= MOST, "{peak} bytes");
    }
}

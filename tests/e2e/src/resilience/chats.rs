//! Users of the SDK who talk while something happens to the system. Whatever it is, they
//! are told of no error, and hear each event of their rooms once and in order.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use client::wire::frame::{Sent, ServerFrame};
use client::wire::{RoomId, Seq};
use client::{Api, Chat, Events, Item, Start, Status};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::harness::{User, World};

const ROOMS: usize = 2;
/// How often each of them says something.
const PACE: Duration = Duration::from_millis(50);
/// Messages that each has acknowledged until the talk counts as going on.
const ENOUGH: usize = 25;
/// How long nobody may get on.
const PATIENCE: Duration = Duration::from_mins(1);

/// What came of a talk.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Messages that were acknowledged.
    pub(super) acked: usize,
    /// Events that were heard which the SDK has no type for.
    pub(super) unknown: usize,
    /// How often a user was without a connection.
    pub(super) interruptions: usize,
    /// The longest that a user waited until a message was acknowledged.
    pub(super) longest: Duration,
}

/// A talk under way.
pub(super) struct Talk {
    acked: Vec<watch::Receiver<usize>>,
}

impl Talk {
    /// Waits until everybody got on.
    pub(super) async fn goes_on(&mut self) {
        for writer in &mut self.acked {
            let enough = *writer.borrow() + ENOUGH;
            let going_on = writer.wait_for(|acked| *acked >= enough);
            timeout(PATIENCE, going_on)
                .await
                .expect("everybody to get on in time")
                .expect("nobody to be told of an error");
        }
    }
}

/// Has users talk in some rooms, two who follow one, on either gateway first, and one who
/// only writes, and makes it happen. Then compares what they were told with the logs.
pub(super) async fn while_talking(world: &World, happens: impl AsyncFnOnce(&mut Talk)) -> Told {
    let (stop, stopped) = watch::channel(false);
    let (tell_heads, heads) = watch::channel(HashMap::new());
    let (mut writers, mut listeners, mut watchers) =
        (JoinSet::new(), JoinSet::new(), JoinSet::new());
    let (mut talk, mut readers) = (Talk { acked: Vec::new() }, HashMap::new());
    for _ in 0..ROOMS {
        let (ann, bob, carl) = world.three_users().await;
        let room = ann.room_with(&[&bob, &carl]).await;
        for (user, first, follows) in [(&ann, 0, true), (&bob, 1, true), (&carl, 0, false)] {
            let (chat, events) = chat_of(user, first).await;
            if follows {
                let start = chat.subscribe(room, Start::Now).await.unwrap();
                listeners.spawn(listen(events, room, start.seq, heads.clone()));
            }
            let (count, acked) = watch::channel(0);
            talk.acked.push(acked);
            watchers.spawn(interruptions(chat.status(), stopped.clone()));
            let name = user.name.clone();
            writers.spawn(write(chat, room, name, count, stopped.clone()));
        }
        readers.insert(room, ann);
    }

    talk.goes_on().await;
    happens(&mut talk).await;
    talk.goes_on().await;

    stop.send_replace(true);
    let mut told = Told::default();
    let mut acked: HashMap<RoomId, Vec<(Sent, String)>> = HashMap::new();
    let mut chats = Vec::new();
    while let Some(written) = writers.join_next().await {
        let (chat, room, messages, longest) = written.unwrap();
        told.acked += messages.len();
        told.longest = told.longest.max(longest);
        acked.entry(room).or_default().extend(messages);
        // It listens until all is heard.
        chats.push(chat);
    }
    told.interruptions = watchers.join_all().await.into_iter().sum();
    let mut logs = HashMap::new();
    for (room, reader) in &readers {
        let log = whole_log(reader.api(), *room).await;
        has_each_once(&log, &acked[room]);
        logs.insert(*room, log);
    }
    let ends = logs
        .iter()
        .map(|(room, log)| (*room, Seq(log.len() as u64)));
    tell_heads.send_replace(ends.collect());
    let hearing = async {
        while let Some(heard) = listeners.join_next().await {
            let (room, heard) = heard.unwrap();
            let unknown = |frame: &&ServerFrame| matches!(frame, ServerFrame::Other(_));
            told.unknown += heard.iter().filter(unknown).count();
            let log = &logs[&room];
            let missed = log.len() - heard.len();
            assert!(
                heard == log[missed..],
                "room {room} was heard otherwise than it is"
            );
        }
    };
    timeout(PATIENCE, hearing)
        .await
        .expect("everyone to hear everything in time");
    told
}

async fn chat_of(user: &User, first: usize) -> (Chat, Events) {
    let [here, other] = [first, 1 - first].map(|gateway| user.api_at(gateway).base().to_owned());
    let tokens = user.log_in().await;
    Chat::builder(here, tokens).gateway(other).start().unwrap()
}

/// Says one thing after the other until it is time to stop.
async fn write(
    chat: Chat,
    room: RoomId,
    name: String,
    count: watch::Sender<usize>,
    stopped: watch::Receiver<bool>,
) -> (Chat, RoomId, Vec<(Sent, String)>, Duration) {
    let (mut acked, mut longest) = (Vec::new(), Duration::ZERO);
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !*stopped.borrow() {
        pace.tick().await;
        let number = acked.len();
        let star = if number % 5 == 0 { " *" } else { "" };
        let text = format!("{name} {number}{star}");
        let began = Instant::now();
        let sent = chat.send(room, &text).await.expect("no error");
        longest = longest.max(began.elapsed());
        acked.push((sent, text));
        count.send_replace(acked.len());
    }
    (chat, room, acked, longest)
}

/// Listens until the room's end, once that is known.
async fn listen(
    mut events: Events,
    room: RoomId,
    from: Seq,
    heads: watch::Receiver<HashMap<RoomId, Seq>>,
) -> (RoomId, Vec<ServerFrame>) {
    let (mut last, mut heard) = (from, Vec::new());
    while heads.borrow().get(&room).is_none_or(|head| last < *head) {
        // Now and then the end is looked for.
        let Ok(item) = timeout(Duration::from_millis(500), events.next()).await else {
            continue;
        };
        let (frame, position) = match item {
            Some(Item::Event { event, position }) => (ServerFrame::Event(event), position),
            Some(Item::Unknown {
                fields, position, ..
            }) => (ServerFrame::Other(fields), position),
            other => panic!("{other:?}"),
        };
        assert_eq!(frame.place(), Some((room, last.next())));
        last = position.seq;
        heard.push(frame);
    }
    (room, heard)
}

/// Counts how often a connection was lost.
async fn interruptions(
    mut status: watch::Receiver<Status>,
    mut stopped: watch::Receiver<bool>,
) -> usize {
    let mut count = 0;
    let counting = async {
        loop {
            let up = status.wait_for(|status| *status == Status::Online);
            drop(up.await.expect("no end"));
            let down = status.wait_for(|status| *status != Status::Online);
            drop(down.await.expect("no end"));
            count += 1;
        }
    };
    tokio::select! {
        () = counting => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    count
}

/// The log from its first event on, which has to be without a hole.
async fn whole_log(api: &Api, room: RoomId) -> Vec<ServerFrame> {
    let mut log: Vec<ServerFrame> = Vec::new();
    loop {
        let after = Seq(log.len() as u64);
        let page = api.events(room, after, None, 1_000).await.unwrap();
        assert!(!page.reset && page.first == Seq(1));
        for (seq, event) in (after.get() + 1..).zip(&page.events) {
            assert_eq!(event.place(), Some((room, Seq(seq))));
        }
        log.extend(page.events);
        if Seq(log.len() as u64) == page.head {
            return log;
        }
    }
}

/// Asserts that each message is there once, and those acknowledged where they were said to.
fn has_each_once(log: &[ServerFrame], acked: &[(Sent, String)]) {
    let text_of = |frame: &ServerFrame| match frame {
        ServerFrame::Event(event) if !event.text.is_empty() => Some(event.text.clone()),
        _ => None,
    };
    let mut texts = HashSet::new();
    for text in log.iter().filter_map(text_of) {
        assert!(texts.insert(text.clone()), "{text} is there twice");
    }
    assert_eq!(
        texts.len(),
        acked.len(),
        "all that was said was acknowledged"
    );
    for (sent, text) in acked {
        let index = usize::try_from(sent.message_id.get()).unwrap() - 1;
        assert_eq!(
            text_of(&log[index]).as_ref(),
            Some(text),
            "acknowledged as {}",
            index + 1
        );
    }
}

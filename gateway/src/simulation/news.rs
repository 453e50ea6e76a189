//! The short way of events on the streams of posts: now and then it is late, and it is
//! never to be relied on.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto::message::{Event, PostAnswers, PostBatch};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tonic::Status;

pub(super) struct News {
    chance: Mutex<SmallRng>,
    streams: Mutex<Vec<Stream>>,
    told: AtomicU64,
}

/// One stream of posts, and the rooms of which it is told.
#[derive(Clone)]
pub(super) struct Stream {
    rooms: Arc<Mutex<BTreeSet<u64>>>,
    answers: mpsc::Sender<Result<PostAnswers, Status>>,
}

impl News {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            chance: Mutex::new(SmallRng::seed_from_u64(seed ^ 0x4e05)),
            streams: Mutex::default(),
            told: AtomicU64::new(0),
        }
    }

    pub(super) fn open(&self, answers: mpsc::Sender<Result<PostAnswers, Status>>) -> Stream {
        let stream = Stream {
            rooms: Arc::default(),
            answers,
        };
        let mut streams = self.streams.lock().unwrap();
        streams.retain(|stream| !stream.answers.is_closed());
        streams.push(stream.clone());
        stream
    }

    /// Tells of events, each for itself.
    pub(super) fn tell(&self, events: &[Event]) {
        let streams = self.streams.lock().unwrap().clone();
        for event in events {
            let watches = |stream: &&Stream| stream.rooms.lock().unwrap().contains(&event.room_id);
            for stream in streams.iter().filter(watches) {
                let delay = match self.number(0, 99) {
                    0..30 => continue,
                    30..95 => self.number(0, 8),
                    _ => self.number(0, 900),
                };
                self.told.fetch_add(1, Ordering::Relaxed);
                let message = PostAnswers {
                    news: vec![event.clone()],
                    ..PostAnswers::default()
                };
                let answers = stream.answers.clone();
                super::spawn(async move {
                    sleep(Duration::from_millis(delay)).await;
                    // A stream that has ended, or is not read, misses it.
                    let _ = answers.try_send(Ok(message));
                });
            }
        }
    }

    /// How often anybody was told anything.
    pub(super) fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    fn number(&self, least: u64, most: u64) -> u64 {
        self.chance.lock().unwrap().random_range(least..=most)
    }
}

impl Stream {
    /// Notes what a message of the gateway says of rooms.
    pub(super) fn hear(&self, batch: &PostBatch) {
        let mut rooms = self.rooms.lock().unwrap();
        rooms.retain(|room| !batch.unwatch.contains(room));
        rooms.extend(&batch.watch);
    }
}

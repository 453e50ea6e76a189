//! Replicas of a message-service that keep its promises, and nothing beyond them: they
//! fail, freeze, answer late, and lose answers to what they have written.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Code, Error};
use futures_util::Stream;
use proto::message::messages_server::Messages;
use proto::message::post_answer::Outcome;
use proto::message::{
    AppendReply, AppendRequest, Event, EventsReply, EventsRequest, FetchReply, FetchRequest, Head,
    HeadsReply, HeadsRequest, HistoryReply, HistoryRequest, MarkReadReply, MarkReadRequest,
    PositionReply, PositionRequest, Post, PostAnswer, PostAnswers, PostBatch, Refusal, Sent,
    StandingsReply, StandingsRequest,
};
use runtime::{Call, status};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::log::{Log, No, World};
use super::news::Stream as NewsStream;

/// Events of one page: few, so that pages have seams too.
const PAGE: usize = 100;

type Reply<T> = Result<Response<T>, Status>;

/// One replica; clones are the same one.
#[derive(Clone)]
pub(super) struct Replica {
    world: Arc<World>,
    broken_until: Arc<Mutex<Instant>>,
    frozen_until: Arc<Mutex<Instant>>,
}

impl Replica {
    pub(super) fn new(world: &Arc<World>) -> Self {
        let now = Arc::new(Mutex::new(Instant::now()));
        Self {
            world: Arc::clone(world),
            broken_until: Arc::clone(&now),
            frozen_until: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// Fails whatever it is asked for so long.
    pub(super) fn break_for(&self, time: Duration) {
        *self.broken_until.lock().unwrap() = Instant::now() + time;
    }

    /// Does nothing for so long, and then what was asked of it meanwhile.
    pub(super) fn freeze_for(&self, time: Duration) {
        *self.frozen_until.lock().unwrap() = Instant::now() + time;
    }

    pub(super) fn heal(&self) {
        self.break_for(Duration::ZERO);
        self.freeze_for(Duration::ZERO);
    }

    fn broken(&self) -> bool {
        Instant::now() < *self.broken_until.lock().unwrap()
    }

    /// The time that anything takes; an error where it fails.
    async fn takes(&self) -> Result<(), Status> {
        sleep(self.world.millis(0, 4)).await;
        let frozen = *self.frozen_until.lock().unwrap();
        sleep_until(frozen).await;
        if self.broken() || self.world.chance(1) {
            return Err(unavailable());
        }
        if self.world.chance(1) {
            sleep(self.world.millis(10, 2_500)).await;
        }
        Ok(())
    }

    fn look<T>(&self, room: u64, look: impl FnOnce(&mut Log) -> T) -> Result<T, Status> {
        let missing = || refusal(Code::NotFound);
        self.world.room(room, look).ok_or_else(missing)
    }

    fn page(log: &Log, after: u64) -> Vec<Event> {
        let after = usize::try_from(after).unwrap();
        log.events.iter().skip(after).take(PAGE).cloned().collect()
    }

    /// Serves a stream of posts until it ends. What was not written then is written no
    /// more: its gateway sends it again, here or elsewhere.
    async fn serve(
        self,
        posts: Streaming<PostBatch>,
        answers: mpsc::Sender<Result<PostAnswers, Status>>,
    ) {
        let (queue, waiting) = mpsc::channel(1_024);
        let stream = self.world.news.open(answers.clone());
        tokio::select! {
            biased;
            () = read(posts, &stream, queue) => {}
            _ = self.work(waiting, answers) => {}
        }
    }

    /// Writes posts, in order, up to one that is too late; `None` where it dies without a
    /// word.
    async fn work(
        &self,
        mut waiting: mpsc::Receiver<(Post, Instant)>,
        answers: mpsc::Sender<Result<PostAnswers, Status>>,
    ) -> Option<()> {
        while let Some((post, sent_at)) = waiting.recv().await {
            self.takes().await.ok()?;
            let is_late =
                Instant::now() >= sent_at + Duration::from_millis(post.patience_ms.into());
            let outcome = if is_late {
                refused(Code::Unavailable)
            } else {
                self.write(&post)
            };
            if self.world.chance(1) {
                return None;
            }
            let answer = PostAnswer {
                id: post.id,
                outcome: Some(outcome),
            };
            let message = PostAnswers {
                answers: vec![answer],
                bus_down: self.world.chance(2),
                ..PostAnswers::default()
            };
            answers.send(Ok(message)).await.ok()?;
            if is_late {
                break;
            }
        }
        Some(())
    }

    fn write(&self, post: &Post) -> Outcome {
        match self
            .world
            .post(post.room_id, post.uid, &post.text, &post.nonce)
        {
            Ok((event, repeat)) => Outcome::Sent(Sent {
                event: Some(event),
                repeat,
            }),
            Err(No::Member) => refused(Code::PermissionDenied),
            Err(No::Nonce) => refused(Code::NonceReused),
        }
    }
}

/// Reads posts until their stream ends.
async fn read(
    mut posts: Streaming<PostBatch>,
    stream: &NewsStream,
    queue: mpsc::Sender<(Post, Instant)>,
) {
    let opened = Instant::now();
    while let Ok(Some(batch)) = posts.message().await {
        stream.hear(&batch);
        let sent_at = opened + Duration::from_millis(batch.sent_ms);
        for post in batch.posts {
            if queue.send((post, sent_at)).await.is_err() {
                return;
            }
        }
    }
}

fn refused(code: Code) -> Outcome {
    let status = refusal(code);
    Outcome::Refusal(Refusal {
        code: u32::try_from(i32::from(status.code())).unwrap(),
        detail: status.message().to_owned(),
    })
}

fn unavailable() -> Status {
    refusal(Code::Unavailable)
}

fn refusal(code: Code) -> Status {
    status::to_status(&Error::new(code, "simulated"))
}

#[tonic::async_trait]
impl Messages for Replica {
    type PostStream = Pin<Box<dyn Stream<Item = Result<PostAnswers, Status>> + Send>>;

    async fn post(&self, request: Request<Streaming<PostBatch>>) -> Reply<Self::PostStream> {
        self.takes().await?;
        let (answers, stream) = mpsc::channel(64);
        super::spawn(self.clone().serve(request.into_inner(), answers));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn position(&self, request: Request<PositionRequest>) -> Reply<PositionReply> {
        self.takes().await?;
        let uid = Call::of(&request).acting().unwrap().get();
        let position = self.look(request.get_ref().room_id, |log| PositionReply {
            head: log.head(),
            epoch: log.epoch,
            first: 1,
            role: u32::from(log.members.contains(&uid)),
        })?;
        // The answer is on its way while other things happen.
        sleep(self.world.millis(0, 30)).await;
        if position.role == 0 {
            return Err(refusal(Code::PermissionDenied));
        }
        Ok(Response::new(position))
    }

    async fn events(&self, request: Request<EventsRequest>) -> Reply<EventsReply> {
        self.takes().await?;
        let uid = Call::of(&request).acting().unwrap().get();
        let EventsRequest { room_id, after, .. } = *request.get_ref();
        let (page, member) = self.look(room_id, |log| {
            let reply = EventsReply {
                events: Self::page(log, after),
                head: log.head(),
                epoch: log.epoch,
                first: 1,
            };
            (reply, log.members.contains(&uid))
        })?;
        sleep(self.world.millis(0, 30)).await;
        if !member {
            return Err(refusal(Code::PermissionDenied));
        }
        Ok(Response::new(page))
    }

    async fn fetch(&self, request: Request<FetchRequest>) -> Reply<FetchReply> {
        self.takes().await?;
        let FetchRequest { room_id, after, .. } = *request.get_ref();
        let page = self.look(room_id, |log| FetchReply {
            events: Self::page(log, after),
            head: log.head(),
            epoch: log.epoch,
        })?;
        sleep(self.world.millis(0, 30)).await;
        Ok(Response::new(page))
    }

    async fn heads(&self, request: Request<HeadsRequest>) -> Reply<HeadsReply> {
        self.takes().await?;
        let head = |&room_id: &u64| {
            let end = self.world.room(room_id, |log| (log.head(), log.epoch))?;
            Some(Head {
                room_id,
                head: end.0,
                epoch: end.1,
            })
        };
        let heads = request.get_ref().room_ids.iter().filter_map(head).collect();
        sleep(self.world.millis(0, 30)).await;
        Ok(Response::new(HeadsReply { heads }))
    }

    async fn append(&self, _: Request<AppendRequest>) -> Reply<AppendReply> {
        Err(Status::unimplemented("not a gateway's business"))
    }

    async fn history(&self, _: Request<HistoryRequest>) -> Reply<HistoryReply> {
        Err(Status::unimplemented("no HTTP here"))
    }

    async fn mark_read(&self, _: Request<MarkReadRequest>) -> Reply<MarkReadReply> {
        Err(Status::unimplemented("nobody reads here"))
    }

    async fn standings(&self, _: Request<StandingsRequest>) -> Reply<StandingsReply> {
        Err(Status::unimplemented("no HTTP here"))
    }
}

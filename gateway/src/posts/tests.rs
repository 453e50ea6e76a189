//! Streams to replicas that are as slow as a test wants.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{MessageText, Nonce, RoomId, Uid};
use futures_util::Stream;
use proto::message::messages_server::{Messages, MessagesServer};
use proto::message::post_answer::Outcome;
use proto::message::{
    AppendReply, AppendRequest, EventsReply, EventsRequest, FetchReply, FetchRequest, HeadsReply,
    HeadsRequest, HistoryReply, HistoryRequest, MarkReadReply, MarkReadRequest, PositionReply,
    PositionRequest, PostAnswer, PostAnswers, PostBatch, Sent, StandingsReply, StandingsRequest,
};
use runtime::config::{Environment, Secret, load};
use runtime::{Channel, Lifecycle, Replicas, RequestId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use super::{Post, Waiter};
use crate::{Config, Gateway, Ports};

type Reply<T> = Result<Response<T>, Status>;

/// Answers posts after a while, and nothing else.
#[derive(Clone)]
struct Slow {
    millis: Arc<AtomicU64>,
    lifecycle: Lifecycle,
}

#[tonic::async_trait]
impl Messages for Slow {
    type PostStream = Pin<Box<dyn Stream<Item = Result<PostAnswers, Status>> + Send>>;

    async fn post(&self, request: Request<Streaming<PostBatch>>) -> Reply<Self::PostStream> {
        let (answers, stream) = mpsc::channel(64);
        let (mut batches, millis) = (request.into_inner(), Arc::clone(&self.millis));
        self.lifecycle.spawn("slow", async move {
            while let Ok(Some(batch)) = batches.message().await {
                if batch.posts.is_empty() {
                    continue;
                }
                tokio::time::sleep(Duration::from_millis(millis.load(Ordering::Relaxed))).await;
                let answer = |id| PostAnswer {
                    id,
                    outcome: Some(Outcome::Sent(Sent::default())),
                };
                let message = PostAnswers {
                    answers: batch.posts.iter().map(|post| answer(post.id)).collect(),
                    ..PostAnswers::default()
                };
                if answers.send(Ok(message)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn position(&self, _: Request<PositionRequest>) -> Reply<PositionReply> {
        Err(Status::unimplemented("posts alone"))
    }

    async fn events(&self, _: Request<EventsRequest>) -> Reply<EventsReply> {
        Err(Status::unimplemented("posts alone"))
    }

    async fn fetch(&self, _: Request<FetchRequest>) -> Reply<FetchReply> {
        Err(Status::unimplemented("posts alone"))
    }

    async fn heads(&self, _: Request<HeadsRequest>) -> Reply<HeadsReply> {
        Err(Status::unimplemented("posts alone"))
    }

    async fn append(&self, _: Request<AppendRequest>) -> Reply<AppendReply> {
        Err(Status::unimplemented("posts alone"))
    }

    async fn history(&self, _: Request<HistoryRequest>) -> Reply<HistoryReply> {
        Err(Status::unimplemented("posts alone"))
    }

    async fn mark_read(&self, _: Request<MarkReadRequest>) -> Reply<MarkReadReply> {
        Err(Status::unimplemented("posts alone"))
    }

    async fn standings(&self, _: Request<StandingsRequest>) -> Reply<StandingsReply> {
        Err(Status::unimplemented("posts alone"))
    }
}

struct Author(oneshot::Sender<base::Result<Sent>>);

impl Waiter for Author {
    fn answer(self: Box<Self>, outcome: base::Result<Sent>) {
        let _ = self.0.send(outcome);
    }
}

struct House {
    gateway: Gateway,
    millis: Vec<Arc<AtomicU64>>,
    posted: Mutex<u64>,
}

impl House {
    /// A gateway and two replicas.
    fn new() -> Self {
        let config = load::<Config>(None, &Environment::default())
            .unwrap()
            .config;
        let (lifecycle, token) = (Lifecycle::new(), Secret::new("a token for services"));
        let here = |routes| Channel::in_process(routes, &token, &lifecycle).unwrap();
        let millis: Vec<Arc<AtomicU64>> = vec![Arc::default(), Arc::default()];
        let replica = |(index, millis): (usize, &Arc<AtomicU64>)| {
            let slow = Slow {
                millis: Arc::clone(millis),
                lifecycle: lifecycle.clone(),
            };
            let routes = Routes::new(MessagesServer::new(slow));
            (format!("replica-{index}"), here(routes))
        };
        let ports = Ports {
            messages: Replicas::new(millis.iter().enumerate().map(replica).collect()).unwrap(),
            ..Ports::nobody(&token, &lifecycle)
        };
        Self {
            gateway: Gateway::new(config, ports, &lifecycle),
            millis,
            posted: Mutex::default(),
        }
    }

    fn answer_after(&self, replica: usize, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.millis[replica].store(millis, Ordering::Relaxed);
    }

    /// Posts to a room, and says how long that took.
    async fn post(&self, room: u64) -> base::Result<Duration> {
        let number = {
            let mut posted = self.posted.lock().unwrap();
            *posted += 1;
            *posted
        };
        let (author, answer) = oneshot::channel();
        let began = Instant::now();
        self.gateway.posts.send(Post {
            room: RoomId::new(room).unwrap(),
            uid: Uid::new(1).unwrap(),
            text: MessageText::parse("Text", "hello").unwrap(),
            nonce: Nonce::parse("Nonce", &number.to_string()).unwrap(),
            request_id: RequestId::parse("a-test").unwrap(),
            waiter: Box::new(Author(author)),
        });
        answer.await.unwrap().map(|_| began.elapsed())
    }
}

const SLOW: Duration = Duration::from_millis(1_700);

#[tokio::test(start_paused = true)]
async fn replicas_that_are_all_slow_are_not_given_up_one_after_the_other() {
    let house = House::new();
    house.post(1).await.unwrap();
    house.answer_after(0, SLOW);
    house.answer_after(1, SLOW);
    // The first one is given up, as it might stand still; the other has its time.
    let took = house.post(1).await.unwrap();
    assert!(took < Duration::from_secs(4), "{took:?}");
    for room in 1..20 {
        let took = house.post(room).await.unwrap();
        assert!(
            took < SLOW + Duration::from_millis(300),
            "{took:?} in room {room}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_stands_still_is_replaced_soon_also_after_a_slow_time() {
    let house = House::new();
    for replica in [0, 1] {
        house.answer_after(replica, SLOW);
    }
    house.post(1).await.unwrap();
    for replica in [0, 1] {
        house.answer_after(replica, Duration::from_millis(5));
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    for room in 1..20 {
        let took = house.post(room).await.unwrap();
        assert!(took < Duration::from_millis(300), "{took:?} in room {room}");
    }
    house.answer_after(0, Duration::from_mins(10));
    for room in 1..20 {
        let took = house.post(room).await.unwrap();
        assert!(took < Duration::from_secs(2), "{took:?} in room {room}");
    }
}

//! A gateway's stream of posts.
//!
//! Posts go to the writers in the order they arrive. The number under way on one
//! stream is bounded, and there is room for an answer to each, so a writer never
//! waits for a slow gateway.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base::{Error, MessageText, Nonce, RoomId, Uid};
use bus::Bus;
use futures_util::Stream;
use proto::message::post_answer::Outcome as WireOutcome;
use proto::message::{Post as WirePost, PostAnswer, PostAnswers, PostBatch, Refusal};
use runtime::{Lifecycle, status};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::domain::{Entry, Outcome, Post};
use crate::writer::{Job, Reply, Writer};

/// Posts under way on one stream, most. Beyond, the stream is not read: HTTP/2's
/// flow control tells the gateway to wait.
const UNDER_WAY: usize = 8_192;
/// Answers in one message, most.
const ANSWERS: usize = 512;
/// How often the bus is looked at while there is nothing to answer.
const BUS_PERIOD: Duration = Duration::from_millis(250);
/// A post's patience is capped here.
const MAX_PATIENCE: Duration = Duration::from_secs(30);

type Answer = (u64, base::Result<Outcome>);

/// The stream of answers.
pub struct Answers(ReceiverStream<Result<PostAnswers, Status>>);

impl Stream for Answers {
    type Item = Result<PostAnswers, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(cx)
    }
}

/// Serves one stream until the gateway ends it, the process drains, or its order
/// can be kept no longer.
pub(super) fn serve(
    posts: Streaming<PostBatch>,
    writer: Writer,
    bus: Arc<dyn Bus>,
    lifecycle: &Lifecycle,
) -> Answers {
    let lane = CancellationToken::new();
    let (answers, answered) = mpsc::channel(UNDER_WAY);
    let (out, stream) = mpsc::channel(8);
    let draining = lifecycle.draining().clone();
    let reading = read(posts, writer, answers, lane.clone());
    lifecycle.spawn_draining("posts", async move {
        draining.run_until_cancelled(reading).await;
    });
    lifecycle.spawn_draining("answers", reply(answered, out, lane, bus));
    Answers(ReceiverStream::new(stream))
}

async fn read(
    mut posts: Streaming<PostBatch>,
    writer: Writer,
    answers: mpsc::Sender<Answer>,
    lane: CancellationToken,
) {
    let under_way = Arc::new(Semaphore::new(UNDER_WAY));
    while let Some(Ok(Some(batch))) = lane.run_until_cancelled(posts.message()).await {
        for post in batch.posts {
            let Ok(permit) = Arc::clone(&under_way).acquire_owned().await else {
                return;
            };
            let id = post.id;
            match job(post, answers.clone(), lane.clone(), permit) {
                Ok(job) => writer.take(job),
                Err(error) => {
                    if answers.try_send((id, Err(error))).is_err() {
                        return;
                    }
                }
            }
        }
    }
}

fn job(
    post: WirePost,
    answers: mpsc::Sender<Answer>,
    lane: CancellationToken,
    permit: OwnedSemaphorePermit,
) -> base::Result<Job> {
    let patience = Duration::from_millis(post.patience_ms.into()).min(MAX_PATIENCE);
    let entry = Entry::Post(Post {
        room: RoomId::try_from(post.room_id)?,
        uid: Uid::try_from(post.uid)?,
        text: MessageText::try_from_string("Text", post.text)?,
        nonce: Nonce::parse("Nonce", &post.nonce)?,
    });
    let reply = Reply::Stream {
        id: post.id,
        answers,
        lane,
        permit,
    };
    Ok(Job {
        entry,
        deadline: Instant::now() + patience,
        reply,
    })
}

async fn reply(
    mut answered: mpsc::Receiver<Answer>,
    out: mpsc::Sender<Result<PostAnswers, Status>>,
    lane: CancellationToken,
    bus: Arc<dyn Bus>,
) {
    let mut answers = Vec::with_capacity(ANSWERS);
    let mut told_down = false;
    let mut tick = tokio::time::interval(BUS_PERIOD);
    loop {
        tokio::select! {
            biased;
            taken = answered.recv_many(&mut answers, ANSWERS) => if taken == 0 {
                return;
            },
            () = lane.cancelled() => return,
            _ = tick.tick() => {}
        }
        let bus_down = !bus.healthy();
        if answers.is_empty() && bus_down == told_down {
            continue;
        }
        told_down = bus_down;
        let message = PostAnswers {
            answers: answers.drain(..).map(answer).collect(),
            bus_down,
        };
        if out.send(Ok(message)).await.is_err() {
            return;
        }
    }
}

fn answer((id, outcome): Answer) -> PostAnswer {
    let outcome = match outcome.and_then(super::sent) {
        Ok(sent) => WireOutcome::Sent(sent),
        Err(error) => refusal(&error),
    };
    PostAnswer {
        id,
        outcome: Some(outcome),
    }
}

fn refusal(error: &Error) -> WireOutcome {
    let status = status::to_status(error);
    let code = u32::try_from(i32::from(status.code())).unwrap_or(u32::MAX);
    WireOutcome::Refusal(Refusal {
        code,
        detail: status.message().to_owned(),
    })
}

//! A gateway's stream of posts.
//!
//! Posts go to the writers in the order they arrive. The number under way on one
//! stream is bounded, and there is room for an answer to each, so a writer never
//! waits for a slow gateway. News of the rooms that it watches go with the answers.

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
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::domain::{Entry, Outcome, Post};
use crate::watchers::{self, Watcher, Watchers};
use crate::writer::{Job, Place, Reply, Word, Writer};

/// Posts under way on one stream, most. Beyond, the stream is not read: HTTP/2's
/// flow control tells the gateway to wait.
const UNDER_WAY: usize = 8_192;
/// Answers and news in one message, most.
const WORDS: usize = 512;
/// How often the bus is looked at while there is nothing to answer.
const BUS_PERIOD: Duration = Duration::from_millis(250);
/// A post's patience is capped here.
const MAX_PATIENCE: Duration = Duration::from_secs(30);

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
    watchers: &Watchers,
    lifecycle: &Lifecycle,
) -> Answers {
    let lane = CancellationToken::new();
    let (words, said) = mpsc::channel(UNDER_WAY + watchers::WAITING);
    let telling = words.clone();
    let watcher = watchers.open(Box::new(move |news| {
        // A stream that has ended needs none.
        let _ = telling.try_send(Word::News(news));
    }));
    let (out, stream) = mpsc::channel(8);
    let draining = lifecycle.draining().clone();
    let reading = read(posts, writer, watcher, words, lane.clone());
    lifecycle.spawn_draining("posts", async move {
        draining.run_until_cancelled(reading).await;
    });
    lifecycle.spawn_draining("answers", reply(said, out, lane, bus));
    Answers(ReceiverStream::new(stream))
}

async fn read(
    mut posts: Streaming<PostBatch>,
    writer: Writer,
    watcher: Watcher,
    words: mpsc::Sender<Word>,
    lane: CancellationToken,
) {
    let under_way = Arc::new(Semaphore::new(UNDER_WAY));
    let mut transit = Transit::begin();
    let reading = async {
        while let Ok(Some(batch)) = posts.message().await {
            let sent_at = transit.sent_at(&batch);
            watcher.unwatch(batch.unwatch.into_iter().filter_map(RoomId::new));
            watcher.watch(batch.watch.into_iter().filter_map(RoomId::new));
            for mut post in batch.posts {
                let Ok(permit) = Arc::clone(&under_way).acquire_owned().await else {
                    return;
                };
                let patience = Duration::from_millis(post.patience_ms.into());
                let place = Place {
                    id: post.id,
                    request_id: std::mem::take(&mut post.request_id),
                    _permit: permit,
                };
                let reply = Reply::Stream {
                    place,
                    stream: watcher.id(),
                    words: words.clone(),
                    lane: lane.clone(),
                };
                match entry(post) {
                    Ok(entry) => {
                        let deadline = sent_at + patience.min(MAX_PATIENCE);
                        let job = Job {
                            entry,
                            deadline,
                            reply,
                        };
                        writer.take_in_turn(job).await;
                    }
                    Err(error) => reply.send(Err(error)),
                }
            }
        }
    };
    lane.run_until_cancelled(reading).await;
    // Whatever of it is not written now its gateway sends again.
    lane.cancel();
}

/// How long messages of a stream are on their way. The two ends' clocks do not agree,
/// but they go at the same speed: the quickest message tells how they differ, and what
/// is later by them than the quickest was held up.
struct Transit {
    opened: Instant,
    /// The quickest so far, in ms, of which the clocks' difference is a part.
    quickest: Option<i64>,
}

impl Transit {
    fn begin() -> Self {
        Self {
            opened: Instant::now(),
            quickest: None,
        }
    }

    /// When a message that is here now was sent.
    fn sent_at(&mut self, batch: &PostBatch) -> Instant {
        let now = Instant::now();
        let here = i64::try_from((now - self.opened).as_millis()).unwrap_or(i64::MAX);
        let took = here.saturating_sub_unsigned(batch.sent_ms);
        let quickest = self.quickest.map_or(took, |quickest| quickest.min(took));
        self.quickest = Some(quickest);
        let held_up = u64::try_from(took - quickest).unwrap_or_default();
        now.checked_sub(Duration::from_millis(held_up))
            .unwrap_or(now)
    }
}

fn entry(post: WirePost) -> base::Result<Entry> {
    Ok(Entry::Post(Post {
        room: RoomId::try_from(post.room_id)?,
        uid: Uid::try_from(post.uid)?,
        text: MessageText::try_from_string("Text", post.text)?,
        nonce: Nonce::parse("Nonce", &post.nonce)?,
    }))
}

async fn reply(
    mut said: mpsc::Receiver<Word>,
    out: mpsc::Sender<Result<PostAnswers, Status>>,
    lane: CancellationToken,
    bus: Arc<dyn Bus>,
) {
    let mut words = Vec::with_capacity(WORDS);
    let mut told_down = false;
    let mut tick = tokio::time::interval(BUS_PERIOD);
    loop {
        tokio::select! {
            biased;
            taken = said.recv_many(&mut words, WORDS) => if taken == 0 {
                return;
            },
            () = lane.cancelled() => return,
            _ = tick.tick() => {}
        }
        let bus_down = !bus.healthy();
        if words.is_empty() && bus_down == told_down {
            continue;
        }
        told_down = bus_down;
        let mut message = PostAnswers {
            bus_down,
            ..PostAnswers::default()
        };
        for word in words.drain(..) {
            match word {
                Word::Answer(place, outcome) => message.answers.push(answer(&place, outcome)),
                Word::News(news) => message.news.push(news.event.into()),
            }
        }
        if out.send(Ok(message)).await.is_err() {
            return;
        }
    }
}

fn answer(place: &Place, outcome: base::Result<Outcome>) -> PostAnswer {
    let outcome = match outcome.and_then(super::sent) {
        Ok(sent) => WireOutcome::Sent(sent),
        Err(error) => {
            let request_id = place.request_id.as_str();
            tracing::info_span!("post", request_id).in_scope(|| refusal(&error))
        }
    };
    PostAnswer {
        id: place.id,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(ms: u64) -> PostBatch {
        PostBatch {
            sent_ms: ms,
            ..PostBatch::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_lay_about_is_as_old_as_it_is() {
        let mut transit = Transit::begin();
        // The other end counts from 3 ms later; a message takes 2 ms.
        tokio::time::advance(Duration::from_millis(5)).await;
        assert_eq!(transit.sent_at(&sent(0)), Instant::now());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(transit.sent_at(&sent(1_000)), Instant::now());
        // Sent then, read after a minute's freeze.
        let then = Instant::now();
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(transit.sent_at(&sent(1_000)), then);
        // One that is quicker than the first tells more.
        let took = Instant::now() - Duration::from_millis(2);
        let now_there = u64::try_from((Instant::now() - transit.opened).as_millis()).unwrap() - 3;
        assert_eq!(transit.sent_at(&sent(now_there)), Instant::now());
        assert_eq!(transit.sent_at(&sent(now_there - 2)), took);
    }
}

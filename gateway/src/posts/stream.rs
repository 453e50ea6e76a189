//! One replica's stream: opened, watched, given up and opened again.

use std::time::Duration;

use base::{Error, RoomId, Seq};
use proto::message::messages_client::MessagesClient;
use proto::message::post_answer::Outcome;
use proto::message::{Event, Post as WirePost, PostAnswer, PostAnswers, PostBatch, Sent};
use runtime::{Replica, ReplicaId, status};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use super::outbox::Job;
use super::{Post, Posts};
use crate::fanout::{Fanout, Listener};

/// Posts in one message, most.
const BATCH: usize = 256;
/// Rooms in one message that are watched or not any more, most.
const ROOMS: usize = 4_096;
/// How often posts that are too late are looked for.
const TICK: Duration = Duration::from_millis(250);
/// How long opening may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait before a stream is opened again.
const REOPEN_PAUSE: Duration = Duration::from_millis(50);

/// Serves a replica for as long as there is this replica.
pub(super) async fn serve(
    posts: Posts,
    replica: Replica,
    fanout: Fanout,
    draining: CancellationToken,
) {
    // Authors are told in time also while the stream is being opened.
    let telling = async {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tick.tick().await;
            give_up_late(&posts, replica.id());
        }
    };
    tokio::select! {
        () = keep(&posts, &replica, &fanout, &draining) => {}
        () = telling => {}
    }
    posts.forget(replica.id());
}

/// Keeps the stream to a replica. It is open also while there is nothing to send: on it
/// the replica says whether it reaches the bus.
async fn keep(posts: &Posts, replica: &Replica, fanout: &Fanout, draining: &CancellationToken) {
    let id = replica.id();
    let filled = posts.outboxes().filled(id);
    let mut opened = true;
    loop {
        let ended = run(posts, replica, &filled, fanout, &mut opened).await;
        // In one process the replica ends with the gateway.
        if let Err(error) = ended
            && std::mem::take(&mut opened)
            && !draining.is_cancelled()
        {
            let (replica, cause) = (replica.name(), error.cause());
            tracing::warn!(replica, %error, cause, "a stream of posts ended");
        }
        fanout.set_cut_off(id, false);
        replica.suspect();
        posts.outboxes().take_back(id);
        give_up_late(posts, id);
        posts.move_on(id);
        if !posts.0.replicas.includes(id) {
            return;
        }
        tokio::time::sleep(REOPEN_PAUSE).await;
        // Without haste, unless something waits for this very replica.
        let _ = tokio::time::timeout(TICK, filled.notified()).await;
    }
}

/// Runs one stream until it dies; notes that it was `opened`.
async fn run(
    posts: &Posts,
    replica: &Replica,
    filled: &Notify,
    fanout: &Fanout,
    opened: &mut bool,
) -> base::Result<()> {
    let id = replica.id();
    let (batches, outgoing) = mpsc::channel::<PostBatch>(4);
    let mut client = MessagesClient::new(replica.channel())
        .max_decoding_message_size(8 << 20)
        .max_encoding_message_size(8 << 20);
    let opening = client.post(ReceiverStream::new(outgoing));
    let mut answers = match tokio::time::timeout(OPEN_TIMEOUT, opening).await {
        Ok(Ok(response)) => response.into_inner(),
        Ok(Err(status)) => return Err(status::from_status(&status)),
        Err(_) => return Err(Error::unavailable("not reachable", "opening took too long")),
    };
    *opened = true;
    let mut heard_at = Instant::now();
    let opened_at = heard_at;
    // A post whose answer is timed, and when it was sent.
    let mut timed: Option<(u64, Instant)> = None;
    let stamped = |batch| PostBatch {
        sent_ms: u64::try_from(opened_at.elapsed().as_millis()).unwrap_or(u64::MAX),
        ..batch
    };
    let listener = fanout.listen();
    // The first tells the replica how long a message takes that nothing holds up.
    if batches.try_send(stamped(PostBatch::default())).is_err() {
        return Err(Error::unavailable("not reachable", "the stream was closed"));
    }
    let mut tick = tokio::time::interval(TICK);
    filled.notify_one();
    loop {
        tokio::select! {
            biased;
            _ = tick.tick() => {
                if !posts.0.replicas.includes(id) && posts.outboxes().is_idle(id) {
                    return Ok(());
                }
                if posts.outboxes().awaits(id) && heard_at.elapsed() > posts.0.silence.bound() {
                    posts.0.silence.passed();
                    return Err(Error::unavailable("not reachable", "posts are not answered"));
                }
            }
            answer = next(&mut answers) => {
                heard_at = Instant::now();
                let answer = answer?;
                fanout.set_cut_off(id, answer.bus_down);
                let is_timed = |(id, _): &(u64, _)| answer.answers.iter().any(|it| it.id == *id);
                if let Some((_, sent_at)) = timed.take_if(|timed| is_timed(timed)) {
                    posts.0.silence.answered_within(sent_at.elapsed());
                }
                take(posts, id, fanout, answer.answers);
                for event in &answer.news {
                    offer(event, fanout);
                }
            }
            // Reserving first: nothing is taken from the outbox that cannot be sent.
            permit = reserve(filled.notified(), &batches) => {
                let Ok(permit) = permit else {
                    return Err(Error::unavailable("not reachable", "the stream was closed"));
                };
                let was_idle = !posts.outboxes().awaits(id);
                let sending = posts.outboxes().send(id, BATCH, wire);
                if !sending.is_empty() {
                    if was_idle {
                        heard_at = Instant::now();
                    }
                    let last = sending.last().map(|post| (post.id, Instant::now()));
                    timed = timed.or(last);
                    let posts = sending;
                    permit.send(stamped(PostBatch { posts, ..PostBatch::default() }));
                }
            }
            permit = reserve(listener.some(), &batches) => {
                let Ok(permit) = permit else {
                    return Err(Error::unavailable("not reachable", "the stream was closed"));
                };
                permit.send(stamped(interest(&listener)));
            }
        }
    }
}

async fn reserve(
    wanted: impl Future<Output = ()>,
    batches: &mpsc::Sender<PostBatch>,
) -> Result<mpsc::Permit<'_, PostBatch>, mpsc::error::SendError<()>> {
    let permit = batches.reserve().await?;
    wanted.await;
    Ok(permit)
}

async fn next(answers: &mut Streaming<PostAnswers>) -> base::Result<PostAnswers> {
    match answers.message().await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(Error::unavailable(
            "not reachable",
            "the replica ended the stream",
        )),
        Err(status) => Err(status::from_status(&status)),
    }
}

fn take(posts: &Posts, replica: ReplicaId, fanout: &Fanout, answers: Vec<PostAnswer>) {
    for PostAnswer { id, outcome } in answers {
        let refusal = match outcome {
            Some(Outcome::Sent(sent)) => {
                // The bus brings what was given up.
                let answered = posts.outboxes().answered(replica, id);
                if let Some(post) = answered {
                    sent_is(sent, post, fanout);
                }
                continue;
            }
            Some(Outcome::Refusal(refusal)) => {
                let code = tonic::Code::from_i32(refusal.code.cast_signed());
                let code = status::from_grpc(code).unwrap_or(base::Code::Internal);
                // It was not written there in time. The replica ends the stream, and then
                // the post goes elsewhere, or is given up with what has to come after it.
                if code == base::Code::Unavailable {
                    continue;
                }
                Error::new(code, refusal.detail)
            }
            None => Error::internal("an answer without an outcome"),
        };
        let refused = posts.outboxes().refused(replica, id, refusal);
        if let Some((post, why)) = refused {
            post.waiter.answer(Err(why));
        }
    }
}

fn sent_is(sent: Sent, post: Post, fanout: &Fanout) {
    if !sent.repeat
        && let Some(event) = &sent.event
    {
        offer(event, fanout);
    }
    post.waiter.answer(Ok(sent));
}

fn offer(event: &Event, fanout: &Fanout) {
    if let Some(room) = RoomId::new(event.room_id) {
        let (head, epoch) = (Seq(event.seq), crate::fanout::epoch_of(event.epoch));
        fanout.offer(room, std::slice::from_ref(event), head, epoch);
    }
}

/// Tells the replica of which rooms this gateway wants the news.
fn interest(listener: &Listener) -> PostBatch {
    let (watched, gone) = listener.take(ROOMS);
    let ids = |rooms: Vec<RoomId>| rooms.into_iter().map(RoomId::get).collect();
    PostBatch {
        watch: ids(watched),
        unwatch: ids(gone),
        ..PostBatch::default()
    }
}

fn give_up_late(posts: &Posts, replica: ReplicaId) {
    let now = Instant::now();
    let refused = posts.outboxes().certain(now);
    for (post, why) in refused {
        post.waiter.answer(Err(why));
    }
    let late = posts.outboxes().expired(replica, now);
    for post in late {
        let error =
            Error::unavailable("the message may not have been written", "no answer in time");
        post.waiter.answer(Err(error));
    }
}

fn wire(job: &Job) -> WirePost {
    let patience = job.last_look().saturating_duration_since(Instant::now());
    WirePost {
        id: job.id,
        room_id: job.post.room.get(),
        uid: job.post.uid.get(),
        text: job.post.text.as_str().to_owned(),
        nonce: job.post.nonce.as_str().to_owned(),
        patience_ms: u32::try_from(patience.as_millis()).unwrap_or(u32::MAX),
        request_id: job.post.request_id.as_str().to_owned(),
    }
}

//! The stream of sessions that end.
//!
//! What ended here is told at once, what ended by another replica within a fifth of a
//! second. Nothing is told twice on one stream, and nothing left out without a word.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use proto::session::Ended;
use runtime::{Lifecycle, status};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::domain::Ends;
use crate::service::Service;

/// How often the store is asked.
const PERIOD: Duration = Duration::from_millis(200);
/// How long the stream may be silent.
const SILENCE: Duration = Duration::from_secs(1);
/// Messages that wait for the other end, most.
const QUEUE: usize = 4;

/// What goes to one gateway.
pub(crate) struct EndedStream(ReceiverStream<Result<Ended, Status>>);

impl Stream for EndedStream {
    type Item = Result<Ended, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(cx)
    }
}

/// Tells of what ends after number `after`, or from now on.
pub(super) fn stream(service: Service, after: Option<u64>, lifecycle: &Lifecycle) -> EndedStream {
    let (out, stream) = mpsc::channel(QUEUE);
    let draining = lifecycle.draining().clone();
    lifecycle.spawn_guest(async move {
        let telling = tell(&service, after, &out);
        if let Some(Err(error)) = draining.run_until_cancelled(telling).await {
            // Whoever listens asks again from where he is.
            let _ = out.try_send(Err(status::to_status(&error)));
        }
    });
    EndedStream(ReceiverStream::new(stream))
}

/// Ends when the other end has gone, or the store fails.
async fn tell(
    service: &Service,
    after: Option<u64>,
    out: &mpsc::Sender<Result<Ended, Status>>,
) -> base::Result<()> {
    let mut told = match after {
        Some(after) => after,
        None => service.ended_since(u64::MAX >> 1).await?.head,
    };
    let mut told_at = None;
    loop {
        let ends = service.ended_since(told).await?;
        let more = !ends.ended.is_empty();
        let message = message(told, &ends);
        let silent = told_at.is_none_or(|at: Instant| at.elapsed() >= SILENCE);
        if more || message.reset || silent {
            told = message.no;
            told_at = Some(Instant::now());
            if out.send(Ok(message)).await.is_err() {
                return Ok(());
            }
        }
        if !more {
            // What ends between the question and the wait is found after the wait.
            let _ = tokio::time::timeout(PERIOD, service.something_ended()).await;
        }
    }
}

fn message(told: u64, ends: &Ends) -> Ended {
    let forgotten = told + 1 < ends.first;
    // The database is an older copy, in which other sessions have these numbers.
    let beyond = told > ends.head;
    if forgotten || beyond {
        return Ended {
            session_ids: Vec::new(),
            no: ends.head,
            reset: true,
        };
    }
    Ended {
        no: ends.ended.last().map_or(told, |(no, _)| *no),
        session_ids: ends.ended.iter().map(|(_, id)| id.get()).collect(),
        reset: false,
    }
}

//! The gRPC face of the logs: translate, call, translate.

mod post;
mod read;

use std::sync::Arc;

use base::{ChangeNo, Error, RoomId, Seq, Uid, limits};
use bus::Bus;
use proto::message::messages_server::Messages;
use proto::message::{
    AppendReply, AppendRequest, Change as WireChange, EventsReply, EventsRequest, FetchReply,
    FetchRequest, HeadsReply, HeadsRequest, HistoryReply, HistoryRequest, MarkReadReply,
    MarkReadRequest, PositionReply, PositionRequest, PostBatch, Sent, StandingsReply,
    StandingsRequest,
};
use runtime::status::to_status;
use runtime::{Call, Lifecycle};
use tonic::{Request, Response, Status, Streaming};

use crate::domain::{Change, Entry, Mark, Outcome};
use crate::marker::Marker;
use crate::store::Store;
use crate::watchers::Watchers;
use crate::writer::{Writer, refused};

/// Serves `parley.message.v1.Messages`.
pub struct MessagesGrpc {
    store: Arc<dyn Store>,
    writer: Writer,
    marker: Marker,
    bus: Arc<dyn Bus>,
    watchers: Watchers,
    lifecycle: Lifecycle,
}

impl MessagesGrpc {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        (writer, marker): (Writer, Marker),
        bus: Arc<dyn Bus>,
        watchers: Watchers,
        lifecycle: &Lifecycle,
    ) -> Self {
        Self {
            store,
            writer,
            marker,
            bus,
            watchers,
            lifecycle: lifecycle.clone(),
        }
    }

    async fn append(&self, call: &Call, request: AppendRequest) -> base::Result<AppendReply> {
        let room = RoomId::try_from(request.room_id)?;
        if request.changes.is_empty() || request.changes.len() > limits::APPEND_CHANGES {
            return Err(Error::invalid("changes", "must be 1 to 500"));
        }
        let changes = request
            .changes
            .iter()
            .map(change)
            .collect::<Result<_, _>>()?;
        let entry = Entry::Changes { room, changes };
        match self.writer.write(entry, call.deadline()).await? {
            Outcome::Applied { applied, .. } => Ok(AppendReply { applied }),
            Outcome::Refused(refusal) => Err(refused(refusal)),
            other => Err(Error::internal(format!("changes came out as {other:?}"))),
        }
    }

    async fn mark_read(
        &self,
        call: &Call,
        request: &MarkReadRequest,
    ) -> base::Result<MarkReadReply> {
        let mark = Mark {
            room: RoomId::try_from(request.room_id)?,
            uid: call.acting()?,
            read: Seq(request.read),
        };
        let read = self.marker.mark(mark).await?.get();
        Ok(MarkReadReply { read })
    }
}

/// What the author of a post is told.
fn sent(outcome: Outcome) -> base::Result<Sent> {
    match outcome {
        Outcome::Sent(event) => Ok(Sent {
            event: Some(event.into()),
            repeat: false,
        }),
        Outcome::Repeat(event) => Ok(Sent {
            event: Some(event.into()),
            repeat: true,
        }),
        Outcome::Refused(refusal) => Err(refused(refusal)),
        Outcome::Applied { .. } | Outcome::Busy => {
            Err(Error::internal("a post came out as changes"))
        }
    }
}

fn change(change: &WireChange) -> base::Result<Change> {
    Ok(Change {
        number: ChangeNo::try_from(change.change_no)?.get(),
        kind: change.kind,
        uid: Uid::try_from(change.uid)?,
        by: Uid::try_from(change.by)?,
        role: change.role,
    })
}

fn reply<T>(outcome: base::Result<T>) -> Result<Response<T>, Status> {
    outcome
        .map(Response::new)
        .map_err(|error| to_status(&error))
}

#[tonic::async_trait]
impl Messages for MessagesGrpc {
    type PostStream = post::Answers;

    async fn append(
        &self,
        request: Request<AppendRequest>,
    ) -> Result<Response<AppendReply>, Status> {
        reply(self.append(&Call::of(&request), request.into_inner()).await)
    }

    async fn post(
        &self,
        request: Request<Streaming<PostBatch>>,
    ) -> Result<Response<Self::PostStream>, Status> {
        let (writer, bus) = (self.writer.clone(), Arc::clone(&self.bus));
        Ok(Response::new(post::serve(
            request.into_inner(),
            writer,
            bus,
            &self.watchers,
            &self.lifecycle,
        )))
    }

    async fn position(
        &self,
        request: Request<PositionRequest>,
    ) -> Result<Response<PositionReply>, Status> {
        reply(read::position(self.store.as_ref(), &Call::of(&request), request.get_ref()).await)
    }

    async fn events(
        &self,
        request: Request<EventsRequest>,
    ) -> Result<Response<EventsReply>, Status> {
        reply(read::events(self.store.as_ref(), &Call::of(&request), request.get_ref()).await)
    }

    async fn history(
        &self,
        request: Request<HistoryRequest>,
    ) -> Result<Response<HistoryReply>, Status> {
        reply(read::history(self.store.as_ref(), &Call::of(&request), request.get_ref()).await)
    }

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<FetchReply>, Status> {
        reply(read::fetch(self.store.as_ref(), request.get_ref()).await)
    }

    async fn heads(&self, request: Request<HeadsRequest>) -> Result<Response<HeadsReply>, Status> {
        reply(read::heads(self.store.as_ref(), request.get_ref()).await)
    }

    async fn mark_read(
        &self,
        request: Request<MarkReadRequest>,
    ) -> Result<Response<MarkReadReply>, Status> {
        reply(self.mark_read(&Call::of(&request), request.get_ref()).await)
    }

    async fn standings(
        &self,
        request: Request<StandingsRequest>,
    ) -> Result<Response<StandingsReply>, Status> {
        reply(read::standings(self.store.as_ref(), &Call::of(&request), request.get_ref()).await)
    }
}

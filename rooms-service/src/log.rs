//! The port to the room logs, which message-service keeps.
//!
//! Its law: a log applies a room's changes in the order of their numbers, each
//! once. It answers those it has as done and refuses those over a gap.

use async_trait::async_trait;
use base::{Code, RoomId};
use proto::message::messages_client::MessagesClient;
use proto::message::{AppendRequest, Kind};
use runtime::{Call, Replicas};

use crate::domain::{Change, ChangeKind, Role};

/// The logs of all rooms.
#[async_trait]
pub trait Log: Send + Sync {
    /// Tells the room's log of these changes: ascending, without gaps, at most
    /// [`base::limits::APPEND_CHANGES`]. Answers the newest number that it has
    /// applied.
    async fn append(
        &self,
        call: &Call,
        room: RoomId,
        changes: &[Change],
    ) -> Result<u64, AppendError>;
}

/// Why a log did not take changes.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// It lacks changes before these.
    #[error("the log lacks earlier changes")]
    Gap,
    /// It could not be asked, or could not do it.
    #[error(transparent)]
    Failed(base::Error),
}

/// The logs behind message-service's gRPC.
pub(crate) struct MessageService {
    replicas: Replicas,
}

impl MessageService {
    pub(crate) fn new(replicas: Replicas) -> Self {
        Self { replicas }
    }
}

#[async_trait]
impl Log for MessageService {
    async fn append(
        &self,
        call: &Call,
        room: RoomId,
        changes: &[Change],
    ) -> Result<u64, AppendError> {
        let changes: Vec<_> = changes.iter().map(change).collect();
        // What a replica has applied is answered as done: any may be asked again.
        let reply = self.replicas.ask(room.get(), |channel| {
            let request = call.request(AppendRequest {
                room_id: room.get(),
                changes: changes.clone(),
            });
            async move {
                let mut client = MessagesClient::new(channel);
                call.wait(client.append(request)).await
            }
        });
        match reply.await {
            Ok(reply) => Ok(reply.applied),
            Err(error) if error.code() == Code::Conflict => Err(AppendError::Gap),
            Err(error) => Err(AppendError::Failed(error)),
        }
    }
}

fn change(change: &Change) -> proto::message::Change {
    let kind = match change.kind {
        ChangeKind::Join => Kind::Join,
        ChangeKind::Leave => Kind::Leave,
    };
    proto::message::Change {
        change_no: change.no.get(),
        kind: kind as u32,
        uid: change.uid.get(),
        by: change.by.get(),
        role: change.role.map_or(0, Role::number).unsigned_abs().into(),
    }
}

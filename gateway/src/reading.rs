//! Read markers, over HTTP and WebSockets alike.

use base::{RoomId, Seq};
use proto::message::MarkReadRequest;
use proto::message::messages_client::MessagesClient;
use runtime::Call;

use crate::Gateway;

/// Moves the acting user's marker of a room forwards; where it is then.
///
/// # Errors
/// `not_found`, `permission_denied`, `invalid_argument` (beyond the newest event), and what
/// keeps message-service from answering.
pub(crate) async fn mark(
    gateway: &Gateway,
    call: &Call,
    room: RoomId,
    id: Seq,
) -> base::Result<Seq> {
    let ask = async |channel| {
        let request = call.request(MarkReadRequest {
            room_id: room.get(),
            read: id.get(),
        });
        call.wait(MessagesClient::new(channel).mark_read(request))
            .await
    };
    let reply = gateway.ports.messages.ask(room.get(), ask).await?;
    Ok(Seq(reply.read))
}

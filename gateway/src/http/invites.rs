//! Invitations: whoever has a code may come in. A code is a secret, so it is in no log.

use axum::Json;
use axum::extract::State;
use base::{Error, RoomId, Timestamp};
use http::StatusCode;
use proto::rooms::{
    AcceptInvitationRequest, FindInvitationRequest, MakeInvitationRequest,
    WithdrawInvitationRequest,
};
use wire::request::InvitationRequest;
use wire::response::{Invitation, Invited, Joined, Status};

use super::body::Body;
use super::caller::Caller;
use super::path::{CodePath, RoomPath};
use super::problem::Answer;
use super::rooms::rooms;
use crate::Gateway;

/// `POST /rooms/{RoomID}/invites`
pub(super) async fn make(
    State(gateway): State<Gateway>,
    caller: Caller,
    RoomPath(room_id): RoomPath,
    Body(body): Body,
) -> Answer<(StatusCode, Json<Invitation>)> {
    let InvitationRequest {
        max_uses,
        expires_in,
    } = InvitationRequest::parse(&body)?;
    let request = caller.call.request(MakeInvitationRequest {
        room_id: room_id.get(),
        max_uses,
        expires_in,
    });
    let mut rooms = rooms(&gateway);
    let made = caller.call.wait(rooms.make_invitation(request)).await?;
    let invitation = Invitation {
        code: made.code,
        expires_at: Timestamp::from_micros(made.expires_at),
    };
    Ok((StatusCode::CREATED, Json(invitation)))
}

/// `GET /invites/{Code}`
pub(super) async fn find(
    State(gateway): State<Gateway>,
    caller: Caller,
    CodePath(code): CodePath,
) -> Answer<Json<Invited>> {
    let request = caller.call.request(FindInvitationRequest { code });
    let mut rooms = rooms(&gateway);
    let room = caller.call.wait(rooms.find_invitation(request)).await?;
    Ok(Json(Invited {
        room_id: RoomId::try_from(room.room_id).map_err(Error::internal)?,
        name: room.name.unwrap_or_default(),
    }))
}

/// `PUT /invites/{Code}`
pub(super) async fn accept(
    State(gateway): State<Gateway>,
    caller: Caller,
    CodePath(code): CodePath,
) -> Answer<Json<Joined>> {
    let request = caller.call.request(AcceptInvitationRequest { code });
    let mut rooms = rooms(&gateway);
    let joined = caller.call.wait(rooms.accept_invitation(request)).await?;
    let room = RoomId::try_from(joined.room_id).map_err(Error::internal)?;
    Ok(Json(Joined::of(room)))
}

/// `DELETE /invites/{Code}`
pub(super) async fn withdraw(
    State(gateway): State<Gateway>,
    caller: Caller,
    CodePath(code): CodePath,
) -> Answer<Json<Status>> {
    let request = caller.call.request(WithdrawInvitationRequest { code });
    let mut rooms = rooms(&gateway);
    caller.call.wait(rooms.withdraw_invitation(request)).await?;
    Ok(Json(Status::WITHDRAWN))
}

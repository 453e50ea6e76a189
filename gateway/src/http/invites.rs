//! Invitations: whoever has a code may come in. A code is a secret, so it is in no log.

use axum::Json;
use axum::extract::State;
use base::{Code, Error, RoomId, Timestamp, limits};
use http::StatusCode;
use proto::rooms::{
    AcceptInvitationRequest, FindInvitationRequest, MakeInvitationRequest,
    WithdrawInvitationRequest,
};
use serde_json::json;
use wire::request::InvitationRequest;
use wire::response::{Invitation, Invited, Joined, Status};

use super::body::Body;
use super::caller::Caller;
use super::path::{CodePath, RoomPath};
use super::problem::Answer;
use super::rooms::rooms;
use super::route::{Repeat, Rights, Route, WHEN};
use crate::Gateway;

const CODE: &str = "q83vEjRWeJCrze8SNFZ4kA";
const ROOM: RoomId = RoomId::new(1).unwrap();
/// Why a code leads nowhere: no reason is told from another.
const GOOD_NO_MORE: &str = "no such invitation, or it is used up, expired or withdrawn";

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/rooms/{RoomID}/invites", Rights::Account, make)
            .named("makeInvitation", "Invite whoever has a code")
            .about(format!("The answer has the code, and nothing else ever does. A room has {} that are good at once, most.", limits::INVITATIONS))
            .may_take::<InvitationRequest>(json!({ "MaxUses": 1, "ExpiresIn": 3600 }))
            .answers::<Invitation>(StatusCode::CREATED, "Made.", json!({ "Code": CODE, "ExpiresAt": WHEN }))
            .refuses(Code::PermissionDenied, "only the creator invites")
            .refuses(Code::NotFound, "no such room")
            .refuses(Code::Conflict, "the room has as many as it may have"),
        Route::get("/invites/{Code}", Rights::Account, find)
            .named("invitation", "See where a code leads")
            .answers::<Invited>(StatusCode::OK, "The room.", json!({ "RoomID": 1, "Name": "lobby" }))
            .refuses(Code::NotFound, GOOD_NO_MORE),
        Route::put("/invites/{Code}", Rights::Account, Repeat::Refused, accept)
            .named("acceptInvitation", "Become a member by a code")
            .about("Also of a private room. A use is taken by who becomes a member, and by nobody else. Who is in is told so while the code is kept, good or not: his first try may have let him in.")
            .answers::<Joined>(StatusCode::OK, "Joined.", json!(Joined::of(ROOM)))
            .refuses(Code::NotFound, GOOD_NO_MORE)
            .refuses(Code::Conflict, "already a member"),
        Route::delete("/invites/{Code}", Rights::Account, Repeat::Refused, withdraw)
            .named("withdrawInvitation", "Make a code good no more")
            .answers::<Status>(StatusCode::OK, "Withdrawn.", json!(Status::WITHDRAWN))
            .refuses(Code::PermissionDenied, "only the creator withdraws it, or who made it")
            .refuses(Code::NotFound, GOOD_NO_MORE),
    ]
}

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

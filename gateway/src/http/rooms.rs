//! Rooms and who is in them: rooms-service over HTTP.

mod details;

use std::collections::HashMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use base::{Code, Error, MAX_ID, RoomId, Timestamp, Uid, limits};
use http::StatusCode;
use proto::rooms::rooms_client::RoomsClient;
use proto::rooms::{self, DirectoryRequest, InfoRequest, ListRequest, MembersRequest};
use runtime::Channel;
use serde_json::json;
use wire::request::{
    CreateRoomRequest, DirectoryQuery, InviteRequest, JoinRequest, KickRequest, LeaveRequest,
    MembersQuery, RoomsQuery,
};
use wire::response::{
    Directory, Listed, Member, MemberPage, Role, Room, RoomCreated, RoomIds, RoomList, Status,
};

use super::accounts;
use super::body::Body;
use super::caller::{Caller, MaybeCaller};
use super::path::RoomPath;
use super::problem::Answer;
use super::route::{Repeat, Rights, Route, WHEN};
use crate::Gateway;

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    let member = json!({ "RoomID": 1, "UID": 2 });
    vec![
        Route::post("/create-room", Rights::Account, create)
            .named("createRoom", "Make a room")
            .about("Its creator is its owner and first member.")
            .takes::<CreateRoomRequest>(json!({ "Name": "lobby", "IsPrivate": false }))
            .answers::<RoomCreated>(StatusCode::CREATED, "Made.", json!({ "RoomID": 1 }))
            .refuses(Code::Conflict, "a room of this name exists"),
        Route::put("/join", Rights::Account, Repeat::Refused, join)
            .named("join", "Become a member of a public room")
            .takes::<JoinRequest>(json!({ "RoomID": 1 }))
            .answers::<Status>(StatusCode::OK, "Joined.", json!(Status::JOINED))
            .refuses(Code::PermissionDenied, "the room is private")
            .refuses(Code::NotFound, "no such room")
            .refuses(Code::Conflict, "already a member"),
        Route::put("/leave", Rights::Account, Repeat::Refused, leave)
            .named("leave", "Be a member no more")
            .takes::<LeaveRequest>(json!({ "RoomID": 1 }))
            .answers::<Status>(StatusCode::OK, "Left.", json!(Status::LEFT))
            .refuses(Code::NotFound, "no such room")
            .refuses(Code::Conflict, "not a member, or an owner who is not the last member"),
        Route::put("/invite", Rights::Account, Repeat::Refused, invite)
            .named("invite", "Make somebody a member")
            .takes::<InviteRequest>(member.clone())
            .answers::<Status>(StatusCode::OK, "A member now.", json!(Status::INVITED))
            .refuses(Code::PermissionDenied, "only the creator invites")
            .refuses(Code::NotFound, "no such room, or no such user")
            .refuses(Code::Conflict, "already a member"),
        Route::put("/kick", Rights::Account, Repeat::Refused, kick)
            .named("kick", "Take somebody out of a room")
            .about("He reads nothing more; his `leave` names who did it in `By`. Who means himself wants `/leave`: `invalid_argument`.")
            .takes::<KickRequest>(member)
            .answers::<Status>(StatusCode::OK, "A member no more.", json!(Status::KICKED))
            .refuses(Code::PermissionDenied, "the caller is not above the member")
            .refuses(Code::NotFound, "no such room")
            .refuses(Code::Conflict, "not a member"),
        Route::get("/rooms", Rights::Account, list)
            .named("rooms", "See one's rooms")
            .about("With `Details` also what they are and how the caller stands in them; then a room that he is about to enter or to leave may be missing.")
            .query("Details", (0, 1), "1: with details. Absent: without.")
            .answers_either::<RoomIds, RoomList>(StatusCode::OK, "The caller's rooms; `Rooms` with `Details`.", json!({ "IDs": [1], "Rooms": [{
                "RoomID": 1, "Name": "lobby", "Kind": "room", "IsPrivate": false, "Role": "member",
                "Unread": 2, "LastRead": 39, "Head": 41, "Epoch": 1, "First": 1,
                "LastMessage": { "ID": 41, "RoomID": 1, "UID": 2, "Type": "message", "Text": "hello", "Timestamp": WHEN },
            }] })),
        Route::get("/room/{RoomID}", Rights::TokenHelps, info)
            .named("room", "See a room")
            .about("A private room is not found by those outside it.")
            .answers::<Room>(StatusCode::OK, "The room.", json!({ "RoomID": 1, "Name": "lobby", "CreatorUID": 1, "IsPrivate": false, "CreatedAt": WHEN }))
            .refuses(Code::NotFound, "no such room"),
        Route::get("/rooms/{RoomID}/members", Rights::Account, members)
            .named("members", "See who is in a room")
            .about("In pages, by ascending UID. Who is in a private room is seen from inside alone.")
            .query("After", (0, MAX_ID), "The page begins with the first member after this UID.")
            .query("Limit", (1, u64::from(limits::MEMBERS_PAGE)), "Members, most. Absent: as many as may be.")
            .answers::<MemberPage>(StatusCode::OK, "The page.", json!({
                "Members": [{ "UID": 1, "Username": "ann", "Role": "owner" }], "More": false,
            }))
            .refuses(Code::NotFound, "no such room"),
        Route::get("/directory", Rights::Account, directory)
            .named("directory", "Find public rooms")
            .about("By how their names begin, in any case, in the order of their names.")
            .query_text("Q", "How the names begin. Absent: anyhow.")
            .query("Limit", (1, u64::from(limits::DIRECTORY_PAGE)), "Rooms, most. Absent: as many as may be.")
            .answers::<Directory>(StatusCode::OK, "The rooms.", json!({
                "Rooms": [{ "RoomID": 1, "Name": "lobby", "Members": 2 }],
            })),
    ]
}

/// `POST /create-room`
pub(super) async fn create(
    State(gateway): State<Gateway>,
    caller: Caller,
    Body(body): Body,
) -> Answer<(StatusCode, Json<RoomCreated>)> {
    let CreateRoomRequest { name, is_private } = CreateRoomRequest::parse(&body)?;
    let message = rooms::CreateRequest {
        name: name.into_string(),
        is_private,
    };
    let request = caller.call.request(message);
    let reply = caller.call.wait(rooms(&gateway).create(request)).await?;
    let room_id = RoomId::try_from(reply.room_id).map_err(Error::internal)?;
    Ok((StatusCode::CREATED, Json(RoomCreated { room_id })))
}

/// `PUT /join`
pub(super) async fn join(
    State(gateway): State<Gateway>,
    caller: Caller,
    Body(body): Body,
) -> Answer<Json<Status>> {
    let JoinRequest { room_id } = JoinRequest::parse(&body)?;
    let message = rooms::JoinRequest {
        room_id: room_id.get(),
    };
    let request = caller.call.request(message);
    caller.call.wait(rooms(&gateway).join(request)).await?;
    Ok(Json(Status::JOINED))
}

/// `PUT /leave`
pub(super) async fn leave(
    State(gateway): State<Gateway>,
    caller: Caller,
    Body(body): Body,
) -> Answer<Json<Status>> {
    let LeaveRequest { room_id } = LeaveRequest::parse(&body)?;
    let message = rooms::LeaveRequest {
        room_id: room_id.get(),
    };
    let request = caller.call.request(message);
    caller.call.wait(rooms(&gateway).leave(request)).await?;
    Ok(Json(Status::LEFT))
}

/// `PUT /invite`
pub(super) async fn invite(
    State(gateway): State<Gateway>,
    caller: Caller,
    Body(body): Body,
) -> Answer<Json<Status>> {
    let InviteRequest { room_id, uid } = InviteRequest::parse(&body)?;
    // rooms-service does not know which users there are.
    accounts::profile(&gateway, &caller.call, uid).await?;
    let message = rooms::InviteRequest {
        room_id: room_id.get(),
        uid: uid.get(),
    };
    let request = caller.call.request(message);
    caller.call.wait(rooms(&gateway).invite(request)).await?;
    Ok(Json(Status::INVITED))
}

/// `PUT /kick`
pub(super) async fn kick(
    State(gateway): State<Gateway>,
    caller: Caller,
    Body(body): Body,
) -> Answer<Json<Status>> {
    let KickRequest { room_id, uid } = KickRequest::parse(&body)?;
    let message = rooms::KickRequest {
        room_id: room_id.get(),
        uid: uid.get(),
    };
    let request = caller.call.request(message);
    caller.call.wait(rooms(&gateway).kick(request)).await?;
    Ok(Json(Status::KICKED))
}

/// `GET /rooms`
pub(super) async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Answer<Response> {
    if RoomsQuery::parse(query.as_deref())?.details {
        gateway.limits.details(caller.uid)?;
        let rooms = details::mine(&gateway, &caller.call).await?;
        return Ok(Json(rooms).into_response());
    }
    let request = caller.call.request(ListRequest {});
    let reply = caller.call.wait(rooms(&gateway).list(request)).await?;
    let ids = reply.room_ids.into_iter().map(RoomId::try_from);
    let ids = ids.collect::<Result<_, _>>().map_err(Error::internal)?;
    Ok(Json(RoomIds { ids }).into_response())
}

/// `GET /rooms/{RoomID}/members`
pub(super) async fn members(
    State(gateway): State<Gateway>,
    caller: Caller,
    RoomPath(room_id): RoomPath,
    RawQuery(query): RawQuery,
) -> Answer<Json<MemberPage>> {
    let MembersQuery { after, limit } = MembersQuery::parse(query.as_deref())?;
    let request = caller.call.request(MembersRequest {
        room_id: room_id.get(),
        after: after.map_or(0, Uid::get),
        limit,
    });
    let page = caller.call.wait(rooms(&gateway).members(request)).await?;
    let uids = page.members.iter().map(|member| Uid::try_from(member.uid));
    let uids: Vec<Uid> = uids.collect::<Result<_, _>>().map_err(Error::internal)?;
    let profiles = accounts::profiles(&gateway, &caller.call, &uids, None).await?;
    let mut names: HashMap<Uid, String> = profiles
        .into_iter()
        .map(|profile| (profile.uid, profile.username))
        .collect();
    let members = page.members.iter().zip(uids).map(|(member, uid)| {
        Ok(Member {
            uid,
            // An account that is gone has no name.
            username: names.remove(&uid).unwrap_or_default(),
            role: role(member.role())?,
        })
    });
    Ok(Json(MemberPage {
        members: members.collect::<base::Result<_>>()?,
        more: page.more,
    }))
}

/// `GET /directory`
pub(super) async fn directory(
    State(gateway): State<Gateway>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Answer<Json<Directory>> {
    let DirectoryQuery { prefix, limit } = DirectoryQuery::parse(query.as_deref())?;
    let request = caller.call.request(DirectoryRequest { prefix, limit });
    let reply = caller.call.wait(rooms(&gateway).directory(request)).await?;
    let listed = |room: rooms::Listed| {
        Ok(Listed {
            room_id: RoomId::try_from(room.room_id).map_err(Error::internal)?,
            name: room.name,
            members: room.members,
        })
    };
    let rooms = reply.rooms.into_iter().map(listed);
    Ok(Json(Directory {
        rooms: rooms.collect::<base::Result<_>>()?,
    }))
}

/// `GET /room/{RoomID}`
pub(super) async fn info(
    State(gateway): State<Gateway>,
    caller: MaybeCaller,
    RoomPath(room_id): RoomPath,
) -> Answer<Json<Room>> {
    let request = caller.call.request(InfoRequest {
        room_id: room_id.get(),
    });
    let answer = caller.call.wait(rooms(&gateway).info(request)).await;
    let room = answer.map_err(|error| caller.explain(error))?;
    Ok(Json(Room {
        room_id: RoomId::try_from(room.room_id).map_err(Error::internal)?,
        name: room.name,
        creator_uid: Uid::try_from(room.creator_uid).map_err(Error::internal)?,
        is_private: room.is_private,
        created_at: Timestamp::from_micros(room.created_at),
    }))
}

/// rooms-service.
pub(super) fn rooms(gateway: &Gateway) -> RoomsClient<Channel> {
    RoomsClient::new(gateway.ports.rooms.clone())
}

/// What a member is.
fn role(role: rooms::Role) -> base::Result<Role> {
    match role {
        rooms::Role::Member => Ok(Role::Member),
        rooms::Role::Admin => Ok(Role::Admin),
        rooms::Role::Owner => Ok(Role::Owner),
        rooms::Role::Unspecified => Err(Error::internal("a member without a role")),
    }
}

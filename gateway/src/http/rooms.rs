//! Rooms and who is in them: rooms-service over HTTP.

mod details;

use std::collections::HashMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use base::{Error, RoomId, Timestamp, Uid};
use http::StatusCode;
use proto::rooms::rooms_client::RoomsClient;
use proto::rooms::{self, DirectoryRequest, InfoRequest, ListRequest, MembersRequest};
use runtime::Channel;
use wire::request::{
    CreateRoomRequest, DirectoryQuery, InviteRequest, JoinRequest, KickRequest, LeaveRequest,
    MembersQuery, ReadRequest, RoomsQuery,
};
use wire::response::{
    Directory, Listed, Member, MemberPage, ReadMarker, Role, Room, RoomCreated, RoomIds, Status,
};

use super::accounts;
use super::body::Body;
use super::caller::{Caller, MaybeCaller};
use super::path::RoomPath;
use super::problem::Answer;
use crate::{Gateway, reading};

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

/// `PUT /rooms/{RoomID}/read`
pub(super) async fn read(
    State(gateway): State<Gateway>,
    caller: Caller,
    RoomPath(room_id): RoomPath,
    Body(body): Body,
) -> Answer<Json<ReadMarker>> {
    let ReadRequest { id } = ReadRequest::parse(&body)?;
    let id = reading::mark(&gateway, &caller.call, room_id, id).await?;
    Ok(Json(ReadMarker { room_id, id }))
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

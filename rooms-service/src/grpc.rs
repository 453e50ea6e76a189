//! gRPC to use cases and back: translate, call, translate.

use base::{Error, RoomId, RoomName, Uid, limits};
use proto::rooms::rooms_server::Rooms;
use proto::rooms::{
    AcceptInvitationReply, AcceptInvitationRequest, CreateReply, CreateRequest, DirectoryReply,
    DirectoryRequest, FindInvitationRequest, InfoRequest, InviteReply, InviteRequest, JoinReply,
    JoinRequest, KickReply, KickRequest, LeaveReply, LeaveRequest, ListReply, ListRequest,
    MakeInvitationReply, MakeInvitationRequest, Member, MembersReply, MembersRequest,
    MembershipReply, MembershipRequest, Mine, MineReply, MineRequest, WithdrawInvitationReply,
    WithdrawInvitationRequest,
};
use runtime::{Call, status};
use tonic::{Request, Response, Status};

use crate::domain::{Listed, Role, Room};
use crate::service::Service;

/// The service as tonic calls it.
pub(crate) struct Grpc(pub(crate) Service);

#[tonic::async_trait]
impl Rooms for Grpc {
    async fn create(
        &self,
        request: Request<CreateRequest>,
    ) -> Result<Response<CreateReply>, Status> {
        let call = Call::of(&request);
        let CreateRequest { name, is_private } = request.into_inner();
        let made = async {
            let name = RoomName::parse("Name", &name)?;
            let id = self.0.create(&call, name, is_private).await?;
            Ok(CreateReply { room_id: id.get() })
        };
        answer(made.await)
    }

    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinReply>, Status> {
        let call = Call::of(&request);
        let joined = async {
            let room = RoomId::try_from(request.get_ref().room_id)?;
            self.0.join(&call, room).await?;
            Ok(JoinReply {})
        };
        answer(joined.await)
    }

    async fn invite(
        &self,
        request: Request<InviteRequest>,
    ) -> Result<Response<InviteReply>, Status> {
        let call = Call::of(&request);
        let InviteRequest { room_id, uid } = request.into_inner();
        let invited = async {
            let (room, uid) = (RoomId::try_from(room_id)?, Uid::try_from(uid)?);
            self.0.invite(&call, room, uid).await?;
            Ok(InviteReply {})
        };
        answer(invited.await)
    }

    async fn leave(&self, request: Request<LeaveRequest>) -> Result<Response<LeaveReply>, Status> {
        let call = Call::of(&request);
        let left = async {
            let room = RoomId::try_from(request.get_ref().room_id)?;
            self.0.leave(&call, room).await?;
            Ok(LeaveReply {})
        };
        answer(left.await)
    }

    async fn kick(&self, request: Request<KickRequest>) -> Result<Response<KickReply>, Status> {
        let call = Call::of(&request);
        let KickRequest { room_id, uid } = request.into_inner();
        let kicked = async {
            let (room, uid) = (RoomId::try_from(room_id)?, Uid::try_from(uid)?);
            self.0.kick(&call, room, uid).await?;
            Ok(KickReply {})
        };
        answer(kicked.await)
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListReply>, Status> {
        let rooms = self.0.list(&Call::of(&request)).await;
        answer(rooms.map(|rooms| ListReply {
            room_ids: rooms.into_iter().map(RoomId::get).collect(),
        }))
    }

    async fn mine(&self, request: Request<MineRequest>) -> Result<Response<MineReply>, Status> {
        let rooms = self.0.mine(&Call::of(&request)).await;
        answer(rooms.map(|rooms| MineReply {
            rooms: rooms.into_iter().map(mine).collect(),
        }))
    }

    async fn members(
        &self,
        request: Request<MembersRequest>,
    ) -> Result<Response<MembersReply>, Status> {
        let call = Call::of(&request);
        let MembersRequest {
            room_id,
            after,
            limit,
        } = request.into_inner();
        let page = async {
            let room = RoomId::try_from(room_id)?;
            let limit = within("Limit", limit, (1, limits::MEMBERS_PAGE))?;
            let page = self.0.members(&call, room, Uid::new(after), limit);
            let (members, more) = page.await?;
            let members = members.into_iter().map(member).collect();
            Ok(MembersReply { members, more })
        };
        answer(page.await)
    }

    async fn directory(
        &self,
        request: Request<DirectoryRequest>,
    ) -> Result<Response<DirectoryReply>, Status> {
        let DirectoryRequest { prefix, limit } = request.into_inner();
        let found = async {
            let limit = within("Limit", limit, (1, limits::DIRECTORY_PAGE))?;
            let rooms = self.0.directory(&prefix, limit).await?;
            let rooms = rooms.into_iter().map(listed).collect();
            Ok(DirectoryReply { rooms })
        };
        answer(found.await)
    }

    async fn make_invitation(
        &self,
        request: Request<MakeInvitationRequest>,
    ) -> Result<Response<MakeInvitationReply>, Status> {
        let call = Call::of(&request);
        answer(self.make(&call, request.get_ref()).await)
    }

    async fn find_invitation(
        &self,
        request: Request<FindInvitationRequest>,
    ) -> Result<Response<proto::rooms::Room>, Status> {
        let room = self.0.invited(&request.get_ref().code).await;
        answer(room.map(translate))
    }

    async fn accept_invitation(
        &self,
        request: Request<AcceptInvitationRequest>,
    ) -> Result<Response<AcceptInvitationReply>, Status> {
        let call = Call::of(&request);
        let room = self.0.accept(&call, &request.get_ref().code).await;
        answer(room.map(|room| AcceptInvitationReply {
            room_id: room.get(),
        }))
    }

    async fn withdraw_invitation(
        &self,
        request: Request<WithdrawInvitationRequest>,
    ) -> Result<Response<WithdrawInvitationReply>, Status> {
        let call = Call::of(&request);
        let withdrawn = self.0.withdraw(&call, &request.get_ref().code).await;
        answer(withdrawn.map(|()| WithdrawInvitationReply {}))
    }

    async fn info(
        &self,
        request: Request<InfoRequest>,
    ) -> Result<Response<proto::rooms::Room>, Status> {
        let call = Call::of(&request);
        let info = async {
            let room = RoomId::try_from(request.get_ref().room_id)?;
            Ok(translate(self.0.info(&call, room).await?))
        };
        answer(info.await)
    }

    async fn membership(
        &self,
        request: Request<MembershipRequest>,
    ) -> Result<Response<MembershipReply>, Status> {
        let MembershipRequest { room_id, uid } = request.into_inner();
        let membership = async {
            let (room, uid) = (RoomId::try_from(room_id)?, Uid::try_from(uid)?);
            let role = self.0.role(room, uid).await?;
            let role = role.map_or(0, Role::number).into();
            Ok(MembershipReply { role })
        };
        answer(membership.await)
    }
}

fn answer<T>(outcome: Result<T, Error>) -> Result<Response<T>, Status> {
    match outcome {
        Ok(reply) => Ok(Response::new(reply)),
        Err(error) => Err(status::to_status(&error)),
    }
}

fn translate(room: Room) -> proto::rooms::Room {
    proto::rooms::Room {
        room_id: room.id.get(),
        kind: room.kind.number().into(),
        name: room.name.map(RoomName::into_string),
        creator_uid: room.creator.get(),
        is_private: room.is_private,
        created_at: room.created_at.micros(),
    }
}

impl Grpc {
    async fn make(
        &self,
        call: &Call,
        asked: &MakeInvitationRequest,
    ) -> base::Result<MakeInvitationReply> {
        let room = RoomId::try_from(asked.room_id)?;
        let uses = asked.max_uses;
        let uses = uses.map(|uses| within("MaxUses", uses, limits::INVITATION_USES));
        let seconds = asked.expires_in.unwrap_or(limits::INVITATION_SECONDS_USUAL);
        let seconds = within("ExpiresIn", seconds, limits::INVITATION_SECONDS)?;
        let made = self
            .0
            .make_invitation(call, room, uses.transpose()?, seconds);
        let (code, expires_at) = made.await?;
        Ok(MakeInvitationReply {
            code,
            expires_at: expires_at.micros(),
        })
    }
}

fn mine((room, role): (Room, Role)) -> Mine {
    Mine {
        room: Some(translate(room)),
        role: role.number().into(),
    }
}

fn member((uid, role): (Uid, Role)) -> Member {
    Member {
        uid: uid.get(),
        role: role.number().into(),
    }
}

fn listed(room: Listed) -> proto::rooms::Listed {
    proto::rooms::Listed {
        room_id: room.id.get(),
        name: room.name.into_string(),
        members: room.members,
    }
}

fn within(name: &str, value: u32, (least, most): (u32, u32)) -> base::Result<u32> {
    if (least..=most).contains(&value) {
        Ok(value)
    } else {
        Err(Error::invalid(name, format!("must be {least} to {most}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ChangeKind, Kind};

    #[test]
    fn stored_numbers_are_those_of_the_contract() {
        use proto::{message, rooms};
        for (ours, theirs) in [
            (Role::Member, rooms::Role::Member),
            (Role::Admin, rooms::Role::Admin),
            (Role::Owner, rooms::Role::Owner),
        ] {
            assert_eq!(i32::from(ours.number()), theirs as i32);
        }
        for (ours, theirs) in [
            (Kind::Room, rooms::Kind::Room),
            (Kind::Direct, rooms::Kind::Direct),
        ] {
            assert_eq!(i32::from(ours.number()), theirs as i32);
        }
        for (ours, theirs) in [
            (ChangeKind::Join, message::Kind::Join),
            (ChangeKind::Leave, message::Kind::Leave),
        ] {
            assert_eq!(i32::from(ours.number()), theirs as i32);
        }
    }
}

//! Rooms, and who is in them.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use wire::response::{
    Directory, Invitation, Invited, Joined, Listed, MemberPage, Room, RoomCreated, RoomDetails,
    RoomIds, RoomList, Status,
};
use wire::{RoomId, Uid};

use super::{Api, with_text};
use crate::Result;

impl Api {
    /// `POST /create-room`
    ///
    /// # Errors
    /// `invalid_argument`; `conflict` when the name is taken.
    pub async fn create_room(&self, name: &str, is_private: bool) -> Result<RoomId> {
        let body = json!({ "Name": name, "IsPrivate": is_private });
        let answer: RoomCreated = self.call(Method::POST, "/create-room", Some(body)).await?;
        Ok(answer.room_id)
    }

    /// `PUT /join`
    ///
    /// # Errors
    /// `permission_denied` when the room is private, `not_found`, `conflict` when
    /// already a member.
    pub async fn join(&self, room: RoomId) -> Result<()> {
        self.act("/join", json!({ "RoomID": room })).await
    }

    /// `PUT /invite`: makes `uid` a member.
    ///
    /// # Errors
    /// `permission_denied` when the caller may not, `not_found`, `conflict` when
    /// already a member.
    pub async fn invite(&self, room: RoomId, uid: Uid) -> Result<()> {
        self.act("/invite", json!({ "RoomID": room, "UID": uid }))
            .await
    }

    /// `POST /rooms/{RoomID}/invites`: a code by which `max_uses` (`None`: any number) may
    /// become members, for `valid_for` (1 s to a year; `None`: a week).
    ///
    /// # Errors
    /// `permission_denied` when the caller may not invite, `not_found`, `conflict` when the
    /// room has 100 already, `invalid_argument`.
    pub async fn make_invitation(
        &self,
        room: RoomId,
        max_uses: Option<u32>,
        valid_for: Option<Duration>,
    ) -> Result<Invitation> {
        let seconds = valid_for.map(|valid_for| valid_for.as_secs());
        let body = json!({ "MaxUses": max_uses, "ExpiresIn": seconds });
        let path = format!("/rooms/{room}/invites");
        self.call(Method::POST, &path, Some(body)).await
    }

    /// `GET /invites/{Code}`: where a code leads.
    ///
    /// # Errors
    /// `not_found` when it is not good, or no more.
    pub async fn invitation(&self, code: &str) -> Result<Invited> {
        self.call(Method::GET, &invite(code), None).await
    }

    /// `PUT /invites/{Code}`: makes the caller a member of the room that a code leads to.
    ///
    /// # Errors
    /// `not_found` when it is not good, or no more; `conflict` when already a member.
    pub async fn accept_invitation(&self, code: &str) -> Result<RoomId> {
        let answer: Joined = self.call(Method::PUT, &invite(code), None).await?;
        Ok(answer.room_id)
    }

    /// `DELETE /invites/{Code}`: makes a code good no more.
    ///
    /// # Errors
    /// `permission_denied` when the caller may not invite; `not_found` when it is not good,
    /// or no more.
    pub async fn withdraw_invitation(&self, code: &str) -> Result<()> {
        let _: Status = self.call(Method::DELETE, &invite(code), None).await?;
        Ok(())
    }

    /// `PUT /leave`
    ///
    /// # Errors
    /// `not_found`; `conflict` when not a member, or the owner of a room with others in it.
    pub async fn leave(&self, room: RoomId) -> Result<()> {
        self.act("/leave", json!({ "RoomID": room })).await
    }

    /// `PUT /kick`: ends the membership of `uid`.
    ///
    /// # Errors
    /// `permission_denied` when the caller does not stand above `uid`, `not_found`,
    /// `conflict` when `uid` is no member.
    pub async fn kick(&self, room: RoomId, uid: Uid) -> Result<()> {
        self.act("/kick", json!({ "RoomID": room, "UID": uid }))
            .await
    }

    /// `GET /rooms`: the caller's, ascending.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub async fn rooms(&self) -> Result<Vec<RoomId>> {
        let answer: RoomIds = self.call(Method::GET, "/rooms", None).await?;
        Ok(answer.ids)
    }

    /// `GET /rooms?Details=1`: the caller's, ascending, with how he stands in them.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub async fn room_details(&self) -> Result<Vec<RoomDetails>> {
        let answer: RoomList = self.call(Method::GET, "/rooms?Details=1", None).await?;
        Ok(answer.rooms)
    }

    /// `GET /rooms/{RoomID}/members`: up to `limit` (1–100) members after `after` (`None`:
    /// from the first), by ascending UID.
    ///
    /// # Errors
    /// `not_found`, also for a private room that the caller is not in.
    pub async fn members(
        &self,
        room: RoomId,
        after: Option<Uid>,
        limit: u32,
    ) -> Result<MemberPage> {
        let after = after.map_or(0, Uid::get);
        let path = format!("/rooms/{room}/members?After={after}&Limit={limit}");
        self.call(Method::GET, &path, None).await
    }

    /// `GET /directory`: up to `limit` (1–50) public rooms whose names begin with `prefix`, in
    /// any case.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub async fn directory(&self, prefix: &str, limit: u32) -> Result<Vec<Listed>> {
        let path = with_text(&format!("/directory?Limit={limit}"), "Q", prefix);
        let answer: Directory = self.call(Method::GET, &path, None).await?;
        Ok(answer.rooms)
    }

    /// `GET /room/{RoomID}`
    ///
    /// # Errors
    /// `not_found`, also for a private room that the caller is not in.
    pub async fn room(&self, room: RoomId) -> Result<Room> {
        self.call(Method::GET, &format!("/room/{room}"), None).await
    }
}

/// The path of an invitation.
fn invite(code: &str) -> String {
    let code: String = form_urlencoded::byte_serialize(code.as_bytes()).collect();
    format!("/invites/{code}")
}

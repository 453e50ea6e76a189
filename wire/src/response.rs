//! Response bodies in their documented spelling. The gateway writes them, the SDK
//! reads them; a reader passes over keys it does not know.

use base::{Epoch, RoomId, Seq, SessionId, Timestamp, Uid};
use serde::{Deserialize, Serialize};

use crate::frame::EventKind;

/// `POST /register` → 201
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Registered {
    /// The new user.
    #[serde(rename = "UID")]
    pub uid: Uid,
}

/// `PUT /login` → 200. It does not print its secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LoggedIn {
    /// What every later request carries.
    pub token: String,
    /// What the next token is to be had for.
    #[serde(rename = "RefreshToken")]
    pub refresh_token: String,
    /// When `token` ends.
    #[serde(rename = "ExpiresAt")]
    pub expires_at: Timestamp,
    /// The session that began.
    #[serde(rename = "SessionID")]
    pub session_id: SessionId,
}

impl std::fmt::Debug for LoggedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoggedIn")
            .field("session_id", &self.session_id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// `GET /profile`, `GET /profile/{UID}` → 200
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Profile {
    /// The user.
    #[serde(rename = "UID")]
    pub uid: Uid,
    /// The name, as typed.
    pub username: String,
    /// The address, as typed; only for the user himself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub email: Option<String>,
    /// When the user registered.
    pub created_at: Timestamp,
}

/// What an action without a result answers, for instance `{"status":"joined"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Status {
    /// What has happened.
    pub status: std::borrow::Cow<'static, str>,
}

impl Status {
    /// The answer of `PUT /change-name`.
    pub const NAME_CHANGED: Self = Self::of("name changed");
    /// The answer of `PUT /join`.
    pub const JOINED: Self = Self::of("joined");
    /// The answer of `PUT /invite`.
    pub const INVITED: Self = Self::of("invited");
    /// The answer of `DELETE /invites/{Code}`.
    pub const WITHDRAWN: Self = Self::of("withdrawn");
    /// The answer of `PUT /kick`.
    pub const KICKED: Self = Self::of("kicked");
    /// The answer of `PUT /leave`.
    pub const LEFT: Self = Self::of("left");
    /// The answer of `POST /logout`.
    pub const LOGGED_OUT: Self = Self::of("logged out");
    /// The answer of `DELETE /sessions` and `DELETE /sessions/{SessionID}`.
    pub const ENDED: Self = Self::of("ended");
    /// The answer of `PUT /change-password`.
    pub const PASSWORD_CHANGED: Self = Self::of("password changed");

    const fn of(status: &'static str) -> Self {
        Self {
            status: std::borrow::Cow::Borrowed(status),
        }
    }
}

/// `GET /sessions` → 200
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SessionList {
    /// Newest first.
    pub sessions: Vec<Session>,
}

/// One of the caller's sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Session {
    /// Its id.
    #[serde(rename = "SessionID")]
    pub session_id: SessionId,
    /// What the client called itself when it logged in.
    pub device: String,
    /// The address it came from.
    pub address: String,
    /// When it logged in.
    pub created_at: Timestamp,
    /// When a token of it was last seen, to the minute; with an open connection, to the
    /// half hour.
    pub last_used: Timestamp,
    /// Whether this request belongs to it.
    pub current: bool,
}

/// `POST /ws-ticket` → 200. It does not print its secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Ticket {
    /// For `?ticket=` in place of a token, once.
    pub ticket: String,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// `POST /create-room` → 201
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RoomCreated {
    /// The new room.
    #[serde(rename = "RoomID")]
    pub room_id: RoomId,
}

/// `GET /rooms` → 200
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RoomIds {
    /// The rooms the caller is a member of, ascending.
    #[serde(rename = "IDs")]
    pub ids: Vec<RoomId>,
}

/// `GET /rooms?Details=1` → 200
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RoomList {
    /// The rooms the caller is a member of, ascending.
    #[serde(rename = "IDs")]
    pub ids: Vec<RoomId>,
    /// What there is to know of them, in the same order.
    pub rooms: Vec<RoomDetails>,
}

/// One of the caller's rooms, and how he stands in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RoomDetails {
    /// The room.
    #[serde(rename = "RoomID")]
    pub room_id: RoomId,
    /// What it is called. Not every kind of room has a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub name: Option<String>,
    /// `room` or `direct`.
    pub kind: RoomKind,
    /// Whether one needs an invitation.
    pub is_private: bool,
    /// What the caller is in it.
    pub role: Role,
    /// Messages of others after `LastRead`, among the newest 1,000 events.
    pub unread: u32,
    /// The newest event that the caller has read; his join, where he never said.
    pub last_read: Seq,
    /// The newest event.
    pub head: Seq,
    /// The life of the log that these numbers are of.
    pub epoch: Epoch,
    /// The oldest event kept.
    pub first: Seq,
    /// The newest message, where there is one among the newest 1,000 events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub last_message: Option<Entry>,
}

/// What a room is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum RoomKind {
    /// A room with a name, which people join.
    Room,
    /// Two people's conversation.
    Direct,
}

/// What a member is in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Role {
    /// He may read and write.
    Member,
    /// He may moderate too.
    Admin,
    /// He may everything.
    Owner,
}

/// `GET /rooms/{RoomID}/members` → 200
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MemberPage {
    /// By ascending UID.
    pub members: Vec<Member>,
    /// Whether there are more after these.
    pub more: bool,
}

/// A member of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Member {
    /// Who.
    #[serde(rename = "UID")]
    pub uid: Uid,
    /// What he is called.
    pub username: String,
    /// What he is here.
    pub role: Role,
}

/// `GET /users` → 200
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UserList {
    /// Those of the named that there are, by ascending UID, without `Email`.
    pub users: Vec<Profile>,
}

/// `GET /directory` → 200
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Directory {
    /// Public rooms, by name.
    pub rooms: Vec<Listed>,
}

/// A public room in the directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Listed {
    /// The room.
    #[serde(rename = "RoomID")]
    pub room_id: RoomId,
    /// What it is called.
    pub name: String,
    /// How many are in it.
    pub members: u64,
}

/// `PUT /rooms/{RoomID}/read` → 200
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReadMarker {
    /// The room.
    #[serde(rename = "RoomID")]
    pub room_id: RoomId,
    /// Where the caller's marker is now: it never moves back.
    #[serde(rename = "ID")]
    pub id: Seq,
}

/// `POST /rooms/{RoomID}/invites` → 201. It does not print its code.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Invitation {
    /// What lets somebody in, for `PUT /invites/{Code}`.
    pub code: String,
    /// Until when.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for Invitation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invitation")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// `PUT /invites/{Code}` → 200
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Joined {
    /// What has happened, as [`Status`] says it.
    pub status: std::borrow::Cow<'static, str>,
    /// The room.
    #[serde(rename = "RoomID")]
    pub room_id: RoomId,
}

impl Joined {
    /// A join of this room.
    pub fn of(room_id: RoomId) -> Self {
        Self {
            status: Status::JOINED.status,
            room_id,
        }
    }
}

/// `GET /invites/{Code}` → 200
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Invited {
    /// The room that it leads into.
    #[serde(rename = "RoomID")]
    pub room_id: RoomId,
    /// What it is called.
    pub name: String,
}

/// `GET /room/{RoomID}` → 200
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Room {
    /// The room.
    #[serde(rename = "RoomID")]
    pub room_id: RoomId,
    /// What it is called, as typed. Not every kind of room has a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub name: Option<String>,
    /// Who made it.
    #[serde(rename = "CreatorUID")]
    pub creator_uid: Uid,
    /// Whether one needs an invitation.
    pub is_private: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// One entry of `GET /messages/{RoomID}`, which answers an array of them, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Entry {
    /// Its number within the room.
    #[serde(rename = "ID")]
    pub id: Seq,
    /// The room.
    #[serde(rename = "RoomID")]
    pub room_id: RoomId,
    /// Who wrote it; for `join` and `leave`, the member.
    #[serde(rename = "UID")]
    pub uid: Uid,
    /// `message`, `join` or `leave`.
    #[serde(rename = "Type")]
    pub kind: EventKind,
    /// What was said; empty for `join` and `leave`.
    pub text: String,
    /// When.
    pub timestamp: Timestamp,
}

/// `POST /messages/{RoomID}` → 201
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Posted {
    /// The message's number within the room.
    #[serde(rename = "MessageID")]
    pub message_id: Seq,
    /// When it was written down.
    pub timestamp: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<T>(body: &T, json: &str)
    where
        T: Serialize + for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug,
    {
        assert_eq!(serde_json::to_string(body).unwrap(), json);
        assert_eq!(&serde_json::from_str::<T>(json).unwrap(), body);
    }

    #[test]
    fn bodies_are_spelled_as_documented() {
        let uid = Uid::new(2).unwrap();
        let room_id = RoomId::new(1).unwrap();
        let created_at = Timestamp::from_micros(0);
        round_trip(&Registered { uid }, r#"{"UID":2}"#);
        round_trip(
            &LoggedIn {
                token: "t".into(),
                refresh_token: "r".into(),
                expires_at: created_at,
                session_id: SessionId::new(3).unwrap(),
            },
            r#"{"token":"t","RefreshToken":"r","ExpiresAt":"1970-01-01T00:00:00.000000Z","SessionID":3}"#,
        );
        round_trip(
            &Profile {
                uid,
                username: "ann".into(),
                email: None,
                created_at,
            },
            r#"{"UID":2,"Username":"ann","CreatedAt":"1970-01-01T00:00:00.000000Z"}"#,
        );
        round_trip(&Status::NAME_CHANGED, r#"{"status":"name changed"}"#);
        round_trip(&RoomCreated { room_id }, r#"{"RoomID":1}"#);
        round_trip(&RoomIds { ids: vec![room_id] }, r#"{"IDs":[1]}"#);
        round_trip(
            &Room {
                room_id,
                name: Some("hall".into()),
                creator_uid: uid,
                is_private: false,
                created_at,
            },
            r#"{"RoomID":1,"Name":"hall","CreatorUID":2,"IsPrivate":false,"CreatedAt":"1970-01-01T00:00:00.000000Z"}"#,
        );
        round_trip(
            &Entry {
                id: Seq(4),
                room_id,
                uid,
                kind: EventKind::Message,
                text: "hi".into(),
                timestamp: created_at,
            },
            r#"{"ID":4,"RoomID":1,"UID":2,"Type":"message","Text":"hi","Timestamp":"1970-01-01T00:00:00.000000Z"}"#,
        );
        round_trip(
            &Posted {
                message_id: Seq(4),
                timestamp: created_at,
            },
            r#"{"MessageID":4,"Timestamp":"1970-01-01T00:00:00.000000Z"}"#,
        );
    }

    #[test]
    fn secrets_do_not_print() {
        let login = LoggedIn {
            token: "sesame".into(),
            refresh_token: "sesame".into(),
            expires_at: Timestamp::default(),
            session_id: SessionId::new(1).unwrap(),
        };
        assert!(!format!("{login:?}").contains("sesame"));
    }
}

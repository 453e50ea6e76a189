//! Request bodies, parsed into what cannot be wrong. Every `parse` takes the body as
//! it came, whatever its Content-Type, and answers `invalid_argument` naming the
//! field when a rule of the contract is broken.

use std::borrow::Cow;

use base::{
    Email, Epoch, Error, MAX_ID, MessageText, Nonce, Password, Result, RoomId, RoomName, Seq, Uid,
    Username, limits,
};

use crate::json::Fields;
use crate::path::digits;

/// `POST /register`
#[derive(Debug, Clone)]
#[cfg_attr(
    feature = "schema",
    derive(utoipa::ToSchema),
    schema(rename_all = "PascalCase")
)]
pub struct RegisterRequest {
    /// The name to go by.
    pub username: Username,
    /// Where to reach the user.
    pub email: Email,
    /// What only the user knows.
    pub password: Password,
}

impl RegisterRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let mut fields = Fields::parse(&["Username", "Email", "Password"], body)?;
        Ok(Self {
            username: Username::parse("Username", &fields.string(0)?)?,
            email: Email::parse("Email", &fields.string(1)?)?,
            password: Password::parse("Password", &fields.string(2)?)?,
        })
    }
}

/// Who wants to log in, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginName {
    /// An e-mail address.
    Email(String),
    /// A username.
    Username(String),
}

/// `PUT /login`. What could be no name or password at all is not told apart from a
/// wrong one, so these are plain strings (without NUL).
#[derive(Clone, PartialEq, Eq)]
pub struct LoginRequest {
    /// Who.
    pub name: LoginName,
    /// The password as typed.
    pub password: String,
}

impl LoginRequest {
    /// Reads the body. `Email` comes before `Username` where both say something.
    ///
    /// # Errors
    /// `invalid_argument` when neither is there, or `Password` is not.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let mut fields = Fields::parse(&["Email", "Username", "Password"], body)?;
        let email = fields
            .optional_string(0)?
            .map(|text| plain("Email", text))
            .transpose()?;
        let username = fields
            .optional_string(1)?
            .map(|text| plain("Username", text))
            .transpose()?;
        let name = match (email, username) {
            // A client that always sends both fields leaves one of them empty.
            (Some(email), Some(username)) if email.is_empty() => LoginName::Username(username),
            (Some(email), _) => LoginName::Email(email),
            (None, Some(username)) => LoginName::Username(username),
            (None, None) => return Err(Error::invalid("Email", "is required, or Username")),
        };
        let password = plain("Password", fields.string(2)?)?;
        Ok(Self { name, password })
    }
}

impl std::fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginRequest")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn plain(field: &str, text: Cow<'_, str>) -> Result<String> {
    if text.contains('\0') {
        return Err(Error::invalid(field, "may not have NUL"));
    }
    Ok(text.into_owned())
}

/// `PUT /change-name`
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "schema",
    derive(utoipa::ToSchema),
    schema(rename_all = "PascalCase")
)]
pub struct ChangeNameRequest {
    /// The name to go by from now on.
    pub new_name: Username,
}

impl ChangeNameRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let mut fields = Fields::parse(&["NewName"], body)?;
        Ok(Self {
            new_name: Username::parse("NewName", &fields.string(0)?)?,
        })
    }
}

/// `PUT /change-password`. The old password is as typed: whether it could be one is not
/// told apart from whether it is the right one.
#[derive(Clone)]
#[cfg_attr(
    feature = "schema",
    derive(utoipa::ToSchema),
    schema(rename_all = "PascalCase")
)]
pub struct ChangePasswordRequest {
    /// The password until now.
    pub old_password: String,
    /// The password from now on.
    pub new_password: Password,
}

impl ChangePasswordRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let mut fields = Fields::parse(&["OldPassword", "NewPassword"], body)?;
        Ok(Self {
            old_password: plain("OldPassword", fields.string(0)?)?,
            new_password: Password::parse("NewPassword", &fields.string(1)?)?,
        })
    }
}

impl std::fmt::Debug for ChangePasswordRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChangePasswordRequest(…)")
    }
}

/// `POST /refresh`
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "schema",
    derive(utoipa::ToSchema),
    schema(rename_all = "PascalCase")
)]
pub struct RefreshRequest {
    /// What a login or the last refresh gave.
    pub refresh_token: String,
}

impl RefreshRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let mut fields = Fields::parse(&["RefreshToken"], body)?;
        Ok(Self {
            refresh_token: plain("RefreshToken", fields.string(0)?)?,
        })
    }
}

impl std::fmt::Debug for RefreshRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshRequest(…)")
    }
}

/// `POST /create-room`
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "schema",
    derive(utoipa::ToSchema),
    schema(rename_all = "PascalCase")
)]
pub struct CreateRoomRequest {
    /// What the room is called.
    pub name: RoomName,
    /// Whether one needs an invitation. Absent: no.
    #[cfg_attr(feature = "schema", schema(required = false, default = false))]
    pub is_private: bool,
}

impl CreateRoomRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let mut fields = Fields::parse(&["Name", "IsPrivate"], body)?;
        Ok(Self {
            name: RoomName::parse("Name", &fields.string(0)?)?,
            is_private: fields.optional_bool(1)?.unwrap_or(false),
        })
    }
}

/// `PUT /join`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "schema",
    derive(utoipa::ToSchema),
    schema(rename_all = "PascalCase")
)]
pub struct JoinRequest {
    /// The room to become a member of.
    #[cfg_attr(feature = "schema", schema(rename = "RoomID"))]
    pub room_id: RoomId,
}

impl JoinRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(body: &[u8]) -> Result<Self> {
        Ok(Self {
            room_id: Fields::parse(&["RoomID"], body)?.id(0)?,
        })
    }
}

/// `PUT /leave`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "schema",
    derive(utoipa::ToSchema),
    schema(rename_all = "PascalCase")
)]
pub struct LeaveRequest {
    /// The room to be a member of no more.
    #[cfg_attr(feature = "schema", schema(rename = "RoomID"))]
    pub room_id: RoomId,
}

impl LeaveRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(body: &[u8]) -> Result<Self> {
        Ok(Self {
            room_id: Fields::parse(&["RoomID"], body)?.id(0)?,
        })
    }
}

/// `PUT /invite`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "schema",
    derive(utoipa::ToSchema),
    schema(rename_all = "PascalCase")
)]
pub struct InviteRequest {
    /// The room.
    #[cfg_attr(feature = "schema", schema(rename = "RoomID"))]
    pub room_id: RoomId,
    /// Who becomes a member of it.
    #[cfg_attr(feature = "schema", schema(rename = "UID"))]
    pub uid: Uid,
}

impl InviteRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let fields = Fields::parse(&["RoomID", "UID"], body)?;
        Ok(Self {
            room_id: fields.id(0)?,
            uid: fields.id(1)?,
        })
    }
}

/// `PUT /kick`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "schema",
    derive(utoipa::ToSchema),
    schema(rename_all = "PascalCase")
)]
pub struct KickRequest {
    /// The room.
    #[cfg_attr(feature = "schema", schema(rename = "RoomID"))]
    pub room_id: RoomId,
    /// Who is a member of it no more.
    #[cfg_attr(feature = "schema", schema(rename = "UID"))]
    pub uid: Uid,
}

impl KickRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let fields = Fields::parse(&["RoomID", "UID"], body)?;
        Ok(Self {
            room_id: fields.id(0)?,
            uid: fields.id(1)?,
        })
    }
}

/// `GET /messages/{RoomID}`: which page of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Where the page lies.
    pub from: HistoryFrom,
    /// Entries, 1–100.
    pub limit: u32,
}

/// Where a page of the history lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryFrom {
    /// The newest entries there are, newest first.
    Newest,
    /// Backwards from this ID, itself included, newest first.
    UpTo(Seq),
    /// Forwards from the first after this ID, oldest first.
    After(Seq),
    /// Half of it up to this ID, half after it, newest first.
    Around(Seq),
}

impl HistoryQuery {
    /// Reads the query of the URL (without `?`) and the body, which a GET need not
    /// have. Where both name a value, the query's counts.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(query: Option<&str>, body: &[u8]) -> Result<Self> {
        const NAMES: [&str; 4] = ["LastID", "After", "Around", "Limit"];
        let most = u64::from(limits::HISTORY_PAGE);
        let ranges = [(0, MAX_ID), (0, MAX_ID), (1, MAX_ID), (1, most)];
        let [last_id, after, around, limit] = numbers(&NAMES, ranges, query, body)?;
        let from = match (last_id.filter(|id| *id > 0), after, around) {
            (None, None, None) => HistoryFrom::Newest,
            (Some(last), None, None) => HistoryFrom::UpTo(Seq(last)),
            (None, Some(after), None) => HistoryFrom::After(Seq(after)),
            (None, None, Some(around)) => HistoryFrom::Around(Seq(around)),
            (_, Some(_), _) => {
                return Err(Error::invalid(
                    "After",
                    "goes with neither LastID nor Around",
                ));
            }
            _ => return Err(Error::invalid("Around", "does not go with LastID")),
        };
        let limit = limit.and_then(|limit| u32::try_from(limit).ok());
        Ok(Self {
            from,
            limit: limit.unwrap_or(limits::HISTORY_PAGE),
        })
    }
}

/// `GET /rooms/{RoomID}/events`: which page of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventsQuery {
    /// The page begins with the event after this; 0: with the first that is kept.
    pub after: Seq,
    /// The life of the log that `after` was counted in, where the client knows it.
    pub epoch: Option<Epoch>,
    /// Events, 1–1,000. The page ends earlier where it would be larger than 256 KiB.
    pub limit: u32,
}

impl EventsQuery {
    /// Reads the query of the URL (without `?`).
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(query: Option<&str>) -> Result<Self> {
        const NAMES: [&str; 3] = ["After", "Epoch", "Limit"];
        let most = u64::from(limits::EVENTS_PAGE);
        let ranges = [(0, MAX_ID), (0, MAX_ID), (1, most)];
        let [after, epoch, limit] = numbers(&NAMES, ranges, query, b"")?;
        let limit = limit.and_then(|limit| u32::try_from(limit).ok());
        Ok(Self {
            after: Seq(after.unwrap_or(0)),
            epoch: epoch.map(Epoch),
            limit: limit.unwrap_or(limits::EVENTS_PAGE),
        })
    }
}

/// `GET /rooms`: how much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomsQuery {
    /// What there is to know of each room, besides its id.
    pub details: bool,
}

impl RoomsQuery {
    /// Reads the query of the URL (without `?`).
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(query: Option<&str>) -> Result<Self> {
        let [details] = numbers(&["Details"], [(0, 1)], query, b"")?;
        Ok(Self {
            details: details == Some(1),
        })
    }
}

/// `GET /users`: whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsersQuery {
    /// Those with these numbers, 100 at most.
    pub uids: Vec<Uid>,
    /// The one of this name, in any case.
    pub username: Option<Username>,
}

impl UsersQuery {
    /// Reads the query of the URL (without `?`).
    ///
    /// # Errors
    /// `invalid_argument`, also when it names nobody.
    pub fn parse(query: Option<&str>) -> Result<Self> {
        let [uids, username] = texts(&["UID", "Username"], query);
        let uids = uids.map_or_else(|| Ok(Vec::new()), |uids| self::uids(&uids))?;
        let username = username.map(|name| Username::parse("Username", &name));
        let query = Self {
            uids,
            username: username.transpose()?,
        };
        if query.uids.is_empty() && query.username.is_none() {
            return Err(Error::invalid("UID", "is required, or Username"));
        }
        Ok(query)
    }
}

/// Numbers with commas between them.
fn uids(list: &str) -> Result<Vec<Uid>> {
    let mut uids = Vec::new();
    for one in list.split(',') {
        if uids.len() == limits::PROFILES {
            return Err(Error::invalid("UID", "may be 100 numbers at most"));
        }
        uids.push(crate::uid(one)?);
    }
    Ok(uids)
}

/// `GET /rooms/{RoomID}/members`: which page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MembersQuery {
    /// The page begins with the member after this UID.
    pub after: Option<Uid>,
    /// Members, 1–100.
    pub limit: u32,
}

impl MembersQuery {
    /// Reads the query of the URL (without `?`).
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(query: Option<&str>) -> Result<Self> {
        let most = u64::from(limits::MEMBERS_PAGE);
        let ranges = [(0, MAX_ID), (1, most)];
        let [after, limit] = numbers(&["After", "Limit"], ranges, query, b"")?;
        let limit = limit.and_then(|limit| u32::try_from(limit).ok());
        Ok(Self {
            after: after.and_then(Uid::new),
            limit: limit.unwrap_or(limits::MEMBERS_PAGE),
        })
    }
}

/// `GET /directory`: which public rooms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryQuery {
    /// How their names begin, in any case; empty: all.
    pub prefix: String,
    /// Rooms, 1–50.
    pub limit: u32,
}

impl DirectoryQuery {
    /// Reads the query of the URL (without `?`).
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(query: Option<&str>) -> Result<Self> {
        let [prefix] = texts(&["Q"], query);
        let prefix = plain("Q", prefix.unwrap_or_default())?;
        if prefix.chars().count() > limits::ROOM_NAME_CHARS.1 {
            return Err(Error::invalid("Q", "must have at most 20 characters"));
        }
        let most = u64::from(limits::DIRECTORY_PAGE);
        let [limit] = numbers(&["Limit"], [(1, most)], query, b"")?;
        let limit = limit.and_then(|limit| u32::try_from(limit).ok());
        Ok(Self {
            prefix,
            limit: limit.unwrap_or(limits::DIRECTORY_PAGE),
        })
    }
}

/// `PUT /rooms/{RoomID}/read`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "schema",
    derive(utoipa::ToSchema),
    schema(rename_all = "PascalCase")
)]
pub struct ReadRequest {
    /// The newest event that was read.
    #[cfg_attr(
        feature = "schema",
        schema(rename = "ID", value_type = u64, minimum = 1, maximum = 9_007_199_254_740_991_u64)
    )]
    pub id: Seq,
}

impl ReadRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let fields = Fields::parse(&["ID"], body)?;
        let id = fields.optional_integer(0, 1, MAX_ID)?;
        Ok(Self {
            id: Seq(id.ok_or_else(|| fields.missing(0))?),
        })
    }
}

/// `POST /rooms/{RoomID}/invites`. The body need not be there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "schema",
    derive(utoipa::ToSchema),
    schema(rename_all = "PascalCase")
)]
pub struct InvitationRequest {
    /// How many may come in by it, 1–1,000,000. Absent: any number.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 1_000_000))]
    pub max_uses: Option<u32>,
    /// For how many seconds it is good, 1–31,536,000 (a year). Absent: a week's.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 31_536_000))]
    pub expires_in: Option<u32>,
}

impl InvitationRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let ranges = [limits::INVITATION_USES, limits::INVITATION_SECONDS];
        let ranges = ranges.map(|(least, most)| (u64::from(least), u64::from(most)));
        let numbers = numbers(&["MaxUses", "ExpiresIn"], ranges, None, body)?;
        let [max_uses, expires_in] = numbers.map(|it| it.and_then(|it| u32::try_from(it).ok()));
        Ok(Self {
            max_uses,
            expires_in,
        })
    }
}

/// The texts of a query; of those named twice the last counts.
fn texts<'q, const N: usize>(
    names: &[&str; N],
    query: Option<&'q str>,
) -> [Option<Cow<'q, str>>; N] {
    let mut values = std::array::from_fn(|_| None);
    for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if let Some(index) = names.iter().position(|name| key.eq_ignore_ascii_case(name)) {
            values[index] = Some(value);
        }
    }
    values
}

/// The numbers of a query and of a body, each within its range; the query's count where
/// both name one.
fn numbers<const N: usize>(
    names: &'static [&'static str; N],
    ranges: [(u64, u64); N],
    query: Option<&str>,
    body: &[u8],
) -> Result<[Option<u64>; N]> {
    let mut values = [None; N];
    if !body.trim_ascii().is_empty() {
        let fields = Fields::parse(names, body)?;
        for (index, (least, most)) in ranges.into_iter().enumerate() {
            values[index] = fields.optional_integer(index, least, most)?;
        }
    }
    for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if let Some(index) = names.iter().position(|name| key.eq_ignore_ascii_case(name)) {
            let (least, most) = ranges[index];
            values[index] = Some(bounded(names[index], &value, least, most)?);
        }
    }
    Ok(values)
}

fn bounded(field: &str, text: &str, least: u64, most: u64) -> Result<u64> {
    digits(text)
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| {
            let most = if most == MAX_ID {
                "2^53 - 1".to_owned()
            } else {
                most.to_string()
            };
            Error::invalid(
                field,
                format_args!("must be an integer from {least} to {most}"),
            )
        })
}

/// `POST /messages/{RoomID}`
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "schema",
    derive(utoipa::ToSchema),
    schema(rename_all = "PascalCase")
)]
pub struct PostMessageRequest {
    /// What to say.
    pub text: MessageText,
    /// What makes it safe to repeat.
    pub nonce: Option<Nonce>,
}

impl PostMessageRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let mut fields = Fields::parse(&["Text", "Nonce"], body)?;
        let text = MessageText::try_from_string("Text", fields.string(0)?.into_owned())?;
        let nonce = fields.optional_string(1)?;
        let nonce = nonce
            .map(|nonce| Nonce::parse("Nonce", &nonce))
            .transpose()?;
        Ok(Self { text, nonce })
    }
}

#[cfg(feature = "schema")]
mod schema;
#[cfg(test)]
mod tests;

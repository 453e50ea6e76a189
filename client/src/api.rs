//! Calls over HTTP. An [`Api`] is cheap to clone; clones share their connections.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use wire::event::EventsPage;
use wire::response::{
    Directory, Entry, Invitation, Invited, Joined, Listed, LoggedIn, MemberPage, Posted, Profile,
    ReadMarker, Registered, Room, RoomCreated, RoomDetails, RoomIds, RoomList, Session,
    SessionList, Status, Ticket, UserList,
};
use wire::{Epoch, RoomId, Seq, SessionId, Uid};

use crate::tls::Tls;
use crate::{Error, Refusal, Result};

/// How long a call may take when nothing else was said.
const DEADLINE: Duration = Duration::from_secs(10);

/// A server, and who asks it.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    tls: Tls,
    base: Arc<str>,
    token: Option<Arc<str>>,
    deadline: Duration,
}

/// An answer as it came, for callers that want to see all of it.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The header `name`, where it is there and readable.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// [`Error::Protocol`] when it is not of that shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Protocol(error.to_string()))
    }
}

impl Api {
    /// A server by its address, for instance `http://127.0.0.1:8080`, asked by nobody
    /// in particular. With the feature `tls` it may be an `https` address, of a server
    /// that the system trusts.
    ///
    /// # Errors
    /// [`Error::Usage`] when `base` is not such an address.
    pub fn new(base: &str) -> Result<Self> {
        let (base, scheme) = address(base)?;
        let tls = Tls::of(&scheme).map_err(|error| usage(base, &error))?;
        Self::over(tls, base)
    }

    /// An `https` server that is trusted as `config` says.
    ///
    /// # Errors
    /// [`Error::Usage`] when `base` is not an `https` address.
    #[cfg(feature = "tls")]
    pub fn new_with_tls(base: &str, config: Arc<rustls::ClientConfig>) -> Result<Self> {
        let (base, scheme) = address(base)?;
        if scheme != "https" {
            return Err(usage(base, &"must begin with https://"));
        }
        Self::over(Tls::with(config), base)
    }

    fn over(tls: Tls, base: &str) -> Result<Self> {
        Ok(Self {
            http: tls.http()?,
            tls,
            base: base.into(),
            token: None,
            deadline: DEADLINE,
        })
    }

    /// The same server, asked by the holder of `token`.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.into()),
            ..self.clone()
        }
    }

    /// The same, with another deadline for every call.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self {
            deadline,
            ..self.clone()
        }
    }

    pub(crate) fn tls(&self) -> &Tls {
        &self.tls
    }

    /// The address, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The token that calls carry.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// How long a call may take.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// `POST /register`
    ///
    /// # Errors
    /// `invalid_argument`; `conflict` when name or address is taken.
    pub async fn register(&self, username: &str, email: &str, password: &str) -> Result<Uid> {
        let body = json!({ "Username": username, "Email": email, "Password": password });
        let answer: Registered = self.call(Method::POST, "/register", Some(body)).await?;
        Ok(answer.uid)
    }

    /// `PUT /login` by e-mail address, answering a caller that carries the token.
    ///
    /// # Errors
    /// `unauthenticated` when there is no such user or the password is another.
    pub async fn login(&self, email: &str, password: &str) -> Result<Self> {
        let answer = self.login_by_email(email, password).await?;
        Ok(self.with_token(&answer.token))
    }

    /// `PUT /login` by e-mail address, answering all that the server says of the session.
    ///
    /// # Errors
    /// As [`Api::login`].
    pub async fn login_by_email(&self, email: &str, password: &str) -> Result<LoggedIn> {
        self.open_session(json!({ "Email": email, "Password": password }))
            .await
    }

    /// `PUT /login` by username, answering all that the server says of the session.
    ///
    /// # Errors
    /// As [`Api::login`].
    pub async fn login_by_name(&self, username: &str, password: &str) -> Result<LoggedIn> {
        self.open_session(json!({ "Username": username, "Password": password }))
            .await
    }

    async fn open_session(&self, body: Value) -> Result<LoggedIn> {
        self.call(Method::PUT, "/login", Some(body)).await
    }

    /// `POST /refresh`: a new pair for a refresh token, which is good no more. With a `key`
    /// it is safe to repeat for a minute.
    ///
    /// # Errors
    /// `unauthenticated` when the token is not valid; one that was used before ends its
    /// session.
    pub async fn refresh(&self, refresh_token: &str, key: Option<&str>) -> Result<LoggedIn> {
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            let key = http::HeaderValue::from_str(key);
            let key = key.map_err(|error| Error::Usage(format!("key: {error}")))?;
            headers.insert("idempotency-key", key);
        }
        let body = json!({ "RefreshToken": refresh_token });
        self.call_with(Method::POST, "/refresh", headers, Some(body))
            .await
    }

    /// `POST /logout`: ends the caller's session.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub async fn logout(&self) -> Result<()> {
        let _: Status = self.call(Method::POST, "/logout", None).await?;
        Ok(())
    }

    /// `GET /sessions`: the caller's, newest first.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub async fn sessions(&self) -> Result<Vec<Session>> {
        let answer: SessionList = self.call(Method::GET, "/sessions", None).await?;
        Ok(answer.sessions)
    }

    /// `DELETE /sessions/{SessionID}`
    ///
    /// # Errors
    /// `not_found` when it is none of the caller's that lives.
    pub async fn end_session(&self, session: SessionId) -> Result<()> {
        let path = format!("/sessions/{session}");
        let _: Status = self.call(Method::DELETE, &path, None).await?;
        Ok(())
    }

    /// `DELETE /sessions`: ends all of the caller's sessions but this one.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub async fn end_other_sessions(&self) -> Result<()> {
        let _: Status = self.call(Method::DELETE, "/sessions", None).await?;
        Ok(())
    }

    /// `PUT /change-password`: ends all of the caller's sessions but this one.
    ///
    /// # Errors
    /// `permission_denied` when the old password is wrong.
    pub async fn change_password(&self, old: &str, new: &str) -> Result<()> {
        let body = json!({ "OldPassword": old, "NewPassword": new });
        self.act("/change-password", body).await
    }

    /// `POST /ws-ticket`: what opens one WebSocket within 30 s.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub async fn ticket(&self) -> Result<Ticket> {
        self.call(Method::POST, "/ws-ticket", None).await
    }

    /// `GET /profile`: the caller's own.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub async fn profile(&self) -> Result<Profile> {
        self.call(Method::GET, "/profile", None).await
    }

    /// `GET /profile/{UID}`
    ///
    /// # Errors
    /// `not_found`.
    pub async fn profile_of(&self, uid: Uid) -> Result<Profile> {
        self.call(Method::GET, &format!("/profile/{uid}"), None)
            .await
    }

    /// `GET /users?UID=`: those of these users that there are, ascending; `uids` are 1 to 100.
    ///
    /// # Errors
    /// `invalid_argument` when they are none or too many.
    pub async fn users(&self, uids: &[Uid]) -> Result<Vec<Profile>> {
        let uids: Vec<String> = uids.iter().map(Uid::to_string).collect();
        let path = format!("/users?UID={}", uids.join(","));
        let answer: UserList = self.call(Method::GET, &path, None).await?;
        Ok(answer.users)
    }

    /// `GET /users?Username=`: the user of this name, in any case.
    ///
    /// # Errors
    /// `invalid_argument` when nobody can have such a name.
    pub async fn user_named(&self, username: &str) -> Result<Option<Profile>> {
        let path = with_text("/users", "Username", username);
        let answer: UserList = self.call(Method::GET, &path, None).await?;
        Ok(answer.users.into_iter().next())
    }

    /// `PUT /change-name`
    ///
    /// # Errors
    /// `invalid_argument`; `conflict` when the name is taken.
    pub async fn change_name(&self, new_name: &str) -> Result<()> {
        let body = json!({ "NewName": new_name });
        self.act("/change-name", body).await
    }

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

    /// `PUT /rooms/{RoomID}/read`: moves the caller's read marker up to event `id`, and never
    /// back; where it is then.
    ///
    /// # Errors
    /// `permission_denied` when not a member, `not_found`, `invalid_argument` when `id` is
    /// beyond the newest event.
    pub async fn mark_read(&self, room: RoomId, id: Seq) -> Result<Seq> {
        let path = format!("/rooms/{room}/read");
        let body = json!({ "ID": id });
        let answer: ReadMarker = self.call(Method::PUT, &path, Some(body)).await?;
        Ok(answer.id)
    }

    /// `GET /room/{RoomID}`
    ///
    /// # Errors
    /// `not_found`, also for a private room that the caller is not in.
    pub async fn room(&self, room: RoomId) -> Result<Room> {
        self.call(Method::GET, &format!("/room/{room}"), None).await
    }

    /// `GET /messages/{RoomID}`: up to `limit` (1–100) entries from `last_id`
    /// (inclusive; `None`: from the newest) backwards, newest first.
    ///
    /// # Errors
    /// `permission_denied` when not a member, `not_found`.
    pub async fn messages(
        &self,
        room: RoomId,
        last_id: Option<Seq>,
        limit: u32,
    ) -> Result<Vec<Entry>> {
        let last_id = last_id.unwrap_or_default();
        let path = format!("/messages/{room}?LastID={last_id}&Limit={limit}");
        self.call(Method::GET, &path, None).await
    }

    /// `GET /rooms/{RoomID}/events`: the log after event `after` of its life `epoch`,
    /// up to `limit` events (1–1,000) and 256 KiB; ask again after the last of them until
    /// that is `head`.
    ///
    /// # Errors
    /// `permission_denied` when not a member, `not_found`, `invalid_argument` when `after`
    /// is beyond the newest event.
    pub async fn events(
        &self,
        room: RoomId,
        after: Seq,
        epoch: Option<Epoch>,
        limit: u32,
    ) -> Result<EventsPage> {
        let epoch = epoch.map_or_else(String::new, |epoch| format!("&Epoch={}", epoch.0));
        let path = format!("/rooms/{room}/events?After={after}&Limit={limit}{epoch}");
        self.call(Method::GET, &path, None).await
    }

    /// `GET /messages/{RoomID}?After=`: up to `limit` (1–100) entries after `after`, oldest
    /// first.
    ///
    /// # Errors
    /// As [`Api::messages`].
    pub async fn messages_after(&self, room: RoomId, after: Seq, limit: u32) -> Result<Vec<Entry>> {
        let path = format!("/messages/{room}?After={after}&Limit={limit}");
        self.call(Method::GET, &path, None).await
    }

    /// `GET /messages/{RoomID}?Around=`: up to `limit` (1–100) entries, half of them up to
    /// `pivot`, newest first.
    ///
    /// # Errors
    /// As [`Api::messages`].
    pub async fn messages_around(
        &self,
        room: RoomId,
        pivot: Seq,
        limit: u32,
    ) -> Result<Vec<Entry>> {
        let path = format!("/messages/{room}?Around={pivot}&Limit={limit}");
        self.call(Method::GET, &path, None).await
    }

    /// `POST /messages/{RoomID}`. With a nonce it is safe to repeat.
    ///
    /// # Errors
    /// `permission_denied` when not a member, `not_found`, `nonce_reused`.
    pub async fn post(&self, room: RoomId, text: &str, nonce: Option<&str>) -> Result<Posted> {
        let body = json!({ "Text": text, "Nonce": nonce });
        self.call(Method::POST, &format!("/messages/{room}"), Some(body))
            .await
    }

    /// Any request, and the answer as it came, refusal or not.
    ///
    /// # Errors
    /// [`Error::Deadline`], [`Error::Transport`].
    pub async fn raw(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: impl Into<reqwest::Body>,
    ) -> Result<Answer> {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method, url).timeout(self.deadline);
        if let Some(token) = &self.token
            && !headers.contains_key(http::header::AUTHORIZATION)
        {
            request = request.bearer_auth(token);
        }
        let answer = request.headers(headers).body(body).send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Answer {
            status,
            headers,
            body: answer.bytes().await?,
        })
    }

    async fn act(&self, path: &str, body: Value) -> Result<()> {
        let _: Status = self.call(Method::PUT, path, Some(body)).await?;
        Ok(())
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<T> {
        self.call_with(method, path, HeaderMap::new(), body).await
    }

    async fn call_with<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        mut headers: HeaderMap,
        body: Option<Value>,
    ) -> Result<T> {
        if body.is_some() {
            let json = http::HeaderValue::from_static("application/json");
            headers.insert(http::header::CONTENT_TYPE, json);
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let answer = self.raw(method, path, headers, body).await?;
        if (200..300).contains(&answer.status) {
            answer.json()
        } else {
            let refusal = Refusal::from_http(answer.status, &answer.headers, &answer.body);
            Err(Error::Refused(refusal))
        }
    }
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the token.
        f.debug_struct("Api")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// An address without a slash at its end, and its scheme.
fn address(base: &str) -> Result<(&str, String)> {
    let base = base.trim_end_matches('/');
    let uri: http::Uri = base.parse().map_err(|error| usage(base, &error))?;
    match (uri.scheme_str(), uri.host()) {
        (Some(scheme), Some(_)) => Ok((base, scheme.to_owned())),
        _ => Err(usage(base, &"must have a scheme and a host")),
    }
}

/// The path of an invitation.
fn invite(code: &str) -> String {
    let code: String = form_urlencoded::byte_serialize(code.as_bytes()).collect();
    format!("/invites/{code}")
}

/// A path with one more text in its query.
fn with_text(path: &str, name: &str, text: &str) -> String {
    let sign = if path.contains('?') { '&' } else { '?' };
    let text: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    format!("{path}{sign}{name}={text}")
}

fn usage(base: &str, reason: &dyn std::fmt::Display) -> Error {
    Error::Usage(format!("{base}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_checked_and_the_token_does_not_print() {
        assert!(Api::new("ftp://x").is_err());
        assert!(Api::new("127.0.0.1:8080").is_err());
        let api = Api::new("http://127.0.0.1:8080/")
            .unwrap()
            .with_token("sesame");
        assert_eq!(api.base(), "http://127.0.0.1:8080");
        assert!(!format!("{api:?}").contains("sesame"));
    }
}

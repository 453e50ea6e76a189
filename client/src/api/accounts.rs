//! Accounts, and the sessions of their users.

use http::HeaderMap;
use reqwest::Method;
use serde_json::{Value, json};
use wire::response::{
    LoggedIn, Profile, Registered, Session, SessionList, Status, Ticket, UserList,
};
use wire::{SessionId, Uid};

use super::{Api, with_text};
use crate::{Error, Result};

impl Api {
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
}

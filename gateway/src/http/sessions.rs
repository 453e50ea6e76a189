//! Sessions over HTTP: renew, list, end; another password; tickets for WebSockets.

use axum::Json;
use axum::extract::State;
use base::{Code, Error, Nonce, SessionId, Timestamp};
use http::HeaderMap;
use proto::session::sessions_client::SessionsClient;
use proto::session::{
    EndOthersRequest, EndRequest, Issued, ListRequest, MakeTicketRequest,
    RefreshRequest as RefreshCall,
};
use proto::user::ChangePasswordRequest as ChangePasswordCall;
use proto::user::users_client::UsersClient;
use runtime::Channel;
use wire::request::{ChangePasswordRequest, RefreshRequest};
use wire::response::{LoggedIn, Session, SessionList, Status, Ticket};

use super::body::Body;
use super::caller::{Caller, Visitor};
use super::headers;
use super::path::SessionPath;
use super::problem::Answer;
use crate::Gateway;

/// `POST /refresh`
pub(super) async fn refresh(
    State(gateway): State<Gateway>,
    visitor: Visitor,
    headers: HeaderMap,
    Body(body): Body,
) -> Answer<Json<LoggedIn>> {
    gateway.limits.anonymous(visitor.address.into())?;
    let RefreshRequest { refresh_token } = RefreshRequest::parse(&body)?;
    let key = headers::nonce(&headers)?;
    let request = visitor.call.request(RefreshCall {
        refresh_token,
        key: key.map_or_else(String::new, Nonce::into_string),
    });
    let issued = visitor
        .call
        .wait(sessions(&gateway).refresh(request))
        .await?;
    Ok(Json(logged_in(issued)?))
}

/// What a client keeps of a session.
pub(super) fn logged_in(issued: Issued) -> base::Result<LoggedIn> {
    Ok(LoggedIn {
        token: issued.token,
        refresh_token: issued.refresh_token,
        expires_at: Timestamp::from_micros(issued.expires_at),
        session_id: SessionId::try_from(issued.session_id).map_err(Error::internal)?,
    })
}

/// `POST /logout`
pub(super) async fn logout(State(gateway): State<Gateway>, caller: Caller) -> Answer<Json<Status>> {
    let ended = end_session(&gateway, &caller, caller.session).await;
    ended.map_err(|error| match error.code() {
        // Somebody else was faster.
        Code::NotFound => Error::new(Code::Unauthenticated, "the session has ended"),
        _ => error,
    })?;
    Ok(Json(Status::LOGGED_OUT))
}

/// `GET /sessions`
pub(super) async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
) -> Answer<Json<SessionList>> {
    let request = caller.call.request(ListRequest {});
    let reply = caller.call.wait(sessions(&gateway).list(request)).await?;
    let shown = reply.sessions.into_iter().map(|session| {
        let session_id = SessionId::try_from(session.session_id).map_err(Error::internal)?;
        Ok(Session {
            session_id,
            device: session.device,
            address: session.address,
            created_at: Timestamp::from_micros(session.created_at),
            last_used: Timestamp::from_micros(session.last_used),
            current: session_id == caller.session,
        })
    });
    let sessions = shown.collect::<base::Result<_>>()?;
    Ok(Json(SessionList { sessions }))
}

/// `DELETE /sessions/{SessionID}`
pub(super) async fn end(
    State(gateway): State<Gateway>,
    caller: Caller,
    SessionPath(session): SessionPath,
) -> Answer<Json<Status>> {
    end_session(&gateway, &caller, session).await?;
    Ok(Json(Status::ENDED))
}

async fn end_session(gateway: &Gateway, caller: &Caller, session: SessionId) -> base::Result<()> {
    let request = caller.call.request(EndRequest {
        session_id: session.get(),
    });
    caller.call.wait(sessions(gateway).end(request)).await?;
    // Here at once; elsewhere when the stream tells.
    gateway.sessions.end(session);
    Ok(())
}

/// `DELETE /sessions`: all but this one.
pub(super) async fn end_others(
    State(gateway): State<Gateway>,
    caller: Caller,
) -> Answer<Json<Status>> {
    let request = caller.call.request(EndOthersRequest {
        but: caller.session.get(),
    });
    caller
        .call
        .wait(sessions(&gateway).end_others(request))
        .await?;
    Ok(Json(Status::ENDED))
}

/// `PUT /change-password`
pub(super) async fn change_password(
    State(gateway): State<Gateway>,
    caller: Caller,
    Body(body): Body,
) -> Answer<Json<Status>> {
    let ChangePasswordRequest {
        old_password,
        new_password,
    } = ChangePasswordRequest::parse(&body)?;
    // Whoever has a token must not get to try passwords with it.
    gateway.limits.change_password(caller.uid)?;
    let request = caller.call.request(ChangePasswordCall {
        old_password,
        new_password: String::from_utf8_lossy(new_password.as_bytes()).into_owned(),
        session_id: caller.session.get(),
    });
    let mut users = UsersClient::new(gateway.ports.users.clone());
    caller.call.wait(users.change_password(request)).await?;
    Ok(Json(Status::PASSWORD_CHANGED))
}

/// `POST /ws-ticket`
pub(super) async fn ticket(State(gateway): State<Gateway>, caller: Caller) -> Answer<Json<Ticket>> {
    let request = caller.call.request(MakeTicketRequest {
        session_id: caller.session.get(),
    });
    let made = caller
        .call
        .wait(sessions(&gateway).make_ticket(request))
        .await?;
    Ok(Json(Ticket {
        ticket: made.ticket,
        expires_at: Timestamp::from_micros(made.expires_at),
    }))
}

fn sessions(gateway: &Gateway) -> SessionsClient<Channel> {
    SessionsClient::new(gateway.ports.sessions.clone())
}

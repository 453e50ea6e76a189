//! Sessions over HTTP: renew, list, end; another password; tickets for WebSockets.

use axum::Json;
use axum::extract::State;
use base::{Code, Error, Nonce, SessionId, Timestamp};
use http::{HeaderMap, StatusCode};
use proto::session::sessions_client::SessionsClient;
use proto::session::{
    EndOthersRequest, EndRequest, Issued, ListRequest, MakeTicketRequest,
    RefreshRequest as RefreshCall,
};
use runtime::Channel;
use serde_json::{Value, json};
use wire::request::RefreshRequest;
use wire::response::{LoggedIn, Session, SessionList, Status, Ticket};

use super::body::Body;
use super::caller::{Caller, Visitor};
use super::headers;
use super::path::SessionPath;
use super::problem::Answer;
use super::route::{Repeat, Rights, Route, WHEN};
use crate::Gateway;

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/refresh", Rights::Anybody, refresh)
            .named("refresh", "Get a new pair of tokens")
            .about("The old refresh token dies. One that comes a second time ends its session, for two have it; but the same token with the same `Idempotency-Key` within 60 s gets the same pair.")
            .idempotent("Makes it safe to repeat within 60 s.")
            .takes::<RefreshRequest>(json!({ "RefreshToken": "1.c2VjcmV0" }))
            .answers::<LoggedIn>(StatusCode::OK, "The new pair.", logged_in_example())
            .refuses(Code::Unauthenticated, "the session has ended"),
        Route::post("/logout", Rights::Account, logout)
            .named("logout", "End this session")
            .about("Its WebSockets are closed with 4001 on every gateway.")
            .answers::<Status>(StatusCode::OK, "Ended.", json!(Status::LOGGED_OUT)),
        Route::get("/sessions", Rights::Account, list)
            .named("sessions", "See where one is logged in")
            .answers::<SessionList>(StatusCode::OK, "The caller's sessions, newest first.", json!({ "Sessions": [{
                "SessionID": 1, "Device": "curl/8.5.0", "Address": "192.0.2.1",
                "CreatedAt": WHEN, "LastUsed": WHEN, "Current": true,
            }] })),
        Route::delete("/sessions", Rights::Account, Repeat::Safe, end_others)
            .named("endOtherSessions", "End all other sessions")
            .answers::<Status>(StatusCode::OK, "Ended.", json!(Status::ENDED)),
        Route::delete("/sessions/{SessionID}", Rights::Account, Repeat::Refused, end)
            .named("endSession", "End one session")
            .answers::<Status>(StatusCode::OK, "Ended.", json!(Status::ENDED))
            .refuses(Code::NotFound, "no such session"),
        Route::post("/ws-ticket", Rights::Account, ticket)
            .named("ticket", "Get a ticket for a WebSocket")
            .about("For `GET /ws?ticket=`, so that no URL has a token: good once, within 30 s.")
            .answers::<Ticket>(StatusCode::OK, "The ticket.", json!({ "Ticket": "1.dGlja2V0", "ExpiresAt": WHEN })),
    ]
}

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

/// The same as an example.
pub(super) fn logged_in_example() -> Value {
    json!({ "token": "eyJhbGciOi…", "RefreshToken": "1.c2VjcmV0", "ExpiresAt": WHEN, "SessionID": 1 })
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

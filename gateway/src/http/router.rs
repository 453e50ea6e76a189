//! Which request goes where.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, post, put};
use base::{Code, Error};
use http::{HeaderValue, Method, StatusCode, header};
use std::time::Duration;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::headers::{IDEMPOTENCY_KEY, RATE_LIMIT, RATE_LIMIT_POLICY, X_REQUEST_ID};
use super::observe::observe;
use super::problem::Failure;
use super::{
    accounts, documents, events, health, invites, messages, rooms, sessions, upgrade, web,
};
use crate::Gateway;
use crate::config::Cors;

/// How long a browser may remember what a preflight allowed.
const PREFLIGHT_AGE: Duration = Duration::from_hours(1);

/// Every route of the public port. `documents/routes.rs` tells clients of each; a test
/// compares the two.
pub(super) fn routes() -> Vec<(&'static str, MethodRouter<Gateway>)> {
    vec![
        ("/register", post(accounts::register)),
        ("/login", put(accounts::login).post(accounts::login)),
        ("/refresh", post(sessions::refresh)),
        ("/logout", post(sessions::logout)),
        (
            "/sessions",
            get(sessions::list).delete(sessions::end_others),
        ),
        ("/sessions/{SessionID}", delete(sessions::end)),
        ("/change-password", put(sessions::change_password)),
        ("/ws-ticket", post(sessions::ticket)),
        ("/profile", get(accounts::own_profile)),
        ("/profile/{UID}", get(accounts::profile_of)),
        ("/users", get(accounts::find)),
        ("/change-name", put(accounts::change_name)),
        ("/create-room", post(rooms::create)),
        ("/join", put(rooms::join)),
        ("/leave", put(rooms::leave)),
        ("/invite", put(rooms::invite)),
        ("/kick", put(rooms::kick)),
        ("/rooms", get(rooms::list)),
        ("/room/{RoomID}", get(rooms::info)),
        ("/rooms/{RoomID}/members", get(rooms::members)),
        ("/rooms/{RoomID}/read", put(rooms::read)),
        ("/directory", get(rooms::directory)),
        ("/rooms/{RoomID}/invites", post(invites::make)),
        (
            "/invites/{Code}",
            get(invites::find)
                .put(invites::accept)
                .delete(invites::withdraw),
        ),
        ("/rooms/{RoomID}/events", get(events::page)),
        (
            "/messages/{RoomID}",
            get(messages::history).post(messages::send),
        ),
        ("/ws", get(upgrade::upgrade)),
        ("/health/live", get(health::live)),
        ("/health/ready", get(health::ready)),
        ("/version", get(health::version)),
        ("/openapi.json", get(documents::openapi)),
        ("/asyncapi.json", get(documents::asyncapi)),
        ("/docs", get(documents::docs)),
    ]
}

/// The public port.
pub(super) fn build(gateway: Gateway) -> Router {
    let router = routes()
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| {
            router.route(path, methods)
        });
    router
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(cors(&gateway.config.cors))
        // Nobody's business but the page's own: no other origin has its files.
        .merge(web::routes().method_not_allowed_fallback(method_not_allowed))
        .layer(from_fn_with_state(gateway.clone(), observe))
        .with_state(gateway)
}

async fn not_found() -> Failure {
    Error::new(Code::NotFound, "there is nothing here").into()
}

/// 405; the router adds `Allow`.
async fn method_not_allowed() -> Failure {
    let error = Error::new(Code::InvalidArgument, "this path does not take this method");
    Failure::from(error).with_status(StatusCode::METHOD_NOT_ALLOWED)
}

/// Who may call from a browser. Never with credentials: tokens come in headers that
/// a foreign page does not have.
fn cors(config: &Cors) -> CorsLayer {
    let origins = if config.any() {
        AllowOrigin::any()
    } else {
        // `Config::check` has seen that each can stand in a header.
        let listed = config.origins.0.iter();
        AllowOrigin::list(listed.filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::DELETE,
        ])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            IDEMPOTENCY_KEY,
            X_REQUEST_ID,
        ])
        .expose_headers([
            header::RETRY_AFTER,
            RATE_LIMIT,
            RATE_LIMIT_POLICY,
            X_REQUEST_ID,
        ])
        .max_age(PREFLIGHT_AGE)
}

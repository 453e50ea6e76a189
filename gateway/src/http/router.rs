//! Which request goes where.

use axum::Router;
use axum::middleware::from_fn_with_state;
use base::{Code, Error};
use http::{HeaderValue, Method, StatusCode, header};
use std::time::Duration;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::documents::Documents;
use super::headers::{IDEMPOTENCY_KEY, RATE_LIMIT, RATE_LIMIT_POLICY, X_REQUEST_ID};
use super::observe::observe;
use super::problem::Failure;
use super::route::Route;
use super::{
    accounts, documents, events, health, invites, messages, rooms, sessions, upgrade, web,
};
use crate::Gateway;
use crate::config::Cors;

/// How long a browser may remember what a preflight allowed.
const PREFLIGHT_AGE: Duration = Duration::from_hours(1);

/// Every route of the public port, in the part of the document that tells of it.
pub(super) fn routes() -> Vec<Route> {
    let parts = [
        ("Accounts", accounts::routes()),
        ("Sessions", sessions::routes()),
        ("Rooms", rooms::routes()),
        ("Rooms", invites::routes()),
        ("Messages", messages::routes()),
        ("Messages", events::routes()),
        ("Live", upgrade::routes()),
        ("Operation", health::routes()),
        ("Operation", documents::routes()),
    ];
    let tagged = |(tag, routes): (&'static str, Vec<Route>)| {
        routes.into_iter().map(move |route| route.tagged(tag))
    };
    parts.into_iter().flat_map(tagged).collect()
}

/// The documents of all routes.
pub(crate) fn describe() -> Documents {
    Documents::new(routes())
}

/// The public port.
pub(super) fn build(gateway: Gateway) -> Router {
    routes()
        .into_iter()
        .fold(Router::new(), |router, route| route.serve(router))
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

//! What surrounds every request: its id, its span and log line, the client's
//! address, a panic that stays in its request, security headers, and the form in
//! which a refusal leaves the house.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::HttpBody as _;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base::Error;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use runtime::RequestId;
use tokio::time::Instant;
use tracing::Instrument;

use super::address::{self, ClientAddress};
use super::body::Unread;
use super::headers::X_REQUEST_ID;
use super::problem::Failure;
use crate::Gateway;

/// Where codes of invitations stand in a path, and how such a path is shown.
const INVITES: &[u8] = b"/invites/";
const INVITES_SHOWN: &str = "/invites/{Code}";
/// Characters of a path that the log keeps.
const PATH_CHARS: usize = 200;

/// The other end of the connection, as the server saw it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// A response that is a file of the page: no document, so what is said of those is not.
#[derive(Clone)]
pub(super) struct PageFile;

/// The layer around every route.
pub(super) async fn observe(
    State(gateway): State<Gateway>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let id = request_id(&gateway, request.headers());
    let peer = request
        .extensions()
        .get::<Peer>()
        .map_or(IpAddr::from([0; 4]), |peer| peer.0);
    let trusted = &gateway.config.trusted_proxies.0;
    let client = address::client(peer, request.headers(), trusted);
    request.extensions_mut().insert(id.clone());
    request.extensions_mut().insert(ClientAddress(client));

    let unread = (!request.body().is_end_stream()).then(|| Unread(Arc::new(AtomicBool::new(true))));
    if let Some(unread) = &unread {
        request.extensions_mut().insert(unread.clone());
    }

    let route = request.extensions().get::<MatchedPath>().cloned();
    let accept = request.headers().get(header::ACCEPT).cloned();
    let span = tracing::info_span!(
        "http",
        request_id = id.as_str(),
        method = request.method().as_str(),
        path = shown(request.uri().path()),
        uid = tracing::field::Empty,
    );
    let work = async move {
        let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
        let answer = answer.unwrap_or_else(|_| {
            Failure::from(Error::internal("a handler panicked")).into_response()
        });
        let mut response = finished(answer, &id, accept.as_ref());
        if let Ok(value) = HeaderValue::from_str(id.as_str()) {
            response.headers_mut().insert(X_REQUEST_ID, value);
        }
        secure(&mut response);
        if unread.is_some_and(|Unread(unread)| unread.load(Ordering::Relaxed)) {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        let status = response.status().as_u16();
        let taken = started.elapsed();
        let route = route
            .as_ref()
            .map_or("none", MatchedPath::as_str)
            .to_owned();
        metrics::histogram!("parley_http_seconds", "route" => route, "status" => status.to_string())
            .record(taken.as_secs_f64());
        tracing::info!(status, ms = taken.as_millis(), "answered");
        response
    };
    work.instrument(span).await
}

/// Returns the client's id if it is one that [`RequestId`] takes, else a new one.
fn request_id(gateway: &Gateway, headers: &HeaderMap) -> RequestId {
    let given = headers
        .get(X_REQUEST_ID)
        .and_then(|value| value.to_str().ok());
    given
        .and_then(RequestId::parse)
        .unwrap_or_else(|| gateway.new_request_id())
}

/// Turns a stand-in into the document that the client sees.
fn finished(mut answer: Response, id: &RequestId, accept: Option<&HeaderValue>) -> Response {
    let Some(failure) = answer.extensions_mut().remove::<Failure>() else {
        return answer;
    };
    let mut response = failure.into_document(id, accept);
    // What layers inside added (Allow, CORS) stays.
    for (name, value) in answer.headers() {
        if name != header::CONTENT_LENGTH && !response.headers().contains_key(name) {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}

/// What is no page no browser is to run, frame, guess or keep; the page and its files say
/// themselves what may be done with them.
fn secure(response: &mut Response) {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    if response.extensions().get::<PageFile>().is_some() {
        let nosniff = HeaderValue::from_static("nosniff");
        response
            .headers_mut()
            .insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        return;
    }
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        let entry = response.headers_mut().entry(name);
        entry.or_insert(HeaderValue::from_static(value));
    }
}

/// A path as logs may have it: what is behind `/invites/` lets people in.
fn shown(path: &str) -> &str {
    let mut parts = path.as_bytes().windows(INVITES.len());
    if parts.any(|part| part.eq_ignore_ascii_case(INVITES)) {
        INVITES_SHOWN
    } else {
        shortened(path)
    }
}

fn shortened(path: &str) -> &str {
    let end = path
        .char_indices()
        .nth(PATH_CHARS)
        .map_or(path.len(), |(at, _)| at);
    &path[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_is_in_a_path_that_is_shown() {
        for path in [
            "/invites/c0de",
            "/INVITES/c0de",
            "//invites/c0de/",
            "/x/invites/c0de",
        ] {
            assert_eq!(shown(path), "/invites/{Code}");
        }
        assert_eq!(shown("/rooms/1/invites"), "/rooms/1/invites");
        assert_eq!(shown(&"/x".repeat(200)).len(), PATH_CHARS);
    }
}

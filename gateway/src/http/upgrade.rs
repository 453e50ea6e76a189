//! `GET /ws`: from HTTP to a WebSocket (RFC 6455, section 4.2). Everything that may
//! be refused is refused here, over HTTP; what is upgraded is a user's connection.

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::response::Response;
use base::{Code, Error};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::caller::{Visitor, header_token, identify};
use super::headers::text;
use super::problem::{Answer, Failure};
use super::route::{Rights, Route};
use crate::Gateway;
use crate::config::Cors;
use crate::ws::{self, Who};

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/ws", Rights::AccountInQuery, upgrade)
            .named("connect", "Open a WebSocket")
            .about("RFC 6455 over HTTP/1.1. A browser's Origin must be this host or one of the operator's list. What is said on it: `/asyncapi.json`.")
            .query_text("token", "A token, for who cannot set headers.")
            .query_text("ticket", "A ticket of `POST /ws-ticket`, in place of a token.")
            .answers_nothing(StatusCode::SWITCHING_PROTOCOLS, "A WebSocket from here on.")
            .refuses(Code::InvalidArgument, "Sec-WebSocket-Key: must be 16 bytes in Base64")
            .refuses(Code::PermissionDenied, "this origin may not connect")
            .refuses_as(426, Code::InvalidArgument, "this is a WebSocket: ask for an upgrade"),
    ]
}

/// `GET /ws`
pub(super) async fn upgrade(
    State(gateway): State<Gateway>,
    visitor: Visitor,
    mut request: Request,
) -> Answer<Response> {
    gateway.limits.connect(visitor.address.into())?;
    let verdict = if let Some(ticket) = query_value(request.uri(), "ticket") {
        // It is good once: not for a request that comes to nothing.
        handshake(&request, &gateway.config.cors)?;
        gateway.limits.anonymous(visitor.address.into())?;
        gateway.verdicts.take_ticket(&visitor.call, &ticket).await?
    } else {
        let token = query_value(request.uri(), "token");
        // A proxy's own Authorization may come along with it.
        let token = token.as_deref().or(header_token(request.headers()));
        identify(&gateway, &visitor, token).await?
    };
    let accept = handshake(&request, &gateway.config.cors)?;

    let who = Who {
        uid: verdict.uid,
        session: verdict.session_id,
        request_id: visitor.call.request_id().clone(),
    };
    let upgrading = hyper::upgrade::on(&mut request);
    let lifecycle = gateway.lifecycle.clone();
    lifecycle.spawn_guest(async move {
        match upgrading.await {
            Ok(socket) => ws::serve(gateway, TokioIo::new(socket), who).await,
            Err(error) => tracing::debug!(%error, "an upgrade broke"),
        }
    });
    Ok(switching(accept))
}

/// Checks who asks for the upgrade and how, and answers its key.
fn handshake(request: &Request, cors: &Cors) -> Result<HeaderValue, Failure> {
    check_origin(request.headers(), cors)?;
    accept_key(request)
}

fn switching(accept: HeaderValue) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// `?token=` or `?ticket=`, for browsers, whose WebSockets have no headers to set.
fn query_value(uri: &Uri, name: &str) -> Option<String> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).ok()?;
    pairs
        .into_iter()
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// No Origin, our own host, or one of the list: a page elsewhere gets no connection.
fn check_origin(headers: &HeaderMap, cors: &Cors) -> Result<(), Error> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or_default();
    let host = text(headers, header::HOST).unwrap_or_default();
    let own = origin
        .split_once("://")
        .is_some_and(|(_, authority)| !host.is_empty() && authority.eq_ignore_ascii_case(host));
    let listed = cors
        .origins
        .0
        .iter()
        .any(|listed| listed.eq_ignore_ascii_case(origin));
    if own || listed || cors.any() {
        Ok(())
    } else {
        Err(Error::new(
            Code::PermissionDenied,
            "this origin may not connect",
        ))
    }
}

/// Answers the key of a handshake that is one.
fn accept_key(request: &Request) -> Result<HeaderValue, Failure> {
    let headers = request.headers();
    let has = |name: HeaderName, word: &str| {
        headers.get_all(name).iter().any(|value| {
            let words = value.to_str().unwrap_or_default().split(',');
            words
                .into_iter()
                .any(|given| given.trim().eq_ignore_ascii_case(word))
        })
    };
    let asks = has(header::UPGRADE, "websocket") && has(header::CONNECTION, "upgrade");
    if request.method() != Method::GET || request.version() != Version::HTTP_11 || !asks {
        return Err(upgrade_required("this is a WebSocket: ask for an upgrade"));
    }
    if text(headers, header::SEC_WEBSOCKET_VERSION).map(str::trim) != Some("13") {
        return Err(upgrade_required("Sec-WebSocket-Version: must be 13"));
    }
    // 16 bytes in Base64.
    let key = text(headers, header::SEC_WEBSOCKET_KEY).map(str::trim);
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    let key =
        key.filter(|key| key.len() == 24 && key.ends_with("==") && key.bytes().take(22).all(plain));
    let key =
        key.ok_or_else(|| Error::invalid("Sec-WebSocket-Key", "must be 16 bytes in Base64"))?;
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()));
    Ok(accept.map_err(Error::internal)?)
}

fn upgrade_required(detail: &'static str) -> Failure {
    Failure::from(Error::new(Code::InvalidArgument, detail))
        .with_status(StatusCode::UPGRADE_REQUIRED)
        .with_header(header::UPGRADE, HeaderValue::from_static("websocket"))
        .with_header(header::CONNECTION, HeaderValue::from_static("Upgrade"))
        .with_header(
            header::SEC_WEBSOCKET_VERSION,
            HeaderValue::from_static("13"),
        )
}

#[cfg(test)]
mod tests {
    use runtime::config::List;

    use super::*;

    fn admitted(origin: &str, origins: &[&str]) -> bool {
        let origins = List(origins.iter().map(ToString::to_string).collect());
        let headers = HeaderMap::from_iter([
            (header::HOST, HeaderValue::from_static("chat.example:8080")),
            (header::ORIGIN, origin.parse().unwrap()),
        ]);
        check_origin(&headers, &Cors { origins }).is_ok()
    }

    #[test]
    fn an_origin_is_our_own_or_listed() {
        assert!(
            check_origin(
                &HeaderMap::new(),
                &Cors {
                    origins: List(vec![])
                }
            )
            .is_ok()
        );
        assert!(admitted("http://chat.example:8080", &[]));
        assert!(admitted("https://CHAT.example:8080", &[]));
        assert!(!admitted("http://chat.example", &[]));
        assert!(!admitted("https://evil.example", &["https://good.example"]));
        assert!(admitted("https://good.example", &["https://good.example"]));
        assert!(admitted("https://evil.example", &["*"]));
        assert!(!admitted("null", &[]));
    }

    fn handshake(change: impl FnOnce(&mut Request)) -> Result<HeaderValue, Failure> {
        let mut request = Request::builder()
            .uri("/ws")
            .header("Connection", "keep-alive, Upgrade")
            .header("Upgrade", "WebSocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .body(Body::empty())
            .unwrap();
        change(&mut request);
        accept_key(&request)
    }

    #[test]
    fn a_handshake_is_answered_as_the_rfc_shows() {
        assert_eq!(handshake(|_| ()).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for header in [
            "Connection",
            "Upgrade",
            "Sec-WebSocket-Version",
            "Sec-WebSocket-Key",
        ] {
            assert!(handshake(|request| drop(request.headers_mut().remove(header))).is_err());
        }
        assert!(handshake(|request| *request.method_mut() = Method::HEAD).is_err());
        let short = HeaderValue::from_static("c2hvcnQ=");
        let put =
            |request: &mut Request| drop(request.headers_mut().insert("Sec-WebSocket-Key", short));
        assert!(handshake(put).is_err());
    }

    #[test]
    fn a_token_may_stand_in_the_query() {
        let token = |uri: &str| query_value(&uri.parse().unwrap(), "token");
        assert_eq!(token("/ws?a=b&token=x.y-z"), Some("x.y-z".to_owned()));
        assert_eq!(token("/ws?token=x%2Ey"), Some("x.y".to_owned()));
        assert_eq!(token("/ws"), None);
    }
}

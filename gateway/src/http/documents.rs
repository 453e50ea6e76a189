//! What client developers read: `/openapi.json`, made from the code, `/asyncapi.json`,
//! made from `gateway/asyncapi.yaml` when the gateway is built, and `/docs`, a page that
//! shows both and needs nothing from elsewhere.

mod openapi;

#[cfg(test)]
mod tests;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;
use sha2::{Digest, Sha256};
use utoipa::openapi::schema::{Object, Type};

use super::caller::Guest;
use super::headers::is_known;
use super::route::{JSON, Rights, Route, content, string};
use crate::Gateway;

const ASYNCAPI: &str = include_str!(concat!(env!("OUT_DIR"), "/asyncapi.json"));
const PAGE: &str = include_str!("documents/docs.html");
const SCRIPT: (&str, &str) = ("<script>", "</script>");
const STYLE: (&str, &str) = ("<style>", "</style>");

/// A browser may keep a document, but asks each time whether it is still the one.
const CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// The documents as they are served.
pub(crate) struct Documents {
    openapi: Document,
    asyncapi: Document,
    docs: Document,
}

/// One of them.
struct Document {
    body: Bytes,
    kind: &'static str,
    etag: String,
    policy: Option<String>,
}

impl Documents {
    /// The documents of these routes.
    pub(super) fn new(routes: Vec<Route>) -> Self {
        // Plain data always serializes.
        let openapi = openapi::document(routes).to_json().unwrap_or_default();
        Self {
            openapi: Document::new(openapi.into(), "application/json"),
            asyncapi: Document::new(ASYNCAPI.into(), "application/json"),
            docs: Document {
                policy: Some(page_policy()),
                ..Document::new(PAGE.into(), "text/html; charset=utf-8")
            },
        }
    }
}

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    let any = || content(Object::with_type(Type::Object), json!({}));
    let described = |route: Route| {
        route
            .asks_nobody()
            .about("Has an `ETag`; `If-None-Match` is answered by 304.")
            .answers_nothing(StatusCode::NOT_MODIFIED, "The client has it.")
    };
    vec![
        described(Route::get("/openapi.json", Rights::Anybody, openapi))
            .named("openapi", "Read this document")
            .answers_as(StatusCode::OK, "OpenAPI 3.1.", JSON, any()),
        described(Route::get("/asyncapi.json", Rights::Anybody, asyncapi))
            .named("asyncapi", "Read about the frames of a WebSocket")
            .answers_as(StatusCode::OK, "AsyncAPI 3.0.", JSON, any()),
        described(Route::get("/docs", Rights::Anybody, docs))
            .named("docs", "Read both as a page")
            .answers_as(
                StatusCode::OK,
                "A page.",
                "text/html",
                content(string(), json!("<!doctype html>…")),
            ),
    ]
}

/// `GET /openapi.json`
pub(super) async fn openapi(
    State(gateway): State<Gateway>,
    _: Guest,
    headers: HeaderMap,
) -> Response {
    gateway.documents.openapi.answer(&headers)
}

/// `GET /asyncapi.json`
pub(super) async fn asyncapi(
    State(gateway): State<Gateway>,
    _: Guest,
    headers: HeaderMap,
) -> Response {
    gateway.documents.asyncapi.answer(&headers)
}

/// `GET /docs`
pub(super) async fn docs(State(gateway): State<Gateway>, _: Guest, headers: HeaderMap) -> Response {
    gateway.documents.docs.answer(&headers)
}

impl Document {
    fn new(body: Bytes, kind: &'static str) -> Self {
        let etag = format!("\"{}\"", BASE64_STANDARD.encode(Sha256::digest(&body)));
        Self {
            body,
            kind,
            etag,
            policy: None,
        }
    }

    /// The document, or 304 to who has it.
    fn answer(&self, headers: &HeaderMap) -> Response {
        let mut response = if is_known(headers, &self.etag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let mut response = self.body.clone().into_response();
            let kind = HeaderValue::from_static(self.kind);
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, CACHE);
        let policy = self.policy.as_ref();
        for (name, value) in [
            (header::ETAG, Some(&self.etag)),
            (header::CONTENT_SECURITY_POLICY, policy),
        ] {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// The page runs its own script and style, asks its own origin, and nothing else.
fn page_policy() -> String {
    let digest = |(open, close): (&str, &str)| {
        let inside = PAGE
            .split_once(open)
            .and_then(|(_, rest)| rest.split_once(close));
        BASE64_STANDARD.encode(Sha256::digest(inside.map_or("", |(inside, _)| inside)))
    };
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        digest(SCRIPT),
        digest(STYLE),
    )
}

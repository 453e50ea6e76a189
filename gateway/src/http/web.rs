//! The browser client: the files of `web/`, embedded in the binary.
//!
//! The page is asked for each time; its files are under a name that changes whenever one of
//! them does, so that a browser asks for each once.

use std::borrow::Cow;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base::{Code, Error};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use rust_embed::{Embed, EmbeddedFile};
use sha2::{Digest, Sha256};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

use super::caller::Visitor;
use super::headers::is_known;
use super::observe::PageFile;
use super::problem::{Answer, Failure};
use crate::Gateway;

#[derive(Embed)]
#[folder = "../web"]
struct Files;

const PAGE: &str = "index.html";
/// How the page names its files, and what comes before the version's place.
const FOLDER: &str = "\"web/";

/// How hard files are compressed, by Brotli (0–11) or gzip (0–9). Brotli's 5 takes 0.4 ms a file
/// and leaves 42.5 kB of them all; 9 takes 3 ms for 0.2 kB less.
const QUALITY: i32 = 5;

const EACH_TIME: HeaderValue = HeaderValue::from_static("no-cache");
const ONCE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// The page runs its own scripts and styles, asks its own origin, and nothing else; and no
/// string becomes markup or script in it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// What surrounds the page. Its files do without: they are no documents, and there are many.
const AROUND: [(HeaderName, HeaderValue); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ),
];

/// The page and its files. No part of the API, so no part of its documents.
pub(super) fn routes() -> Router<Gateway> {
    let compression = CompressionLayer::new().quality(CompressionLevel::Precise(QUALITY));
    Router::new()
        .route("/", get(page))
        .route("/web/{Version}/{*File}", get(file))
        .layer(compression)
}

/// Somebody who looks at the page, counted by address.
struct Onlooker;

impl FromRequestParts<Gateway> for Onlooker {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Failure> {
        let visitor = Visitor::from_request_parts(parts, gateway).await?;
        gateway.limits.page(visitor.address.into())?;
        Ok(Self)
    }
}

/// `GET /`
async fn page(State(_): State<Gateway>, _: Onlooker, headers: HeaderMap) -> Answer<Response> {
    let page = Files::get(PAGE).ok_or_else(not_found)?;
    let page = String::from_utf8_lossy(&page.data);
    let page = page.replace(FOLDER, &format!("{FOLDER}{}/", version()));
    let etag = etag(&Sha256::digest(&page));
    let mut response = answer(&headers, &etag, PAGE, Cow::Owned(page.into_bytes()));
    response.headers_mut().extend(AROUND);
    Ok(cached(response, EACH_TIME))
}

/// `GET /web/{Version}/{File}`
async fn file(
    State(_): State<Gateway>,
    _: Onlooker,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Answer<Response> {
    let Path((asked, name)) = path.map_err(|_| not_found())?;
    // The page itself is a document, and at home at `/` alone.
    let file = Files::get(&name).filter(|_| name != PAGE);
    let EmbeddedFile { data, metadata } = file.ok_or_else(not_found)?;
    let mut response = answer(&headers, &etag(&metadata.sha256_hash()), &name, data);
    response.extensions_mut().insert(PageFile);
    // While a system is upgraded, a page of one version may ask a gateway of another.
    let keeping = if asked == version() { ONCE } else { EACH_TIME };
    Ok(cached(response, keeping))
}

fn answer(headers: &HeaderMap, etag: &str, name: &str, data: Cow<'static, [u8]>) -> Response {
    let mut response = if is_known(headers, etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let kind = HeaderValue::from_static(kind_of(name));
        ([(header::CONTENT_TYPE, kind)], data).into_response()
    };
    // A weak one: what is compressed is not the same bytes.
    if let Ok(etag) = HeaderValue::from_str(&format!("W/{etag}")) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

fn cached(mut response: Response, keeping: HeaderValue) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, keeping);
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

/// What changes whenever a file does.
fn version() -> String {
    let mut all = Sha256::new();
    for name in Files::iter() {
        all.update(name.as_bytes());
        if let Some(file) = Files::get(&name) {
            all.update(file.metadata.sha256_hash());
        }
    }
    BASE64_URL_SAFE_NO_PAD.encode(&all.finalize()[..9])
}

/// Of 96 bits of a digest.
fn etag(digest: &[u8]) -> String {
    format!("\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(&digest[..12]))
}

fn kind_of(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

fn not_found() -> Error {
    Error::new(Code::NotFound, "there is nothing here")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> String {
        String::from_utf8(Files::get(PAGE).unwrap().data.into_owned()).unwrap()
    }

    #[test]
    fn the_page_asks_for_every_script_at_once_and_for_nothing_that_is_not_there() {
        let page = page();
        for name in Files::iter().filter(|name| name.ends_with(".js")) {
            assert!(page.contains(&format!("href=\"web/{name}\"")), "{name}");
        }
        for named in page.split(FOLDER).skip(1) {
            let name = named.split('"').next().unwrap();
            assert!(Files::get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn nothing_in_the_page_is_inline() {
        let page = page();
        for inline in ["<style", " style=", " on", "javascript:"] {
            assert!(!page.contains(inline), "{inline}");
        }
        assert!(!page.contains("<script>"));
    }

    #[test]
    fn every_file_has_a_kind() {
        for name in Files::iter() {
            assert_ne!(kind_of(&name), "application/octet-stream", "{name}");
        }
    }
}

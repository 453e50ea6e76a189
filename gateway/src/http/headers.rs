//! The header fields that this port reads or writes and that `http` has no names for, and how
//! fields are read.

use base::{Code, Error, Nonce};
use http::{HeaderMap, HeaderName, header};

/// The header that carries a request's id, both ways.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The header that may name a post's nonce.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Header fields of draft-ietf-httpapi-ratelimit-headers.
pub(super) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(super) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// A header field as text, when it is that.
pub(super) fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The `Idempotency-Key`, if there is one.
pub(super) fn nonce(headers: &HeaderMap) -> base::Result<Option<Nonce>> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| {
        Error::new(
            Code::InvalidArgument,
            "Idempotency-Key: must be printable ASCII",
        )
    })?;
    Nonce::parse("Idempotency-Key", text).map(Some)
}

/// Whether `If-None-Match` names what has this tag (RFC 9110, section 13.1.2); what
/// compresses makes a tag a weak one.
pub(super) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let tags = text(headers, header::IF_NONE_MATCH).unwrap_or_default();
    tags.split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

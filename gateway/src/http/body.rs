//! A request's body, read within its limits of size and time, whatever its type.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body as HttpBody;
use axum::extract::{FromRequest, Request};
use base::{Code, Error, limits};
use bytes::{Bytes, BytesMut};
use http::header;
use http_body_util::BodyExt;

use super::problem::Failure;
use crate::Gateway;

/// The bytes of a body, 64 KiB at most.
pub(super) struct Body(pub(super) Bytes);

impl FromRequest<Gateway> for Body {
    type Rejection = Failure;

    async fn from_request(mut request: Request, gateway: &Gateway) -> Result<Self, Failure> {
        let unread = request.extensions_mut().remove::<Unread>();
        let announced = request
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > limits::BODY_BYTES as u64) {
            return Err(too_large());
        }
        let patience = gateway.config.http.body_timeout.0;
        let read = tokio::time::timeout(patience, read(request.into_body()));
        let body = read.await.unwrap_or_else(|_| {
            let error = Error::new(Code::DeadlineExceeded, "the body took too long to come");
            Err(Failure::from(error).closing())
        })?;
        if let Some(Unread(unread)) = unread {
            unread.store(false, Ordering::Relaxed);
        }
        Ok(body)
    }
}

/// A request has a body that nobody has read: the connection cannot be used for another.
#[derive(Debug, Clone)]
pub(super) struct Unread(pub(super) Arc<AtomicBool>);

async fn read(mut body: HttpBody) -> Result<Body, Failure> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Failure::from(Error::new(Code::InvalidArgument, "the body is broken")).closing()
        })?;
        if let Ok(data) = frame.into_data() {
            if bytes.len() + data.len() > limits::BODY_BYTES {
                return Err(too_large());
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(Body(bytes.freeze()))
}

fn too_large() -> Failure {
    Failure::from(Error::new(Code::TooLarge, "the body has more than 64 KiB")).closing()
}

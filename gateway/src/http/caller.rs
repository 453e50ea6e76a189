//! Who makes a request, and how often that is allowed.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use base::{Code, Error, SessionId, Uid};
use http::request::Parts;
use http::{HeaderMap, header};
use runtime::{Call, RequestId};

use super::address::ClientAddress;
use super::headers::text;
use super::problem::Failure;
use crate::Gateway;
use crate::verdicts::Verdict;

/// Characters of a User-Agent that are kept.
const DEVICE_CHARS: usize = 200;

/// Somebody, before anything is known of him. Nothing was counted yet.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    pub(super) call: Call,
    pub(super) address: IpAddr,
    /// What the client calls itself.
    pub(super) device: String,
}

/// Nobody in particular, counted by address.
pub(super) struct Guest {
    pub(super) call: Call,
}

/// The user whose token came along, counted by user.
pub(super) struct Caller {
    pub(super) uid: Uid,
    /// The session that his token is of.
    pub(super) session: SessionId,
    /// A call in his name.
    pub(super) call: Call,
}

/// A [`Caller`] when there is a token that is believed, else a [`Guest`].
pub(super) struct MaybeCaller {
    pub(super) call: Call,
    refused: Option<Failure>,
}

impl MaybeCaller {
    /// What to say in place of an error. Who showed a token that was not believed, and is
    /// not let in, should hear of the token.
    pub(super) fn explain(self, error: Error) -> Failure {
        match (error.code(), self.refused) {
            (Code::NotFound, Some(refused)) => refused,
            _ => error.into(),
        }
    }
}

impl FromRequestParts<Gateway> for Visitor {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Failure> {
        let id = parts.extensions.get::<RequestId>().cloned();
        let address = parts.extensions.get::<ClientAddress>();
        let (Some(id), Some(&ClientAddress(address))) = (id, address) else {
            return Err(Error::internal("a route outside `observe`").into());
        };
        let device = text(&parts.headers, header::USER_AGENT).unwrap_or_default();
        Ok(Self {
            call: gateway.call(id),
            address,
            device: device.chars().take(DEVICE_CHARS).collect(),
        })
    }
}

impl FromRequestParts<Gateway> for Guest {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Failure> {
        let visitor = Visitor::from_request_parts(parts, gateway).await?;
        gateway.limits.anonymous(visitor.address.into())?;
        Ok(Self { call: visitor.call })
    }
}

impl FromRequestParts<Gateway> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Failure> {
        let visitor = Visitor::from_request_parts(parts, gateway).await?;
        let token = header_token(&parts.headers);
        let verdict = identify(gateway, &visitor, token).await?;
        gateway.limits.authenticated(verdict.uid)?;
        Ok(Self {
            uid: verdict.uid,
            session: verdict.session_id,
            call: visitor.call.by(verdict.uid),
        })
    }
}

impl FromRequestParts<Gateway> for MaybeCaller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Failure> {
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            let call = Guest::from_request_parts(parts, gateway).await?.call;
            return Ok(Self {
                call,
                refused: None,
            });
        }
        match Caller::from_request_parts(parts, gateway).await {
            Ok(caller) => Ok(Self {
                call: caller.call,
                refused: None,
            }),
            Err(refused) if refused.code() == Code::RateLimited => Err(refused),
            // It was counted by address already.
            Err(refused) => Ok(Self {
                call: Visitor::from_request_parts(parts, gateway).await?.call,
                refused: Some(refused),
            }),
        }
    }
}

/// Whose token it is. Without one, or with one that has to be asked about, the
/// request counts as its address's: strangers cannot keep session-service busy.
pub(super) async fn identify(
    gateway: &Gateway,
    visitor: &Visitor,
    token: Option<&str>,
) -> Result<Verdict, Failure> {
    let remembered = token.map(|token| gateway.verdicts.remembered(token));
    if let Some(Ok(Some(verdict))) = remembered {
        return Ok(known(verdict));
    }
    gateway.limits.anonymous(visitor.address.into())?;
    remembered.transpose()?;
    let token = token.ok_or_else(|| Error::new(Code::Unauthenticated, "a token is needed"))?;
    Ok(known(gateway.verdicts.ask(&visitor.call, token).await?))
}

fn known(verdict: Verdict) -> Verdict {
    tracing::Span::current().record("uid", verdict.uid.get());
    verdict
}

/// `Authorization: TOKEN` or `Authorization: Bearer TOKEN`. What is no text is a token
/// that nobody has.
pub(super) fn header_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?;
    let value = value.to_str().unwrap_or_default().trim();
    Some(match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") => token.trim(),
        _ => value,
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn token(value: &'static str) -> Option<String> {
        let value = HeaderValue::from_static(value);
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        header_token(&headers).map(str::to_owned)
    }

    #[test]
    fn a_token_stands_alone_or_after_bearer() {
        for value in ["abc.def", "Bearer abc.def", "bearer  abc.def", " abc.def "] {
            assert_eq!(token(value).as_deref(), Some("abc.def"), "{value}");
        }
        assert_eq!(token("Basic abc").as_deref(), Some("Basic abc"));
        assert_eq!(header_token(&HeaderMap::new()), None);
    }
}

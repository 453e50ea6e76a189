//! How a refusal reaches a client: a problem document (RFC 9457), or its detail as
//! plain text where the client asks for that.
//!
//! Handlers answer with a [`Failure`]; `observe` writes the document, for it alone
//! knows the request's id and what the client accepts.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base::{Code, Error};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use runtime::RequestId;
use wire::{PROBLEM_JSON, Problem};

use super::headers::{RATE_LIMIT, RATE_LIMIT_POLICY};
use crate::limits::Limited;

/// What a handler answers.
pub(super) type Answer<T> = Result<T, Failure>;

/// A refusal on its way to the client.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    error: Error,
    /// Where HTTP has a better status than the code's own.
    status: Option<StatusCode>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Failure {
    /// The code that the client sees.
    pub(super) fn code(&self) -> Code {
        self.error.code()
    }

    /// Says it with another status.
    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// Adds a header field.
    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Ends the connection after the answer: the rest of the request is not read.
    pub(super) fn closing(self) -> Self {
        self.with_header(header::CONNECTION, HeaderValue::from_static("close"))
    }

    /// The answer that the client sees. The cause goes to the log, once.
    pub(super) fn into_document(self, id: &RequestId, accept: Option<&HeaderValue>) -> Response {
        if let Some(cause) = self.error.cause() {
            if self.error.code() == Code::Internal {
                tracing::error!(cause, "internal error");
            } else {
                tracing::warn!(code = %self.error.code(), cause, "refused");
            }
        }
        let status = self
            .status
            .or_else(|| StatusCode::from_u16(self.error.code().http_status()).ok())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (kind, body) = if wants_text(accept) {
            (
                "text/plain; charset=utf-8",
                format!("{}\n", self.error.detail()),
            )
        } else {
            let problem = Problem::with_status(&self.error, status.as_u16(), id.as_str());
            // Strings and a number always serialize.
            (
                PROBLEM_JSON,
                serde_json::to_string(&problem).unwrap_or_default(),
            )
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        self.describe(headers);
        headers.extend(self.headers);
        response
    }

    /// The header fields that go with a code.
    fn describe(&self, headers: &mut HeaderMap) {
        let wait = seconds(self.error.wait());
        match self.error.code() {
            Code::Unauthenticated => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Code::RateLimited => {
                headers.insert(header::RETRY_AFTER, wait.into());
                // A service's own refusal has no policy but the wait it asks for.
                let own = self.headers.iter().all(|(name, _)| *name != RATE_LIMIT);
                if let (true, Ok(policy), Ok(state)) = (
                    own,
                    format!("\"service\";q=1;w={wait}").try_into(),
                    format!("\"service\";r=0;t={wait}").try_into(),
                ) {
                    headers.insert(RATE_LIMIT_POLICY, policy);
                    headers.insert(RATE_LIMIT, state);
                }
            }
            Code::Unavailable => {
                headers.insert(header::RETRY_AFTER, wait.into());
            }
            _ => {}
        }
    }
}

/// Whole seconds, rounded up, at least one: who comes sooner comes in vain.
fn seconds(wait: Option<Duration>) -> u64 {
    let wait = wait.unwrap_or(base::limits::RETRY_AFTER_UNAVAILABLE);
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// Whether plain text is asked for and JSON is not.
fn wants_text(accept: Option<&HeaderValue>) -> bool {
    let accept = accept
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    // What weighs nothing is not accepted (RFC 9110, section 12.4.2).
    let weightless = |parameter: &str| {
        let weight = parameter.trim().strip_prefix("q=");
        weight.is_some_and(|weight| weight.parse() == Ok(0.0))
    };
    let mut kinds = accept.split(',').filter_map(|range| {
        let (kind, parameters) = range.split_once(';').unwrap_or((range, ""));
        let refused = parameters.split(';').any(weightless);
        (!refused).then_some(kind.trim())
    });
    let is = |kind: &str, name: &str| kind.eq_ignore_ascii_case(name);
    kinds.clone().any(|kind| is(kind, "text/plain"))
        && !kinds.any(|kind| is(kind, PROBLEM_JSON) || is(kind, "application/json"))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            status: None,
            headers: Vec::new(),
        }
    }
}

impl From<Limited> for Failure {
    fn from(limited: Limited) -> Self {
        let Limited {
            policy,
            quota,
            window,
            wait,
        } = limited;
        let wait = seconds(Some(wait));
        let mut failure = Self::from(Error::from(limited));
        if let (Ok(about), Ok(state)) = (
            HeaderValue::try_from(format!("\"{policy}\";q={quota};w={window}")),
            HeaderValue::try_from(format!("\"{policy}\";r=0;t={wait}")),
        ) {
            failure = failure
                .with_header(RATE_LIMIT_POLICY, about)
                .with_header(RATE_LIMIT, state);
        }
        failure
    }
}

impl IntoResponse for Failure {
    /// A stand-in that carries the failure to `observe`.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn document(
        failure: impl Into<Failure>,
        accept: Option<&'static str>,
    ) -> (HeaderMap, String) {
        let id = RequestId::parse("r-1").unwrap();
        let accept = accept.map(HeaderValue::from_static);
        let (parts, body) = failure
            .into()
            .into_document(&id, accept.as_ref())
            .into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_problem_is_json_unless_text_is_asked_for() {
        let error = Error::invalid("Name", "is required");
        for accept in [None, Some("*/*"), Some("application/json, text/plain, */*")] {
            let (headers, body) = document(error.clone(), accept).await;
            assert_eq!(headers[header::CONTENT_TYPE], PROBLEM_JSON);
            let problem: Problem = serde_json::from_str(&body).unwrap();
            assert_eq!((problem.status, &*problem.request_id), (400, "r-1"));
        }
        let (headers, body) = document(error, Some("text/plain;q=0.9")).await;
        assert_eq!(headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
        assert_eq!(body, "Name: is required\n");
    }

    #[tokio::test]
    async fn a_limit_says_when_to_come_again() {
        let limited = Limited {
            policy: "login",
            quota: 30,
            window: 60,
            wait: Duration::from_millis(1_200),
        };
        let (headers, _) = document(limited, None).await;
        assert_eq!(headers[header::RETRY_AFTER], "2");
        assert_eq!(headers[RATE_LIMIT_POLICY], "\"login\";q=30;w=60");
        assert_eq!(headers[RATE_LIMIT], "\"login\";r=0;t=2");

        let by_service = Error::rate_limited("too many passwords", Duration::from_secs(3));
        let (headers, _) = document(by_service, None).await;
        assert_eq!(headers[RATE_LIMIT], "\"service\";r=0;t=3");
    }

    #[tokio::test]
    async fn a_cause_is_not_told() {
        let (_, body) = document(Error::internal("disk on fire"), None).await;
        assert!(body.contains("internal error") && !body.contains("fire"));
        let (headers, body) = document(Error::unavailable("try later", "db on fire"), None).await;
        assert_eq!(headers[header::RETRY_AFTER], "1");
        assert!(!body.contains("fire"));
    }
}

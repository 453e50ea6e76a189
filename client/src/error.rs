//! What can go wrong, told apart by what a caller can do about it.

use std::time::Duration;

use wire::{Code, Problem, frame::Fault};

/// The result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call or a connection failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server answered, and the answer is no.
    #[error("{0}")]
    Refused(Refusal),
    /// No answer in time. A write may have happened.
    #[error("no answer within the deadline")]
    Deadline,
    /// The connection failed. A write may have happened.
    #[error("the connection failed: {0}")]
    Transport(String),
    /// The server closed the WebSocket. Without a code, it ended without a close frame.
    #[error("the connection was closed ({code:?} {reason})")]
    Closed {
        /// The close code (RFC 6455, section 7.4).
        code: Option<u16>,
        /// The server's words.
        reason: String,
    },
    /// The server said what this SDK does not understand.
    #[error("an answer that is not understood: {0}")]
    Protocol(String),
    /// The base address or an argument cannot be sent at all.
    #[error("{0}")]
    Usage(String),
    /// The [`Chat`](crate::Chat) has ended. A write that had no answer may have happened.
    #[error("{0}")]
    Ended(Ended),
}

/// Why a [`Chat`](crate::Chat) is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The session is over; only a new login helps.
    #[error("the session has ended; log in again")]
    Session,
    /// It was closed by its user.
    #[error("the chat was closed")]
    Closed,
}

/// The server's no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong, for a program. `None`: a proxy answered, or a newer server.
    pub code: Option<Code>,
    /// The HTTP status; `None` for an error frame.
    pub status: Option<u16>,
    /// What is wrong, for a person.
    pub detail: String,
    /// What finds the request in the server's logs.
    pub request_id: Option<String>,
    /// How long the server wants to be left alone.
    pub retry_after: Option<Duration>,
    /// Whether the same request may succeed later.
    pub retryable: bool,
}

impl Refusal {
    pub(crate) fn from_frame(fault: Fault) -> Self {
        Self {
            code: Some(fault.code),
            status: None,
            detail: fault.error,
            request_id: None,
            retry_after: None,
            retryable: fault.retryable,
        }
    }

    pub(crate) fn from_http(status: u16, headers: &http::HeaderMap, body: &[u8]) -> Self {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let problem = serde_json::from_slice::<Problem>(body).ok();
        let code = problem.as_ref().map(|problem| problem.code);
        let detail = match &problem {
            Some(problem) => problem.detail.clone(),
            None => String::from_utf8_lossy(body).chars().take(200).collect(),
        };
        Self {
            code,
            status: Some(status),
            detail,
            request_id: header("x-request-id").map(str::to_owned),
            retry_after: header("retry-after")
                .and_then(|seconds| seconds.parse().ok())
                .map(Duration::from_secs),
            retryable: code.map_or(matches!(status, 429 | 502 | 503 | 504), Code::retryable),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code, self.status) {
            (Some(code), _) => write!(f, "{code}: {}", self.detail),
            (None, Some(status)) => write!(f, "status {status}: {}", self.detail),
            (None, None) => f.write_str(&self.detail),
        }
    }
}

impl Error {
    /// The server's no, if that is what it is.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The code of the server's no.
    pub fn code(&self) -> Option<Code> {
        self.refusal().and_then(|refusal| refusal.code)
    }

    /// The HTTP status of the server's no.
    pub fn status(&self) -> Option<u16> {
        self.refusal().and_then(|refusal| refusal.status)
    }

    /// The close code, if the server closed the WebSocket with one.
    pub fn close_code(&self) -> Option<u16> {
        match self {
            Self::Closed { code, .. } => *code,
            _ => None,
        }
    }

    /// Whether the same call may succeed later; for a write, with the same nonce.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.retryable,
            Self::Deadline | Self::Transport(_) | Self::Closed { .. } => true,
            Self::Protocol(_) | Self::Usage(_) | Self::Ended(_) => false,
        }
    }
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::Deadline
        } else {
            // The URL may carry a token.
            Self::Transport(causes(&error.without_url()))
        }
    }
}

/// An error and its causes in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_read_with_its_headers() {
        let mut headers = http::HeaderMap::new();
        headers.insert("retry-after", http::HeaderValue::from_static("3"));
        headers.insert("x-request-id", http::HeaderValue::from_static("r-1"));
        let problem = Problem::new(&wire::Error::new(Code::RateLimited, "slower"), "r-1");
        let body = serde_json::to_vec(&problem).unwrap();
        let refusal = Refusal::from_http(429, &headers, &body);
        assert_eq!(refusal.code, Some(Code::RateLimited));
        assert_eq!(refusal.retry_after, Some(Duration::from_secs(3)));
        assert_eq!(refusal.request_id.as_deref(), Some("r-1"));
        assert!(refusal.retryable);
    }

    #[test]
    fn what_a_proxy_says_is_kept() {
        let refusal = Refusal::from_http(502, &http::HeaderMap::new(), b"Bad Gateway");
        assert_eq!(refusal.code, None);
        assert_eq!(refusal.to_string(), "status 502: Bad Gateway");
        assert!(refusal.retryable);
    }
}

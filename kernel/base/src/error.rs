//! The one error that crosses a service's border.

use std::borrow::Cow;
use std::time::Duration;

use crate::Code;

/// A result whose error a client may see.
pub type Result<T> = std::result::Result<T, Error>;

/// An error as the outside may see it: a [`Code`], words for a person, and for a
/// bad request the field at fault. The cause of an internal error stays here for
/// the log; [`Error::detail`] never tells it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Error {
    code: Code,
    detail: Cow<'static, str>,
    cause: Option<String>,
    retry_after: Option<Duration>,
}

impl Error {
    /// An error of this kind, said in these words.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            cause: None,
            retry_after: None,
        }
    }

    /// The field `name` breaks `rule`, for instance `("Name", "must have 3–20 characters")`.
    pub fn invalid(name: &str, rule: impl std::fmt::Display) -> Self {
        Self::new(Code::InvalidArgument, format!("{name}: {rule}"))
    }

    /// Our fault. `cause` goes to the log alone.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        Self::new(Code::Internal, "internal error").caused_by(cause)
    }

    /// A part that is needed is not there. `cause` goes to the log alone.
    pub fn unavailable(what: &'static str, cause: impl std::fmt::Display) -> Self {
        Self::new(Code::Unavailable, what)
            .caused_by(cause)
            .retry_after(crate::limits::RETRY_AFTER_UNAVAILABLE)
    }

    /// Too much at once; come back after `wait`.
    pub fn rate_limited(detail: impl Into<Cow<'static, str>>, wait: Duration) -> Self {
        Self::new(Code::RateLimited, detail).retry_after(wait)
    }

    /// It took longer than it may.
    pub fn deadline_exceeded() -> Self {
        Self::new(
            Code::DeadlineExceeded,
            "the deadline passed; it may have happened",
        )
    }

    /// Adds what the log should say of the reason.
    #[must_use]
    pub fn caused_by(mut self, cause: impl std::fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Adds how long to wait before a retry.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// What kind of error it is.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Words for a person; safe to send.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The reason, for the log alone.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// How long to wait before a retry, when that is known.
    pub fn wait(&self) -> Option<Duration> {
        self.retry_after
    }
}

//! Errors as clients get them over HTTP: problem documents (RFC 9457).

use base::{Code, Error};
use serde::{Deserialize, Serialize};

/// The media type of a problem document.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A problem document. `detail` never tells the cause of an internal error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Names the kind of problem: `urn:parley:error:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong with this request, for a person; it names the field at fault.
    pub detail: String,
    /// What is wrong, for a program.
    #[serde(rename = "Code")]
    pub code: Code,
    /// What finds this request in the logs.
    #[serde(rename = "RequestID")]
    pub request_id: String,
}

impl Problem {
    /// The document for `error`, with the status that belongs to its code.
    pub fn new(error: &Error, request_id: impl Into<String>) -> Self {
        Self::with_status(error, error.code().http_status(), request_id)
    }

    /// The document for `error` under another status, where HTTP has a better one than
    /// the code's own: 405, 408, 415.
    pub fn with_status(error: &Error, status: u16, request_id: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:parley:error:{}", error.code()),
            title: title(error.code()).to_owned(),
            status,
            detail: error.detail().to_owned(),
            code: error.code(),
            request_id: request_id.into(),
        }
    }
}

fn title(code: Code) -> &'static str {
    match code {
        Code::InvalidArgument => "Invalid argument",
        Code::Unauthenticated => "Not authenticated",
        Code::PermissionDenied => "Permission denied",
        Code::NotFound => "Not found",
        Code::Conflict => "Conflict",
        Code::TooLarge => "Too large",
        Code::NonceReused => "Nonce reused",
        Code::RateLimited => "Rate limited",
        Code::Unavailable => "Unavailable",
        Code::DeadlineExceeded => "Deadline exceeded",
        Code::Internal => "Internal error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_its_kind_and_request_and_hides_the_cause() {
        let problem = Problem::new(&Error::internal("the disk is on fire"), "r-1");
        assert_eq!(
            serde_json::to_string(&problem).unwrap(),
            r#"{"type":"urn:parley:error:internal","title":"Internal error","status":500,"detail":"internal error","Code":"internal","RequestID":"r-1"}"#
        );
    }
}

//! The one mapping between [`base::Error`] and gRPC statuses, both ways.
//!
//! Every status that Parley makes on purpose carries [`MARK`]. One without it
//! comes from the transport or from tonic, where `Unknown` or `Cancelled` mean a
//! peer that went away: to the caller that is `unavailable`, never `internal`.

use std::time::Duration;

use base::{Code, Error};
use tonic::metadata::MetadataValue;
use tonic::{Code as Grpc, Status};

const MARK: &str = "parley-code";
const RETRY_AFTER: &str = "parley-retry-after-ms";

/// The gRPC code of a [`Code`]; no two share one.
pub fn to_grpc(code: Code) -> Grpc {
    match code {
        Code::InvalidArgument => Grpc::InvalidArgument,
        Code::Unauthenticated => Grpc::Unauthenticated,
        Code::PermissionDenied => Grpc::PermissionDenied,
        Code::NotFound => Grpc::NotFound,
        Code::Conflict => Grpc::AlreadyExists,
        Code::TooLarge => Grpc::OutOfRange,
        Code::NonceReused => Grpc::FailedPrecondition,
        Code::RateLimited => Grpc::ResourceExhausted,
        Code::Unavailable => Grpc::Unavailable,
        Code::DeadlineExceeded => Grpc::DeadlineExceeded,
        Code::Internal => Grpc::Internal,
    }
}

/// The [`Code`] of a gRPC code that Parley set; `None` for those it never sets.
pub fn from_grpc(code: Grpc) -> Option<Code> {
    Code::ALL.into_iter().find(|&own| to_grpc(own) == code)
}

/// The status to answer with. Logs what the outside will not be told.
pub fn to_status(error: &Error) -> Status {
    if let Some(cause) = error.cause() {
        if error.code() == Code::Internal {
            tracing::error!(code = %error.code(), cause, "call failed");
        } else {
            tracing::warn!(code = %error.code(), cause, "call refused");
        }
    }
    let mut status = Status::new(to_grpc(error.code()), error.detail());
    let metadata = status.metadata_mut();
    metadata.insert(MARK, MetadataValue::from_static(error.code().as_str()));
    if let Some(wait) = error.wait() {
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        metadata.insert(RETRY_AFTER, MetadataValue::from(millis));
    }
    status
}

/// The error that a status from another service means to its caller.
pub fn from_status(status: &Status) -> Error {
    if status.metadata().get(MARK).is_some()
        && let Some(code) = from_grpc(status.code())
    {
        let error = Error::new(code, status.message().to_owned());
        let wait = status
            .metadata()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        return match wait.and_then(|millis| millis.parse().ok()) {
            Some(millis) => error.retry_after(Duration::from_millis(millis)),
            None => error,
        };
    }
    match status.code() {
        Grpc::DeadlineExceeded => Error::deadline_exceeded(),
        Grpc::Unavailable | Grpc::Unknown | Grpc::Cancelled | Grpc::Internal | Grpc::Aborted => {
            // tonic reports its own client-side time-out as Cancelled.
            if status.message().contains("Timeout expired") {
                Error::deadline_exceeded()
            } else {
                Error::unavailable("a part of the system is not reachable", status)
            }
        }
        Grpc::ResourceExhausted | Grpc::OutOfRange => {
            Error::new(Code::TooLarge, "too large").caused_by(status)
        }
        _ => Error::internal(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_way_there_and_back() {
        for code in Code::ALL {
            let sent = Error::new(code, "words").retry_after(Duration::from_millis(1_500));
            let got = from_status(&to_status(&sent));
            assert_eq!(
                (got.code(), got.detail(), got.wait()),
                (code, "words", sent.wait())
            );
        }
    }

    #[test]
    fn a_cause_is_not_sent() {
        let status = to_status(&Error::internal("the password of the database is x"));
        assert!(!format!("{status:?}").contains("database"));
    }

    #[test]
    fn a_peer_that_went_away_is_unavailable_not_internal() {
        for grpc in [
            Grpc::Unknown,
            Grpc::Cancelled,
            Grpc::Internal,
            Grpc::Unavailable,
        ] {
            let error = from_status(&Status::new(grpc, "h2 protocol error"));
            assert_eq!(error.code(), Code::Unavailable);
        }
    }
}

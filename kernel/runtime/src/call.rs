//! What goes along with a call from hop to hop: who acts, the request's id, and
//! until when an answer is wanted.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use base::{Code, Error, Uid};
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use crate::status;

const UID: &str = "parley-uid";
const REQUEST_ID: &str = "x-request-id";

/// How long a call may take when nobody said.
pub(crate) const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);

/// The name of one request on its way through the system: 1–64 ASCII letters, digits and
/// `-`, `_`, `.` or `:`. It goes to logs as it is, so it has no control characters and no
/// blanks. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Returns the id if `text` has only the characters named above, and at most 64.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
        ((1..=64).contains(&text.len()) && text.bytes().all(fits)).then(|| Self(text.into()))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The point in time that a call's answer must meet. The server's guard puts it
/// on each request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(pub(crate) Instant);

/// The circumstances of one call.
#[derive(Debug, Clone)]
pub struct Call {
    uid: Option<Uid>,
    request_id: RequestId,
    deadline: Instant,
}

impl Call {
    /// A call that starts here, by nobody yet, with `patience` for its answer.
    pub fn new(request_id: RequestId, patience: Duration) -> Self {
        Self {
            uid: None,
            request_id,
            deadline: Instant::now() + patience,
        }
    }

    /// A call that the system makes on its own, named for what it does.
    pub fn own(name: &'static str) -> Self {
        Self::new(RequestId(name.into()), DEFAULT_DEADLINE)
    }

    /// The same call, made by `uid`.
    #[must_use]
    pub fn by(mut self, uid: Uid) -> Self {
        self.uid = Some(uid);
        self
    }

    /// The same call with another patience, counted from now.
    #[must_use]
    pub fn within(mut self, patience: Duration) -> Self {
        self.deadline = Instant::now() + patience;
        self
    }

    /// The circumstances that `request` came with.
    pub fn of<T>(request: &Request<T>) -> Self {
        let deadline = request
            .extensions()
            .get::<Deadline>()
            .map_or_else(|| Instant::now() + DEFAULT_DEADLINE, |deadline| deadline.0);
        Self {
            uid: read_uid(request.metadata()),
            request_id: text(request.metadata(), REQUEST_ID)
                .and_then(RequestId::parse)
                .unwrap_or_else(|| RequestId("none".into())),
            deadline,
        }
    }

    /// Who acts, if anybody is known to.
    pub fn uid(&self) -> Option<Uid> {
        self.uid
    }

    /// Who acts; unauthenticated if nobody is known to.
    pub fn acting(&self) -> base::Result<Uid> {
        self.uid
            .ok_or_else(|| Error::new(Code::Unauthenticated, "a token is needed"))
    }

    /// The request's id.
    pub fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// When the answer is too late.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// How long there is until then.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// A request for the next hop, which carries all this on.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.remaining());
        let metadata = request.metadata_mut();
        if let Some(uid) = self.uid {
            metadata.insert(UID, uid.get().into());
        }
        if let Ok(id) = self.request_id.as_str().parse() {
            metadata.insert(REQUEST_ID, id);
        }
        request
    }

    /// Waits for the next hop's answer, no longer than the deadline.
    pub async fn wait<T>(
        &self,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> base::Result<T> {
        match tokio::time::timeout_at(self.deadline, answer).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(status::from_status(&status)),
            Err(_) => Err(Error::deadline_exceeded()),
        }
    }
}

fn text<'a>(metadata: &'a MetadataMap, key: &str) -> Option<&'a str> {
    metadata.get(key)?.to_str().ok()
}

fn read_uid(metadata: &MetadataMap) -> Option<Uid> {
    Uid::new(text(metadata, UID)?.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_acts_and_the_request_id_survive_a_hop() {
        let id = RequestId::parse("abc-1").unwrap();
        let call = Call::new(id.clone(), Duration::from_secs(3)).by(Uid::new(7).unwrap());
        let got = Call::of(&call.request(()));
        assert_eq!((got.uid(), got.request_id()), (Uid::new(7), &id));
    }

    #[test]
    fn a_request_id_has_the_documented_characters_only() {
        for good in ["a", "Az09-_.:", &"x".repeat(64)] {
            assert!(RequestId::parse(good).is_some(), "{good:?}");
        }
        let odd = ["", "a b", "ä", "a/b", "a\"b", &"x".repeat(65)];
        let controls = [
            "a\nb",
            "a\tb",
            "a\rb",
            "a\u{1b}[31m",
            "a\0",
            "a\u{7f}",
            "a\u{9b}",
        ];
        for bad in odd.into_iter().chain(controls) {
            assert!(RequestId::parse(bad).is_none(), "{bad:?}");
        }
    }
}

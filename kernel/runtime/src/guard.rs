//! What stands before every service, remote or in process: the service token, a
//! deadline, a bound on the calls under way, and a panic that stays in its call.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base::{Code, Error};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::Instrument;

use crate::call::{DEFAULT_DEADLINE, Deadline};
use crate::config::Secret;
use crate::{deadline, status};

/// Calls under way at once in one process, most. Beyond, callers are told so at
/// once rather than left to wait.
const MAX_CALLS: usize = 4_096;

/// The longest deadline a caller may ask for.
const MAX_DEADLINE: Duration = Duration::from_mins(1);

/// Puts a [`Guarded`] before a service.
#[derive(Clone)]
pub struct Guard {
    expected: Arc<str>,
    calls: Arc<Semaphore>,
}

impl Guard {
    /// A guard that believes callers with this service token.
    pub fn new(token: &Secret) -> Self {
        Self {
            expected: format!("Bearer {}", token.expose()).into(),
            calls: Arc::new(Semaphore::new(MAX_CALLS)),
        }
    }
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            guard: self.clone(),
            inner,
        }
    }
}

/// A service behind its guard.
#[derive(Clone)]
pub struct Guarded<S> {
    guard: Guard,
    inner: S,
}

impl<S> Service<http::Request<Body>> for Guarded<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        // Health checks come from outside the system and say nothing worth guarding.
        if request.uri().path().starts_with("/grpc.health.v1.") {
            return self.inner.call(request).boxed();
        }
        if !self.guard.believes(&request) {
            return refuse(&Error::new(Code::Unauthenticated, "no valid service token"));
        }
        let Ok(permit) = Arc::clone(&self.guard.calls).try_acquire_owned() else {
            metrics::counter!("parley_grpc_shed_total").increment(1);
            return refuse(&Error::unavailable(
                "too much at once",
                "all calls are taken",
            ));
        };
        let patience = deadline::read(request.headers()).unwrap_or(DEFAULT_DEADLINE);
        let deadline = Instant::now() + patience.min(MAX_DEADLINE);
        request.extensions_mut().insert(Deadline(deadline));

        let method = request.uri().path().to_owned();
        let span = tracing::info_span!(
            "grpc",
            method,
            request_id = header(&request, "x-request-id"),
            uid = header(&request, "parley-uid"),
        );
        // The clone that was polled ready must be the one called.
        let ready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, ready);
        let work = async move {
            let _permit = permit;
            let started = Instant::now();
            let answer = AssertUnwindSafe(async { inner.call(request).await }).catch_unwind();
            let outcome = match tokio::time::timeout_at(deadline, answer).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Ok(http(&Error::internal("a handler panicked"))),
                Err(_) => Ok(http(&Error::deadline_exceeded())),
            };
            metrics::histogram!("parley_grpc_seconds", "method" => method)
                .record(started.elapsed().as_secs_f64());
            outcome
        };
        work.instrument(span).boxed()
    }
}

impl Guard {
    fn believes(&self, request: &http::Request<Body>) -> bool {
        let given = request.headers().get(http::header::AUTHORIZATION);
        given.is_some_and(|given| given.as_bytes().ct_eq(self.expected.as_bytes()).into())
    }
}

fn header(request: &http::Request<Body>, name: &str) -> Option<String> {
    Some(request.headers().get(name)?.to_str().ok()?.to_owned())
}

fn http(error: &Error) -> http::Response<Body> {
    status::to_status(error).into_http()
}

fn refuse<E: Send + 'static>(error: &Error) -> BoxFuture<'static, Result<http::Response<Body>, E>> {
    std::future::ready(Ok(http(error))).boxed()
}

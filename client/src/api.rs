//! Calls over HTTP. An [`Api`] is cheap to clone; clones share their connections.

mod accounts;
mod messages;
mod rooms;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;
use wire::response::Status;

use crate::tls::Tls;
use crate::{Error, Refusal, Result};

/// How long a call may take when nothing else was said.
const DEADLINE: Duration = Duration::from_secs(10);

/// A server, and who asks it.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    tls: Tls,
    base: Arc<str>,
    token: Option<Arc<str>>,
    deadline: Duration,
}

/// An answer as it came, for callers that want to see all of it.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The header `name`, where it is there and readable.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// [`Error::Protocol`] when it is not of that shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Protocol(error.to_string()))
    }
}

impl Api {
    /// A server by its address, for instance `http://127.0.0.1:8080`, asked by nobody
    /// in particular. With the feature `tls` it may be an `https` address, of a server
    /// that the system trusts.
    ///
    /// # Errors
    /// [`Error::Usage`] when `base` is not such an address.
    pub fn new(base: &str) -> Result<Self> {
        let (base, scheme) = address(base)?;
        let tls = Tls::of(&scheme).map_err(|error| usage(base, &error))?;
        Self::over(tls, base)
    }

    /// An `https` server that is trusted as `config` says.
    ///
    /// # Errors
    /// [`Error::Usage`] when `base` is not an `https` address.
    #[cfg(feature = "tls")]
    pub fn new_with_tls(base: &str, config: Arc<rustls::ClientConfig>) -> Result<Self> {
        let (base, scheme) = address(base)?;
        if scheme != "https" {
            return Err(usage(base, &"must begin with https://"));
        }
        Self::over(Tls::with(config), base)
    }

    fn over(tls: Tls, base: &str) -> Result<Self> {
        Ok(Self {
            http: tls.http()?,
            tls,
            base: base.into(),
            token: None,
            deadline: DEADLINE,
        })
    }

    /// The same server, asked by the holder of `token`.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.into()),
            ..self.clone()
        }
    }

    /// The same, with another deadline for every call.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self {
            deadline,
            ..self.clone()
        }
    }

    pub(crate) fn tls(&self) -> &Tls {
        &self.tls
    }

    /// The address, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The token that calls carry.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// How long a call may take.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Any request, and the answer as it came, refusal or not.
    ///
    /// # Errors
    /// [`Error::Deadline`], [`Error::Transport`].
    pub async fn raw(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: impl Into<reqwest::Body>,
    ) -> Result<Answer> {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method, url).timeout(self.deadline);
        if let Some(token) = &self.token
            && !headers.contains_key(http::header::AUTHORIZATION)
        {
            request = request.bearer_auth(token);
        }
        let answer = request.headers(headers).body(body).send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Answer {
            status,
            headers,
            body: answer.bytes().await?,
        })
    }

    async fn act(&self, path: &str, body: Value) -> Result<()> {
        let _: Status = self.call(Method::PUT, path, Some(body)).await?;
        Ok(())
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<T> {
        self.call_with(method, path, HeaderMap::new(), body).await
    }

    async fn call_with<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        mut headers: HeaderMap,
        body: Option<Value>,
    ) -> Result<T> {
        if body.is_some() {
            let json = http::HeaderValue::from_static("application/json");
            headers.insert(http::header::CONTENT_TYPE, json);
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let answer = self.raw(method, path, headers, body).await?;
        if (200..300).contains(&answer.status) {
            answer.json()
        } else {
            let refusal = Refusal::from_http(answer.status, &answer.headers, &answer.body);
            Err(Error::Refused(refusal))
        }
    }
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the token.
        f.debug_struct("Api")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// An address without a slash at its end, and its scheme.
fn address(base: &str) -> Result<(&str, String)> {
    let base = base.trim_end_matches('/');
    let uri: http::Uri = base.parse().map_err(|error| usage(base, &error))?;
    match (uri.scheme_str(), uri.host()) {
        (Some(scheme), Some(_)) => Ok((base, scheme.to_owned())),
        _ => Err(usage(base, &"must have a scheme and a host")),
    }
}

/// A path with one more text in its query.
fn with_text(path: &str, name: &str, text: &str) -> String {
    let sign = if path.contains('?') { '&' } else { '?' };
    let text: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    format!("{path}{sign}{name}={text}")
}

fn usage(base: &str, reason: &dyn std::fmt::Display) -> Error {
    Error::Usage(format!("{base}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_checked_and_the_token_does_not_print() {
        assert!(Api::new("ftp://x").is_err());
        assert!(Api::new("127.0.0.1:8080").is_err());
        let api = Api::new("http://127.0.0.1:8080/")
            .unwrap()
            .with_token("sesame");
        assert_eq!(api.base(), "http://127.0.0.1:8080");
        assert!(!format!("{api:?}").contains("sesame"));
    }
}

//! What opens a session, and when it is to be replaced.
//!
//! A refresh token is good once. An answer that was lost is asked for again with the key
//! that was made together with the pair, and kept with it, so that even a process that
//! died in between gets the same new pair, for the minute that the server allows.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;
use wire::response::LoggedIn;
use wire::{Code, Timestamp};

use super::Timings;
use super::backoff::{Backoff, Random, unique_name};
#[cfg(test)]
use crate::Error;
use crate::{Api, Ended, Result};

/// After a refresh, the next is not made sooner, whatever the clocks say.
const REFRESH_REST: Duration = Duration::from_secs(30);

/// The token and what the next one is to be had for. It can be stored as it is, and is
/// worth as much as a password while the session lives; it does not print its secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// What every request carries.
    pub token: String,
    /// What a new pair is to be had for, once; `None`: the session ends with the token.
    pub refresh_token: Option<String>,
    /// When `token` ends, as far as that is known.
    pub expires_at: Option<Timestamp>,
    /// Makes the refresh of this pair safe to repeat.
    refresh_key: String,
}

impl Tokens {
    /// A token alone. When the server refuses it, that is the end.
    pub fn bearer(token: impl Into<String>) -> Self {
        Self {
            token: token.into(),
            refresh_token: None,
            expires_at: None,
            refresh_key: String::new(),
        }
    }
}

impl From<LoggedIn> for Tokens {
    fn from(login: LoggedIn) -> Self {
        Self {
            token: login.token,
            refresh_token: Some(login.refresh_token),
            expires_at: Some(login.expires_at),
            refresh_key: unique_name(),
        }
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// The pair in use, and when it needs to be replaced.
pub(super) struct Credentials {
    pair: watch::Sender<Tokens>,
    /// The server refuses the token; nothing is asked with it any more.
    refused: bool,
    /// When to ask for the next pair; `None`: never by itself.
    due: Option<Instant>,
    retry: Backoff,
    margin: Duration,
}

impl Credentials {
    /// `now` on both clocks: the one that waits, the one that tokens end by.
    pub(super) fn new(tokens: Tokens, timings: &Timings, now: Instant, wall: Timestamp) -> Self {
        let mut credentials = Self {
            pair: watch::Sender::new(tokens),
            refused: false,
            due: None,
            retry: Backoff::new(timings.retry_least, timings.retry_most),
            margin: timings.refresh_before,
        };
        credentials.due = credentials.due_at(now, wall);
        credentials
    }

    pub(super) fn watch(&self) -> watch::Receiver<Tokens> {
        self.pair.subscribe()
    }

    pub(super) fn token(&self) -> String {
        self.pair.borrow().token.clone()
    }

    /// Whether requests may be made with the token.
    pub(super) fn usable(&self) -> bool {
        !self.refused
    }

    /// The server refused `token`. If that is still the one in use, a new one is needed.
    ///
    /// # Errors
    /// When there is no way to get one.
    pub(super) fn refused(&mut self, token: &str, now: Instant) -> std::result::Result<(), Ended> {
        let pair = self.pair.borrow();
        if pair.token != token || self.refused {
            return Ok(());
        }
        if pair.refresh_token.is_none() {
            return Err(Ended::Session);
        }
        self.refused = true;
        self.due = Some(self.due.map_or(now, |due| due.min(now)));
        Ok(())
    }

    /// When to ask for a new pair.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The call that gets a new pair.
    pub(super) fn refresh(&self, api: &Api) -> impl Future<Output = Result<LoggedIn>> + use<> {
        let pair = self.pair.borrow().clone();
        let api = api.clone();
        async move {
            let refresh_token = pair.refresh_token.unwrap_or_default();
            let key = Some(&*pair.refresh_key).filter(|key| !key.is_empty());
            api.refresh(&refresh_token, key).await
        }
    }

    /// Takes what that call came to.
    ///
    /// # Errors
    /// When the session is over.
    pub(super) fn refreshed(
        &mut self,
        outcome: Result<LoggedIn>,
        now: Instant,
        wall: Timestamp,
        random: &mut Random,
    ) -> std::result::Result<(), Ended> {
        match outcome {
            Ok(login) => {
                self.pair.send_replace(login.into());
                self.refused = false;
                self.retry.reset();
                let rest = now + REFRESH_REST.min(self.margin);
                self.due = self.due_at(now, wall).map(|due| due.max(rest));
                Ok(())
            }
            Err(error) if error.code() == Some(Code::Unauthenticated) => Err(Ended::Session),
            // The server's own final no, of whatever kind; a proxy's says nothing.
            Err(error) if self.refused && error.code().is_some() && !error.retryable() => {
                Err(Ended::Session)
            }
            Err(error) => {
                let asked = error.refusal().and_then(|refusal| refusal.retry_after);
                self.due = Some(now + self.retry.next(random, asked));
                Ok(())
            }
        }
    }

    fn due_at(&self, now: Instant, wall: Timestamp) -> Option<Instant> {
        let pair = self.pair.borrow();
        let (Some(expires_at), Some(_)) = (pair.expires_at, &pair.refresh_token) else {
            return None;
        };
        let left = expires_at.micros().saturating_sub(wall.micros());
        let left = Duration::from_micros(u64::try_from(left).unwrap_or(0));
        // A short life is used for four fifths.
        Some(now + left.saturating_sub(self.margin.min(left / 5)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Refusal;

    fn login(name: &str, expires_in: u64) -> LoggedIn {
        LoggedIn {
            token: format!("{name}-token"),
            refresh_token: format!("{name}-refresh"),
            expires_at: Timestamp::from_micros(0).after(Duration::from_secs(expires_in)),
            session_id: wire::SessionId::new(1).unwrap(),
        }
    }

    fn refused(code: Code) -> Error {
        Error::Refused(Refusal {
            code: Some(code),
            status: Some(code.http_status()),
            detail: String::new(),
            request_id: None,
            retry_after: None,
            retryable: code.retryable(),
        })
    }

    const WALL: Timestamp = Timestamp::from_micros(0);

    fn credentials(expires_in: u64, now: Instant) -> Credentials {
        let tokens = login("one", expires_in).into();
        Credentials::new(tokens, &Timings::default(), now, WALL)
    }

    #[test]
    fn a_pair_is_stored_whole_and_does_not_print() {
        let tokens = Tokens::from(login("sesame", 60));
        let stored = serde_json::to_string(&tokens).unwrap();
        assert_eq!(serde_json::from_str::<Tokens>(&stored).unwrap(), tokens);
        assert!(!tokens.refresh_key.is_empty());
        assert!(!format!("{tokens:?}").contains("sesame"));
    }

    #[tokio::test]
    async fn a_token_is_replaced_before_it_ends_and_at_once_when_it_is_refused() {
        let now = Instant::now();
        let mut held = credentials(3_600, now);
        assert_eq!(held.due(), Some(now + Duration::from_mins(59)));
        held.refused("another", now).unwrap();
        assert!(held.usable());
        held.refused("one-token", now).unwrap();
        assert!(!held.usable());
        assert_eq!(held.due(), Some(now));
        let random = &mut Random::seeded(1);
        held.refreshed(Ok(login("two", 3_600)), now, WALL, random)
            .unwrap();
        assert_eq!((held.usable(), &*held.token()), (true, "two-token"));
        held.refused("one-token", now).unwrap();
        assert!(
            held.usable(),
            "a late refusal of the old token says nothing"
        );
    }

    #[tokio::test]
    async fn a_clock_that_is_wrong_does_not_make_it_refresh_all_the_time() {
        let now = Instant::now();
        let mut held = credentials(0, now);
        assert_eq!(held.due(), Some(now));
        held.refreshed(Ok(login("two", 0)), now, WALL, &mut Random::seeded(1))
            .unwrap();
        assert!(held.due().unwrap() >= now + REFRESH_REST);
    }

    #[tokio::test]
    async fn only_the_server_s_no_ends_a_session() {
        let (now, random) = (Instant::now(), &mut Random::seeded(1));
        let mut held = credentials(3_600, now);
        held.refused("one-token", now).unwrap();
        for passing in [Error::Deadline, refused(Code::Unavailable)] {
            held.refreshed(Err(passing), now, WALL, random).unwrap();
            assert!(held.due().unwrap() > now && !held.usable());
        }
        let no = held.refreshed(Err(refused(Code::Unauthenticated)), now, WALL, random);
        assert_eq!(no, Err(Ended::Session));
    }

    #[tokio::test]
    async fn a_token_alone_ends_with_its_refusal() {
        let now = Instant::now();
        let timings = Timings::default();
        let mut held = Credentials::new(Tokens::bearer("t"), &timings, now, WALL);
        assert_eq!(held.due(), None);
        assert_eq!(held.refused("t", now), Err(Ended::Session));
    }
}

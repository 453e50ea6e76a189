//! Whose token it is: session-service's verdicts, remembered a little while.
//!
//! A verdict lives until its token expires or its session is known to have ended, 60 s at
//! most, under the SHA-256 of the token, so that no token is kept. Refusals are not
//! remembered: a forger cannot fill the cache, and a new token counts at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{Clock, Code, Error, SessionId, Timestamp, Uid};
use moka::Expiry;
use moka::sync::Cache;
use proto::session::sessions_client::SessionsClient;
use proto::session::{TakeTicketRequest, VerifyRequest};
use runtime::{Call, Channel};
use sha2::{Digest, Sha256};

use crate::sessions::{self, Sessions};

/// How long a verdict is believed without a word from session-service.
const LIFE: Duration = Duration::from_mins(1);
// A verdict expires before the end of its session is forgotten, with a margin of 30 s.
const _: () = assert!(sessions::REMEMBERED.as_secs() > LIFE.as_secs() + 30);
/// Verdicts remembered, most.
const CAPACITY: u64 = 200_000;
/// Bytes of a token, most.
const TOKEN_BYTES: usize = 4_096;

/// What is known of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) uid: Uid,
    pub(crate) session_id: SessionId,
    /// When the token ends.
    pub(crate) expires_at: Timestamp,
}

/// A verdict, and how many gaps there were among the ends when it was asked for.
#[derive(Debug, Clone, Copy)]
struct Known {
    verdict: Verdict,
    gaps: u64,
}

/// The remembered verdicts.
pub(crate) struct Verdicts {
    known: Cache<[u8; 32], Known>,
    channel: Channel,
    sessions: Sessions,
    clock: Arc<dyn Clock>,
}

impl Verdicts {
    pub(crate) fn new(channel: Channel, sessions: Sessions, clock: Arc<dyn Clock>) -> Self {
        let life = Life(Arc::clone(&clock));
        let known = Cache::builder()
            .max_capacity(CAPACITY)
            .expire_after(life)
            .build();
        Self {
            known,
            channel,
            sessions,
            clock,
        }
    }

    /// What is remembered of a token.
    ///
    /// # Errors
    /// `unauthenticated`, when it cannot be a token.
    pub(crate) fn remembered(&self, token: &str) -> base::Result<Option<Verdict>> {
        if !(1..=TOKEN_BYTES).contains(&token.len()) || !token.bytes().all(|b| b.is_ascii_graphic())
        {
            return Err(Error::new(Code::Unauthenticated, "the token is not valid"));
        }
        let known = self.known.get(&hash(token));
        let good = known.filter(|Known { verdict, gaps }| {
            verdict.expires_at > self.clock.now()
                && *gaps == self.sessions.gaps()
                && !self.sessions.has_ended(verdict.session_id)
        });
        Ok(good.map(|known| known.verdict))
    }

    /// Asks session-service, and remembers its answer.
    ///
    /// # Errors
    /// `unauthenticated`; `unavailable` when session-service is not there.
    pub(crate) async fn ask(&self, call: &Call, token: &str) -> base::Result<Verdict> {
        let mut sessions = SessionsClient::new(self.channel.clone());
        let request = call.request(VerifyRequest {
            token: token.to_owned(),
        });
        let gaps = self.sessions.gaps();
        let verdict = verdict(&call.wait(sessions.verify(request)).await?)?;
        self.known.insert(hash(token), Known { verdict, gaps });
        Ok(verdict)
    }

    /// Takes a ticket at session-service.
    ///
    /// # Errors
    /// `unauthenticated`; `unavailable` when session-service is not there.
    pub(crate) async fn take_ticket(&self, call: &Call, ticket: &str) -> base::Result<Verdict> {
        let mut sessions = SessionsClient::new(self.channel.clone());
        let request = call.request(TakeTicketRequest {
            ticket: ticket.to_owned(),
        });
        verdict(&call.wait(sessions.take_ticket(request)).await?)
    }
}

fn verdict(answer: &proto::session::Verdict) -> base::Result<Verdict> {
    Ok(Verdict {
        uid: Uid::try_from(answer.uid).map_err(Error::internal)?,
        session_id: SessionId::try_from(answer.session_id).map_err(Error::internal)?,
        expires_at: Timestamp::from_micros(answer.expires_at),
    })
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// How long an entry lives.
struct Life(Arc<dyn Clock>);

impl Expiry<[u8; 32], Known> for Life {
    fn expire_after_create(&self, _: &[u8; 32], known: &Known, _: Instant) -> Option<Duration> {
        let left = known.verdict.expires_at.micros() - self.0.now().micros();
        Some(Duration::from_micros(u64::try_from(left).unwrap_or(0)).min(LIFE))
    }
}

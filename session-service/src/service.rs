//! The use cases.

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Code, Entropy, Error, SessionId, Timestamp, Uid};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::Notify;

use crate::Ports;
use crate::domain::{Client, Ends, NewSession, Renewal, Session};
use crate::store::{OpenError, RenewError, Store};
use crate::token::{self, Refresh, Statement, Tokens};

/// How long a ticket is good.
const TICKET_LIFE: Duration = Duration::from_secs(30);
/// How long it is remembered which sessions ended.
const ENDS_KEPT: Duration = Duration::from_hours(24 * 7);
/// Ends of one page, most.
const ENDS_PAGE: u32 = 1_000;

/// Sessions, as the rest of the system uses them; cheap to clone.
#[derive(Clone)]
pub(crate) struct Service(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    tokens: Tokens,
    /// How long a session may be idle.
    idle: Duration,
    /// Something ended here.
    ended: Notify,
}

/// An open session, and what proves it.
pub(crate) struct Opened {
    pub(crate) session: SessionId,
    pub(crate) token: String,
    pub(crate) expires_at: Timestamp,
    pub(crate) refresh: String,
}

impl Service {
    pub(crate) fn new(ports: Ports, tokens: Tokens, idle: Duration) -> Self {
        Self(Arc::new(Inner {
            store: ports.store,
            clock: ports.clock,
            entropy: ports.entropy,
            tokens,
            idle,
            ended: Notify::new(),
        }))
    }

    /// Opens a session for a user whose password was just verified.
    pub(crate) async fn open(
        &self,
        uid: Uid,
        password_version: u64,
        client: Client,
    ) -> base::Result<Opened> {
        let now = self.0.clock.now();
        let refresh = Refresh::new(&*self.0.entropy)?;
        let session = NewSession {
            uid,
            password_version,
            client,
            refresh: refresh.hash(),
        };
        let session = self.0.store.open(&session, now).await?;
        self.opened(uid, session, &refresh, now)
    }

    fn opened(
        &self,
        uid: Uid,
        session: SessionId,
        refresh: &Refresh,
        at: Timestamp,
    ) -> base::Result<Opened> {
        let (token, expires_at) = self.0.tokens.issue(uid, session, at)?;
        Ok(Opened {
            session,
            token,
            expires_at,
            refresh: refresh.token(session),
        })
    }

    /// What a token says, if it is good and its session lives.
    pub(crate) async fn verify(&self, token: &str) -> base::Result<Statement> {
        let now = self.0.clock.now();
        let statement = self.0.tokens.read(token, now)?;
        if self.0.store.living(statement.session, now).await? == Some(statement.uid) {
            Ok(statement)
        } else {
            Err(has_ended())
        }
    }

    /// A new pair for a refresh token, which is spent by it.
    pub(crate) async fn refresh(&self, token: &str, key: &str) -> base::Result<Opened> {
        let (session, presented) = Refresh::parse(token).ok_or(RenewError::Unknown)?;
        let salt = token::random(&*self.0.entropy)?;
        let renewal = Renewal {
            presented: presented.hash(),
            key: (!key.is_empty()).then(|| token::hash(key)),
            salt,
            next: presented.next(&salt)?.hash(),
        };
        let now = self.0.clock.now();
        let renewed = self.0.store.renew(session, &renewal, now).await;
        if matches!(renewed, Err(RenewError::Reused)) {
            tracing::warn!(%session, "a refresh token was used twice; its session has ended");
            self.0.ended.notify_waiters();
        }
        let renewed = renewed?;
        self.opened(
            renewed.uid,
            session,
            &presented.next(&renewed.salt)?,
            renewed.at,
        )
    }

    /// The sessions of a user, newest first.
    pub(crate) async fn list(&self, uid: Uid) -> base::Result<Vec<Session>> {
        Ok(self.0.store.list(uid).await?)
    }

    /// Ends a session of a user's.
    pub(crate) async fn end(&self, uid: Uid, session: SessionId) -> base::Result<()> {
        let now = self.0.clock.now();
        if !self.0.store.end(uid, session, now).await? {
            return Err(Error::new(Code::NotFound, "no such session"));
        }
        self.0.ended.notify_waiters();
        Ok(())
    }

    /// Ends the sessions of a user but one.
    pub(crate) async fn end_others(&self, uid: Uid, but: Option<SessionId>) -> base::Result<()> {
        self.0
            .store
            .end_others(uid, but, self.0.clock.now())
            .await?;
        self.0.ended.notify_waiters();
        Ok(())
    }

    /// Ends the sessions of a user, but one, that an older password opened.
    pub(crate) async fn password_changed(
        &self,
        uid: Uid,
        version: u64,
        but: Option<SessionId>,
    ) -> base::Result<()> {
        let now = self.0.clock.now();
        self.0
            .store
            .password_changed(uid, version, but, now)
            .await?;
        self.0.ended.notify_waiters();
        Ok(())
    }

    /// A ticket for one connection of a session, and until when it is good.
    pub(crate) async fn make_ticket(
        &self,
        uid: Uid,
        session: SessionId,
    ) -> base::Result<(String, Timestamp)> {
        let now = self.0.clock.now();
        if self.0.store.living(session, now).await? != Some(uid) {
            return Err(has_ended());
        }
        let ticket = URL_SAFE_NO_PAD.encode(token::random(&*self.0.entropy)?);
        let until = now.after(TICKET_LIFE);
        self.0
            .store
            .put_ticket(&token::hash(&ticket), session, until)
            .await?;
        Ok((ticket, until))
    }

    /// Takes a ticket.
    pub(crate) async fn take_ticket(&self, ticket: &str) -> base::Result<Statement> {
        let now = self.0.clock.now();
        let taken = self.0.store.take_ticket(&token::hash(ticket), now).await?;
        let (session, uid) =
            taken.ok_or_else(|| Error::new(Code::Unauthenticated, "the ticket is not valid"))?;
        Ok(Statement {
            uid,
            session,
            expires_at: now,
        })
    }

    /// Those of `sessions` that live; they are in use.
    pub(crate) async fn living(&self, sessions: &[SessionId]) -> base::Result<Vec<SessionId>> {
        let now = self.0.clock.now();
        let mut living = Vec::new();
        for &session in sessions {
            let lives = self.0.store.living(session, now).await?.is_some();
            living.extend(lives.then_some(session));
        }
        Ok(living)
    }

    /// The next page of what ended.
    pub(crate) async fn ended_since(&self, after: u64) -> base::Result<Ends> {
        Ok(self.0.store.ended_since(after, ENDS_PAGE).await?)
    }

    /// Waits until something ended here; another replica's doings are not heard.
    pub(crate) async fn something_ended(&self) {
        self.0.ended.notified().await;
    }

    /// Ends what was idle for too long, and forgets what is of no use any more.
    pub(crate) async fn sweep(&self) -> base::Result<()> {
        let now = self.0.clock.now();
        let ended = self
            .0
            .store
            .sweep(now.before(self.0.idle), now.before(ENDS_KEPT), now);
        if ended.await? > 0 {
            self.0.ended.notify_waiters();
        }
        Ok(())
    }
}

fn has_ended() -> Error {
    Error::new(Code::Unauthenticated, "the session has ended")
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::OldPassword => Self::new(Code::Unauthenticated, "wrong name or password"),
            OpenError::Store(error) => error.into(),
        }
    }
}

impl From<RenewError> for Error {
    fn from(error: RenewError) -> Self {
        match error {
            RenewError::Unknown | RenewError::Reused => {
                Self::new(Code::Unauthenticated, error.to_string())
            }
            RenewError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests;

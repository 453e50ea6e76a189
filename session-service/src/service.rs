//! The use cases.

use std::sync::Arc;

use base::{Clock, Code, Entropy, Error, SessionId, Timestamp, Uid};

use crate::Ports;
use crate::domain::{Client, NewSession};
use crate::store::Store;
use crate::token::{Refresh, Statement, Tokens};

/// Sessions, as the rest of the system uses them.
pub(crate) struct Service {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    tokens: Tokens,
}

/// An open session, and what proves it.
pub(crate) struct Opened {
    pub(crate) session: SessionId,
    pub(crate) token: String,
    pub(crate) expires_at: Timestamp,
    pub(crate) refresh: String,
}

impl Service {
    pub(crate) fn new(ports: Ports, tokens: Tokens) -> Self {
        Self {
            store: ports.store,
            clock: ports.clock,
            entropy: ports.entropy,
            tokens,
        }
    }

    /// Opens a session for a user whose password was just verified.
    pub(crate) async fn open(
        &self,
        uid: Uid,
        password_version: u64,
        client: Client,
    ) -> base::Result<Opened> {
        let now = self.clock.now();
        let refresh = Refresh::new(&*self.entropy)?;
        let session = NewSession {
            uid,
            password_version,
            client,
            refresh: refresh.hash(),
        };
        let session = self.store.open(&session, now).await?;
        let (token, expires_at) = self.tokens.issue(uid, session, now)?;
        Ok(Opened {
            session,
            token,
            expires_at,
            refresh: refresh.token(session),
        })
    }

    /// What a token says, if it is good and its session lives.
    pub(crate) async fn verify(&self, token: &str) -> base::Result<Statement> {
        let statement = self.tokens.read(token, self.clock.now())?;
        if self.store.living(statement.session).await? == Some(statement.uid) {
            Ok(statement)
        } else {
            Err(Error::new(Code::Unauthenticated, "the session has ended"))
        }
    }
}

#[cfg(test)]
mod tests;

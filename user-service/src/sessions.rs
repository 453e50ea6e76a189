//! The port to session-service, which ends sessions when a password changes.
//!
//! Its law: once it has answered, no session lives that an older password opened, but
//! the one that is kept, and none will be opened. To be told again does no harm.

use async_trait::async_trait;
use proto::session::PasswordChangedRequest;
use proto::session::sessions_client::SessionsClient;
use runtime::{Call, Channel};

use crate::domain::Untold;

/// The sessions of all users.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Tells of a changed password.
    async fn password_changed(&self, call: &Call, change: &Untold) -> base::Result<()>;
}

/// The sessions behind session-service's gRPC.
pub(crate) struct SessionService(pub(crate) Channel);

#[async_trait]
impl Sessions for SessionService {
    async fn password_changed(&self, call: &Call, change: &Untold) -> base::Result<()> {
        let call = call.clone().by(change.uid);
        let request = call.request(PasswordChangedRequest {
            password_version: change.version,
            but: change.kept.map_or(0, base::SessionId::get),
        });
        let mut sessions = SessionsClient::new(self.0.clone());
        call.wait(sessions.password_changed(request))
            .await
            .map(drop)
    }
}

//! The use cases.

use std::sync::Arc;

use base::{Clock, Code, Email, Error, Password, SessionId, Timestamp, Uid, Username};
use cache::{Cache, cached, changing};
use runtime::{Call, Lifecycle};

use crate::Ports;
use crate::domain::{Login, NewAccount, Profile, Untold, Verified};
use crate::hashing::{Hashing, Verdict};
use crate::sessions::Sessions;
use crate::store::{RegisterError, RenameError, Store};

/// Accounts, as the rest of the system uses them; cheap to clone.
#[derive(Clone)]
pub(crate) struct Service {
    store: Arc<dyn Store>,
    cache: Arc<dyn Cache>,
    sessions: Arc<dyn Sessions>,
    clock: Arc<dyn Clock>,
    hashing: Hashing,
    lifecycle: Lifecycle,
}

/// Where a profile is kept; the number grows with the form of [`Profile`].
fn profile_key(uid: Uid) -> String {
    format!("parley:user:profile:1:{uid}")
}

impl Service {
    pub(crate) fn new(ports: Ports, hashing: Hashing, lifecycle: Lifecycle) -> Self {
        Self {
            store: ports.store,
            cache: ports.cache,
            sessions: ports.sessions,
            clock: ports.clock,
            hashing,
            lifecycle,
        }
    }

    /// Makes an account. It is not said which of name and address is taken.
    pub(crate) async fn register(
        &self,
        username: Username,
        email: Email,
        password: Password,
    ) -> base::Result<Uid> {
        let account = NewAccount {
            username,
            email,
            hash: self.hashing.hash(password).await?,
        };
        let registered = self.store.register(&account, self.clock.now()).await;
        registered.map_err(|error| match error {
            RegisterError::Taken => Error::new(Code::Conflict, "the name or the address is taken"),
            RegisterError::Store(error) => error.into(),
        })
    }

    /// Checks a password. No login: one that no account can have.
    pub(crate) async fn verify(
        &self,
        login: Option<Login>,
        password: String,
    ) -> base::Result<Verified> {
        let found = match &login {
            Some(login) => self.store.credentials(login).await?,
            None => None,
        };
        let hash = found.as_ref().map(|found| found.hash.clone());
        let verdict = self.hashing.verify(password, hash).await?;
        let wrong = || Error::new(Code::Unauthenticated, "wrong name or password");
        let found = found.ok_or_else(wrong)?;
        match verdict {
            Verdict::Wrong => return Err(wrong()),
            Verdict::Right => {}
            Verdict::Outdated(new) => {
                // He knows his password, whatever becomes of the better hash.
                if let Err(error) = self.store.rehash(found.uid, &found.hash, &new).await {
                    tracing::warn!(uid = %found.uid, %error, "a hash was not renewed");
                }
            }
        }
        Ok(Verified {
            uid: found.uid,
            password_version: found.password_version,
        })
    }

    /// Gives an account another password, and has its sessions ended but one. The change
    /// counts from its commit on; of what then fails the relay takes care.
    pub(crate) async fn change_password(
        &self,
        call: &Call,
        old: String,
        new: Password,
        kept: Option<SessionId>,
    ) -> base::Result<()> {
        let uid = call.acting()?;
        let found = self
            .store
            .credentials_of(uid)
            .await?
            .ok_or_else(no_account)?;
        if matches!(
            self.hashing.verify(old, Some(found.hash)).await?,
            Verdict::Wrong
        ) {
            return Err(wrong_password());
        }
        let hash = self.hashing.hash(new).await?;
        let (this, call) = (self.clone(), call.clone());
        // On its own task: a caller that goes away must not stop it half-way.
        let finishing = self.lifecycle.tasks().spawn(async move {
            let now = this.clock.now();
            let version = found.password_version;
            let change = this.store.change_password(uid, version, &hash, kept, now);
            let change = change.await?.ok_or_else(wrong_password)?;
            this.tell(&call, &change).await
        });
        finishing
            .await
            .unwrap_or_else(|error| Err(Error::internal(error)))
    }

    async fn tell(&self, call: &Call, change: &Untold) -> base::Result<()> {
        self.sessions.password_changed(call, change).await?;
        Ok(self.store.told(change).await?)
    }

    /// Tells session-service of changes from before `before` that it has not confirmed.
    pub(crate) async fn tell_again(&self, before: Timestamp) -> base::Result<()> {
        for change in self.store.untold(before).await? {
            self.tell(&Call::own("users-relay"), &change).await?;
            tracing::info!(uid = %change.uid, "finished a password change that was left");
        }
        Ok(())
    }

    /// What is shown of an account.
    pub(crate) async fn profile(&self, uid: Uid) -> base::Result<Profile> {
        let load = self.store.profile(uid);
        let profile = cached(&*self.cache, &profile_key(uid), load).await?;
        profile.ok_or_else(no_account)
    }

    /// What is shown of those of these accounts that there are, by ascending UID, and of
    /// the one of this name.
    pub(crate) async fn profiles(
        &self,
        uids: &[Uid],
        name: Option<&Username>,
    ) -> base::Result<Vec<Profile>> {
        let mut found = Vec::new();
        if !uids.is_empty() {
            found = self.store.profiles(uids).await?;
        }
        if let Some(name) = name {
            found.extend(self.store.profile_named(name).await?);
            found.sort_by_key(|profile| profile.uid);
            found.dedup_by_key(|profile| profile.uid);
        }
        Ok(found)
    }

    /// Gives an account a new name.
    pub(crate) async fn rename(&self, uid: Uid, name: Username) -> base::Result<()> {
        let store = Arc::clone(&self.store);
        let change = async move { store.rename(uid, &name).await };
        let keys = vec![profile_key(uid)];
        let renamed = changing(&self.cache, &self.lifecycle, keys, change).await?;
        renamed.map_err(|error| match error {
            RenameError::Taken => Error::new(Code::Conflict, "the name is taken"),
            RenameError::NoAccount => no_account(),
            RenameError::Store(error) => error.into(),
        })
    }
}

/// Not `unauthenticated`: his token is good.
fn wrong_password() -> Error {
    Error::new(Code::PermissionDenied, "the old password is wrong")
}

fn no_account() -> Error {
    Error::new(Code::NotFound, "no such user")
}

#[cfg(test)]
mod tests;

//! The use cases.
//!
//! Invariant: a membership change is answered with success only when the room's
//! log has it. It is committed here first, pending; whatever happens between that
//! and the log's word, the change stays pending and a retry or the relay ends it.

use std::sync::Arc;

use base::{ChangeNo, Clock, Code, Entropy, Error, RoomId, RoomName, Timestamp, Uid};
use runtime::{Call, Lifecycle, StoreError};
use tokio::sync::OwnedMutexGuard;
use tracing::Instrument;

use crate::domain::{
    Change, CodeHash, Invitation, Listed, NewInvitation, NewRoom, Refusal, Role, Room, Wish,
};
use crate::log::{AppendError, Log};
use crate::store::{ChangeError, CreateError, Store};
use crate::turns::Turns;
use crate::views::Views;
use crate::{Ports, code};

/// Microseconds.
const SECOND: i64 = 1_000_000;

/// The service; cheap to clone.
#[derive(Clone)]
pub(crate) struct Service(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    views: Views,
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Who tells a room's log of its changes.
    telling: Turns<RoomId>,
    /// Whose membership of which room, or whose next room, is being changed.
    changing: Turns<(Uid, Option<RoomId>)>,
    lifecycle: Lifecycle,
}

impl Service {
    pub(crate) fn new(ports: Ports, lifecycle: Lifecycle) -> Self {
        Self(Arc::new(Inner {
            views: Views::new(Arc::clone(&ports.store), ports.cache),
            store: ports.store,
            log: ports.log,
            clock: ports.clock,
            entropy: ports.entropy,
            telling: Turns::default(),
            changing: Turns::default(),
            lifecycle,
        }))
    }

    /// Makes a room of the acting user's.
    pub(crate) async fn create(
        &self,
        call: &Call,
        name: RoomName,
        is_private: bool,
    ) -> base::Result<RoomId> {
        let room = NewRoom {
            name,
            is_private,
            creator: call.acting()?,
        };
        let (this, call) = (self.clone(), call.clone());
        self.to_its_end(async move {
            let _turn = this.turn(&call, room.creator, None).await?;
            let create = this.0.store.create(&room, this.0.clock.now());
            let id = this.0.views.changing_rooms_of(room.creator, create).await?;
            this.settle(&call, id, ChangeNo::new(1)).await?;
            Ok(id)
        })
        .await
    }

    /// Makes the acting user a member.
    pub(crate) async fn join(&self, call: &Call, room: RoomId) -> base::Result<()> {
        let uid = call.acting()?;
        self.change(call, room, Wish::Join { uid }).await
    }

    /// Makes `uid` a member, by the acting user's word.
    pub(crate) async fn invite(&self, call: &Call, room: RoomId, uid: Uid) -> base::Result<()> {
        let by = call.acting()?;
        self.change(call, room, Wish::Invite { by, uid }).await
    }

    /// Makes an invitation into a room, by the acting user's right, for so many `uses` and
    /// `seconds`: its code, and until when it is good.
    pub(crate) async fn make_invitation(
        &self,
        call: &Call,
        room: RoomId,
        uses: Option<u32>,
        seconds: u32,
    ) -> base::Result<(String, Timestamp)> {
        let (code, now) = (code::new(&*self.0.entropy)?, self.0.clock.now());
        let invitation = NewInvitation {
            code: code::hash(&code),
            room,
            by: call.acting()?,
            expires_at: Timestamp::from_micros(now.micros() + i64::from(seconds) * SECOND),
            uses,
        };
        self.0.store.make_invitation(&invitation, now).await?;
        Ok((code, invitation.expires_at))
    }

    /// The room that a code leads into.
    pub(crate) async fn invited(&self, code: &str) -> base::Result<Room> {
        Ok(self.invitation(code::hash(code)).await?.room)
    }

    /// Makes the acting user a member of the room that a code leads into.
    pub(crate) async fn accept(&self, call: &Call, code: &str) -> base::Result<RoomId> {
        let (uid, code) = (call.acting()?, code::hash(code));
        let kept = self.0.store.invitation(code).await?;
        let room = kept.ok_or(Refusal::NoInvitation)?.room.id;
        self.change(call, room, Wish::Accept { uid, code }).await?;
        Ok(room)
    }

    /// Makes a code good no more, by the acting user's right.
    pub(crate) async fn withdraw(&self, call: &Call, code: &str) -> base::Result<()> {
        let (by, code) = (call.acting()?, code::hash(code));
        let room = self.invitation(code).await?.room.id;
        let withdraw = self
            .0
            .store
            .withdraw_invitation(room, code, by, self.0.clock.now());
        Ok(withdraw.await?)
    }

    /// An invitation that is good.
    async fn invitation(&self, code: CodeHash) -> base::Result<Invitation> {
        let kept = self.0.store.invitation(code).await?;
        let good = kept.filter(|invitation| invitation.is_good(self.0.clock.now()));
        Ok(good.ok_or(Refusal::NoInvitation)?)
    }

    /// Ends the acting user's membership.
    pub(crate) async fn leave(&self, call: &Call, room: RoomId) -> base::Result<()> {
        let uid = call.acting()?;
        self.change(call, room, Wish::Leave { uid }).await
    }

    /// Ends the membership of `uid`, by the acting user's word.
    pub(crate) async fn kick(&self, call: &Call, room: RoomId, uid: Uid) -> base::Result<()> {
        let by = call.acting()?;
        if by == uid {
            return Err(Error::invalid("UID", "is your own; leave the room instead"));
        }
        self.change(call, room, Wish::Kick { by, uid }).await
    }

    /// The acting user's rooms, ascending.
    pub(crate) async fn list(&self, call: &Call) -> base::Result<Vec<RoomId>> {
        Ok(self.0.views.rooms_of(call.acting()?).await?)
    }

    /// The acting user's rooms with what he is in them, ascending.
    pub(crate) async fn mine(&self, call: &Call) -> base::Result<Vec<(Room, Role)>> {
        Ok(self.0.store.mine(call.acting()?).await?)
    }

    /// Members of a room that the acting user may see: those beyond `after`, ascending,
    /// `limit` at most, and whether there are more.
    pub(crate) async fn members(
        &self,
        call: &Call,
        room: RoomId,
        after: Option<Uid>,
        limit: u32,
    ) -> base::Result<(Vec<(Uid, Role)>, bool)> {
        self.info(call, room).await?;
        let mut members = self.0.store.members(room, after, limit + 1).await?;
        let more = members.len() > limit as usize;
        members.truncate(limit as usize);
        Ok((members, more))
    }

    /// Public rooms whose names begin with `prefix`, in any case.
    pub(crate) async fn directory(&self, prefix: &str, limit: u32) -> base::Result<Vec<Listed>> {
        Ok(self
            .0
            .store
            .directory(&RoomName::key_of(prefix), limit)
            .await?)
    }

    /// A room, as the acting user or a stranger may see it.
    pub(crate) async fn info(&self, call: &Call, room: RoomId) -> base::Result<Room> {
        let found = self.0.views.room(room).await?.ok_or(Refusal::NoRoom)?;
        if found.is_private && !self.is_insider(call, room).await? {
            return Err(Refusal::NoRoom.into());
        }
        Ok(found)
    }

    /// What `uid` is in a room.
    pub(crate) async fn role(&self, room: RoomId, uid: Uid) -> base::Result<Option<Role>> {
        Ok(self.0.store.role(room, uid).await?)
    }

    /// Tells the logs of changes that have been pending for too long, for the
    /// calls that made them did not come to their end. Says how many rooms it
    /// finished.
    pub(crate) async fn finish_pending(&self, age: std::time::Duration) -> base::Result<u64> {
        /// Rooms of one question to the store.
        const BATCH: u32 = 64;
        let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        let before = Timestamp::from_micros(self.0.clock.now().micros().saturating_sub(age));
        let (mut after, mut finished) = (None, 0);
        loop {
            let rooms = self.0.store.unfinished(before, after, BATCH).await?;
            let Some(&last) = rooms.last() else {
                return Ok(finished);
            };
            for room in rooms {
                match self.finish(room).await {
                    Ok(()) => finished += 1,
                    // There is no sense in asking for the other rooms.
                    Err(error) if error.code().retryable() => return Err(error),
                    Err(error) => {
                        tracing::error!(%room, %error, cause = error.cause(), "not relayed");
                    }
                }
            }
            after = Some(last);
        }
    }

    async fn finish(&self, room: RoomId) -> base::Result<()> {
        self.settle(&Call::own("rooms-relay"), room, None).await
    }

    /// Membership from the database: nothing that grants access comes from a cache.
    async fn is_insider(&self, call: &Call, room: RoomId) -> Result<bool, StoreError> {
        match call.uid() {
            Some(uid) => Ok(self.0.store.role(room, uid).await?.is_some()),
            None => Ok(false),
        }
    }

    async fn change(&self, call: &Call, room: RoomId, wish: Wish) -> base::Result<()> {
        let (this, call) = (self.clone(), call.clone());
        self.to_its_end(async move {
            let _turn = this.turn(&call, wish.subject(), Some(room)).await?;
            let now = this.0.clock.now();
            let change = this.0.store.change(room, wish, now);
            let changed = this.0.views.changing_rooms_of(wish.subject(), change);
            let until = match changed.await {
                Ok(no) => Some(no),
                Err(ChangeError::Refused(refusal @ (Refusal::Already | Refusal::NotMember))) => {
                    // Another's change may have made it so and still be pending;
                    // what is refused as done must be done.
                    this.settle(&call, room, None).await?;
                    return Err(refusal.into());
                }
                Err(error) => return Err(error.into()),
            };
            this.settle(&call, room, until).await
        })
        .await
    }

    /// Waits until nobody else here changes the same: what another call has under way
    /// is done when this one decides, and what is found pending is what a call left.
    async fn turn(
        &self,
        call: &Call,
        uid: Uid,
        room: Option<RoomId>,
    ) -> base::Result<OwnedMutexGuard<()>> {
        let turn = self.0.changing.take((uid, room));
        tokio::time::timeout_at(call.deadline(), turn)
            .await
            .map_err(|_| Error::deadline_exceeded())
    }

    /// Runs a write on its own task: a caller that goes away must not stop it
    /// while a key of the cache is held.
    async fn to_its_end<T: Send + 'static>(
        &self,
        write: impl Future<Output = base::Result<T>> + Send + 'static,
    ) -> base::Result<T> {
        let write = write.instrument(tracing::Span::current());
        let task = self.0.lifecycle.tasks().spawn(write);
        task.await
            .unwrap_or_else(|error| Err(Error::internal(error)))
    }

    /// Tells the room's log of pending changes up to `until`, or of all.
    async fn settle(&self, call: &Call, room: RoomId, until: Option<ChangeNo>) -> base::Result<()> {
        let telling = async {
            // Several at once would do no harm and the same work.
            let _turn = self.0.telling.take(room).await;
            self.tell(call, room, until).await
        };
        tokio::time::timeout_at(call.deadline(), telling)
            .await
            .unwrap_or_else(|_| Err(Error::deadline_exceeded()))
    }

    async fn tell(&self, call: &Call, room: RoomId, until: Option<ChangeNo>) -> base::Result<()> {
        let mut replaying = false;
        let mut page = self.0.store.pending(room).await?;
        while let (Some(first), Some(last)) = (page.first(), page.last())
            && until.is_none_or(|until| first.no <= until)
        {
            match self.0.log.append(call, room, &page).await {
                Ok(applied) => {
                    page = self.confirm(room, last.no, applied, replaying).await?;
                }
                // A log that was restored from an older copy gets all from the start;
                // it knows what it has.
                Err(AppendError::Gap) if !replaying => {
                    tracing::warn!(%room, "the room's log lacks changes it had; sending all");
                    replaying = true;
                    page = self.0.store.changes(room, first_no()?).await?;
                }
                Err(AppendError::Gap) => return Err(Error::internal("the log refuses change 1")),
                Err(AppendError::Failed(error)) if error.code().retryable() => return Err(error),
                Err(AppendError::Failed(error)) => return Err(Error::internal(error)),
            }
        }
        Ok(())
    }

    /// Marks what the log has and reads what comes next.
    async fn confirm(
        &self,
        room: RoomId,
        told: ChangeNo,
        applied: u64,
        replaying: bool,
    ) -> base::Result<Vec<Change>> {
        let newest = ChangeNo::new(applied)
            .filter(|&newest| newest >= told)
            .ok_or_else(|| Error::internal("the log took changes and does not have them"))?;
        self.0.store.applied(room, newest).await?;
        if !replaying {
            return Ok(self.0.store.pending(room).await?);
        }
        let next = ChangeNo::try_from(newest.get() + 1)?;
        Ok(self.0.store.changes(room, next).await?)
    }
}

fn first_no() -> base::Result<ChangeNo> {
    ChangeNo::try_from(1_u64)
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::NoRoom | Refusal::NoInvitation => Code::NotFound,
            Refusal::Private | Refusal::NotOwner | Refusal::NotAbove => Code::PermissionDenied,
            Refusal::Already | Refusal::NotMember | Refusal::OwnerStays | Refusal::TooMany => {
                Code::Conflict
            }
        };
        Self::new(code, refusal.to_string())
    }
}

impl From<ChangeError> for Error {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Refused(refusal) => refusal.into(),
            ChangeError::Store(error) => error.into(),
        }
    }
}

impl From<CreateError> for Error {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Taken => Self::new(Code::Conflict, "a room of this name exists"),
            CreateError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;

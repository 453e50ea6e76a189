//! Sessions that end: their connections here end with them, and their tokens are
//! believed no longer.
//!
//! session-service tells of ends on a stream, numbered without gaps. Whoever was cut off
//! goes on where he was; where the numbers cannot tell what was missed, each session that
//! has a connection here is asked for, and so they are every half hour: a session with an open
//! connection is in use.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{Error, SessionId};
use moka::sync::Cache;
use proto::session::sessions_client::SessionsClient;
use proto::session::{Ended, EndedSinceRequest, LivingRequest};
use runtime::{Call, Channel, Lifecycle, status};
use tokio_util::sync::CancellationToken;

use crate::outbound::{Ending, Link};

/// How long an end is remembered: longer than a verdict lives that was asked for just
/// before it.
pub(crate) const REMEMBERED: Duration = Duration::from_mins(2);
/// Ends remembered, most.
const CAPACITY: u64 = 1_000_000;
/// A stream on which nothing comes for so long is dead.
const SILENCE: Duration = Duration::from_secs(3);
/// How long to wait before the stream is opened again.
const PAUSE: Duration = Duration::from_millis(100);
/// How long one question whether sessions live may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Sessions of one question, most.
const LIVING: usize = 200;
/// How often it is said which sessions are in use; less than the shortest time after which
/// an idle one ends.
const IN_USE: Duration = Duration::from_mins(30);

/// The sessions that have connections here, and those that ended; cheap to clone.
#[derive(Clone)]
pub(crate) struct Sessions(Arc<Shared>);

struct Shared {
    connected: Mutex<HashMap<SessionId, Vec<Arc<Link>>>>,
    ended: Cache<SessionId, ()>,
    /// How often what was missed could not be told.
    gaps: AtomicU64,
    draining: CancellationToken,
}

/// A connection's place among those of its session.
pub(crate) struct Place {
    sessions: Sessions,
    session: SessionId,
    link: Arc<Link>,
}

impl Sessions {
    /// Follows the stream of ends from here on.
    pub(crate) fn start(channel: Channel, lifecycle: &Lifecycle) -> Self {
        let sessions = Self::new(lifecycle.draining().clone());
        let (ending, draining) = (sessions.clone(), lifecycle.draining().clone());
        lifecycle.spawn("draining-connections", async move {
            draining.cancelled().await;
            ending.drain();
        });
        let following = sessions.clone().follow(channel.clone());
        let in_use = sessions.clone().tell_in_use(channel);
        let stopping = lifecycle.stopping().clone();
        lifecycle.spawn("ended-sessions", async move {
            stopping.run_until_cancelled(following).await;
        });
        let stopping = lifecycle.stopping().clone();
        lifecycle.spawn("sessions-in-use", async move {
            stopping.run_until_cancelled(in_use).await;
        });
        sessions
    }

    fn new(draining: CancellationToken) -> Self {
        let ended = Cache::builder()
            .max_capacity(CAPACITY)
            .time_to_live(REMEMBERED)
            .build();
        Self(Arc::new(Shared {
            connected: Mutex::default(),
            ended,
            gaps: AtomicU64::new(0),
            draining,
        }))
    }

    /// Whether a session is known to have ended.
    pub(crate) fn has_ended(&self, session: SessionId) -> bool {
        self.0.ended.contains_key(&session)
    }

    /// Changes whenever sessions may have ended that will never be told of: what was known
    /// of sessions before is worth nothing then.
    pub(crate) fn gaps(&self) -> u64 {
        self.0.gaps.load(Ordering::Acquire)
    }

    /// Enters a connection; it is told when its session ends or the process goes down, also
    /// when that has happened already.
    pub(crate) fn enlist(&self, session: SessionId, link: &Arc<Link>) -> Place {
        let mut connected = self.connected();
        connected.entry(session).or_default().push(Arc::clone(link));
        drop(connected);
        // After entering: an end in between is seen here or there.
        if self.has_ended(session) {
            link.end(Ending::Session);
        }
        if self.0.draining.is_cancelled() {
            link.drain();
        }
        Place {
            sessions: self.clone(),
            session,
            link: Arc::clone(link),
        }
    }

    /// Remembers that a session has ended, and ends its connections here.
    pub(crate) fn end(&self, session: SessionId) {
        self.0.ended.insert(session, ());
        let connected = self.connected();
        for link in connected.get(&session).into_iter().flatten() {
            link.end(Ending::Session);
        }
    }

    /// Ends all connections: the process goes down.
    fn drain(&self) {
        for link in self.connected().values().flatten() {
            link.drain();
        }
    }

    fn connected(&self) -> MutexGuard<'_, HashMap<SessionId, Vec<Arc<Link>>>> {
        self.0
            .connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn follow(self, channel: Channel) {
        let mut told = None;
        loop {
            if let Err(error) = self.listen(&channel, &mut told).await {
                tracing::debug!(%error, "the stream of ended sessions ended");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Follows one stream until it dies; `told` is the newest number taken in.
    async fn listen(&self, channel: &Channel, told: &mut Option<u64>) -> base::Result<()> {
        let mut client = SessionsClient::new(channel.clone());
        let opening = client.ended_since(EndedSinceRequest { after: *told });
        let opened = tokio::time::timeout(SILENCE, opening).await;
        let opened = opened.map_err(|_| Error::deadline_exceeded())?;
        let mut stream = opened
            .map_err(|refused| status::from_status(&refused))?
            .into_inner();
        loop {
            let next = tokio::time::timeout(SILENCE, stream.message()).await;
            let next = next.map_err(|_| Error::deadline_exceeded())?;
            let next = next.map_err(|broken| status::from_status(&broken))?;
            let Some(Ended {
                session_ids,
                no,
                reset,
            }) = next
            else {
                return Err(Error::unavailable("not reachable", "the stream was closed"));
            };
            // Before the first word sessions may have ended that were let in.
            if reset || told.is_none() {
                self.0.gaps.fetch_add(1, Ordering::Release);
                self.ask_for_all(channel).await?;
            }
            for session in session_ids.into_iter().filter_map(SessionId::new) {
                self.end(session);
            }
            *told = Some(no);
        }
    }

    async fn tell_in_use(self, channel: Channel) {
        let start = tokio::time::Instant::now() + IN_USE;
        let mut tick = tokio::time::interval_at(start, IN_USE);
        loop {
            tick.tick().await;
            if let Err(error) = self.ask_for_all(&channel).await {
                tracing::debug!(%error, "it was not said which sessions are in use");
            }
        }
    }

    /// Ends those with connections here that session-service does not know to live.
    async fn ask_for_all(&self, channel: &Channel) -> base::Result<()> {
        let sessions: Vec<SessionId> = self.connected().keys().copied().collect();
        for part in sessions.chunks(LIVING) {
            let call = Call::own("ended-sessions").within(PATIENCE);
            let request = call.request(LivingRequest {
                session_ids: part.iter().map(|session| session.get()).collect(),
            });
            let mut client = SessionsClient::new(channel.clone());
            let living = call.wait(client.living(request)).await?.session_ids;
            let living: HashSet<u64> = living.into_iter().collect();
            for session in part.iter().filter(|it| !living.contains(&it.get())) {
                self.end(*session);
            }
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut connected = self.sessions.connected();
        let Some(links) = connected.get_mut(&self.session) else {
            return;
        };
        links.retain(|link| !Arc::ptr_eq(link, &self.link));
        if links.is_empty() {
            connected.remove(&self.session);
        }
    }
}

#[cfg(test)]
mod tests;

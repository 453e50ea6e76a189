//! Ends as they are told, missed and made up for.

use std::sync::Mutex;

use proto::session::sessions_server::SessionsServer;
use runtime::config::Secret;
use tokio::sync::mpsc;
use tonic::service::Routes;

use super::*;
use crate::fakes::{FakeSessions, Listener};
use crate::outbound::Ending;

const SESSION: SessionId = SessionId::new(7).unwrap();
const OTHER: SessionId = SessionId::new(8).unwrap();
const PATIENCE: Duration = Duration::from_secs(10);

struct World {
    sessions: Sessions,
    living: Arc<Mutex<Vec<u64>>>,
    listeners: mpsc::Receiver<Listener>,
    _lifecycle: Lifecycle,
}

fn world() -> World {
    let (fake, listeners) = FakeSessions::new();
    let living = Arc::clone(&fake.living);
    let lifecycle = Lifecycle::new();
    let routes = Routes::new(SessionsServer::new(fake));
    let token = Secret::new("a token for services");
    let channel = Channel::in_process(routes, &token, &lifecycle).unwrap();
    World {
        sessions: Sessions::start(channel, &lifecycle),
        living,
        listeners,
        _lifecycle: lifecycle,
    }
}

impl World {
    async fn listener(&mut self) -> Listener {
        let listening = tokio::time::timeout(PATIENCE, self.listeners.recv());
        listening.await.unwrap().unwrap()
    }
}

async fn tell(listener: &Listener, session_ids: &[u64], no: u64, reset: bool) {
    let session_ids = session_ids.to_vec();
    let ended = Ended {
        session_ids,
        no,
        reset,
    };
    listener.ends.send(Ok(ended)).await.unwrap();
}

async fn ends(link: &Link) -> Ending {
    tokio::time::timeout(PATIENCE, link.ended()).await.unwrap()
}

#[tokio::test]
async fn a_connection_ends_with_its_session_whenever_it_came() {
    let sessions = Sessions::new(CancellationToken::new());
    let (early, _) = Link::new(1);
    let place = sessions.enlist(SESSION, &early);
    sessions.end(SESSION);
    assert_eq!(ends(&early).await, Ending::Session);
    let (late, _) = Link::new(1);
    let _late = sessions.enlist(SESSION, &late);
    assert_eq!(ends(&late).await, Ending::Session);
    drop(place);
    assert_eq!(sessions.connected().len(), 1);
}

#[test]
fn who_has_left_leaves_nothing() {
    let sessions = Sessions::new(CancellationToken::new());
    let (link, _) = Link::new(1);
    drop(sessions.enlist(SESSION, &link));
    assert!(sessions.connected().is_empty());
}

#[tokio::test]
async fn a_stream_that_broke_goes_on_where_it_was() {
    let mut world = world();
    let (link, _) = Link::new(1);
    let _place = world.sessions.enlist(SESSION, &link);
    world.living.lock().unwrap().push(7);
    let first = world.listener().await;
    assert_eq!(first.after, None);
    tell(&first, &[], 4, false).await;
    tell(&first, &[9], 5, false).await;
    drop(first);
    let second = world.listener().await;
    assert_eq!(second.after, Some(5));
    assert_eq!(link.ending(), None);
    tell(&second, &[7, 9], 7, false).await;
    assert_eq!(ends(&link).await, Ending::Session);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_silent_is_given_up() {
    let mut world = world();
    let first = world.listener().await;
    tell(&first, &[], 4, false).await;
    let second = world.listener().await;
    assert_eq!(second.after, Some(4));
}

#[tokio::test]
async fn where_ends_were_missed_each_session_is_asked_for() {
    let mut world = world();
    let (link, other) = (Link::new(1).0, Link::new(1).0);
    let _places = [
        world.sessions.enlist(SESSION, &link),
        world.sessions.enlist(OTHER, &other),
    ];
    world.living.lock().unwrap().extend([7, 8]);
    let listener = world.listener().await;
    tell(&listener, &[], 4, false).await;
    tell(&listener, &[9], 5, false).await;
    world.living.lock().unwrap().retain(|&id| id == 8);
    tell(&listener, &[], 5_000, true).await;
    assert_eq!(ends(&link).await, Ending::Session);
    assert_eq!(other.ending(), None);
    drop(listener);
    assert_eq!(world.listener().await.after, Some(5_000));
}

/// It came when nobody told of ends yet.
#[tokio::test]
async fn whoever_came_before_the_first_word_is_asked_for() {
    let mut world = world();
    let (link, _) = Link::new(1);
    let _place = world.sessions.enlist(SESSION, &link);
    let listener = world.listener().await;
    tell(&listener, &[], 4, false).await;
    assert_eq!(ends(&link).await, Ending::Session);
}

#[tokio::test(start_paused = true)]
async fn a_session_with_a_connection_is_in_use() {
    let mut world = world();
    tell(&world.listener().await, &[], 4, false).await;
    assert_eq!(world.listener().await.after, Some(4));
    let (link, _) = Link::new(1);
    let _place = world.sessions.enlist(SESSION, &link);
    // The fake does not know it: that it ends shows that it was asked for.
    let began = tokio::time::Instant::now();
    let hour = tokio::time::timeout(IN_USE * 2, link.ended());
    assert_eq!(hour.await.unwrap(), Ending::Session);
    assert!(began.elapsed() > IN_USE / 2);
}

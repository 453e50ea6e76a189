//! Renewal, tickets and ends, as gateways see them.

use proto::session::{
    EndOthersRequest, EndRequest, Ended, EndedSinceRequest, LivingRequest, MakeTicketReply,
    MakeTicketRequest, RefreshRequest, TakeTicketRequest,
};
use tonic::Streaming;

use super::*;

/// Something comes every second.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How soon an end must be told.
const AT_ONCE: Duration = Duration::from_millis(500);

fn by(uid: u64) -> Call {
    call().by(Uid::new(uid).unwrap())
}

impl World {
    /// Another replica on the same database.
    fn replica(&self) -> Self {
        let store = self.store.clone();
        let lifecycle = Lifecycle::new();
        Self {
            sessions: serve(&store, &self.clock, &lifecycle, SECRET),
            store,
            clock: Arc::clone(&self.clock),
            lifecycle,
            data: tempfile::tempdir().unwrap(),
        }
    }

    pub(super) async fn refresh(&self, token: &str, key: &str) -> base::Result<Issued> {
        let call = call();
        let request = call.request(RefreshRequest {
            refresh_token: token.to_owned(),
            key: key.to_owned(),
        });
        call.wait(self.sessions.clone().refresh(request)).await
    }

    async fn end(&self, uid: u64, session_id: u64) -> base::Result<()> {
        let call = by(uid);
        let request = call.request(EndRequest { session_id });
        call.wait(self.sessions.clone().end(request))
            .await
            .map(drop)
    }

    pub(super) async fn make_ticket(
        &self,
        uid: u64,
        session_id: u64,
    ) -> base::Result<MakeTicketReply> {
        let call = by(uid);
        let request = call.request(MakeTicketRequest { session_id });
        call.wait(self.sessions.clone().make_ticket(request)).await
    }

    async fn take_ticket(&self, ticket: &str) -> base::Result<Verdict> {
        let call = call();
        let request = call.request(TakeTicketRequest {
            ticket: ticket.to_owned(),
        });
        call.wait(self.sessions.clone().take_ticket(request)).await
    }

    async fn living(&self, session_ids: Vec<u64>) -> base::Result<Vec<u64>> {
        let call = call();
        let request = call.request(LivingRequest { session_ids });
        let reply = call.wait(self.sessions.clone().living(request)).await?;
        Ok(reply.session_ids)
    }

    async fn ended_since(&self, after: Option<u64>) -> Streaming<Ended> {
        let request = EndedSinceRequest { after };
        let stream = self.sessions.clone().ended_since(request).await;
        stream.unwrap().into_inner()
    }

    /// The service without its gRPC.
    fn service(&self) -> Service {
        let ports = Ports {
            store: Arc::new(self.store.clone()),
            clock: self.clock.clone(),
            entropy: Arc::new(OsEntropy),
        };
        let config = config(SECRET);
        Service::new(ports, Tokens::new(&config).unwrap(), config.idle.0)
    }
}

async fn next(stream: &mut Streaming<Ended>) -> Ended {
    let next = tokio::time::timeout(HEARTBEAT * 2, stream.message()).await;
    next.unwrap().unwrap().unwrap()
}

/// The next message that tells of something.
async fn told(stream: &mut Streaming<Ended>) -> Ended {
    loop {
        let ended = next(stream).await;
        if ended.reset || !ended.session_ids.is_empty() {
            return ended;
        }
    }
}

fn is_refused<T: std::fmt::Debug>(answer: base::Result<T>) {
    assert_eq!(answer.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_repeat_with_the_same_key_gets_the_same_pair_from_any_replica_for_a_minute() {
    let world = World::new().await;
    let replica = world.replica();
    let first = world.log_in(7).await.unwrap();
    let second = world.refresh(&first.refresh_token, "k").await.unwrap();
    world.clock.advance(Duration::from_mins(1));
    let again = replica.refresh(&first.refresh_token, "k").await.unwrap();
    assert_eq!(again, second);
    assert_eq!(world.verify(&again.token).await.unwrap().uid, 7);
    world.clock.advance(Duration::from_micros(1));
    is_refused(replica.refresh(&first.refresh_token, "k").await);
    assert!(
        world.refuses(&second.token).await,
        "used twice: it has ended"
    );
}

#[tokio::test]
async fn a_renewed_token_is_good_as_long_as_a_new_one() {
    let world = World::new().await;
    let first = world.log_in(7).await.unwrap();
    world.clock.advance(Duration::from_hours(23));
    let second = world.refresh(&first.refresh_token, "").await.unwrap();
    world.clock.advance(Duration::from_hours(23));
    assert!(world.refuses(&first.token).await);
    assert!(world.verify(&second.token).await.is_ok());
}

#[tokio::test]
async fn a_ticket_is_good_for_half_a_minute() {
    let world = World::new().await;
    let session = world.log_in(7).await.unwrap().session_id;
    let tickets = [
        world.make_ticket(7, session).await.unwrap(),
        world.make_ticket(7, session).await.unwrap(),
    ];
    let life = Duration::from_secs(30);
    assert_eq!(
        tickets[0].expires_at,
        world.clock.now().after(life).micros()
    );
    world.clock.advance(life);
    let verdict = world.take_ticket(&tickets[0].ticket).await.unwrap();
    assert_eq!((verdict.uid, verdict.session_id), (7, session));
    is_refused(world.take_ticket(&tickets[0].ticket).await);
    world.clock.advance(Duration::from_micros(1));
    is_refused(world.take_ticket(&tickets[1].ticket).await);
}

#[tokio::test]
async fn a_ticket_is_made_for_ones_own_session_while_it_lives() {
    let world = World::new().await;
    let session = world.log_in(7).await.unwrap().session_id;
    is_refused(world.make_ticket(8, session).await);
    world.end(7, session).await.unwrap();
    is_refused(world.make_ticket(7, session).await);
}

#[tokio::test]
async fn an_end_is_told_at_once_also_by_another_replica() {
    let world = World::new().await;
    let replica = world.replica();
    let (mut here, mut there) = (
        world.ended_since(None).await,
        replica.ended_since(None).await,
    );
    let mut no = 0;
    assert_eq!(
        (next(&mut here).await.no, next(&mut there).await.no),
        (0, 0)
    );
    for _ in 0..5 {
        let session = world.log_in(7).await.unwrap().session_id;
        world.end(7, session).await.unwrap();
        let began = tokio::time::Instant::now();
        no += 1;
        for stream in [&mut here, &mut there] {
            let ended = told(stream).await;
            assert_eq!(
                (ended.session_ids, ended.no, ended.reset),
                (vec![session], no, false)
            );
        }
        assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn whoever_was_away_hears_what_he_missed_and_no_more() {
    let world = World::new().await;
    let mut sessions = Vec::new();
    for _ in 0..4 {
        sessions.push(world.log_in(7).await.unwrap().session_id);
    }
    world.end(7, sessions[0]).await.unwrap();
    assert_eq!(next(&mut world.ended_since(None).await).await.no, 1);
    let call = by(7);
    let request = call.request(EndOthersRequest { but: sessions[3] });
    let mut client = world.sessions.clone();
    call.wait(client.end_others(request)).await.unwrap();
    let ended = told(&mut world.ended_since(Some(1)).await).await;
    assert_eq!((&ended.session_ids[..], ended.no), (&sessions[1..3], 3));
    assert_eq!(world.living(sessions.clone()).await.unwrap(), sessions[3..]);
}

#[tokio::test]
async fn numbers_that_cannot_be_gone_on_from_are_said_to_be_none() {
    let world = World::new().await;
    let sessions = [
        world.log_in(7).await.unwrap(),
        world.log_in(7).await.unwrap(),
    ];
    world.end(7, sessions[0].session_id).await.unwrap();
    // As after a restore from a backup.
    let ended = next(&mut world.ended_since(Some(9)).await).await;
    assert!(ended.reset && ended.no == 1, "{ended:?}");
    world.clock.advance(Duration::from_hours(24 * 8));
    world.end(7, sessions[1].session_id).await.unwrap();
    world.service().sweep().await.unwrap();
    // The first is forgotten.
    let ended = next(&mut world.ended_since(Some(0)).await).await;
    assert!(ended.reset && ended.no == 2, "{ended:?}");
    assert!(!next(&mut world.ended_since(Some(1)).await).await.reset);
}

#[tokio::test]
async fn a_stream_without_news_is_not_silent() {
    let world = World::new().await;
    let mut stream = world.ended_since(Some(0)).await;
    for _ in 0..3 {
        assert_eq!(next(&mut stream).await, Ended::default());
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_process() {
    let world = World::new().await;
    let mut stream = world.ended_since(None).await;
    next(&mut stream).await;
    world.lifecycle.drain();
    let ending = async { while let Ok(Some(_)) = stream.message().await {} };
    tokio::time::timeout(HEARTBEAT, ending).await.unwrap();
}

#[tokio::test]
async fn what_nobody_uses_ends_and_what_has_a_connection_is_in_use() {
    let world = World::new().await;
    let mut stream = world.ended_since(None).await;
    let (idle, used) = (
        world.log_in(7).await.unwrap(),
        world.log_in(7).await.unwrap(),
    );
    world.clock.advance(Duration::from_hours(24 * 29));
    let living = world.living(vec![used.session_id]).await.unwrap();
    assert_eq!(living, [used.session_id]);
    world.clock.advance(Duration::from_hours(24 * 2));
    world.service().sweep().await.unwrap();
    assert_eq!(told(&mut stream).await.session_ids, [idle.session_id]);
    is_refused(world.refresh(&idle.refresh_token, "").await);
    world.refresh(&used.refresh_token, "").await.unwrap();
}

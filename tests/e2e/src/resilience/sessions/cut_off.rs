//! A gateway that cannot reach session-service, while all others can.

use std::time::Duration;

use client::Api;
use client::wire::Code;
use tokio::time::{Instant, sleep};

use crate::harness::distributed::Dev;
use crate::harness::extra_gateway::ExtraGateway;
use crate::harness::relay::Relay;
use crate::harness::{User, refused};
use crate::sessions::{ends_with_4001, is_refused};

/// How long it is cut off.
const A_WHILE: Duration = Duration::from_secs(5);
/// How long a token is believed without a word from session-service.
const BELIEF: Duration = Duration::from_mins(1);

/// A gateway of one's own, whose way to session-service can be cut.
struct CutOff {
    way: Relay,
    gateway: ExtraGateway,
}

impl CutOff {
    async fn start() -> Self {
        let dev = Dev::from_env();
        let way = Relay::to(dev.address("session")).await;
        let gateway = ExtraGateway::start_behind(&dev, &way).await;
        Self { way, gateway }
    }

    /// A user there.
    fn api_of(&self, user: &User) -> Api {
        let base = format!("http://{}", self.gateway.address());
        Api::new(&base).unwrap().with_token(user.token())
    }
}

distributed_scenarios! {
    async fn what_ended_meanwhile_ends_on_its_return(world: World) {
        let (ann, bob) = world.two_users().await;
        let apart = CutOff::start().await;
        let mut socket = apart.api_of(&ann).connect().await.unwrap();
        let mut bobs = apart.api_of(&bob).connect().await.unwrap();
        apart.way.cut();
        ann.api().logout().await.unwrap();
        sleep(A_WHILE).await;
        // Nobody could tell it.
        socket.ping().await.unwrap();
        apart.way.mend();
        let back = Instant::now();
        ends_with_4001(socket, back).await;
        is_refused(&apart.api_of(&ann), Instant::now()).await;
        bobs.ping().await.unwrap();
        apart.api_of(&bob).profile().await.unwrap();
    }

    async fn a_token_is_believed_for_a_minute_at_most(world: World) {
        let (ann, bob) = world.two_users().await;
        let apart = CutOff::start().await;
        let api = apart.api_of(&ann);
        api.profile().await.unwrap();
        let known = Instant::now();
        apart.way.cut();
        ann.api().logout().await.unwrap();
        while let Ok(profile) = api.profile().await {
            assert!(known.elapsed() < BELIEF + A_WHILE, "{} is let in", profile.uid);
            sleep(Duration::from_secs(1)).await;
        }
        // It cannot be said that it is wrong.
        let unknown = api.profile().await.unwrap_err();
        assert!(unknown.retryable(), "{unknown:?}");
        apart.way.mend();
        let back = Instant::now();
        while apart.api_of(&bob).profile().await.is_err() {
            assert!(back.elapsed() < A_WHILE, "still cut off");
        }
        refused(api.profile().await, Code::Unauthenticated);
    }
}

//! Sessions while parts of the system are away: none ends that should not, and what ended
//! meanwhile is made up for.

mod cut_off;

use std::time::Duration;

use client::wire::Code;
use client::{Api, Socket};
use tokio::time::{Instant, sleep};

use crate::harness::distributed::Dev;
use crate::harness::{User, World, refused};
use crate::sessions::{elsewhere, ends_with_4001, ends_with_4001_within, log_in};

/// How long a part is away.
const A_WHILE: Duration = Duration::from_secs(5);

/// Connections of a user's whose session is good.
struct Bystander {
    user: User,
    sockets: [Socket; 2],
}

impl Bystander {
    async fn of(world: &World) -> Self {
        let user = world.user().await;
        let sockets = [user.connect_at(0).await, user.connect_at(1).await];
        Self { user, sockets }
    }

    async fn is_not_disturbed(&mut self) {
        for socket in &mut self.sockets {
            socket.ping().await.unwrap();
        }
        for gateway in 0..2 {
            self.user.api_at(gateway).profile().await.unwrap();
        }
    }
}

/// Logs one session of a new user's out and asserts that it is felt on both gateways.
async fn ends_are_felt(world: &World) {
    let ann = world.user().await;
    let (here, there) = (ann.connect().await, ann.connect_at(1).await);
    let began = Instant::now();
    ann.api().logout().await.unwrap();
    tokio::join!(ends_with_4001(here, began), ends_with_4001(there, began));
}

disruptive_scenarios! {
    async fn a_session_service_that_is_frozen_ends_no_session(world: World) {
        let dev = Dev::from_env();
        let mut bob = Bystander::of(&world).await;
        bob.is_not_disturbed().await;
        dev.freeze("session").await;
        sleep(A_WHILE).await;
        // Who is known is let in without it.
        bob.is_not_disturbed().await;
        dev.thaw("session").await;
        dev.well_again().await;
        ends_are_felt(&world).await;
        bob.is_not_disturbed().await;
    }

    async fn a_session_service_that_was_killed_ends_what_it_missed_and_no_more(world: World) {
        let dev = Dev::from_env();
        let ann = world.user().await;
        let mut bob = Bystander::of(&world).await;
        let (api, _) = log_in(&ann).await;
        let mut own = elsewhere(&ann, &api).connect().await.unwrap();
        let (here, there) = (ann.connect().await, ann.connect_at(1).await);
        api.profile().await.unwrap();
        dev.kill("session").await;
        // The password is another from here on; who has it changed is not told so, for the
        // sessions live.
        let new = "another password";
        let changed = api.change_password(&ann.password, new).await.unwrap_err();
        assert!(changed.retryable(), "{changed:?}");
        refused(api.login_by_name(&ann.name, &ann.password).await, Code::Unauthenticated);
        dev.up("session").await;
        let back = Instant::now();
        let soon = Duration::from_secs(2);
        tokio::join!(
            ends_with_4001_within(soon, here, back),
            ends_with_4001_within(soon, there, back)
        );
        own.ping().await.unwrap();
        api.login_by_name(&ann.name, new).await.unwrap();
        dev.well_again().await;
        bob.is_not_disturbed().await;
        ends_are_felt(&world).await;
    }

    async fn a_gateway_that_was_frozen_makes_up_for_ends(world: World) {
        let dev = Dev::from_env();
        let mut bob = Bystander::of(&world).await;
        let ann = world.user().await;
        let there = ann.connect_at(1).await;
        dev.freeze("gateway-2").await;
        ann.api().logout().await.unwrap();
        sleep(A_WHILE).await;
        dev.thaw("gateway-2").await;
        ends_with_4001(there, Instant::now()).await;
        let refusing = Instant::now();
        crate::sessions::is_refused(ann.api_at(1), refusing).await;
        dev.well_again().await;
        bob.is_not_disturbed().await;
    }

    async fn without_postgres_no_session_ends(world: World) {
        let dev = Dev::from_env();
        let mut bob = Bystander::of(&world).await;
        let mut sockets: Vec<Socket> = Vec::new();
        let ann = world.user().await;
        for api in [ann.api(), ann.api_at(1)].map(Api::clone) {
            sockets.push(api.connect().await.unwrap());
        }
        dev.down("postgres").await;
        sleep(A_WHILE).await;
        dev.up("postgres").await;
        dev.well_again().await;
        for socket in &mut sockets {
            socket.ping().await.unwrap();
        }
        bob.is_not_disturbed().await;
        ends_are_felt(&world).await;
    }
}

//! The way from the log to the screens under random faults, with a simulated clock.
//!
//! Real are the connections, the fan-out, its sources and the streams of posts; the
//! message-service, the bus and the clients are models in this process. A seed decides
//! what happens: writes, changes of membership, a bus that delays, loses, doubles and
//! disorders, replicas that fail and freeze, gateways that are killed and drained, slow
//! readers, restores from backup. Each client checks every frame as it comes: nothing is
//! missing at any seam, nothing comes twice, nothing comes to who is no member. In the end
//! all must have all, and what was acknowledged must be in the log, once, in order.
//!
//! `PARLEY_SIM_SEED=n cargo test -p gateway simulation` runs one seed again, and
//! `PARLEY_SIM_SEEDS=n` more of them than usual.

mod bus;
mod client;
mod house;
mod log;
mod news;
mod service;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use client::{Client, Report};
use house::House;
use log::World;

/// Seeds that one test runs, of four.
const SEEDS: u64 = 250;
/// Things that happen in one run.
const STEPS: usize = 30;
/// Users, each with one connection at a time.
const USERS: u64 = 5;
/// Rooms.
const ROOMS: u64 = 3;
/// How long everybody may take to have everything once all is well, in simulated time.
const RECOVERY: Duration = Duration::from_secs(90);

#[test]
fn whatever_happens_nothing_is_missing_doubled_or_leaked_1() {
    many(0);
}

#[test]
fn whatever_happens_nothing_is_missing_doubled_or_leaked_2() {
    many(1);
}

#[test]
fn whatever_happens_nothing_is_missing_doubled_or_leaked_3() {
    many(2);
}

#[test]
fn whatever_happens_nothing_is_missing_doubled_or_leaked_4() {
    many(3);
}

fn many(part: u64) {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    if let Some(seed) = number("PARLEY_SIM_SEED") {
        if part == 0 {
            run(seed);
        }
        return;
    }
    let seeds = number("PARLEY_SIM_SEEDS").map_or(SEEDS, |all| all.div_ceil(4));
    let mut total = Report::default();
    for seed in part * seeds..(part + 1) * seeds {
        match catch_unwind(AssertUnwindSafe(|| run(seed))) {
            Ok(report) => total += report,
            Err(panic) => {
                eprintln!("seed {seed} failed; PARLEY_SIM_SEED={seed} runs it again");
                std::panic::resume_unwind(panic);
            }
        }
    }
    eprintln!("{total:?}");
    // What is never tried is not shown either.
    let few = seeds < SEEDS;
    assert!(few || total.is_telling(), "too little happened: {total:?}");
}

fn run(seed: u64) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(scenario(seed))
}

async fn scenario(seed: u64) -> Report {
    let world = World::new(seed, USERS, ROOMS);
    let house = House::start(&world).await;
    let clients: Vec<Client> = (1..=USERS)
        .map(|uid| Client::start(uid, &world, &house))
        .collect();
    let faulty = world.chance(90);
    let busy = world.chance(8);
    for _ in 0..STEPS {
        sleep(world.millis(0, 250)).await;
        step(&world, &house, faulty, busy).await;
    }
    world.heal();
    house.heal().await;
    for client in &clients {
        client.write_no_more();
    }
    let mut report = Report::default();
    let deadline = Instant::now() + RECOVERY;
    for client in clients {
        let left = deadline - Instant::now();
        let Ok(own) = timeout(left, client.finish()).await else {
            panic!("a client has not everything in time:\n{}", world.describe());
        };
        report += own;
    }
    report.news = world.news.told();
    world.check_order();
    house.stop().await;
    report
}

/// Runs a task as long as the seed's own runtime lives, which owns it.
#[expect(
    clippy::disallowed_methods,
    reason = "a seed has a runtime of its own, which ends with it"
)]
fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(task)
}

/// One thing happens.
async fn step(world: &Arc<World>, house: &Arc<House>, faulty: bool, busy: bool) {
    let room = world.number(1, ROOMS);
    match world.number(0, if faulty { 99 } else { 39 }) {
        0..4 if busy => world.write_some(room, 50, 1_200),
        0..22 => world.write_some(room, 1, 8),
        22..40 => world.toggle_member(room, world.number(1, USERS)),
        40..52 => house.replica(world).break_for(world.millis(50, 4_000)),
        52..62 => house.replica(world).freeze_for(world.millis(50, 4_000)),
        62..76 => world.bus.trouble_for(world.millis(200, 6_000)),
        76..82 => world.bus.cut_tails(),
        82..90 => house.kill(world).await,
        90..97 => house.drain(world).await,
        _ => world.restore(room),
    }
}

//! Through any sequence of cuts, losses and refusals: no gap, no repeat, the order of
//! messages kept, each answered once.

use std::time::Duration;

use proptest::prelude::*;
use wire::RoomId;

use super::world::{Taking, World, room};

#[derive(Debug, Clone, Copy)]
enum Step {
    Connect,
    Cut(usize),
    ClientWrites,
    ServerReads(Taking),
    Push(RoomId, bool),
    ClientReads(usize),
    BeginPage,
    EndPage(Option<usize>),
    BeginPost,
    EndPost(Taking, bool),
    AnotherSays(RoomId, usize),
    LeaveOrJoin(RoomId),
    Trim(RoomId),
    Restore(RoomId),
    UserSends(RoomId),
    UserGivesUp(usize),
    UserTakes(usize),
    UserReturns,
    UserBeginsAgain(RoomId),
    Wait(u64),
}

const ROOMS: u64 = 3;

fn rooms() -> impl Strategy<Value = RoomId> {
    (1..=ROOMS).prop_map(room)
}

fn takings() -> impl Strategy<Value = Taking> {
    prop_oneof![
        4 => Just(Taking::Well),
        1 => Just(Taking::Not),
        1 => Just(Taking::Unsaid),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Connect),
        2 => (0_usize..4).prop_map(Step::Cut),
        12 => Just(Step::ClientWrites),
        12 => takings().prop_map(Step::ServerReads),
        12 => (rooms(), prop::bool::weighted(0.03)).prop_map(|(room, skip)| Step::Push(room, skip)),
        12 => (1_usize..6).prop_map(Step::ClientReads),
        4 => Just(Step::BeginPage),
        4 => prop::option::of(1_usize..9).prop_map(Step::EndPage),
        4 => Just(Step::BeginPost),
        4 => (takings(), any::<bool>()).prop_map(|(taking, lost)| Step::EndPost(taking, lost)),
        6 => (rooms(), 1_usize..20).prop_map(|(room, times)| Step::AnotherSays(room, times)),
        1 => rooms().prop_map(Step::LeaveOrJoin),
        1 => rooms().prop_map(Step::Trim),
        1 => rooms().prop_map(Step::Restore),
        6 => rooms().prop_map(Step::UserSends),
        1 => any::<usize>().prop_map(Step::UserGivesUp),
        8 => (1_usize..30).prop_map(Step::UserTakes),
        2 => Just(Step::UserReturns),
        1 => (1..ROOMS).prop_map(|number| Step::UserBeginsAgain(room(number))),
        4 => (1_u64..3_000).prop_map(Step::Wait),
    ]
}

fn take(world: &mut World, step: Step) {
    // Whether a step did anything is of no interest here.
    let _ = match step {
        Step::Connect => world.connect(),
        Step::Cut(read) => world.cut(read),
        Step::ClientWrites => world.client_writes(),
        Step::ServerReads(taking) => world.server_reads(taking),
        Step::Push(room, skip) => world.server_pushes(room, skip),
        Step::ClientReads(times) => (0..times).all(|_| world.client_reads()),
        Step::BeginPage => world.begin_page(),
        Step::EndPage(limit) => world.end_page(limit),
        Step::BeginPost => world.begin_post(),
        Step::EndPost(taking, lost) => world.end_post(taking, lost),
        Step::AnotherSays(room, times) => (0..times).all(|_| world.another_says(room)),
        Step::LeaveOrJoin(room) => world.leave_or_join(room),
        Step::Trim(room) => world.trim(room),
        Step::Restore(room) => world.restore(room),
        Step::UserSends(room) => world.user_sends(room),
        Step::UserGivesUp(which) => world.user_gives_up(which),
        Step::UserTakes(times) => (0..times).all(|_| world.user_takes()),
        Step::UserReturns => world.user_returns(),
        Step::UserBeginsAgain(room) => world.user_begins_again(room),
        Step::Wait(millis) => world.waits(Duration::from_millis(millis)),
    };
}

#[test]
fn a_log_that_begins_anew_for_ever_fills_no_memory() {
    let mut world = World::new(1, 1);
    world.follow(room(1));
    world.user_sends(room(1));
    let lives = 3_000;
    for _ in 0..lives {
        world.restore(room(1));
        world.connect();
        world.client_writes();
        world.server_reads(Taking::Well);
        world.client_reads();
    }
    let kept = (0..lives).take_while(|_| world.user_takes()).count();
    assert!((1_000..2_000).contains(&kept), "{kept} items were kept");
    world.settle();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_fails_nothing_is_lost_repeated_or_out_of_order(
        seed in any::<u64>(),
        steps in prop::collection::vec(steps(), 1..400),
    ) {
        let mut world = World::new(ROOMS, seed);
        // The last room is written to only, over HTTP, until the end.
        for number in 1..ROOMS {
            world.follow(room(number));
        }
        for step in steps {
            take(&mut world, step);
        }
        world.follow(room(ROOMS));
        world.settle();
    }
}

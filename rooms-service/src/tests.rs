//! The whole service as others call it: over a channel, with its relay running.

use std::sync::Arc;
use std::time::Duration;

use base::{Code, ManualClock, OsEntropy, Timestamp, Uid};
use proto::rooms::rooms_client::RoomsClient;
use proto::rooms::{
    CreateRequest, InfoRequest, InviteRequest, JoinRequest, LeaveRequest, ListRequest,
    MembershipRequest, Role,
};
use runtime::config::{Environment, Secret, load};
use runtime::{Call, Channel, Lifecycle, RequestId};

use crate::service::tests::{DOWN, MemoryLog, WELL};
use crate::store::SqliteStore;
use crate::{Config, Ports};

struct World {
    rooms: RoomsClient<Channel>,
    log: Arc<MemoryLog>,
    clock: Arc<ManualClock>,
    _lifecycle: Lifecycle,
    _folder: tempfile::TempDir,
}

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rooms.db");
    let (log, clock) = (Arc::<MemoryLog>::default(), Arc::<ManualClock>::default());
    let ports = Ports {
        store: Arc::new(SqliteStore::open(&path).await.unwrap()),
        cache: Arc::new(cache::Memory::new()),
        log: log.clone(),
        clock: clock.clone(),
        entropy: Arc::new(OsEntropy),
    };
    let quick = ("PARLEY_ROOMS__RELAY__PERIOD".into(), "10ms".into());
    let config = load::<Config>(None, &Environment::from([quick])).unwrap();
    let lifecycle = Lifecycle::new();
    let routes = crate::build(&config.config, ports, &lifecycle);
    let token = Secret::new("the token of this test");
    let channel = Channel::in_process(routes, &token, &lifecycle).unwrap();
    World {
        rooms: RoomsClient::new(channel),
        log,
        clock,
        _lifecycle: lifecycle,
        _folder: folder,
    }
}

fn by(uid: u64) -> Call {
    let call = Call::new(RequestId::parse("test").unwrap(), Duration::from_secs(20));
    call.by(Uid::new(uid).unwrap())
}

fn code<T: std::fmt::Debug>(outcome: base::Result<T>) -> Code {
    outcome.unwrap_err().code()
}

/// `ask!(world, uid, join(JoinRequest { … }))`
macro_rules! ask {
    ($world:expr, $uid:expr, $method:ident($request:expr)) => {
        asked(
            $world.rooms.clone(),
            $uid,
            $request,
            async |mut rooms, request| rooms.$method(request).await,
        )
        .await
    };
}

async fn asked<Q, A>(
    rooms: RoomsClient<Channel>,
    uid: u64,
    request: Q,
    ask: impl AsyncFnOnce(RoomsClient<Channel>, tonic::Request<Q>) -> Answered<A>,
) -> base::Result<A> {
    let call = by(uid);
    call.wait(ask(rooms, call.request(request))).await
}

type Answered<A> = Result<tonic::Response<A>, tonic::Status>;

fn named(name: &str, is_private: bool) -> CreateRequest {
    CreateRequest {
        name: name.to_owned(),
        is_private,
    }
}

#[tokio::test]
async fn refusals_arrive_with_their_codes() {
    let world = world().await;
    let bad = ask!(world, 1, create(named("ab", false)));
    assert_eq!(code(bad), Code::InvalidArgument);
    let room_id = ask!(world, 1, create(named("Öffentlich", false)));
    let room_id = room_id.unwrap().room_id;
    let taken = ask!(world, 2, create(named("öffentlich", false)));
    assert_eq!(code(taken), Code::Conflict);
    let private = ask!(world, 1, create(named("private", true)));
    let private = private.unwrap().room_id;
    for (room_id, expected) in [
        (0, Code::InvalidArgument),
        (u64::MAX, Code::InvalidArgument),
        (404, Code::NotFound),
        (private, Code::PermissionDenied),
    ] {
        let joined = ask!(world, 2, join(JoinRequest { room_id }));
        assert_eq!(code(joined), expected, "{room_id}");
    }
    ask!(world, 2, join(JoinRequest { room_id })).unwrap();
    let again = ask!(world, 2, join(JoinRequest { room_id }));
    assert_eq!(code(again), Code::Conflict);
    let invited = ask!(world, 2, invite(InviteRequest { room_id, uid: 3 }));
    assert_eq!(code(invited), Code::PermissionDenied);
    let left = ask!(world, 1, leave(LeaveRequest { room_id }));
    assert_eq!(code(left), Code::Conflict);
    let left = ask!(world, 3, leave(LeaveRequest { room_id }));
    assert_eq!(left.unwrap_err().detail(), "not a member");
    let hidden = ask!(world, 2, info(InfoRequest { room_id: private }));
    assert_eq!(code(hidden), Code::NotFound);
}

#[tokio::test]
async fn a_room_and_its_members_are_told_as_they_are() {
    let world = world().await;
    world
        .clock
        .set(Timestamp::from_micros(1_767_323_045_678_901));
    let room_id = ask!(world, 1, create(named("Room 1", true)));
    let room_id = room_id.unwrap().room_id;
    ask!(world, 1, invite(InviteRequest { room_id, uid: 2 })).unwrap();
    let info = ask!(world, 2, info(InfoRequest { room_id })).unwrap();
    assert_eq!((info.room_id, info.name()), (1, "Room 1"));
    assert_eq!((info.creator_uid, info.is_private), (1, true));
    assert_eq!(info.created_at, 1_767_323_045_678_901);
    for (uid, role) in [(1, Role::Owner), (2, Role::Member), (3, Role::Unspecified)] {
        let membership = ask!(world, 9, membership(MembershipRequest { room_id, uid }));
        assert_eq!(membership.unwrap().role(), role);
    }
    let rooms = ask!(world, 2, list(ListRequest {})).unwrap();
    assert_eq!(rooms.room_ids, [room_id]);
}

#[tokio::test]
async fn the_relay_brings_a_pending_change_to_the_log_by_itself() {
    let world = world().await;
    world.log.becomes(DOWN);
    let made = ask!(world, 1, create(named("room", false)));
    assert_eq!(code(made), Code::Unavailable);
    let written = world.log.written.notified();
    world.clock.advance(Duration::from_secs(2));
    world.log.becomes(WELL);
    tokio::time::timeout(Duration::from_secs(20), written)
        .await
        .unwrap();
}

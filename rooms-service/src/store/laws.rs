//! The laws of the store. `laws!` makes a test of each, on every adapter.

mod invitations;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base::{ChangeNo, RoomId, RoomName, Timestamp, Uid};
use tokio::task::JoinSet;

use invitations::{
    a_room_has_so_many_invitations_at_once, an_invitation_lets_in_as_many_as_it_says,
    of_two_who_want_the_last_use_one_gets_it, only_the_owner_makes_invitations_and_withdraws_them,
    what_a_code_leads_to_is_as_it_was_made, what_is_good_no_more_lets_nobody_in,
    who_came_in_by_the_last_use_finds_his_own_change, who_is_in_takes_no_use,
    who_made_an_invitation_withdraws_it_when_he_has_left,
};

use super::{ChangeError, CreateError, Store};
use crate::domain::{Change, ChangeKind, Kind, NewRoom, Refusal, Role, Room, Wish};

type Shared = Arc<dyn Store>;

const ANN: Uid = Uid::new(1).unwrap();
const BOB: Uid = Uid::new(2).unwrap();
const EVE: Uid = Uid::new(3).unwrap();
const NOW: Timestamp = Timestamp::from_micros(1_767_323_045_678_901);

fn no(number: u64) -> ChangeNo {
    ChangeNo::new(number).unwrap()
}

fn named(name: &str, creator: Uid, is_private: bool) -> NewRoom {
    NewRoom {
        name: RoomName::parse("Name", name).unwrap(),
        is_private,
        creator,
    }
}

/// A room of Ann's whose log has the creation.
async fn room(store: &Shared, name: &str) -> RoomId {
    let id = store.create(&named(name, ANN, false), NOW).await.unwrap();
    store.applied(id, no(1)).await.unwrap();
    id
}

async fn wish(store: &Shared, room: RoomId, wish: Wish) -> Result<ChangeNo, Refusal> {
    match store.change(room, wish, NOW).await {
        Ok(no) => Ok(no),
        Err(ChangeError::Refused(refusal)) => Err(refusal),
        Err(ChangeError::Store(error)) => panic!("{error}"),
    }
}

async fn numbers(store: &Shared, room: RoomId) -> Vec<u64> {
    let changes = store.changes(room, no(1)).await.unwrap();
    changes.iter().map(|change| change.no.get()).collect()
}

async fn a_room_is_read_as_it_was_made(store: Shared) {
    let made = named("Ann's Öde", ANN, true);
    let id = store.create(&made, NOW).await.unwrap();
    let expected = Room {
        id,
        kind: Kind::Room,
        name: Some(made.name),
        creator: ANN,
        is_private: true,
        created_at: NOW,
    };
    assert_eq!(store.room(id).await.unwrap(), Some(expected));
}

async fn the_creator_is_the_owner_by_change_one(store: Shared) {
    let id = store
        .create(&named("first", ANN, false), NOW)
        .await
        .unwrap();
    assert_eq!(store.role(id, ANN).await.unwrap(), Some(Role::Owner));
    let joined = Change {
        no: no(1),
        kind: ChangeKind::Join,
        uid: ANN,
        by: ANN,
        role: Some(Role::Owner),
    };
    assert_eq!(store.pending(id).await.unwrap(), [joined]);
}

async fn room_ids_count_up_and_a_refused_name_uses_none(store: Shared) {
    assert_eq!(room(&store, "one").await.get(), 1);
    assert!(store.create(&named("one", BOB, false), NOW).await.is_err());
    assert_eq!(room(&store, "two").await.get(), 2);
}

async fn names_that_differ_in_case_alone_are_one(store: Shared) {
    room(&store, "Straße Ä").await;
    let again = store.create(&named("straße ä", BOB, false), NOW).await;
    assert!(matches!(again, Err(CreateError::Taken)), "{again:?}");
}

async fn of_many_who_want_a_name_one_gets_it(store: Shared) {
    let mut wanting = JoinSet::new();
    for uid in 1..=8 {
        let store = Arc::clone(&store);
        wanting.spawn(async move {
            let room = named("wanted", Uid::new(uid).unwrap(), false);
            store.create(&room, NOW).await
        });
    }
    let outcomes = wanting.join_all().await;
    assert_eq!(outcomes.iter().filter(|made| made.is_ok()).count(), 1);
    for refused in outcomes.iter().filter_map(|made| made.as_ref().err()) {
        assert!(matches!(refused, CreateError::Taken), "{refused}");
    }
}

async fn a_pending_creation_asked_for_again_is_the_same_room(store: Shared) {
    let asked = named("again", ANN, false);
    let id = store.create(&asked, NOW).await.unwrap();
    assert_eq!(store.create(&asked, NOW).await.unwrap(), id);
    for other in [
        named("again", BOB, false),
        named("again", ANN, true),
        named("AGAIN", ANN, false),
    ] {
        let refused = store.create(&other, NOW).await;
        assert!(matches!(refused, Err(CreateError::Taken)), "{other:?}");
    }
    store.applied(id, no(1)).await.unwrap();
    let refused = store.create(&asked, NOW).await;
    assert!(matches!(refused, Err(CreateError::Taken)), "{refused:?}");
}

async fn a_second_join_is_refused_and_changes_nothing(store: Shared) {
    let id = room(&store, "room").await;
    let join = Wish::Join { uid: BOB };
    assert_eq!(wish(&store, id, join).await, Ok(no(2)));
    store.applied(id, no(2)).await.unwrap();
    assert_eq!(wish(&store, id, join).await, Err(Refusal::Already));
    assert_eq!(numbers(&store, id).await, [1, 2]);
    assert_eq!(store.pending(id).await.unwrap(), []);
    assert_eq!(store.role(id, BOB).await.unwrap(), Some(Role::Member));
}

async fn a_pending_change_asked_for_again_is_the_same_change(store: Shared) {
    let id = room(&store, "room").await;
    for (number, asked) in [
        (2, Wish::Join { uid: BOB }),
        (3, Wish::Invite { by: ANN, uid: EVE }),
        (4, Wish::Leave { uid: BOB }),
    ] {
        assert_eq!(wish(&store, id, asked).await, Ok(no(number)));
        assert_eq!(wish(&store, id, asked).await, Ok(no(number)));
    }
    assert_eq!(numbers(&store, id).await, [1, 2, 3, 4]);
    store.applied(id, no(4)).await.unwrap();
    let left = wish(&store, id, Wish::Leave { uid: BOB }).await;
    assert_eq!(left, Err(Refusal::NotMember));
}

async fn who_left_joins_again(store: Shared) {
    let id = room(&store, "room").await;
    for number in [2, 4] {
        let joined = wish(&store, id, Wish::Join { uid: BOB }).await;
        assert_eq!(joined, Ok(no(number)));
        assert_eq!(store.rooms_of(BOB).await.unwrap(), [id]);
        let left = wish(&store, id, Wish::Leave { uid: BOB }).await;
        assert_eq!(left, Ok(no(number + 1)));
        assert_eq!(store.role(id, BOB).await.unwrap(), None);
        assert_eq!(store.rooms_of(BOB).await.unwrap(), []);
    }
}

async fn only_the_owner_opens_a_private_room(store: Shared) {
    let id = store
        .create(&named("private", ANN, true), NOW)
        .await
        .unwrap();
    let join = wish(&store, id, Wish::Join { uid: BOB }).await;
    assert_eq!(join, Err(Refusal::Private));
    let invite = Wish::Invite { by: ANN, uid: BOB };
    assert_eq!(wish(&store, id, invite).await, Ok(no(2)));
    for by in [BOB, EVE] {
        let invited = wish(&store, id, Wish::Invite { by, uid: EVE }).await;
        assert_eq!(invited, Err(Refusal::NotOwner));
    }
}

async fn the_owner_leaves_last(store: Shared) {
    let id = room(&store, "room").await;
    wish(&store, id, Wish::Join { uid: BOB }).await.unwrap();
    let leave = Wish::Leave { uid: ANN };
    assert_eq!(wish(&store, id, leave).await, Err(Refusal::OwnerStays));
    wish(&store, id, Wish::Leave { uid: BOB }).await.unwrap();
    assert_eq!(wish(&store, id, leave).await, Ok(no(4)));
}

async fn an_unknown_room_is_no_room(store: Shared) {
    let id = RoomId::new(404).unwrap();
    assert_eq!(store.room(id).await.unwrap(), None);
    assert_eq!(store.role(id, ANN).await.unwrap(), None);
    for asked in [
        Wish::Join { uid: ANN },
        Wish::Leave { uid: ANN },
        Wish::Invite { by: ANN, uid: BOB },
    ] {
        assert_eq!(wish(&store, id, asked).await, Err(Refusal::NoRoom));
    }
}

async fn changes_of_a_room_are_numbered_without_gaps_under_concurrency(store: Shared) {
    let id = room(&store, "room").await;
    let mut changing = JoinSet::new();
    for uid in 10..50 {
        let store = Arc::clone(&store);
        changing.spawn(async move {
            let uid = Uid::new(uid).unwrap();
            let joined = wish(&store, id, Wish::Join { uid }).await.unwrap();
            let left = wish(&store, id, Wish::Leave { uid }).await.unwrap();
            assert!(joined < left);
            [joined.get(), left.get()]
        });
    }
    let given: BTreeSet<u64> = changing.join_all().await.into_iter().flatten().collect();
    assert!(given.into_iter().eq(2..=81));
    assert!(numbers(&store, id).await.into_iter().eq(1..=81));
}

async fn one_user_who_joins_many_times_at_once_joins_once(store: Shared) {
    let id = room(&store, "room").await;
    let mut joining = JoinSet::new();
    for _ in 0..8 {
        let store = Arc::clone(&store);
        joining.spawn(async move { wish(&store, id, Wish::Join { uid: BOB }).await });
    }
    for joined in joining.join_all().await {
        assert_eq!(joined, Ok(no(2)));
    }
    assert_eq!(numbers(&store, id).await, [1, 2]);
}

async fn what_is_applied_is_pending_no_more(store: Shared) {
    let id = room(&store, "room").await;
    for uid in [BOB, EVE] {
        wish(&store, id, Wish::Join { uid }).await.unwrap();
    }
    let pending = store.pending(id).await.unwrap();
    let uids: Vec<_> = pending.iter().map(|change| change.uid).collect();
    assert_eq!(uids, [BOB, EVE]);
    store.applied(id, no(2)).await.unwrap();
    assert_eq!(store.pending(id).await.unwrap(), pending[1..]);
    assert_eq!(store.changes(id, no(2)).await.unwrap(), pending);
    store.applied(id, no(3)).await.unwrap();
    assert_eq!(store.pending(id).await.unwrap(), []);
}

async fn unfinished_rooms_are_found_by_age_in_pages(store: Shared) {
    room(&store, "done").await;
    let mut old = Vec::new();
    for name in ["old 1", "old 2", "old 3"] {
        old.push(store.create(&named(name, ANN, false), NOW).await.unwrap());
    }
    let later = NOW.after(Duration::from_secs(5));
    store
        .create(&named("young", ANN, false), later)
        .await
        .unwrap();
    wish(&store, old[0], Wish::Join { uid: BOB }).await.unwrap();
    let first = store.unfinished(later, None, 2).await.unwrap();
    assert_eq!(first, old[..2]);
    let rest = store.unfinished(later, Some(old[1]), 2).await.unwrap();
    assert_eq!(rest, old[2..]);
}

async fn a_users_rooms_ascend_and_are_his_alone(store: Shared) {
    let mut rooms = Vec::new();
    for name in ["one", "two", "three"] {
        rooms.push(room(&store, name).await);
    }
    for id in [rooms[2], rooms[0]] {
        wish(&store, id, Wish::Join { uid: BOB }).await.unwrap();
    }
    assert_eq!(store.rooms_of(ANN).await.unwrap(), rooms);
    assert_eq!(store.rooms_of(BOB).await.unwrap(), [rooms[0], rooms[2]]);
    assert_eq!(store.rooms_of(EVE).await.unwrap(), []);
}

async fn a_users_rooms_say_what_he_is_in_them(store: Shared) {
    let one = room(&store, "one").await;
    let two = store.create(&named("two", BOB, true), NOW).await.unwrap();
    wish(&store, one, Wish::Join { uid: BOB }).await.unwrap();
    let mine = store.mine(BOB).await.unwrap();
    let found: Vec<_> = mine.iter().map(|(room, role)| (room.id, *role)).collect();
    assert_eq!(found, [(one, Role::Member), (two, Role::Owner)]);
    assert_eq!(Some(&mine[1].0), store.room(two).await.unwrap().as_ref());
    assert_eq!(store.mine(EVE).await.unwrap(), []);
}

async fn members_are_read_in_pages(store: Shared) {
    let room = room(&store, "lobby").await;
    for uid in [EVE, BOB] {
        wish(&store, room, Wish::Join { uid }).await.unwrap();
    }
    let all = [(ANN, Role::Owner), (BOB, Role::Member), (EVE, Role::Member)];
    assert_eq!(store.members(room, None, 9).await.unwrap(), all);
    assert_eq!(store.members(room, None, 2).await.unwrap(), all[..2]);
    assert_eq!(store.members(room, Some(ANN), 9).await.unwrap(), all[1..]);
    assert_eq!(store.members(room, Some(EVE), 9).await.unwrap(), []);
}

async fn the_directory_has_public_rooms_by_how_their_names_begin(store: Shared) {
    for (name, is_private) in [
        ("Öl", false),
        ("lob", false),
        ("Lobby", false),
        ("lobsters", true),
    ] {
        let name = format!("{name} room");
        store
            .create(&named(&name, ANN, is_private), NOW)
            .await
            .unwrap();
    }
    let names = async |prefix: &str, limit| -> Vec<String> {
        let found = store.directory(prefix, limit).await.unwrap();
        found
            .into_iter()
            .map(|room| room.name.into_string())
            .collect()
    };
    assert_eq!(names("", 9).await, ["lob room", "Lobby room", "Öl room"]);
    assert_eq!(names("lob", 9).await, ["lob room", "Lobby room"]);
    assert_eq!(names("lob", 1).await, ["lob room"]);
    assert_eq!(names("lobb", 9).await, ["Lobby room"]);
    assert_eq!(names("ö", 9).await, ["Öl room"]);
    assert_eq!(names("%", 9).await, [""; 0]);
}

async fn the_directory_counts_members(store: Shared) {
    let room = room(&store, "lobby").await;
    let count = async || store.directory("lobby", 1).await.unwrap()[0].members;
    assert_eq!(count().await, 1);
    wish(&store, room, Wish::Join { uid: BOB }).await.unwrap();
    assert_eq!(count().await, 2);
    wish(&store, room, Wish::Leave { uid: BOB }).await.unwrap();
    assert_eq!(count().await, 1);
}

/// Runs laws on a file that no other test has.
#[cfg(feature = "sqlite")]
async fn on_sqlite(law: impl AsyncFnOnce(Arc<super::SqliteStore>)) {
    let folder = tempfile::tempdir().unwrap();
    let store = super::SqliteStore::open(&folder.path().join("rooms.db")).await;
    law(Arc::new(store.unwrap())).await;
}

/// Runs laws in a schema that no other test has.
#[cfg(feature = "servers")]
async fn on_postgres(law: impl AsyncFnOnce(Arc<super::PostgresStore>)) {
    let connect = super::PostgresStore::connect;
    runtime::testing::on_postgres("rooms", 8, connect, async |store| {
        law(Arc::new(store)).await;
    })
    .await;
}

base::laws! {
    #[cfg(feature = "sqlite")]
    on_sqlite,
    #[cfg(feature = "servers")]
    on_postgres;
    a_room_is_read_as_it_was_made,
    the_creator_is_the_owner_by_change_one,
    room_ids_count_up_and_a_refused_name_uses_none,
    names_that_differ_in_case_alone_are_one,
    of_many_who_want_a_name_one_gets_it,
    a_pending_creation_asked_for_again_is_the_same_room,
    a_second_join_is_refused_and_changes_nothing,
    a_pending_change_asked_for_again_is_the_same_change,
    who_left_joins_again,
    only_the_owner_opens_a_private_room,
    the_owner_leaves_last,
    an_unknown_room_is_no_room,
    changes_of_a_room_are_numbered_without_gaps_under_concurrency,
    one_user_who_joins_many_times_at_once_joins_once,
    what_is_applied_is_pending_no_more,
    unfinished_rooms_are_found_by_age_in_pages,
    a_users_rooms_ascend_and_are_his_alone,
    a_users_rooms_say_what_he_is_in_them,
    members_are_read_in_pages,
    the_directory_has_public_rooms_by_how_their_names_begin,
    the_directory_counts_members,
    what_a_code_leads_to_is_as_it_was_made,
    an_invitation_lets_in_as_many_as_it_says,
    who_is_in_takes_no_use,
    who_came_in_by_the_last_use_finds_his_own_change,
    who_made_an_invitation_withdraws_it_when_he_has_left,
    what_is_good_no_more_lets_nobody_in,
    of_two_who_want_the_last_use_one_gets_it,
    only_the_owner_makes_invitations_and_withdraws_them,
    a_room_has_so_many_invitations_at_once,
}

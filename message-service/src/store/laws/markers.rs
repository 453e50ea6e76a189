//! The laws of read markers.

use std::sync::Arc;

use base::{RoomId, Seq, limits};

use super::{begun, change, changes, commit, post, room, uid};
use crate::domain::{Mark, Marked, Standing, kind};
use crate::store::Store;

fn mark(room: RoomId, who: u64, read: u64) -> Mark {
    Mark {
        room,
        uid: uid(who),
        read: Seq(read),
    }
}

const fn at(read: u64, moved: bool) -> Marked {
    Marked::At {
        read: Seq(read),
        moved,
    }
}

async fn marked(store: &dyn Store, mark: Mark) -> Marked {
    store.mark(&[mark]).await.unwrap()[0]
}

/// How user `who` stands in a room that he is in.
async fn standing(store: &dyn Store, room: RoomId, who: u64) -> Standing {
    let standings = store.standings(uid(who), &[room]).await.unwrap();
    assert_eq!(standings.len(), 1, "{standings:?}");
    standings.into_iter().next().unwrap()
}

/// How far user `who` has read, and how much he has not.
async fn reading(store: &dyn Store, room: RoomId, who: u64) -> (u64, u32) {
    let standing = standing(store, room, who).await;
    (standing.read.get(), standing.unread)
}

/// User `who` says `count` messages.
async fn say(store: &dyn Store, room: RoomId, who: u64, count: u64) {
    let first = standing(store, room, who).await.position.head.get() + 1;
    let posts: Vec<_> = (first..first + count)
        .map(|number| post(room, who, &format!("text {number}"), &number.to_string()))
        .collect();
    commit(store, &posts).await;
}

async fn enter(store: &dyn Store, room: RoomId, number: u64, kind: u32, who: u64) {
    commit(store, &[changes(room, vec![change(number, kind, who)])]).await;
}

pub(super) async fn a_marker_never_moves_back(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let room = begun(store).await;
    say(store, room, 1, 4).await;
    assert_eq!(marked(store, mark(room, 1, 3)).await, at(3, true));
    for earlier in [1, 2, 3] {
        assert_eq!(marked(store, mark(room, 1, earlier)).await, at(3, false));
    }
    assert_eq!(reading(store, room, 1).await, (3, 0));
    assert_eq!(marked(store, mark(room, 1, 5)).await, at(5, true));
}

pub(super) async fn beyond_the_newest_event_nobody_has_read(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let room = begun(store).await;
    assert_eq!(marked(store, mark(room, 1, 2)).await, Marked::Beyond);
    assert_eq!(reading(store, room, 1).await, (1, 0));
    say(store, room, 1, 1).await;
    assert_eq!(marked(store, mark(room, 1, 2)).await, at(2, true));
}

pub(super) async fn only_members_have_a_marker(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let begun = begun(store).await;
    assert_eq!(marked(store, mark(begun, 2, 1)).await, Marked::NotMember);
    enter(store, begun, 2, kind::JOIN, 2).await;
    assert_eq!(marked(store, mark(begun, 2, 2)).await, at(2, false));
    enter(store, begun, 3, kind::LEAVE, 2).await;
    assert_eq!(marked(store, mark(begun, 2, 3)).await, Marked::NotMember);
    let unknown = room();
    assert_eq!(marked(store, mark(unknown, 1, 1)).await, Marked::NoRoom);
    assert_eq!(
        store.standings(uid(2), &[begun, unknown]).await.unwrap(),
        []
    );
    assert_eq!(store.standings(uid(1), &[]).await.unwrap(), []);
}

pub(super) async fn a_marker_begins_at_the_join_also_at_a_second_one(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let room = begun(store).await;
    assert_eq!(reading(store, room, 1).await, (1, 0));
    say(store, room, 1, 3).await;
    enter(store, room, 2, kind::JOIN, 2).await;
    assert_eq!(reading(store, room, 2).await, (5, 0));
    say(store, room, 1, 1).await;
    assert_eq!(reading(store, room, 2).await, (5, 1));
    enter(store, room, 3, kind::LEAVE, 2).await;
    say(store, room, 1, 1).await;
    enter(store, room, 4, kind::JOIN, 2).await;
    assert_eq!(reading(store, room, 2).await, (9, 0));
    // All in one batch.
    let there_and_back = vec![change(5, kind::LEAVE, 2), change(6, kind::JOIN, 2)];
    let batch = [
        changes(room, there_and_back),
        post(room, 1, "welcome back", "again"),
    ];
    commit(store, &batch).await;
    assert_eq!(reading(store, room, 2).await, (11, 1));
}

pub(super) async fn marks_of_several_are_moved_together(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let (one, two) = (begun(store).await, begun(store).await);
    enter(store, one, 2, kind::JOIN, 2).await;
    say(store, one, 1, 3).await;
    say(store, two, 1, 3).await;
    let marks = [
        mark(two, 1, 3),
        mark(room(), 1, 1),
        mark(one, 2, 5),
        mark(two, 9, 1),
        mark(one, 1, 4),
        mark(two, 2, 5),
    ];
    let outcomes = store.mark(&marks).await.unwrap();
    let expected = [
        at(3, true),
        Marked::NoRoom,
        at(5, true),
        Marked::NotMember,
        at(4, true),
        Marked::NotMember,
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(reading(store, one, 1).await, (4, 0));
    assert_eq!(reading(store, one, 2).await, (5, 0));
    assert_eq!(store.mark(&[]).await.unwrap(), []);
    // Ascending, and those alone that he is in.
    let standings = store.standings(uid(1), &[two, one]).await.unwrap();
    let rooms: Vec<_> = standings.iter().map(|it| it.room).collect();
    assert_eq!(rooms, [one, two]);
    let standings = store.standings(uid(2), &[two, one]).await.unwrap();
    assert_eq!(standings.len(), 1);
}

pub(super) async fn of_many_marks_at_once_the_furthest_stays(store: Arc<dyn Store>) {
    let room = begun(store.as_ref()).await;
    say(store.as_ref(), room, 1, 20).await;
    let mut marking = tokio::task::JoinSet::new();
    for read in 2..=21 {
        let store = Arc::clone(&store);
        marking.spawn(async move {
            // What somebody else holds is tried again.
            while marked(store.as_ref(), mark(room, 1, read)).await == Marked::Busy {}
        });
    }
    marking.join_all().await;
    assert_eq!(reading(store.as_ref(), room, 1).await, (21, 0));
}

pub(super) async fn what_is_unread_are_messages_of_others_after_the_marker(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let room = begun(store).await;
    assert_eq!(standing(store, room, 1).await.last_message, None);
    enter(store, room, 2, kind::JOIN, 2).await;
    say(store, room, 1, 2).await;
    say(store, room, 2, 3).await;
    enter(store, room, 3, kind::JOIN, 3).await;
    // Neither his own nor who came.
    assert_eq!(reading(store, room, 1).await, (1, 3));
    assert_eq!(reading(store, room, 2).await, (2, 2));
    assert_eq!(reading(store, room, 3).await, (8, 0));
    marked(store, mark(room, 1, 6)).await;
    assert_eq!(reading(store, room, 1).await, (6, 1));
    let standing = standing(store, room, 1).await;
    let position = store.position(room, uid(1)).await.unwrap().unwrap();
    assert_eq!(standing.position, position);
    let last = standing.last_message.unwrap();
    let page = store.page(room, Some(uid(1)), Seq(6), 1).await.unwrap();
    assert_eq!([last], page.events[..]);
}

pub(super) async fn what_is_unread_is_counted_among_the_newest_events(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let room = begun(store).await;
    enter(store, room, 2, kind::JOIN, 2).await;
    let counted = limits::COUNTED;
    say(store, room, 1, u64::from(counted) - 1).await;
    assert_eq!(reading(store, room, 2).await, (2, counted - 1));
    say(store, room, 1, 5).await;
    assert_eq!(reading(store, room, 2).await, (2, counted));
    // The last message is looked for among them, too.
    let mut comings = Vec::new();
    for number in 0..u64::from(counted) / 2 {
        comings.push(change(2 * number + 3, kind::JOIN, 3));
        comings.push(change(2 * number + 4, kind::LEAVE, 3));
    }
    for some in comings.chunks(limits::APPEND_CHANGES) {
        commit(store, &[changes(room, some.to_vec())]).await;
    }
    let standing = standing(store, room, 2).await;
    assert_eq!((standing.unread, standing.last_message), (0, None));
}

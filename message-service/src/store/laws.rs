//! The laws of the logs; both adapters pass them.

mod markers;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use base::{MessageText, Nonce, RoomId, Seq, Timestamp, Uid};

use runtime::StoreError;
use tokio::time::Instant;

use markers::{
    a_marker_begins_at_the_join_also_at_a_second_one, a_marker_never_moves_back,
    beyond_the_newest_event_nobody_has_read, marks_of_several_are_moved_together,
    of_many_marks_at_once_the_furthest_stays, only_members_have_a_marker,
    what_is_unread_are_messages_of_others_after_the_marker,
    what_is_unread_is_counted_among_the_newest_events,
};

use super::{Published, Store};
use crate::domain::{Change, Entry, HistoryFrom, Outcome, Post, ReadError, Refusal, kind};

const NEWEST: HistoryFrom = HistoryFrom::UpTo(None);
const NOW: Timestamp = Timestamp::from_micros(1_000_000);

/// A room that no other test has.
fn room() -> RoomId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    RoomId::new(NEXT.fetch_add(1, Ordering::Relaxed)).unwrap()
}

fn uid(number: u64) -> Uid {
    Uid::new(number).unwrap()
}

fn post(room: RoomId, by: u64, text: &str, nonce: &str) -> Entry {
    Entry::Post(Post {
        room,
        uid: uid(by),
        text: MessageText::parse("Text", text).unwrap(),
        nonce: Nonce::parse("Nonce", nonce).unwrap(),
    })
}

fn change(number: u64, kind: u32, who: u64) -> Change {
    let role = u32::from(kind == kind::JOIN);
    Change {
        number,
        kind,
        uid: uid(who),
        by: uid(who),
        role,
    }
}

fn changes(room: RoomId, changes: Vec<Change>) -> Entry {
    Entry::Changes { room, changes }
}

/// A room with user 1 in it, its log at Seq 1.
async fn begun(store: &dyn Store) -> RoomId {
    let room = room();
    let outcome = commit(store, &[changes(room, vec![change(1, kind::JOIN, 1)])]).await;
    assert!(
        matches!(outcome[0], Outcome::Applied { applied: 1, .. }),
        "{outcome:?}"
    );
    room
}

async fn commit(store: &dyn Store, entries: &[Entry]) -> Vec<Outcome> {
    store.commit(entries, NOW, later()).await.unwrap()
}

async fn head_of(store: &dyn Store, room: RoomId) -> Seq {
    let ends = store.heads(&[room]).await.unwrap();
    assert!(matches!(ends[..], [end] if end.room == room), "{ends:?}");
    ends[0].head
}

fn later() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

fn seq_of(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Sent(event) | Outcome::Repeat(event) => event.seq.get(),
        other => panic!("no post: {other:?}"),
    }
}

async fn the_creators_join_is_the_first_event(store: Arc<dyn Store>) {
    let room = begun(store.as_ref()).await;
    let page = store
        .page(room, Some(uid(1)), Seq::START, 10)
        .await
        .unwrap();
    assert_eq!(page.events.len(), 1);
    let join = &page.events[0];
    assert_eq!(
        (join.seq, join.kind, join.uid, join.target),
        (Seq(1), kind::JOIN, uid(1), Seq(1))
    );
}

async fn events_are_numbered_without_gaps_whatever_the_batches(store: Arc<dyn Store>) {
    let room = begun(store.as_ref()).await;
    let mut expected = 2;
    for size in [1, 3, 64, 2] {
        let batch: Vec<Entry> = (0..size)
            .map(|n| post(room, 1, "hello", &format!("{expected}-{n}")))
            .collect();
        for outcome in commit(store.as_ref(), &batch).await {
            assert_eq!(seq_of(&outcome), expected);
            expected += 1;
        }
    }
    assert_eq!(head_of(store.as_ref(), room).await, Seq(expected - 1));
}

async fn a_repeat_gets_the_first_answer_and_writes_nothing(store: Arc<dyn Store>) {
    let room = begun(store.as_ref()).await;
    let first = commit(store.as_ref(), &[post(room, 1, "once", "n")]).await;
    let again = store
        .commit(
            &[post(room, 1, "once", "n")],
            Timestamp::from_micros(9_000_000),
            later(),
        )
        .await;
    let again = again.unwrap();
    let (Outcome::Sent(first), Outcome::Repeat(again)) = (&first[0], &again[0]) else {
        panic!("{first:?} {again:?}")
    };
    assert_eq!(first, again);
    assert_eq!(head_of(store.as_ref(), room).await, Seq(2));
}

async fn a_repeat_within_one_batch_leaves_no_hole(store: Arc<dyn Store>) {
    let room = begun(store.as_ref()).await;
    let batch = [
        post(room, 1, "a", "n"),
        post(room, 1, "a", "n"),
        post(room, 1, "b", "n"),
        post(room, 1, "c", "m"),
    ];
    let outcomes = commit(store.as_ref(), &batch).await;
    assert_eq!(
        (
            seq_of(&outcomes[0]),
            seq_of(&outcomes[1]),
            seq_of(&outcomes[3])
        ),
        (2, 2, 3)
    );
    assert_eq!(outcomes[2], Outcome::Refused(Refusal::NonceReused));
}

async fn a_nonce_is_per_user_and_room(store: Arc<dyn Store>) {
    let (one, two) = (begun(store.as_ref()).await, begun(store.as_ref()).await);
    commit(
        store.as_ref(),
        &[changes(one, vec![change(2, kind::JOIN, 2)])],
    )
    .await;
    let batch = [
        post(one, 1, "a", "n"),
        post(one, 2, "a", "n"),
        post(two, 1, "a", "n"),
    ];
    for outcome in commit(store.as_ref(), &batch).await {
        assert!(matches!(outcome, Outcome::Sent(_)), "{outcome:?}");
    }
}

async fn only_members_write_and_a_refusal_leaves_no_nonce(store: Arc<dyn Store>) {
    let room = begun(store.as_ref()).await;
    let refused = commit(store.as_ref(), &[post(room, 2, "hi", "n")]).await;
    assert_eq!(refused, [Outcome::Refused(Refusal::NotMember)]);
    let batch = [
        changes(room, vec![change(2, kind::JOIN, 2)]),
        post(room, 2, "another", "n"),
        changes(room, vec![change(3, kind::LEAVE, 2)]),
        post(room, 2, "too late", "m"),
    ];
    let outcomes = commit(store.as_ref(), &batch).await;
    assert_eq!(seq_of(&outcomes[1]), 3);
    assert_eq!(outcomes[3], Outcome::Refused(Refusal::NotMember));
    let position = store.position(room, uid(2)).await.unwrap().unwrap();
    assert_eq!((position.role, position.head), (0, Seq(4)));
}

async fn changes_are_applied_in_order_and_once(store: Arc<dyn Store>) {
    let room = begun(store.as_ref()).await;
    let gap = commit(
        store.as_ref(),
        &[changes(room, vec![change(3, kind::JOIN, 3)])],
    )
    .await;
    assert_eq!(gap, [Outcome::Refused(Refusal::Gap)]);
    let all = changes(
        room,
        vec![
            change(1, kind::JOIN, 1),
            change(2, kind::JOIN, 2),
            change(3, kind::JOIN, 3),
        ],
    );
    for events in [2, 0] {
        match &commit(store.as_ref(), std::slice::from_ref(&all)).await[0] {
            Outcome::Applied {
                applied: 3,
                events: new,
            } => assert_eq!(new.len(), events),
            other => panic!("{other:?}"),
        }
    }
}

async fn an_unknown_room_is_refused(store: Arc<dyn Store>) {
    let room = room();
    let outcomes = commit(store.as_ref(), &[post(room, 1, "hi", "n")]).await;
    assert_eq!(outcomes, [Outcome::Refused(Refusal::NoRoom)]);
    assert!(store.position(room, uid(1)).await.unwrap().is_none());
    let read = store.page(room, Some(uid(1)), Seq::START, 10).await;
    assert!(matches!(read, Err(ReadError::NoRoom)));
}

async fn outsiders_read_nothing(store: Arc<dyn Store>) {
    let room = begun(store.as_ref()).await;
    let page = store.page(room, Some(uid(9)), Seq::START, 10).await;
    assert!(matches!(page, Err(ReadError::NotMember)));
    let history = store.history(room, uid(9), NEWEST, 10).await;
    assert!(matches!(history, Err(ReadError::NotMember)));
}

async fn nothing_is_written_when_it_is_too_late(store: Arc<dyn Store>) {
    let room = begun(store.as_ref()).await;
    let entries = [post(room, 1, "late", "n")];
    let late = store.commit(&entries, NOW, Instant::now()).await;
    assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?}");
    assert_eq!(head_of(store.as_ref(), room).await, Seq(1));
    let in_time = commit(store.as_ref(), &entries).await;
    assert!(matches!(in_time[0], Outcome::Sent(_)), "{in_time:?}");
}

async fn time_never_goes_back_within_a_room(store: Arc<dyn Store>) {
    let room = begun(store.as_ref()).await;
    let mut last = Timestamp::from_micros(0);
    for (number, now) in [5_000_000, 2_000_000, 7_000_000].into_iter().enumerate() {
        let entry = post(room, 1, "tick", &number.to_string());
        let outcomes = store
            .commit(&[entry], Timestamp::from_micros(now), later())
            .await
            .unwrap();
        let Outcome::Sent(event) = &outcomes[0] else {
            panic!("{outcomes:?}")
        };
        assert!(event.at >= last);
        last = event.at;
    }
    assert_eq!(last, Timestamp::from_micros(7_000_000));
}

async fn a_page_of_history_lies_where_it_was_asked_for(store: Arc<dyn Store>) {
    let room = begun(store.as_ref()).await;
    for number in 0..5 {
        commit(store.as_ref(), &[post(room, 1, "m", &number.to_string())]).await;
    }
    let pages: [(HistoryFrom, u32, &[u64]); 10] = [
        (NEWEST, 3, &[6, 5, 4]),
        (HistoryFrom::UpTo(Some(Seq(2))), 9, &[2, 1]),
        (HistoryFrom::After(Seq(0)), 2, &[1, 2]),
        (HistoryFrom::After(Seq(4)), 9, &[5, 6]),
        (HistoryFrom::After(Seq(6)), 9, &[]),
        (HistoryFrom::Around(Seq(3)), 1, &[3]),
        (HistoryFrom::Around(Seq(3)), 2, &[4, 3]),
        (HistoryFrom::Around(Seq(3)), 5, &[5, 4, 3, 2, 1]),
        (HistoryFrom::Around(Seq(6)), 4, &[6, 5]),
        (HistoryFrom::Around(Seq(9)), 4, &[6, 5]),
    ];
    for (from, limit, expected) in pages {
        let page = store.history(room, uid(1), from, limit).await.unwrap();
        let ids: Vec<u64> = page.iter().map(|event| event.seq.get()).collect();
        assert_eq!(ids, expected, "{from:?}");
    }
}

async fn a_new_life_is_one_of_every_log_and_of_those_to_come(store: Arc<dyn Store>) {
    let old = begun(store.as_ref()).await;
    let before = store.position(old, uid(1)).await.unwrap().unwrap().epoch;
    let epoch = store.begin_epoch().await.unwrap();
    assert!(epoch > before);
    let new = begun(store.as_ref()).await;
    for room in [old, new] {
        let sent = commit(store.as_ref(), &[post(room, 1, "hello", "n")]).await;
        let Outcome::Sent(event) = &sent[0] else {
            panic!("{sent:?}")
        };
        assert_eq!(event.epoch, epoch);
        let page = store.page(room, Some(uid(1)), Seq::START, 9).await.unwrap();
        assert_eq!(page.position.epoch, epoch);
        assert!(page.events.iter().all(|event| event.epoch == epoch));
        assert_eq!(store.heads(&[room]).await.unwrap()[0].epoch, epoch);
    }
    assert!(store.begin_epoch().await.unwrap() > epoch);
}

async fn texts_come_back_as_they_went_in(store: Arc<dyn Store>) {
    let room = begun(store.as_ref()).await;
    for (number, text) in [
        "'\"\\",
        "line\nbreak\ttab",
        "😀 é 中",
        "null",
        "{\"a\":1}",
        "12",
    ]
    .iter()
    .enumerate()
    {
        commit(
            store.as_ref(),
            &[post(room, 1, text, &format!("\"{number}'"))],
        )
        .await;
        let newest = store.history(room, uid(1), NEWEST, 1).await.unwrap();
        assert_eq!(&newest[0].text, text);
    }
}

async fn what_is_published_is_noted_without_gaps(store: Arc<dyn Store>) {
    let room = begun(store.as_ref()).await;
    commit(
        store.as_ref(),
        &[post(room, 1, "a", "1"), post(room, 1, "b", "2")],
    )
    .await;
    let behind = || async {
        let all = store
            .behind(Timestamp::from_micros(2_000_000), 100_000)
            .await
            .unwrap();
        all.into_iter()
            .find(|it| it.room == room)
            .map(|it| (it.published.get(), it.head.get()))
    };
    let note = |from, to| {
        let store = Arc::clone(&store);
        async move {
            let done = [Published {
                room,
                from: Seq(from),
                to: Seq(to),
            }];
            store.note_published(&done).await.unwrap();
        }
    };
    assert_eq!(behind().await, Some((0, 3)));
    note(2, 3).await;
    assert_eq!(
        behind().await,
        Some((0, 3)),
        "a stretch over a gap does not count"
    );
    note(1, 2).await;
    assert_eq!(behind().await, Some((2, 3)));
    note(1, 1).await;
    assert_eq!(behind().await, Some((2, 3)), "it never goes back");
    note(3, 3).await;
    assert_eq!(behind().await, None);
}

async fn concurrent_batches_give_one_gapless_log(store: Arc<dyn Store>) {
    let room = begun(store.as_ref()).await;
    let writers = (0..4).map(|writer| {
        let store = Arc::clone(&store);
        async move {
            let mut seqs = Vec::new();
            for number in 0..25 {
                let entry = post(room, 1, "race", &format!("{writer}-{number}"));
                loop {
                    match &commit(store.as_ref(), std::slice::from_ref(&entry)).await[0] {
                        Outcome::Busy => tokio::task::yield_now().await,
                        outcome => break seqs.push(seq_of(outcome)),
                    }
                }
            }
            assert!(seqs.is_sorted());
            seqs
        }
    });
    let mut all: Vec<u64> = futures_util::future::join_all(writers).await.concat();
    all.sort_unstable();
    assert_eq!(all, (2..=101).collect::<Vec<_>>());
}

/// The store's answer once the room is free.
async fn settled(store: &dyn Store, entry: Entry) -> Outcome {
    loop {
        match commit(store, std::slice::from_ref(&entry))
            .await
            .swap_remove(0)
        {
            Outcome::Busy => tokio::task::yield_now().await,
            outcome => return outcome,
        }
    }
}

async fn nobody_writes_after_his_leave_however_they_race(store: Arc<dyn Store>) {
    let room = begun(store.as_ref()).await;
    for round in 0..8_u64 {
        let number = 2 + round * 2;
        settled(
            store.as_ref(),
            changes(room, vec![change(number, kind::JOIN, 2)]),
        )
        .await;
        let writers = (0..3).map(|writer| {
            let store = Arc::clone(&store);
            async move {
                for count in 0.. {
                    let nonce = format!("{round}-{writer}-{count}");
                    let outcome =
                        settled(store.as_ref(), post(room, 2, "still here", &nonce)).await;
                    if outcome == Outcome::Refused(Refusal::NotMember) {
                        return;
                    }
                }
            }
        });
        let leave = settled(
            store.as_ref(),
            changes(room, vec![change(number + 1, kind::LEAVE, 2)]),
        );
        let (_, leave) = tokio::join!(futures_util::future::join_all(writers), leave);
        let Outcome::Applied { events, .. } = leave else {
            panic!("{leave:?}")
        };
        let after = store.page(room, None, events[0].seq, 10).await.unwrap();
        assert!(
            after.events.is_empty(),
            "written after the leave: {:?}",
            after.events
        );
    }
}

/// Whoever waits for an answer may go away, by a deadline or with his connection.
async fn a_call_given_up_at_any_moment_leaves_nothing_to_the_next(store: Arc<dyn Store>) {
    let room = begun(&*store).await;
    for number in 0..40 {
        let mut polls = 1 + number % 8;
        let mut reading = store.page(room, Some(uid(1)), Seq::START, 10);
        std::future::poll_fn(|context| {
            polls -= 1;
            let read = reading.as_mut().poll(context).is_ready();
            if read || polls == 0 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        drop(reading);
        let post = post(room, 1, "still here", &format!("given up {number}"));
        let outcome = settled(&*store, post).await;
        assert!(matches!(outcome, Outcome::Sent(_)), "{outcome:?}");
    }
}

/// Runs laws on a file that no other test has.
#[cfg(feature = "sqlite")]
async fn on_sqlite(law: impl AsyncFnOnce(Arc<dyn Store>)) {
    let folder = tempfile::tempdir().unwrap();
    let store = super::sqlite::SqliteStore::open(&folder.path().join("message.db")).await;
    law(Arc::new(store.unwrap())).await;
}

/// Runs laws in a schema that no other test has.
#[cfg(feature = "servers")]
async fn on_postgres(law: impl AsyncFnOnce(Arc<dyn Store>)) {
    let connect = super::postgres::PostgresStore::connect;
    runtime::testing::on_postgres("message", 4, connect, async |store| {
        law(Arc::new(store)).await;
    })
    .await;
}

base::laws! {
    #[cfg(feature = "sqlite")]
    on_sqlite,
    #[cfg(feature = "servers")]
    on_postgres;
    the_creators_join_is_the_first_event,
    events_are_numbered_without_gaps_whatever_the_batches,
    a_repeat_gets_the_first_answer_and_writes_nothing,
    a_repeat_within_one_batch_leaves_no_hole,
    a_nonce_is_per_user_and_room,
    only_members_write_and_a_refusal_leaves_no_nonce,
    changes_are_applied_in_order_and_once,
    an_unknown_room_is_refused,
    outsiders_read_nothing,
    time_never_goes_back_within_a_room,
    nothing_is_written_when_it_is_too_late,
    a_page_of_history_lies_where_it_was_asked_for,
    a_new_life_is_one_of_every_log_and_of_those_to_come,
    texts_come_back_as_they_went_in,
    what_is_published_is_noted_without_gaps,
    concurrent_batches_give_one_gapless_log,
    nobody_writes_after_his_leave_however_they_race,
    a_call_given_up_at_any_moment_leaves_nothing_to_the_next,
    a_marker_never_moves_back,
    beyond_the_newest_event_nobody_has_read,
    only_members_have_a_marker,
    a_marker_begins_at_the_join_also_at_a_second_one,
    marks_of_several_are_moved_together,
    of_many_marks_at_once_the_furthest_stays,
    what_is_unread_are_messages_of_others_after_the_marker,
    what_is_unread_is_counted_among_the_newest_events,
}

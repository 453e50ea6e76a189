//! The laws of invitations.

use std::sync::Arc;

use base::{ChangeNo, RoomId, Timestamp, Uid, limits};
use tokio::task::JoinSet;

use super::{ANN, BOB, EVE, NOW, Shared, named, no, numbers, room, wish};
use crate::domain::{Change, ChangeKind, CodeHash, Invitation, NewInvitation, Refusal, Role, Wish};
use crate::store::ChangeError;

const CODE: CodeHash = CodeHash([7; 32]);
/// A while after [`NOW`].
const LATER: Timestamp = Timestamp::from_micros(NOW.micros() + 1_000_000);

fn invitation(room: RoomId, code: CodeHash, uses: Option<u32>) -> NewInvitation {
    NewInvitation {
        code,
        room,
        by: ANN,
        expires_at: LATER,
        uses,
    }
}

/// A code that no other number has.
fn code(number: u32) -> CodeHash {
    let mut code = [0; 32];
    code[..4].copy_from_slice(&number.to_be_bytes());
    CodeHash(code)
}

/// The refusal; anything else must not go wrong.
fn refusal<T>(outcome: Result<T, ChangeError>) -> Option<Refusal> {
    match outcome {
        Ok(_) => None,
        Err(ChangeError::Refused(refusal)) => Some(refusal),
        Err(ChangeError::Store(error)) => panic!("{error}"),
    }
}

async fn make(store: &Shared, new: &NewInvitation) -> Option<Refusal> {
    refusal(store.make_invitation(new, NOW).await)
}

async fn accept(store: &Shared, room: RoomId, uid: Uid) -> Result<ChangeNo, Refusal> {
    wish(store, room, Wish::Accept { uid, code: CODE }).await
}

async fn uses_left(store: &Shared) -> Option<u32> {
    let kept = store.invitation(CODE).await.unwrap();
    kept.unwrap().uses_left
}

pub(super) async fn what_a_code_leads_to_is_as_it_was_made(store: Shared) {
    let id = store.create(&named("den", ANN, true), NOW).await.unwrap();
    for (code, uses) in [(code(1), None), (code(2), Some(3))] {
        assert_eq!(make(&store, &invitation(id, code, uses)).await, None);
        let expected = Invitation {
            room: store.room(id).await.unwrap().unwrap(),
            expires_at: LATER,
            uses_left: uses,
        };
        assert_eq!(store.invitation(code).await.unwrap(), Some(expected));
    }
    assert_eq!(store.invitation(code(3)).await.unwrap(), None);
}

pub(super) async fn an_invitation_lets_in_as_many_as_it_says(store: Shared) {
    let id = store.create(&named("den", ANN, true), NOW).await.unwrap();
    make(&store, &invitation(id, CODE, Some(1))).await;
    assert_eq!(accept(&store, id, BOB).await, Ok(no(2)));
    let joined = Change {
        no: no(2),
        kind: ChangeKind::Join,
        uid: BOB,
        by: BOB,
        role: Some(Role::Member),
    };
    assert_eq!(store.pending(id).await.unwrap()[1], joined);
    assert_eq!(store.role(id, BOB).await.unwrap(), Some(Role::Member));
    assert_eq!(uses_left(&store).await, Some(0));
    assert_eq!(accept(&store, id, EVE).await, Err(Refusal::NoInvitation));
    assert_eq!(numbers(&store, id).await, [1, 2]);
    // Any number.
    let other = store.create(&named("other", ANN, true), NOW).await.unwrap();
    make(&store, &invitation(other, code(1), None)).await;
    for uid in [BOB, EVE] {
        let accept = Wish::Accept { uid, code: code(1) };
        wish(&store, other, accept).await.unwrap();
    }
    assert_eq!(numbers(&store, other).await, [1, 2, 3]);
}

pub(super) async fn who_is_in_takes_no_use(store: Shared) {
    let id = room(&store, "lobby").await;
    make(&store, &invitation(id, CODE, Some(2))).await;
    assert_eq!(accept(&store, id, ANN).await, Err(Refusal::Already));
    assert_eq!(uses_left(&store).await, Some(2));
    let first = accept(&store, id, BOB).await.unwrap();
    // Unfinished, and so found again.
    assert_eq!(accept(&store, id, BOB).await, Ok(first));
    assert_eq!(uses_left(&store).await, Some(1));
    store.applied(id, first).await.unwrap();
    assert_eq!(accept(&store, id, BOB).await, Err(Refusal::Already));
    assert_eq!(uses_left(&store).await, Some(1));
}

pub(super) async fn who_came_in_by_the_last_use_finds_his_own_change(store: Shared) {
    let id = room(&store, "lobby").await;
    make(&store, &invitation(id, CODE, Some(1))).await;
    let first = accept(&store, id, BOB).await.unwrap();
    assert_eq!(accept(&store, id, BOB).await, Ok(first));
    store.applied(id, first).await.unwrap();
    assert_eq!(accept(&store, id, BOB).await, Err(Refusal::Already));
    assert_eq!(accept(&store, id, EVE).await, Err(Refusal::NoInvitation));
}

pub(super) async fn what_is_good_no_more_lets_nobody_in(store: Shared) {
    let (id, other) = (room(&store, "lobby").await, room(&store, "other").await);
    assert_eq!(accept(&store, id, BOB).await, Err(Refusal::NoInvitation));
    make(&store, &invitation(id, CODE, None)).await;
    // It leads elsewhere.
    assert_eq!(accept(&store, other, BOB).await, Err(Refusal::NoInvitation));
    let late = Wish::Accept {
        uid: BOB,
        code: CODE,
    };
    let late = store.change(id, late, LATER).await;
    assert_eq!(refusal(late), Some(Refusal::NoInvitation));
    let withdrawn = store.withdraw_invitation(id, CODE, ANN, NOW).await;
    assert_eq!(refusal(withdrawn), None);
    assert_eq!(store.invitation(CODE).await.unwrap(), None);
    assert_eq!(accept(&store, id, BOB).await, Err(Refusal::NoInvitation));
    assert_eq!(numbers(&store, id).await, [1]);
}

pub(super) async fn of_two_who_want_the_last_use_one_gets_it(store: Shared) {
    let id = room(&store, "lobby").await;
    make(&store, &invitation(id, CODE, Some(1))).await;
    let mut wanting = JoinSet::new();
    for uid in [BOB, EVE] {
        let store = Arc::clone(&store);
        wanting.spawn(async move { accept(&store, id, uid).await });
    }
    let mut outcomes = wanting.join_all().await;
    outcomes.sort_by_key(Result::is_err);
    assert_eq!(outcomes, [Ok(no(2)), Err(Refusal::NoInvitation)]);
    assert_eq!(uses_left(&store).await, Some(0));
    assert_eq!(numbers(&store, id).await, [1, 2]);
}

pub(super) async fn only_the_owner_makes_invitations_and_withdraws_them(store: Shared) {
    let id = room(&store, "lobby").await;
    wish(&store, id, Wish::Join { uid: BOB }).await.unwrap();
    make(&store, &invitation(id, CODE, None)).await;
    for by in [BOB, EVE] {
        let new = NewInvitation {
            by,
            ..invitation(id, code(1), None)
        };
        assert_eq!(make(&store, &new).await, Some(Refusal::NotOwner));
        let withdrawn = store.withdraw_invitation(id, CODE, by, NOW).await;
        assert_eq!(refusal(withdrawn), Some(Refusal::NotOwner));
    }
    assert_eq!(store.invitation(code(1)).await.unwrap(), None);
    let nowhere = RoomId::new(99).unwrap();
    let made = make(&store, &invitation(nowhere, code(1), None)).await;
    assert_eq!(made, Some(Refusal::NoRoom));
    for (code, now) in [(code(1), NOW), (CODE, LATER)] {
        let withdrawn = store.withdraw_invitation(id, code, ANN, now).await;
        assert_eq!(refusal(withdrawn), Some(Refusal::NoInvitation));
    }
}

pub(super) async fn who_made_an_invitation_withdraws_it_when_he_has_left(store: Shared) {
    let id = room(&store, "lobby").await;
    make(&store, &invitation(id, CODE, None)).await;
    wish(&store, id, Wish::Leave { uid: ANN }).await.unwrap();
    accept(&store, id, BOB).await.unwrap();
    let withdrawn = store.withdraw_invitation(id, CODE, BOB, NOW).await;
    assert_eq!(refusal(withdrawn), Some(Refusal::NotOwner));
    let withdrawn = store.withdraw_invitation(id, CODE, ANN, NOW).await;
    assert_eq!(refusal(withdrawn), None);
    assert_eq!(accept(&store, id, EVE).await, Err(Refusal::NoInvitation));
}

pub(super) async fn a_room_has_so_many_invitations_at_once(store: Shared) {
    let (id, other) = (room(&store, "lobby").await, room(&store, "other").await);
    make(&store, &invitation(other, CODE, None)).await;
    for number in 1..=limits::INVITATIONS {
        let new = invitation(id, code(number), Some(1));
        assert_eq!(make(&store, &new).await, None, "{number}");
    }
    let more = invitation(id, code(0), None);
    assert_eq!(make(&store, &more).await, Some(Refusal::TooMany));
    // One is used up, and makes room for another.
    let first = Wish::Accept {
        uid: BOB,
        code: code(1),
    };
    wish(&store, id, first).await.unwrap();
    assert_eq!(make(&store, &more).await, None);
    assert_eq!(store.invitation(code(1)).await.unwrap(), None);
    // All have expired.
    let late = NewInvitation {
        expires_at: Timestamp::from_micros(LATER.micros() + 1),
        ..invitation(id, code(1), None)
    };
    assert_eq!(refusal(store.make_invitation(&late, LATER).await), None);
    assert_eq!(store.invitation(code(2)).await.unwrap(), None);
    assert!(store.invitation(CODE).await.unwrap().is_some());
}

//! Codes that let whoever has one into a room.

use std::time::Duration;

use base::{Clock, SystemClock};
use client::wire::{Code, MAX_ID, Problem, RoomId};
use client::{Api, Method};
use http::HeaderMap;
use tokio::time::{interval, timeout};

use crate::harness::{User, refused, unique};

/// A code for a room of `owner`'s that so many may come in by.
async fn code_for(owner: &User, room: RoomId, max_uses: Option<u32>) -> String {
    let made = owner.api().make_invitation(room, max_uses, None).await;
    made.unwrap().code
}

/// What is said of a code that is not good, in the words of both routes.
async fn words_about(api: &Api, code: &str) -> Vec<String> {
    let mut words = Vec::new();
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let path = format!("/invites/{code}");
        let answer = api.raw(method, &path, HeaderMap::new(), "").await.unwrap();
        assert_eq!(answer.status, 404, "{code}: {answer:?}");
        let problem: Problem = answer.json().unwrap();
        assert_eq!(problem.code, Code::NotFound);
        words.push(format!("{} {}", problem.title, problem.detail));
    }
    words
}

scenarios! {
    async fn who_has_a_code_comes_into_a_private_room(world: World) {
        let (ann, bob) = world.two_users().await;
        let name = unique("P");
        let room = ann.api().create_room(&name, true).await.unwrap();
        let mut feed = ann.enter(room).await;
        let code = code_for(&ann, room, None).await;
        let invited = bob.api_at(1).invitation(&code).await.unwrap();
        assert_eq!((invited.room_id, invited.name), (room, name));
        // To have seen where it leads is not to be in.
        refused(bob.api().room(room).await, Code::NotFound);
        assert_eq!(bob.api_at(1).accept_invitation(&code).await.unwrap(), room);
        assert_eq!(feed.sees_join(bob.uid).await.by, None);
        bob.say(room, "thanks").await;
        feed.hears("thanks").await;
        assert_eq!(bob.api().rooms().await.unwrap(), [room]);
    }

    async fn as_many_come_in_by_a_code_as_it_says(world: World) {
        let (ann, bob, carl) = world.three_users().await;
        let room = ann.private_room().await;
        let code = code_for(&ann, room, Some(1)).await;
        bob.api().accept_invitation(&code).await.unwrap();
        // Who is in hears that he is, whatever became of the code: a first try may have let
        // him in without his knowing.
        let nobody_more = [
            (carl.api(), Code::NotFound),
            (bob.api_at(1), Code::Conflict),
            (ann.api(), Code::Conflict),
        ];
        for (api, code_of_it) in nobody_more {
            refused(api.accept_invitation(&code).await, code_of_it);
            refused(api.invitation(&code).await, Code::NotFound);
        }
        let any = code_for(&ann, room, None).await;
        carl.api_at(1).accept_invitation(&any).await.unwrap();
        assert_eq!(carl.api().members(room, None, 9).await.unwrap().members.len(), 3);
    }

    async fn who_is_in_takes_no_use_of_a_code(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.private_room().await;
        let code = code_for(&ann, room, Some(1)).await;
        refused(ann.api_at(1).accept_invitation(&code).await, Code::Conflict);
        bob.api().accept_invitation(&code).await.unwrap();
        let code = code_for(&ann, room, Some(1)).await;
        refused(bob.api().accept_invitation(&code).await, Code::Conflict);
        bob.api().leave(room).await.unwrap();
        bob.api().accept_invitation(&code).await.unwrap();
        let history = ann.api().messages(room, None, 100).await.unwrap();
        assert_eq!(history.len(), 4);
    }

    async fn of_two_at_once_on_the_last_use_one_gets_in(world: World) {
        let (ann, bob, carl) = world.three_users().await;
        for _ in 0..5 {
            let room = ann.private_room().await;
            let code = code_for(&ann, room, Some(1)).await;
            let (first, second) = tokio::join!(
                bob.api_at(0).accept_invitation(&code),
                carl.api_at(1).accept_invitation(&code),
            );
            assert_ne!(first.is_ok(), second.is_ok(), "{first:?} {second:?}");
            refused(if first.is_err() { first } else { second }, Code::NotFound);
            assert_eq!(ann.api().members(room, None, 9).await.unwrap().members.len(), 2);
        }
    }

    async fn of_one_who_accepts_twice_at_once_a_use_is_taken_once(world: World) {
        let (ann, bob, carl) = world.three_users().await;
        let room = ann.private_room().await;
        let code = code_for(&ann, room, Some(2)).await;
        let (first, second) = tokio::join!(
            bob.api_at(0).accept_invitation(&code),
            bob.api_at(1).accept_invitation(&code),
        );
        assert!(first.is_ok() || second.is_ok(), "{first:?} {second:?}");
        carl.api().accept_invitation(&code).await.unwrap();
        assert_eq!(ann.api().messages(room, None, 100).await.unwrap().len(), 3);
    }

    async fn only_the_creator_makes_codes_and_withdraws_them(world: World) {
        let (ann, bob, carl) = world.three_users().await;
        let room = ann.room_with(&[&bob]).await;
        let code = code_for(&ann, room, None).await;
        for user in [&bob, &carl] {
            refused(user.api().make_invitation(room, None, None).await, Code::PermissionDenied);
            refused(user.api().withdraw_invitation(&code).await, Code::PermissionDenied);
        }
        let nowhere = RoomId::new(MAX_ID).unwrap();
        refused(ann.api().make_invitation(nowhere, None, None).await, Code::NotFound);
        let nobody = world.gateway(0);
        refused(nobody.make_invitation(room, None, None).await, Code::Unauthenticated);
        refused(nobody.invitation(&code).await, Code::Unauthenticated);
        refused(nobody.accept_invitation(&code).await, Code::Unauthenticated);
        refused(nobody.withdraw_invitation(&code).await, Code::Unauthenticated);
        ann.api_at(1).withdraw_invitation(&code).await.unwrap();
        refused(carl.api().accept_invitation(&code).await, Code::NotFound);
    }

    async fn who_leaves_as_the_last_can_still_withdraw_his_code(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.private_room().await;
        let code = code_for(&ann, room, None).await;
        ann.api().leave(room).await.unwrap();
        refused(bob.api().withdraw_invitation(&code).await, Code::PermissionDenied);
        ann.api_at(1).withdraw_invitation(&code).await.unwrap();
        refused(bob.api().accept_invitation(&code).await, Code::NotFound);
    }

    async fn a_code_that_is_good_no_more_is_like_one_that_never_was(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.private_room().await;
        let never = words_about(bob.api(), "AAAAAAAAAAAAAAAAAAAAAA").await;
        let used_up = code_for(&ann, room, Some(1)).await;
        bob.api().accept_invitation(&used_up).await.unwrap();
        bob.api().leave(room).await.unwrap();
        let withdrawn = code_for(&ann, room, None).await;
        ann.api().withdraw_invitation(&withdrawn).await.unwrap();
        let second = Some(Duration::from_secs(1));
        let expired = ann.api().make_invitation(room, None, second).await.unwrap().code;
        let expiring = async {
            let mut again = interval(Duration::from_millis(50));
            while bob.api().invitation(&expired).await.is_ok() {
                again.tick().await;
            }
        };
        timeout(Duration::from_secs(10), expiring).await.expect("it expires");
        for code in [used_up, withdrawn, expired] {
            assert_eq!(words_about(bob.api(), &code).await, never);
            refused(ann.api_at(1).invitation(&code).await, Code::NotFound);
            refused(ann.api_at(1).withdraw_invitation(&code).await, Code::NotFound);
        }
        let long = "x".repeat(5_000);
        for code in ["x", "%00", "%ff%fe", "a%2Fb", "AAAAAAAAAAAAAAAAAAAAA%3D", &long] {
            assert_eq!(words_about(bob.api(), code).await, never, "{code}");
        }
    }

    async fn a_code_is_long_and_good_for_a_week_where_nobody_said_otherwise(world: World) {
        let ann = world.user().await;
        let path = format!("/rooms/{}/invites", ann.room().await);
        for body in ["", "{}", r#"{"MaxUses":null,"ExpiresIn":null}"#] {
            let answer = ann.api().raw(Method::POST, &path, HeaderMap::new(), body).await.unwrap();
            assert_eq!(answer.status, 201, "{answer:?}");
            let made: client::wire::response::Invitation = answer.json().unwrap();
            assert_eq!(made.code.len(), 22);
            assert!(made.code.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it)));
            let left = made.expires_at.micros() - SystemClock.now().micros();
            let week = 7 * 24 * 3600 * 1_000_000;
            assert!((week - 60_000_000..=week + 60_000_000).contains(&left), "{left}");
        }
    }

    async fn a_room_has_so_many_codes_at_once(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.private_room().await;
        let first = code_for(&ann, room, Some(1)).await;
        let second = code_for(&ann, room, None).await;
        for _ in 2..100 {
            code_for(&ann, room, None).await;
        }
        let full = async || refused(ann.api().make_invitation(room, None, None).await, Code::Conflict);
        full().await;
        bob.api().accept_invitation(&first).await.unwrap();
        code_for(&ann, room, None).await;
        full().await;
        ann.api().withdraw_invitation(&second).await.unwrap();
        code_for(&ann, room, None).await;
        full().await;
        // Another room's do not count.
        code_for(&ann, ann.room().await, None).await;
    }
}

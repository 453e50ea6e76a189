//! Rate limits: they are on by default, say when to come back, and count by who asks.

use std::time::Duration;

use client::wire::frame::ServerFrame;
use client::wire::{Code, Problem};
use client::{Answer, Api, Method, Socket};
use http::HeaderMap;
use serde_json::json;

use crate::harness::unique;

/// More than any limit lets through at once.
const MANY: usize = 300;

/// Asks until it is too much, and gives the answer that says so. Each time another
/// client claims, by a header that nobody vouches for, to be somewhere else.
async fn until_limited(
    api: &Api,
    method: &Method,
    path: &str,
    body: impl Fn() -> String,
) -> Answer {
    for number in 0..MANY {
        let mut headers = HeaderMap::new();
        let elsewhere = format!("203.0.113.{}", number % 250);
        headers.insert("x-forwarded-for", elsewhere.parse().unwrap());
        let answer = api
            .raw(method.clone(), path, headers, body())
            .await
            .unwrap();
        if answer.status == 429 {
            return answer;
        }
        assert!(answer.status < 500, "{answer:?}");
    }
    panic!("{path} takes {MANY} requests at once");
}

/// Asserts that the answer is whole, and gives how long it says to wait.
fn wait_of(answer: &Answer) -> Duration {
    let problem: Problem = answer.json().unwrap();
    assert_eq!((problem.status, problem.code), (429, Code::RateLimited));
    for header in ["ratelimit", "ratelimit-policy"] {
        assert!(
            answer.header(header).is_some_and(|value| !value.is_empty()),
            "{header}"
        );
    }
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3600).contains(&wait), "{wait}");
    Duration::from_secs(wait)
}

/// Asks many at once, again and again, until it is too much.
async fn at_once_until_limited<F>(api: &Api, ask: impl Fn(Api) -> F)
where
    F: Future<Output = client::Error> + Send + 'static,
{
    for _ in 0..40 {
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..50 {
            asking.spawn(ask(api.clone()));
        }
        for refusal in asking.join_all().await {
            match refusal.code() {
                Some(Code::RateLimited) => return,
                code => assert_eq!(code, Some(Code::Unauthenticated), "{refusal:?}"),
            }
        }
    }
    panic!("two thousand requests at once, and none was too many");
}

fn registration() -> String {
    let name = unique("u");
    let email = format!("{name}@example.org");
    json!({ "Username": name, "Email": email, "Password": "secret secret" }).to_string()
}

scenarios! {
    async fn registrations_are_limited_by_address(world: World) {
        let own = world.own(true).await;
        let answer = until_limited(own.gateway(0), &Method::POST, "/register", registration).await;
        wait_of(&answer);
        own.stop().await;
    }

    async fn logins_are_limited_and_a_wrong_password_gains_nothing(world: World) {
        let own = world.own(true).await;
        let ann = own.user().await;
        let wrong = || json!({ "Email": ann.email, "Password": "not it at all" }).to_string();
        let answer = until_limited(own.gateway(0), &Method::PUT, "/login", wrong).await;
        wait_of(&answer);
        // Nor does the right one, until it is time.
        let right = own.gateway(0).login(&ann.email, &ann.password).await.unwrap_err();
        assert_eq!(right.code(), Some(Code::RateLimited));
        // Who is in already stays in.
        ann.api().profile().await.unwrap();
        own.stop().await;
    }

    async fn who_waits_as_told_is_let_in(world: World) {
        let own = world.own(true).await;
        let nobody = || json!({ "Email": "nobody@example.org", "Password": "not it at all" }).to_string();
        let answer = until_limited(own.gateway(0), &Method::PUT, "/login", nobody).await;
        let wait = wait_of(&answer);
        if wait <= Duration::from_mins(1) {
            // To wait is what the answer asks for.
            tokio::time::sleep(wait).await;
            let again = own.gateway(0).login("nobody@example.org", "not it at all").await.unwrap_err();
            assert_eq!(again.code(), Some(Code::Unauthenticated));
        }
        own.stop().await;
    }

    async fn a_token_is_no_leave_to_try_passwords(world: World) {
        let own = world.own(true).await;
        let ann = own.user().await;
        let wrong = || json!({ "OldPassword": "not it at all", "NewPassword": "another password" }).to_string();
        let answer = until_limited(ann.api(), &Method::PUT, "/change-password", wrong).await;
        wait_of(&answer);
        let right = ann.api().change_password(&ann.password, "another password").await.unwrap_err();
        assert_eq!(right.code(), Some(Code::RateLimited));
        ann.api().profile().await.unwrap();
        own.stop().await;
    }

    async fn refresh_tokens_and_tickets_are_not_to_be_tried_out(world: World) {
        let own = world.own(true).await;
        let api = own.gateway(0);
        let refresh = |api: Api| async move { api.refresh("1.AAAA", None).await.unwrap_err() };
        let enter = |api: Api| async move {
            Socket::connect_with_ticket(&api, "AAAA").await.unwrap_err()
        };
        at_once_until_limited(api, refresh).await;
        at_once_until_limited(api, enter).await;
        own.stop().await;
    }

    async fn every_route_without_a_token_is_limited_by_address(world: World) {
        let own = world.own(true).await;
        let api = own.gateway(0);
        let mut limited = false;
        for _ in 0..40 {
            let mut asking = tokio::task::JoinSet::new();
            for _ in 0..50 {
                let api = api.clone();
                asking.spawn(async move { api.raw(Method::GET, "/profile/1", HeaderMap::new(), "").await });
            }
            let answers = asking.join_all().await;
            limited |= answers.into_iter().any(|answer| answer.is_ok_and(|answer| answer.status == 429));
            if limited {
                break;
            }
        }
        assert!(limited, "two thousand requests at once, and none was too many");
        own.stop().await;
    }

    async fn looking_at_all_of_ones_rooms_is_limited_by_user(world: World) {
        let own = world.own(true).await;
        let (ann, bob) = own.two_users().await;
        let mut looking = tokio::task::JoinSet::new();
        // Few enough for the limit of all requests.
        let many = MANY / 2;
        for _ in 0..many {
            let api = ann.api().clone();
            looking.spawn(async move { api.room_details().await });
        }
        let refusals: Vec<_> = looking.join_all().await.into_iter().filter_map(Result::err).collect();
        assert!(!refusals.is_empty(), "{many} at once, and none was too many");
        for refusal in refusals {
            assert_eq!(refusal.code(), Some(Code::RateLimited), "{refusal:?}");
        }
        bob.api().room_details().await.unwrap();
        own.stop().await;
    }

    async fn sends_are_limited_by_user_on_whatever_connection(world: World) {
        let own = world.own(true).await;
        let (ann, bob) = own.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let mut feeds = [ann.enter(room).await, ann.enter(room).await];
        let mut limited = None;
        for number in 0..5 * MANY {
            let socket = &mut feeds[number % 2].socket;
            if let Err(error) = socket.say("again").await {
                assert_eq!(error.code(), Some(Code::RateLimited), "{error:?}");
                assert!(error.retryable());
                limited = Some(number);
                break;
            }
        }
        if limited.is_none() {
            // One at a time may be slow enough; without waiting it is not.
            for _ in 0..5 * MANY {
                feeds[0].send(json!({ "Type": "message", "Text": "again" })).await;
            }
            loop {
                match feeds[0].socket.next().await.unwrap() {
                    ServerFrame::Error(fault) => {
                        assert_eq!(fault.code, Code::RateLimited);
                        break;
                    }
                    ServerFrame::Event(_) | ServerFrame::Sent(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        // Bob has a bucket of his own.
        bob.say(room, "not my doing").await;
        own.stop().await;
    }

    async fn without_limits_nothing_is_too_much(world: World) {
        let ann = world.user().await;
        let room = ann.room().await;
        for _ in 0..4 {
            let mut asking = tokio::task::JoinSet::new();
            for _ in 0..50 {
                let api = ann.api().clone();
                asking.spawn(async move { api.room(room).await.unwrap() });
            }
            asking.join_all().await;
        }
    }
}

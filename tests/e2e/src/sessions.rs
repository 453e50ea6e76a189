//! Sessions: renewed, listed, ended; another password; tickets. What ends a session ends
//! its connections on every gateway.

use std::time::Duration;

use base::{Clock, SystemClock};
use client::wire::Code;
use client::wire::response::LoggedIn;
use client::{Answer, Api, Method, Socket};
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::harness::{User, refused};

/// How soon an end must be felt.
const AT_ONCE: Duration = Duration::from_secs(1);
/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// One more session of a user's.
pub(crate) async fn log_in(user: &User) -> (Api, LoggedIn) {
    let session = user.log_in().await;
    (user.api().with_token(&session.token), session)
}

/// The same session at the other gateway.
pub(crate) fn elsewhere(user: &User, api: &Api) -> Api {
    user.api_at(1).with_token(api.token().unwrap())
}

/// Asserts that the connection is closed with 4001 within a second of `began`.
pub(crate) async fn ends_with_4001(socket: Socket, began: Instant) {
    ends_with_4001_within(AT_ONCE, socket, began).await;
}

/// The same, within `limit`.
pub(crate) async fn ends_with_4001_within(limit: Duration, mut socket: Socket, began: Instant) {
    let end = timeout(PATIENCE, async {
        loop {
            if let Err(error) = socket.next_within(PATIENCE).await {
                return error;
            }
        }
    });
    let end = end.await.expect("the connection ends");
    assert_eq!(end.close_code(), Some(4001), "{end:?}");
    assert!(began.elapsed() < limit, "after {:?}", began.elapsed());
}

/// Asserts that a token is refused within a second of `began`, and from then on.
pub(crate) async fn is_refused(api: &Api, began: Instant) {
    while let Ok(profile) = api.profile().await {
        assert!(began.elapsed() < AT_ONCE, "{} is let in", profile.uid);
    }
    refused(api.profile().await, Code::Unauthenticated);
    refused(api.connect().await, Code::Unauthenticated);
}

async fn ask(api: &Api, method: Method, path: &str, body: &str) -> Answer {
    let answer = api.raw(method, path, HeaderMap::new(), body.to_owned());
    answer.await.unwrap()
}

/// Logs in again and again until the password has changed; gives the sessions it got.
async fn log_in_until(
    changed: watch::Receiver<bool>,
    api: Api,
    name: String,
    password: String,
) -> Vec<LoggedIn> {
    let mut opened = Vec::new();
    while !*changed.borrow() {
        match api.login_by_name(&name, &password).await {
            Ok(session) => opened.push(session),
            Err(no) => assert!(
                matches!(no.code(), Some(Code::Unauthenticated | Code::Unavailable)),
                "{no:?}"
            ),
        }
    }
    opened
}

scenarios! {
    async fn a_refresh_gives_a_new_pair_and_the_old_one_is_good_no_more(world: World) {
        let ann = world.user().await;
        let (api, first) = log_in(&ann).await;
        let mut socket = api.connect().await.unwrap();
        let second = api.refresh(&first.refresh_token, None).await.unwrap();
        assert_eq!(second.session_id, first.session_id);
        assert_ne!(second.refresh_token, first.refresh_token);
        assert!(second.expires_at >= first.expires_at);
        let renewed = ann.api_at(1).with_token(&second.token);
        assert_eq!(renewed.profile().await.unwrap().uid, ann.uid);
        let third = renewed.refresh(&second.refresh_token, None).await.unwrap();
        assert_eq!(third.session_id, first.session_id);
        socket.ping().await.unwrap();
    }

    async fn a_refresh_token_used_twice_ends_its_session_everywhere(world: World) {
        let ann = world.user().await;
        let (api, first) = log_in(&ann).await;
        let second = api.refresh(&first.refresh_token, None).await.unwrap();
        let renewed = api.with_token(&second.token);
        let here = renewed.connect().await.unwrap();
        let there = elsewhere(&ann, &renewed).connect().await.unwrap();
        let mut others = ann.connect_at(1).await;
        let began = Instant::now();
        refused(ann.api_at(1).refresh(&first.refresh_token, None).await, Code::Unauthenticated);
        tokio::join!(ends_with_4001(here, began), ends_with_4001(there, began));
        is_refused(&renewed, began).await;
        is_refused(&elsewhere(&ann, &renewed), began).await;
        refused(api.refresh(&second.refresh_token, None).await, Code::Unauthenticated);
        others.ping().await.unwrap();
        ann.api().profile().await.unwrap();
    }

    async fn a_refresh_repeated_with_its_key_gets_the_same_pair(world: World) {
        let ann = world.user().await;
        let (_, first) = log_in(&ann).await;
        let mut refreshing = JoinSet::new();
        for gateway in 0..8 {
            let (api, token) = (ann.api_at(gateway % 2).clone(), first.refresh_token.clone());
            refreshing.spawn(async move { api.refresh(&token, Some("k")).await.unwrap() });
        }
        let answers = refreshing.join_all().await;
        assert!(answers.iter().all(|it| *it == answers[0]), "{answers:?}");
        let api = ann.api().with_token(&answers[0].token);
        assert_eq!(api.refresh(&first.refresh_token, Some("k")).await.unwrap(), answers[0]);
        api.profile().await.unwrap();
        api.refresh(&answers[0].refresh_token, None).await.unwrap();
        let began = Instant::now();
        refused(api.refresh(&first.refresh_token, Some("another")).await, Code::Unauthenticated);
        is_refused(&api, began).await;
    }

    async fn what_is_no_refresh_token_is_refused_and_ends_nothing(world: World) {
        let ann = world.user().await;
        let (api, session) = log_in(&ann).await;
        let guessed = format!("{}.{}", session.session_id, "A".repeat(43));
        let (_, secret) = session.refresh_token.split_once('.').unwrap();
        let another = format!("{}.{secret}", session.session_id.get() + 1);
        let long = "x".repeat(10_000);
        for token in ["", ".", "x", "1.", "0.x", &session.token, &guessed, &another, &long] {
            refused(api.refresh(token, None).await, Code::Unauthenticated);
        }
        api.profile().await.unwrap();
        api.refresh(&session.refresh_token, None).await.unwrap();
    }

    async fn a_logout_ends_the_session_and_its_connections_everywhere(world: World) {
        let ann = world.user().await;
        let (api, session) = log_in(&ann).await;
        let there = elsewhere(&ann, &api);
        let sockets = [
            api.connect().await.unwrap(),
            api.connect().await.unwrap(),
            there.connect().await.unwrap(),
        ];
        there.profile().await.unwrap();
        let mut others = ann.connect_at(1).await;
        let began = Instant::now();
        api.logout().await.unwrap();
        // Where it was said it holds at once.
        refused(api.profile().await, Code::Unauthenticated);
        let [one, two, three] = sockets.map(|socket| ends_with_4001(socket, began));
        tokio::join!(one, two, three, is_refused(&api, began), is_refused(&there, began));
        refused(api.logout().await, Code::Unauthenticated);
        refused(api.refresh(&session.refresh_token, None).await, Code::Unauthenticated);
        others.ping().await.unwrap();
        ann.api_at(1).profile().await.unwrap();
    }

    async fn a_connection_in_the_midst_of_things_ends_with_its_session(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let (api, _) = log_in(&bob).await;
        let mut socket = elsewhere(&bob, &api).connect().await.unwrap();
        socket.enter(room).await.unwrap();
        ann.say(room, "hello").await;
        socket.next().await.unwrap();
        let began = Instant::now();
        api.logout().await.unwrap();
        ends_with_4001(socket, began).await;
        // Who is logged out elsewhere is a member still.
        bob.say(room, "still here").await;
    }

    async fn sessions_are_listed_with_what_tells_them_apart(world: World) {
        let ann = world.user().await;
        let body = json!({ "Username": ann.name, "Password": ann.password }).to_string();
        let phone = HeaderValue::from_static("Phone/2 (pink)");
        let headers = HeaderMap::from_iter([(header::USER_AGENT, phone)]);
        let before = SystemClock.now();
        let answer = ann.api().raw(Method::PUT, "/login", headers, body).await.unwrap();
        let session: LoggedIn = answer.json().unwrap();
        let api = ann.api_at(1).with_token(&session.token);
        let listed = api.sessions().await.unwrap();
        assert_eq!(listed.len(), 2);
        let (phone, first) = (&listed[0], &listed[1]);
        assert_eq!(phone.session_id, session.session_id);
        assert_eq!(phone.device, "Phone/2 (pink)");
        assert_eq!(phone.address, "127.0.0.1");
        assert!(phone.current && !first.current);
        assert!(first.created_at <= before && phone.created_at >= before);
        assert!(listed.iter().all(|it| it.created_at <= it.last_used));
        let seen_by_first = ann.api().sessions().await.unwrap();
        assert!(!seen_by_first[0].current && seen_by_first[1].current);
        let answer = ask(&api, Method::GET, "/sessions", "").await;
        let shown: Value = answer.json().unwrap();
        let mut keys: Vec<_> = shown["Sessions"][0].as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(keys, ["Address", "CreatedAt", "Current", "Device", "LastUsed", "SessionID"]);
    }

    async fn a_session_is_ended_by_its_user_and_nobody_else(world: World) {
        let (ann, bob) = world.two_users().await;
        let (api, _) = log_in(&ann).await;
        let other = api.sessions().await.unwrap()[1].session_id;
        refused(bob.api().end_session(other).await, Code::NotFound);
        let mut socket = ann.connect_at(1).await;
        socket.ping().await.unwrap();
        let began = Instant::now();
        api.end_session(other).await.unwrap();
        ends_with_4001(socket, began).await;
        is_refused(ann.api_at(1), began).await;
        refused(api.end_session(other).await, Code::NotFound);
        refused(api.end_session(client::wire::session_id("9007199254740991").unwrap()).await, Code::NotFound);
        assert_eq!(api.sessions().await.unwrap().len(), 1);
    }

    async fn ones_own_session_is_ended_like_any_other(world: World) {
        let ann = world.user().await;
        let (api, session) = log_in(&ann).await;
        let socket = api.connect().await.unwrap();
        let began = Instant::now();
        api.end_session(session.session_id).await.unwrap();
        ends_with_4001(socket, began).await;
        is_refused(&api, began).await;
    }

    async fn all_others_end_at_once_and_this_one_stays(world: World) {
        let (ann, bob) = world.two_users().await;
        let (one, session) = log_in(&ann).await;
        let (two, _) = log_in(&ann).await;
        let (first, mut own) = (one.connect().await.unwrap(), two.connect().await.unwrap());
        let there = elsewhere(&ann, &one).connect().await.unwrap();
        let mut bobs = bob.connect().await;
        let began = Instant::now();
        two.end_other_sessions().await.unwrap();
        tokio::join!(ends_with_4001(first, began), ends_with_4001(there, began));
        is_refused(ann.api(), began).await;
        is_refused(&one, began).await;
        refused(one.refresh(&session.refresh_token, None).await, Code::Unauthenticated);
        own.ping().await.unwrap();
        two.profile().await.unwrap();
        bobs.ping().await.unwrap();
        assert_eq!(two.sessions().await.unwrap().len(), 1);
        two.end_other_sessions().await.unwrap();
    }

    async fn another_password_ends_all_other_sessions(world: World) {
        let ann = world.user().await;
        let (api, session) = log_in(&ann).await;
        let (here, there) = (ann.connect().await, ann.connect_at(1).await);
        let mut own = elsewhere(&ann, &api).connect().await.unwrap();
        let new = "another password";
        refused(api.change_password("not it at all", new).await, Code::PermissionDenied);
        refused(api.change_password("", new).await, Code::PermissionDenied);
        refused(api.change_password(&ann.password, "short").await, Code::InvalidArgument);
        let began = Instant::now();
        api.change_password(&ann.password, new).await.unwrap();
        let changed = Instant::now();
        assert!(changed - began < PATIENCE);
        tokio::join!(ends_with_4001(here, changed), ends_with_4001(there, changed));
        is_refused(ann.api(), changed).await;
        is_refused(ann.api_at(1), changed).await;
        own.ping().await.unwrap();
        api.refresh(&session.refresh_token, None).await.unwrap();
        refused(api.login_by_name(&ann.name, &ann.password).await, Code::Unauthenticated);
        refused(api.change_password(&ann.password, new).await, Code::PermissionDenied);
        api.login_by_name(&ann.name, new).await.unwrap();
        assert_eq!(api.sessions().await.unwrap().len(), 2);
    }

    async fn a_login_under_way_with_the_old_password_comes_to_nothing(world: World) {
        let ann = world.user().await;
        let api = ann.api();
        let mut old = ann.password.clone();
        for round in 0..4 {
            let new = format!("password number {round}");
            let (tell_changed, changed) = watch::channel(false);
            let mut logins = JoinSet::new();
            for number in 0..8 {
                let api = ann.api_at(number % 2).clone();
                logins.spawn(log_in_until(changed.clone(), api, ann.name.clone(), old.clone()));
            }
            let began = Instant::now();
            while let Err(busy) = api.change_password(&old, &new).await {
                assert_eq!(busy.code(), Some(Code::Unavailable), "{busy:?}");
                assert!(began.elapsed() < PATIENCE, "{busy:?}");
            }
            tell_changed.send_replace(true);
            let opened: Vec<LoggedIn> = logins.join_all().await.into_iter().flatten().collect();
            assert!(!opened.is_empty(), "none was quick enough for this to show anything");
            for session in opened {
                is_refused(&api.with_token(&session.token), Instant::now()).await;
            }
            let left = api.sessions().await.unwrap();
            assert!(left.len() == 1 && left[0].current, "round {round}: {left:?}");
            old = new;
        }
    }

    async fn a_ticket_opens_one_connection(world: World) {
        let ann = world.user().await;
        let (api, _) = log_in(&ann).await;
        let made = SystemClock.now();
        let ticket = api.ticket().await.unwrap();
        let life = Duration::from_secs(30);
        assert!(ticket.expires_at >= made.after(life));
        assert!(ticket.expires_at <= SystemClock.now().after(life));
        let nobody = world.gateway(1);
        let mut socket = Socket::connect_with_ticket(nobody, &ticket.ticket).await.unwrap();
        let room = ann.room().await;
        socket.enter(room).await.unwrap();
        socket.say("by ticket").await.unwrap();
        for ticket in [ticket.ticket.as_str(), "x", "", "%00", api.token().unwrap()] {
            refused(Socket::connect_with_ticket(nobody, ticket).await, Code::Unauthenticated);
        }
        let unused = api.ticket().await.unwrap().ticket;
        let began = Instant::now();
        api.logout().await.unwrap();
        ends_with_4001(socket, began).await;
        refused(Socket::connect_with_ticket(nobody, &unused).await, Code::Unauthenticated);
        refused(api.ticket().await, Code::Unauthenticated);
    }

    async fn of_many_who_come_with_one_ticket_one_gets_in(world: World) {
        let ann = world.user().await;
        for _ in 0..5 {
            let ticket = ann.api().ticket().await.unwrap().ticket;
            let mut connecting = JoinSet::new();
            for gateway in 0..6 {
                let (api, ticket) = (world.gateway(gateway % 2).clone(), ticket.clone());
                connecting.spawn(async move { Socket::connect_with_ticket(&api, &ticket).await });
            }
            let mut inside = 0;
            for outcome in connecting.join_all().await {
                match outcome {
                    Ok(_) => inside += 1,
                    refusal => drop(refused(refusal, Code::Unauthenticated)),
                }
            }
            assert_eq!(inside, 1);
        }
    }

    async fn a_request_that_comes_to_nothing_takes_no_ticket(world: World) {
        let ann = world.user().await;
        let ticket = ann.api().ticket().await.unwrap().ticket;
        let path = format!("/ws?ticket={ticket}");
        assert_eq!(ask(world.gateway(0), Method::GET, &path, "").await.status, 426);
        Socket::connect_with_ticket(world.gateway(1), &ticket).await.unwrap();
        // A ticket is for a WebSocket and for nothing else.
        let path = format!("/profile?ticket={}", ann.api().ticket().await.unwrap().ticket);
        assert_eq!(ask(world.gateway(0), Method::GET, &path, "").await.status, 401);
    }

    async fn answers_about_sessions_are_spelled_as_documented(world: World) {
        let ann = world.user().await;
        let (api, session) = log_in(&ann).await;
        let body = json!({ "refreshTOKEN": session.refresh_token }).to_string();
        let answer = ask(world.gateway(0), Method::POST, "/refresh", &body).await;
        let pair: Value = answer.json().unwrap();
        for key in ["token", "RefreshToken", "ExpiresAt", "SessionID"] {
            assert!(pair[key].is_string() || pair[key].is_u64(), "{pair}");
        }
        let answer = ask(&api, Method::POST, "/ws-ticket", "").await;
        let ticket: Value = answer.json().unwrap();
        assert!(ticket["Ticket"].is_string() && ticket["ExpiresAt"].is_string(), "{ticket}");
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
        let body = json!({ "OldPassword": ann.password, "NewPassword": "another password" }).to_string();
        let answer = ask(&api, Method::PUT, "/change-password", &body).await;
        assert_eq!((answer.status, &*answer.body), (200, &br#"{"status":"password changed"}"#[..]));
        let answer = ask(&api, Method::DELETE, "/sessions", "").await;
        assert_eq!((answer.status, &*answer.body), (200, &br#"{"status":"ended"}"#[..]));
        let other = api.login_by_name(&ann.name, "another password").await.unwrap();
        let path = format!("/sessions/{}", other.session_id);
        let answer = ask(&api, Method::DELETE, &path, "").await;
        assert_eq!((answer.status, &*answer.body), (200, &br#"{"status":"ended"}"#[..]));
        let answer = ask(&api, Method::POST, "/logout", "").await;
        assert_eq!((answer.status, &*answer.body), (200, &br#"{"status":"logged out"}"#[..]));
    }
}

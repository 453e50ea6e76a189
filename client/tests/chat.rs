//! What a chat does when things fail, against a server that fails as it is told.
#![cfg(test)]

mod scripted;

use std::time::Duration;

use client::wire::{Code, Seq};
use client::{Chat, Ended, Error, Events, Gone, Item, Start, Status, Timings};
use futures_util::future::join;
use serde_json::{Value, json};
use tokio::time::Instant;

use scripted::{OWN, Server, Ws, at, comes, event, login, next, room, soon, swift};

/// A chat that follows room 1 after event 2.
async fn following(server: &mut Server) -> (Chat, Events, Ws) {
    let (chat, events) = server.chat().start().unwrap();
    let (began, ws) = join(chat.subscribe(room(1), Start::After(at(2))), async {
        let mut ws = server.socket().await;
        ws.grant(Some(2), 2, json!({})).await;
        ws
    })
    .await;
    assert_eq!(began.unwrap(), at(2));
    (chat, events, ws)
}

/// A chat that follows room 1 from its beginning and lets four events wait.
async fn narrow(server: &mut Server) -> (Chat, Events, Ws) {
    let (chat, events) = server.chat().queue(4).start().unwrap();
    let (began, ws) = join(chat.subscribe(room(1), Start::After(at(0))), async {
        let mut ws = server.socket().await;
        ws.grant(Some(0), 0, json!({})).await;
        ws
    })
    .await;
    began.unwrap();
    (chat, events, ws)
}

#[tokio::test]
async fn a_room_goes_on_where_it_was_however_the_connection_ended() {
    let mut server = Server::start().await;
    let (_chat, mut events, mut ws) = following(&mut server).await;
    let mut seq = 2;
    for end in [Some(1001), Some(4008), None, Some(1011)] {
        seq += 1;
        ws.say(&event("message", seq, 1)).await;
        comes(&mut events, seq, seq).await;
        match end {
            Some(code) => ws.close(code).await,
            None => drop(ws),
        }
        ws = server.socket().await;
        let wish = ws.hear_a("subscribe").await;
        assert_eq!((&wish["After"], &wish["Epoch"]), (&json!(seq), &json!(1)));
        let head = seq + 1;
        ws.say(&json!({
            "Type": "subscribe", "RoomID": 1, "Seq": head, "Epoch": 1, "First": 1, "Ref": wish["Ref"]
        }))
        .await;
        ws.say(&event("novelty", head, 1)).await;
        let Item::Unknown { position, .. } = next(&mut events).await else {
            panic!("an event of an unknown kind counts")
        };
        assert_eq!(position.seq, Seq(head));
        seq = head;
    }
}

#[tokio::test]
async fn who_is_told_that_a_gateway_goes_away_is_at_another_at_once() {
    let (mut server, mut other) = (Server::start().await, Server::start().await);
    let timings = Timings {
        retry_least: Duration::from_hours(1),
        retry_most: Duration::from_hours(1),
        ..swift()
    };
    let chat = server.chat().gateway(&other.base).timings(timings);
    let (chat, _events) = chat.start().unwrap();
    server.socket().await.close(1001).await;
    let _ws = other.socket().await;
    assert_eq!(chat.api().base(), other.base);
}

#[tokio::test]
async fn a_silent_server_is_left() {
    let mut server = Server::start().await;
    let silence = Duration::from_millis(50);
    let timings = Timings { silence, ..swift() };
    let (_chat, _events) = server.chat().timings(timings).start().unwrap();
    let quiet = server.socket().await;
    let _ws = server.socket().await;
    assert_eq!(quiet.goodbye().await, None);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_asked_for_elsewhere() {
    let mut server = Server::start().await;
    let answer = Duration::from_millis(50);
    let timings = Timings { answer, ..swift() };
    let (chat, _events) = server.chat().timings(timings).start().unwrap();
    let following = chat.subscribe(room(1), Start::Now);
    let (began, _ws) = join(following, async {
        let mut deaf = server.socket().await;
        deaf.hear_a("subscribe").await;
        let mut ws = server.socket().await;
        ws.grant(None, 9, json!({})).await;
        ws
    })
    .await;
    assert_eq!(began.unwrap(), at(9));
}

#[tokio::test]
async fn an_ended_session_ends_everything_with_a_word() {
    let mut server = Server::start().await;
    let (chat, mut events, mut ws) = following(&mut server).await;
    let (sent, ()) = join(soon(chat.send(room(1), "hi")), async {
        ws.hear_a("message").await;
        ws.close(4001).await;
    })
    .await;
    assert!(
        matches!(sent, Err(Error::Ended(Ended::Session))),
        "{sent:?}"
    );
    assert_eq!(next(&mut events).await, Item::Ended(Ended::Session));
    assert_eq!(soon(events.next()).await, None);
    let later = chat.send(room(1), "hi").await;
    assert!(
        matches!(later, Err(Error::Ended(Ended::Session))),
        "{later:?}"
    );
    assert!(!server.has_socket());
}

#[tokio::test]
async fn after_the_end_nobody_waits_although_events_do() {
    let mut server = Server::start().await;
    let (chat, mut events, mut ws) = narrow(&mut server).await;
    for seq in 1..=9 {
        ws.say(&event("message", seq, 1)).await;
    }
    let (sent, ()) = join(soon(chat.send(room(1), "hi")), async {
        ws.hear_a("message").await;
        ws.close(4001).await;
    })
    .await;
    assert!(matches!(sent, Err(Error::Ended(_))), "{sent:?}");
    let sent = join(chat.send(room(1), "hi"), chat.send(room(2), "hi"));
    let (one, two) = soon(sent).await;
    let began = soon(chat.subscribe(room(2), Start::Now)).await;
    for refused in [one.map(drop), two.map(drop), began.map(drop)] {
        assert!(
            matches!(refused, Err(Error::Ended(Ended::Session))),
            "{refused:?}"
        );
    }
    comes(&mut events, 1, 9).await;
    assert_eq!(next(&mut events).await, Item::Ended(Ended::Session));
}

#[tokio::test]
async fn who_floods_stays_away_for_a_while() {
    let mut server = Server::start().await;
    let flood_pause = Duration::from_millis(300);
    let timings = Timings {
        flood_pause,
        ..swift()
    };
    let (_chat, _events) = server.chat().timings(timings).start().unwrap();
    let ws = server.socket().await;
    let since = Instant::now();
    ws.close(4029).await;
    let _ws = server.socket().await;
    assert!(since.elapsed() >= flood_pause);
}

#[tokio::test]
async fn a_message_is_sent_again_with_its_nonce_until_it_is_answered() {
    let mut server = Server::start().await;
    let (chat, _events, mut ws) = following(&mut server).await;
    let (sent, _ws) = join(chat.send(room(1), "hi"), async {
        let first = ws.hear_a("message").await;
        // It may be in the log; the answer is lost.
        drop(ws);
        let mut ws = server.socket().await;
        ws.grant(Some(2), 2, json!({})).await;
        for code in ["unavailable", "deadline_exceeded", "rate_limited"] {
            let again = ws.hear_a("message").await;
            assert_eq!(
                (&again["Nonce"], &again["Text"]),
                (&first["Nonce"], &json!("hi"))
            );
            ws.refuse(&again, code).await;
        }
        let again = ws.hear_a("message").await;
        assert_eq!(again["Nonce"], first["Nonce"]);
        ws.sent(&again, 3).await;
        ws
    })
    .await;
    assert_eq!(sent.unwrap().message_id, Seq(3));
}

#[tokio::test]
async fn messages_of_a_room_wait_for_each_other_and_a_refused_one_holds_nobody_up() {
    let mut server = Server::start().await;
    let (chat, _events, mut ws) = following(&mut server).await;
    let (one, two) = (chat.send(room(1), "one"), chat.send(room(1), "two"));
    let sending = join(one, two);
    let ((one, two), ()) = join(sending, async {
        let first = ws.hear_a("message").await;
        assert_eq!(first["Text"], "one");
        ws.refuse(&first, "unavailable").await;
        let again = ws.hear_a("message").await;
        assert_eq!(again["Text"], "one", "two must not pass one");
        ws.refuse(&again, "permission_denied").await;
        let asked = server.request().await;
        assert_eq!(asked.body["Text"], "one");
        asked.refuse(403, "permission_denied", "").await;
        let second = ws.hear_a("message").await;
        assert_eq!(second["Text"], "two");
        assert_ne!(second["Nonce"], first["Nonce"]);
        ws.sent(&second, 3).await;
    })
    .await;
    assert_eq!(one.unwrap_err().code(), Some(Code::PermissionDenied));
    assert_eq!(two.unwrap().message_id, Seq(3));
}

#[tokio::test]
async fn a_connection_that_lost_the_room_does_not_have_the_last_word() {
    let mut server = Server::start().await;
    let (chat, _events, mut ws) = following(&mut server).await;
    // He was sent away and is back; of neither has the client heard.
    let (sent, ()) = join(chat.send(room(1), "hi"), async {
        let message = ws.hear_a("message").await;
        ws.refuse(&message, "permission_denied").await;
        let asked = server.request().await;
        assert_eq!(asked.body["Nonce"], message["Nonce"]);
        let posted = json!({"MessageID": 5, "Timestamp": "2026-01-02T03:04:05.678Z"});
        asked.answer(201, "", &posted).await;
    })
    .await;
    assert_eq!(sent.unwrap().message_id, Seq(5));
}

#[tokio::test]
async fn what_stands_before_the_server_does_not_have_the_last_word() {
    let mut server = Server::start().await;
    let (chat, _events) = server.chat().start().unwrap();
    let (sent, ()) = join(chat.send(room(2), "hi"), async {
        let page = json!("<html>");
        let mut nonces = Vec::new();
        for status in [404, 500, 520, 200] {
            let asked = server.request().await;
            nonces.push(asked.body["Nonce"].clone());
            asked.answer(status, "", &page).await;
        }
        let again = server.request().await;
        assert!(nonces.iter().all(|nonce| *nonce == again.body["Nonce"]));
        let posted = json!({"MessageID": 4, "Timestamp": "2026-01-02T03:04:05.678Z"});
        again.answer(201, "", &posted).await;
    })
    .await;
    assert_eq!(sent.unwrap().message_id, Seq(4));
}

#[tokio::test]
async fn a_message_given_up_is_not_sent_again_and_the_next_goes() {
    let mut server = Server::start().await;
    let (chat, _events, mut ws) = following(&mut server).await;
    {
        let given_up = chat.send(room(1), "given up");
        tokio::pin!(given_up);
        tokio::select! {
            sent = &mut given_up => panic!("{sent:?}"),
            first = ws.hear_a("message") => ws.refuse(&first, "unavailable").await,
        }
    }
    let (sent, ()) = join(chat.send(room(1), "next"), async {
        // It may have been sent once more before it was given up.
        let next = loop {
            let message = ws.hear_a("message").await;
            if message["Text"] == "next" {
                break message;
            }
            ws.refuse(&message, "unavailable").await;
        };
        ws.sent(&next, 3).await;
    })
    .await;
    assert_eq!(sent.unwrap().message_id, Seq(3));
}

#[tokio::test]
async fn a_message_to_a_room_that_is_not_followed_goes_over_http_and_waits_as_asked() {
    let mut server = Server::start().await;
    let (chat, _events) = server.chat().start().unwrap();
    let (sent, ()) = join(chat.send_as(room(2), "hi", "mine"), async {
        let asked = server.request().await;
        assert!(
            asked.line.starts_with("POST /messages/2 "),
            "{}",
            asked.line
        );
        assert_eq!(asked.body, json!({"Text": "hi", "Nonce": "mine"}));
        let since = Instant::now();
        asked.refuse(503, "unavailable", "retry-after: 1\r\n").await;
        let again = server.request().await;
        assert!(since.elapsed() >= Duration::from_secs(1));
        assert_eq!(again.body["Nonce"], "mine");
        let posted = json!({"MessageID": 4, "Timestamp": "2026-01-02T03:04:05.678Z"});
        again.answer(201, "", &posted).await;
    })
    .await;
    assert_eq!(sent.unwrap().message_id, Seq(4));
}

#[tokio::test]
async fn a_refused_token_is_replaced_with_a_key_that_makes_it_safe_to_ask_twice() {
    let mut server = Server::start().await;
    server.takes("token-two");
    let (chat, _events) = server.chat().start().unwrap();
    let first = server.request().await;
    assert!(first.line.starts_with("POST /refresh "));
    assert_eq!(first.body, json!({"RefreshToken": "refresh-one"}));
    let key = first.header("idempotency-key").unwrap();
    // The answer is lost.
    drop(first);
    let again = server.request().await;
    assert_eq!(again.header("idempotency-key"), Some(key.clone()));
    let mut tokens = chat.tokens();
    again.answer(200, "", &login("two")).await;
    let _ws = server.socket().await;
    soon(tokens.changed()).await.unwrap();
    assert_eq!(tokens.borrow().token, "token-two");
    assert_eq!(chat.api().token(), Some("token-two"));
    assert_eq!(soon(chat.uid()).await.unwrap().get(), OWN);
}

#[tokio::test]
async fn a_refused_refresh_token_is_the_end() {
    let mut server = Server::start().await;
    server.takes("token-two");
    let (chat, mut events) = server.chat().start().unwrap();
    let refresh = server.request().await;
    refresh.refuse(401, "unauthenticated", "").await;
    assert_eq!(next(&mut events).await, Item::Ended(Ended::Session));
    assert_eq!(*chat.status().borrow(), Status::Ended(Ended::Session));
    let uid = soon(chat.uid()).await;
    assert!(matches!(uid, Err(Error::Ended(Ended::Session))), "{uid:?}");
}

fn page(first: u64, last: u64, head: u64) -> Value {
    let events: Vec<Value> = (first..=last).map(|seq| event("message", seq, 1)).collect();
    json!({"Events": events, "Head": head, "Epoch": 1, "First": 1})
}

#[tokio::test]
async fn what_a_replay_does_not_give_is_read_page_by_page() {
    let mut server = Server::start().await;
    let (chat, mut events) = server.chat().start().unwrap();
    let (began, mut ws) = join(chat.subscribe(room(1), Start::Beginning), async {
        let mut ws = server.socket().await;
        ws.grant(Some(0), 9, json!({"Truncated": true})).await;
        ws
    })
    .await;
    assert_eq!(began.unwrap(), at(0));
    ws.say(&event("message", 9, 1)).await;
    let first = server.request().await;
    let line = "GET /rooms/1/events?After=0&Limit=1000&Epoch=1 ";
    assert!(first.line.starts_with(line), "{}", first.line);
    first.answer(200, "", &page(1, 5, 9)).await;
    comes(&mut events, 1, 5).await;
    let second = server.request().await;
    assert!(second.line.contains("After=5"), "{}", second.line);
    second.refuse(503, "unavailable", "").await;
    let again = server.request().await;
    assert!(again.line.contains("After=5"), "{}", again.line);
    again.answer(200, "", &page(6, 10, 10)).await;
    ws.grant(Some(10), 11, json!({})).await;
    ws.say(&event("message", 11, 1)).await;
    comes(&mut events, 6, 11).await;
}

#[tokio::test]
async fn a_log_of_another_life_is_said_and_goes_on_with_its_newest() {
    let mut server = Server::start().await;
    let (_chat, mut events, ws) = following(&mut server).await;
    ws.close(4008).await;
    let mut ws = server.socket().await;
    let another = json!({"Reset": true, "Epoch": 2, "First": 1});
    ws.grant(Some(2), 1_500, another).await;
    ws.say(&event("message", 501, 1)).await;
    let Item::Reset(reset) = next(&mut events).await else {
        panic!("no reset")
    };
    assert_eq!((reset.position.seq, reset.head), (Seq(500), Seq(1_500)));
    comes(&mut events, 501, 501).await;
}

#[tokio::test]
async fn a_hole_is_not_passed_over() {
    let mut server = Server::start().await;
    let (_chat, mut events, mut ws) = following(&mut server).await;
    // A repeat is nothing to leave for.
    for seq in [3, 3, 4, 6] {
        ws.say(&event("message", seq, 1)).await;
    }
    let mut next = server.socket().await;
    assert_eq!(ws.goodbye().await, None);
    next.grant(Some(4), 6, json!({})).await;
    for seq in [5, 6] {
        next.say(&event("message", seq, 1)).await;
    }
    comes(&mut events, 3, 6).await;
}

#[tokio::test]
async fn a_room_that_the_user_left_ends_with_a_word() {
    let mut server = Server::start().await;
    let (chat, mut events, mut ws) = following(&mut server).await;
    ws.say(&event("leave", 3, OWN)).await;
    let wish = ws.hear_a("subscribe").await;
    assert_eq!(wish["After"], 3);
    ws.refuse(&wish, "permission_denied").await;
    comes(&mut events, 3, 3).await;
    let gone = Item::Gone {
        room: room(1),
        why: Gone::Left { by: None },
    };
    assert_eq!(next(&mut events).await, gone);
    let (began, ()) = join(chat.subscribe(room(1), Start::After(at(3))), async {
        ws.grant(Some(3), 4, json!({})).await;
    })
    .await;
    assert_eq!(began.unwrap(), at(3));
}

#[tokio::test]
async fn a_membership_that_is_lost_during_the_replay_ends_the_room() {
    let mut server = Server::start().await;
    let (_chat, mut events, ws) = following(&mut server).await;
    drop(ws);
    let mut ws = server.socket().await;
    let wish = ws.hear_a("subscribe").await;
    let (reference, head) = (wish["Ref"].clone(), 9);
    let granted = json!({
        "Type": "subscribe", "RoomID": 1, "Seq": head, "Epoch": 1, "First": 1, "Ref": reference
    });
    ws.say(&granted).await;
    ws.say(&event("message", 3, 1)).await;
    ws.refuse(&wish, "permission_denied").await;
    comes(&mut events, 3, 3).await;
    let Item::Gone {
        why: Gone::Refused(no),
        ..
    } = next(&mut events).await
    else {
        panic!("the room goes on")
    };
    assert_eq!(no.code, Some(Code::PermissionDenied));
}

#[tokio::test]
async fn a_room_that_one_may_not_follow_is_refused() {
    let mut server = Server::start().await;
    let (chat, _events) = server.chat().start().unwrap();
    let (began, ()) = join(chat.subscribe(room(1), Start::Now), async {
        let mut ws = server.socket().await;
        let wish = ws.hear_a("subscribe").await;
        ws.refuse(&wish, "unavailable").await;
        let again = ws.hear_a("subscribe").await;
        ws.refuse(&again, "permission_denied").await;
    })
    .await;
    assert_eq!(began.unwrap_err().code(), Some(Code::PermissionDenied));
}

#[tokio::test]
async fn who_takes_nothing_stops_the_server() {
    let mut server = Server::start().await;
    let (_chat, mut events, mut ws) = narrow(&mut server).await;
    let last = 3_000;
    let mut long = event("message", 0, 1);
    long["Text"] = json!("x".repeat(16 * 1024));
    let writing = async {
        for seq in 1..=last {
            long["Seq"] = json!(seq);
            ws.say(&long).await;
        }
    };
    tokio::pin!(writing);
    let stuck = tokio::time::timeout(Duration::from_millis(300), &mut writing).await;
    assert!(stuck.is_err(), "48 MB went somewhere");
    // Nothing was left to the log: it all comes from where it got stuck.
    join(comes(&mut events, 1, last), writing).await;
}

#[tokio::test]
async fn who_takes_nothing_is_answered_all_the_same_and_misses_nothing() {
    let mut server = Server::start().await;
    let (chat, mut events, mut ws) = narrow(&mut server).await;
    for seq in 1..=1_000 {
        ws.say(&event("message", seq, 1)).await;
    }
    // The one who should take the events waits for an answer that comes after them.
    let (sent, ()) = join(soon(chat.send(room(1), "hi")), async {
        let message = ws.hear_a("message").await;
        ws.sent(&message, 1_001).await;
    })
    .await;
    assert_eq!(sent.unwrap().message_id, Seq(1_001));
    let ((), _ws) = join(comes(&mut events, 1, 1_001), async {
        let asked = server.request().await;
        let after: u64 = asked
            .line
            .split(['=', '&'])
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        assert!(
            (4..=80).contains(&after),
            "{after} events were kept in memory"
        );
        asked.answer(200, "", &page(after + 1, 1_000, 1_000)).await;
        ws.grant(Some(1_000), 1_001, json!({})).await;
        ws.say(&event("message", 1_001, 1)).await;
        ws
    })
    .await;
}

#[tokio::test]
async fn who_has_a_last_page_to_take_is_answered_all_the_same() {
    let mut server = Server::start().await;
    let (chat, mut events) = server.chat().queue(4).start().unwrap();
    let (began, mut ws) = join(chat.subscribe(room(1), Start::Beginning), async {
        let mut ws = server.socket().await;
        ws.grant(Some(0), 9, json!({"Truncated": true})).await;
        ws
    })
    .await;
    began.unwrap();
    let asked = server.request().await;
    asked.answer(200, "", &page(1, 9, 9)).await;
    comes(&mut events, 1, 1).await;
    let (sent, ()) = join(soon(chat.send(room(1), "hi")), async {
        ws.grant(Some(9), 9, json!({})).await;
        let message = ws.hear_a("message").await;
        ws.sent(&message, 10).await;
    })
    .await;
    assert_eq!(sent.unwrap().message_id, Seq(10));
    let following = soon(chat.subscribe(room(2), Start::Now));
    let (began, ()) = join(following, ws.grant(None, 3, json!({}))).await;
    assert_eq!(began.unwrap(), at(3));
    ws.say(&event("message", 10, 1)).await;
    comes(&mut events, 2, 10).await;
}

#[tokio::test]
async fn who_has_events_to_take_is_answered_after_a_cut() {
    let mut server = Server::start().await;
    let (chat, mut events, mut ws) = narrow(&mut server).await;
    for seq in 1..=9 {
        ws.say(&event("message", seq, 1)).await;
    }
    let (sent, mut ws) = join(soon(chat.send(room(1), "hi")), async {
        ws.hear_a("message").await;
        ws.close(1001).await;
        let mut ws = server.socket().await;
        ws.grant(Some(9), 9, json!({})).await;
        let again = ws.hear_a("message").await;
        ws.sent(&again, 10).await;
        ws
    })
    .await;
    assert_eq!(sent.unwrap().message_id, Seq(10));
    ws.say(&event("message", 10, 1)).await;
    comes(&mut events, 1, 10).await;
}

#[tokio::test]
async fn who_closes_says_goodbye_and_who_drops_is_gone() {
    let mut server = Server::start().await;
    let (chat, mut events, ws) = following(&mut server).await;
    let (code, ()) = join(ws.goodbye(), chat.close()).await;
    assert_eq!(code, Some(1000));
    assert_eq!(soon(events.next()).await, None);
    let (chat, mut events, ws) = following(&mut server).await;
    drop(chat);
    assert_eq!(ws.goodbye().await, None);
    assert_eq!(soon(events.next()).await, None);
}

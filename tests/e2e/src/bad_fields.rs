//! Every rule of the fields of request bodies, at its bound and over it.

use client::wire::{Code, Problem, RoomId, Uid};
use client::{Api, Method};
use http::HeaderMap;
use serde_json::{Value, json};

use crate::harness::unique;

/// Asserts that the request is refused as `invalid_argument` and that the words name
/// the field.
async fn names(api: &Api, method: Method, path: &str, body: impl Into<Vec<u8>>, field: &str) {
    let body = body.into();
    let shown = String::from_utf8_lossy(&body[..body.len().min(120)]).into_owned();
    let answer = api.raw(method, path, HeaderMap::new(), body).await.unwrap();
    assert_eq!(answer.status, 400, "{path} {shown}: {answer:?}");
    let problem: Problem = answer.json().unwrap();
    assert_eq!(problem.code, Code::InvalidArgument);
    assert!(
        problem.detail.starts_with(field),
        "{path} {shown}: {}",
        problem.detail
    );
}

/// A registration that is right but for what `change` does to it.
fn registration(change: impl FnOnce(&mut Value)) -> String {
    let name = unique("u");
    let email = format!("{name}@example.org");
    let mut body = json!({ "Username": name, "Email": email, "Password": "secret secret" });
    change(&mut body);
    body.to_string()
}

async fn register(api: &Api, field: &str, value: impl Into<Value>) -> u16 {
    let body = registration(|body| body[field] = value.into());
    api.raw(Method::POST, "/register", HeaderMap::new(), body)
        .await
        .unwrap()
        .status
}

/// What is no string.
fn no_strings() -> Vec<Value> {
    vec![
        json!(1),
        json!(1.5),
        json!(true),
        json!([]),
        json!(["x"]),
        json!({}),
        json!(null),
    ]
}

/// What is no id, as JSON text.
const NO_IDS: [&str; 15] = [
    "0",
    "-1",
    "1.0",
    "1.5",
    "1e3",
    "\"1\"",
    "\"x\"",
    "true",
    "null",
    "[]",
    "[1]",
    "{}",
    "9007199254740992",
    "9223372036854775808",
    "18446744073709551616",
];

/// Texts that no name of a user may be.
fn no_usernames() -> Vec<String> {
    let mut names = vec![String::new(), "ab".into(), "é".repeat(21), "x".repeat(21)];
    for inside in [
        '\0', '\u{1}', '\n', '\t', ' ', '-', '.', '@', '/', '\u{200b}', '😀', '\u{7f}',
    ] {
        names.push(format!("ab{inside}c"));
    }
    names.push("x".repeat(60_000));
    names
}

scenarios! {
    async fn a_registration_lacking_something_is_told_what(world: World) {
        for field in ["Username", "Email", "Password"] {
            let body = registration(|body| drop(body.as_object_mut().unwrap().remove(field)));
            names(world.gateway(0), Method::POST, "/register", body, field).await;
            for value in no_strings() {
                let body = registration(|body| body[field] = value);
                names(world.gateway(0), Method::POST, "/register", body, field).await;
            }
        }
    }

    async fn a_username_has_3_to_20_letters_digits_or_underscores(world: World) {
        for name in no_usernames() {
            let body = registration(|body| body["Username"] = name.into());
            names(world.gateway(0), Method::POST, "/register", body, "Username").await;
        }
        let number: String = unique("").chars().rev().take(9).collect();
        for padding in ["_", "é", "ж", "字"] {
            let name = format!("{number}{}", padding.repeat(11));
            assert_eq!(register(world.gateway(0), "Username", name).await, 201, "{padding}");
        }
    }

    async fn a_new_name_obeys_the_same_rules(world: World) {
        let ann = world.user().await;
        for name in no_usernames() {
            let body = json!({ "NewName": name }).to_string();
            names(ann.api(), Method::PUT, "/change-name", body, "NewName").await;
        }
        for value in no_strings() {
            let body = json!({ "NewName": value }).to_string();
            names(ann.api(), Method::PUT, "/change-name", body, "NewName").await;
        }
        names(ann.api(), Method::PUT, "/change-name", "{}", "NewName").await;
        assert_eq!(ann.api().profile().await.unwrap().username, ann.name);
    }

    async fn an_email_has_one_at_and_a_dot_behind_it(world: World) {
        let too_long = format!("{}@example.org", "x".repeat(243));
        let bad = [
            "", "x", "a@b", "@example.org", "a@", "a@@b.c", "a@b@c.d", "a b@c.d", "a@.c", "a@b.",
            "a\0@b.c", "a\n@b.c", too_long.as_str(),
        ];
        for email in bad {
            let body = registration(|body| body["Email"] = email.into());
            names(world.gateway(0), Method::POST, "/register", body, "Email").await;
        }
        let name = unique("x");
        let longest = format!("{name}{}@example.org", "x".repeat(242 - name.len()));
        assert_eq!(longest.len(), 254);
        assert_eq!(register(world.gateway(0), "Email", longest).await, 201);
    }

    async fn a_password_has_8_to_128_characters(world: World) {
        for password in ["", "1234567", "ééééééé", "12345678\0", &"x".repeat(129)] {
            let body = registration(|body| body["Password"] = password.into());
            names(world.gateway(0), Method::POST, "/register", body, "Password").await;
        }
        for password in ["12345678", "éééééééé", "        ", &"é".repeat(128), "\n\t\u{1}xxxxx"] {
            assert_eq!(register(world.gateway(0), "Password", password).await, 201, "{password:?}");
        }
    }

    async fn a_login_lacking_something_is_told_what(world: World) {
        let gateway = world.gateway(0);
        for (body, field) in [
            (json!({ "Password": "x" }), "Email"),
            (json!({ "Email": 1, "Password": "x" }), "Email"),
            (json!({ "Username": 1, "Password": "x" }), "Username"),
            (json!({ "Email": "a@b.c" }), "Password"),
            (json!({ "Email": "a@b.c", "Password": 1 }), "Password"),
            (json!({ "Email": "a@b.c", "Password": null }), "Password"),
        ] {
            for method in [Method::PUT, Method::POST] {
                names(gateway, method, "/login", body.to_string(), field).await;
            }
        }
    }

    async fn a_refresh_lacking_something_is_told_what(world: World) {
        let gateway = world.gateway(0);
        names(gateway, Method::POST, "/refresh", "{}", "RefreshToken").await;
        for value in no_strings() {
            let body = json!({ "RefreshToken": value }).to_string();
            names(gateway, Method::POST, "/refresh", body, "RefreshToken").await;
        }
        let body = json!({ "RefreshToken": "x" }).to_string();
        for key in ["", "x".repeat(65).as_str()] {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static("idempotency-key"),
                key.parse().unwrap(),
            )]);
            let answer = gateway.raw(Method::POST, "/refresh", headers, body.clone()).await.unwrap();
            assert_eq!(answer.status, 400, "{answer:?}");
            let problem: Problem = answer.json().unwrap();
            assert!(problem.detail.starts_with("Idempotency-Key"), "{}", problem.detail);
        }
    }

    async fn a_change_of_password_lacking_something_is_told_what(world: World) {
        let ann = world.user().await;
        let change = async |body: Value, field: &str| {
            names(ann.api(), Method::PUT, "/change-password", body.to_string(), field).await;
        };
        change(json!({ "NewPassword": "another password" }), "OldPassword").await;
        change(json!({ "OldPassword": ann.password }), "NewPassword").await;
        for value in no_strings() {
            let body = json!({ "OldPassword": value, "NewPassword": "another password" });
            change(body, "OldPassword").await;
            change(json!({ "OldPassword": ann.password, "NewPassword": value }), "NewPassword").await;
        }
        for new in ["", "1234567", "12345678\0", &"x".repeat(129)] {
            change(json!({ "OldPassword": ann.password, "NewPassword": new }), "NewPassword").await;
        }
        ann.api().login(&ann.email, &ann.password).await.unwrap();
    }

    async fn a_rooms_name_has_3_to_20_characters(world: World) {
        let ann = world.user().await;
        let create = async |body: Value, field: &str| {
            names(ann.api(), Method::POST, "/create-room", body.to_string(), field).await;
        };
        for name in ["", "ab", &"é".repeat(21), "ab\0c", "ab\u{1}c", "ab\u{7f}c", "ab\u{85}c"] {
            create(json!({ "Name": name }), "Name").await;
        }
        for value in no_strings() {
            create(json!({ "Name": value }), "Name").await;
        }
        create(json!({}), "Name").await;
        for value in [json!(1), json!(0), json!("true"), json!([]), json!({})] {
            create(json!({ "Name": "abc", "IsPrivate": value }), "IsPrivate").await;
        }
        let number: String = unique("").chars().rev().take(9).collect();
        let longest = format!("{number}{}", "é".repeat(11));
        ann.api().create_room(&longest, false).await.unwrap();
        assert_eq!(ann.api().rooms().await.unwrap().len(), 1);
    }

    async fn what_is_no_id_is_refused_by_name(world: World) {
        let ann = world.user().await;
        let room = ann.room().await;
        for bad in NO_IDS {
            let body = format!(r#"{{"RoomID":{bad},"UID":1}}"#);
            for path in ["/join", "/leave", "/invite", "/kick"] {
                names(ann.api(), Method::PUT, path, body.as_str(), "RoomID").await;
            }
            let body = format!(r#"{{"RoomID":{room},"UID":{bad}}}"#);
            names(ann.api(), Method::PUT, "/invite", body, "UID").await;
        }
        names(ann.api(), Method::PUT, "/join", "{}", "RoomID").await;
        names(ann.api(), Method::PUT, "/invite", format!(r#"{{"RoomID":{room}}}"#), "UID").await;
    }

    async fn what_is_no_id_in_a_path_is_refused_by_name(world: World) {
        let ann = world.user().await;
        let bad = [
            "0", "-1", "+1", "1.0", "1e3", "x", "%201", "1%20", "%31x", "9007199254740992",
            "9223372036854775808", "18446744073709551616", "99999999999999999999999999",
        ];
        for id in bad {
            names(ann.api(), Method::GET, &format!("/profile/{id}"), "", "UID").await;
            names(ann.api(), Method::GET, &format!("/room/{id}"), "", "RoomID").await;
            names(ann.api(), Method::GET, &format!("/messages/{id}"), "", "RoomID").await;
            names(ann.api(), Method::DELETE, &format!("/sessions/{id}"), "", "SessionID").await;
        }
    }

    async fn a_page_of_history_is_asked_for_in_numbers(world: World) {
        let ann = world.user().await;
        let room: RoomId = ann.room().await;
        let path = format!("/messages/{room}");
        for bad in NO_IDS.into_iter().filter(|bad| !matches!(*bad, "0" | "null")) {
            let body = format!(r#"{{"LastID":{bad}}}"#);
            names(ann.api(), Method::GET, &path, body, "LastID").await;
        }
        for bad in ["-1", "x", "1.0", "", "9007199254740992"] {
            names(ann.api(), Method::GET, &format!("{path}?LastID={bad}"), "", "LastID").await;
        }
        for bad in ["0", "-1", "101", "x"] {
            names(ann.api(), Method::GET, &format!("{path}?Limit={bad}"), "", "Limit").await;
        }
    }

    async fn users_are_asked_for_by_numbers_or_a_name(world: World) {
        let ann = world.user().await;
        let ask = async |query: &str, field: &str| {
            names(ann.api(), Method::GET, &format!("/users{query}"), "", field).await;
        };
        for query in ["", "?", "?uids=1"] {
            ask(query, "UID").await;
        }
        for bad in ["", "abc", "0", "-1", "1.0", "1,", ",1", "1,,2", "1, 2", "9007199254740992"] {
            ask(&format!("?UID={bad}"), "UID").await;
        }
        let many = |count: u64| (1..=count).map(|uid| uid.to_string()).collect::<Vec<_>>().join(",");
        ask(&format!("?UID={}", many(101)), "UID").await;
        let uids: Vec<_> = (1..=100).map(|uid| Uid::new(uid).unwrap()).collect();
        ann.api().users(&uids).await.unwrap();
        for bad in ["", "ab", "a%00bc", "a%20bc", "%ff%fe%fd%fc", &"x".repeat(21)] {
            ask(&format!("?Username={bad}"), "Username").await;
            ask(&format!("?UID=1&Username={bad}"), "Username").await;
        }
    }

    async fn pages_of_members_and_of_the_directory_are_asked_for_in_numbers(world: World) {
        let ann = world.user().await;
        let members = format!("/rooms/{}/members", ann.room().await);
        for (path, most) in [(members.as_str(), 100), ("/directory", 50)] {
            for bad in ["0", "-1", "x", "", &(most + 1).to_string()] {
                names(ann.api(), Method::GET, &format!("{path}?Limit={bad}"), "", "Limit").await;
            }
        }
        for bad in ["-1", "x", "", "9007199254740992"] {
            names(ann.api(), Method::GET, &format!("{members}?After={bad}"), "", "After").await;
        }
        for bad in ["%00", "a%00b", &"x".repeat(21)] {
            names(ann.api(), Method::GET, &format!("/directory?Q={bad}"), "", "Q").await;
        }
        for bad in ["2", "-1", "x", "", "true"] {
            names(ann.api(), Method::GET, &format!("/rooms?Details={bad}"), "", "Details").await;
        }
        for path in ["/rooms/0/members", "/rooms/x/members"] {
            names(ann.api(), Method::GET, path, "", "RoomID").await;
        }
    }

    async fn what_was_read_is_an_event_that_there_is(world: World) {
        let ann = world.user().await;
        let path = format!("/rooms/{}/read", ann.room().await);
        for bad in NO_IDS {
            names(ann.api(), Method::PUT, &path, format!(r#"{{"ID":{bad}}}"#), "ID").await;
        }
        for body in ["{}", r#"{"ID":2}"#, r#"{"ID":9007199254740991}"#] {
            names(ann.api(), Method::PUT, &path, body, "ID").await;
        }
        for path in ["/rooms/0/read", "/rooms/x/read"] {
            names(ann.api(), Method::PUT, path, r#"{"ID":1}"#, "RoomID").await;
        }
    }

    async fn an_invitation_says_how_many_and_how_long_in_numbers(world: World) {
        let ann = world.user().await;
        let path = format!("/rooms/{}/invites", ann.room().await);
        for (field, most) in [("MaxUses", 1_000_000), ("ExpiresIn", 31_536_000)] {
            for bad in NO_IDS.into_iter().filter(|bad| *bad != "null") {
                names(ann.api(), Method::POST, &path, format!(r#"{{"{field}":{bad}}}"#), field).await;
            }
            let more = format!(r#"{{"{field}":{}}}"#, most + 1);
            names(ann.api(), Method::POST, &path, more, field).await;
        }
        let most = json!({ "MaxUses": 1_000_000, "ExpiresIn": 31_536_000 }).to_string();
        let made = ann.api().raw(Method::POST, &path, HeaderMap::new(), most).await.unwrap();
        assert_eq!(made.status, 201);
        for path in ["/rooms/0/invites", "/rooms/x/invites"] {
            names(ann.api(), Method::POST, path, "{}", "RoomID").await;
        }
    }
}

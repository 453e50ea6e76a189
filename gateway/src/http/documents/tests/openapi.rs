//! The OpenAPI document against the router and wire.

use std::collections::BTreeSet;

use base::{Code, Epoch, Error, RoomId, Seq, Timestamp, Uid, limits};
use serde_json::{Value, json};
use wire::event::{Event, EventKind, EventsPage};
use wire::request::{
    ChangeNameRequest, ChangePasswordRequest, CreateRoomRequest, DirectoryQuery, EventsQuery,
    HistoryQuery, InvitationRequest, InviteRequest, JoinRequest, KickRequest, LeaveRequest,
    LoginRequest, MembersQuery, PostMessageRequest, ReadRequest, RefreshRequest, RegisterRequest,
    RoomsQuery,
};
use wire::response::{Entry, Profile, Role, Room, RoomDetails, RoomKind};

use super::{conforms, follow_all, resolved, strings};
use crate::http::router;

fn document() -> Value {
    serde_json::to_value(super::super::openapi::document(router::routes())).unwrap()
}

/// Every operation: its path, its method, and what is said of it.
fn operations(root: &Value) -> Vec<(String, String, &Value)> {
    let items = root["paths"].as_object().unwrap();
    let of_item = |(path, item): (&String, &'_ Value)| -> Vec<(String, String)> {
        let methods = item.as_object().unwrap().keys();
        methods
            .map(|method| (path.clone(), method.clone()))
            .collect()
    };
    let names: Vec<_> = items.iter().flat_map(of_item).collect();
    let find = |(path, method): (String, String)| {
        let operation = &root["paths"][&path][&method];
        (path, method.to_uppercase(), operation)
    };
    names.into_iter().map(find).collect()
}

#[test]
fn every_reference_leads_somewhere_and_every_id_is_one_operations() {
    let root = document();
    assert_eq!(root["openapi"], "3.1.0");
    follow_all(&root, &root);
    let all = operations(&root);
    let ids: BTreeSet<_> = all
        .iter()
        .map(|(_, _, it)| it["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), all.len());
    for (path, method, operation) in all {
        assert!(!strings(&operation["tags"]).is_empty(), "{method} {path}");
        for requirement in operation["security"].as_array().into_iter().flatten() {
            for scheme in requirement.as_object().unwrap().keys() {
                assert!(
                    root["components"]["securitySchemes"][scheme].is_object(),
                    "{scheme}"
                );
            }
        }
        let inside = path.split(['{', '}']).skip(1).step_by(2);
        for name in inside {
            let parameters = operation["parameters"].as_array().unwrap();
            let found = parameters.iter().find(|it| it["name"] == name).unwrap();
            assert_eq!(
                (&found["in"], &found["required"]),
                (&json!("path"), &json!(true))
            );
        }
    }
}

#[test]
fn every_example_is_what_its_schema_says() {
    let root = document();
    let mut seen = 0;
    for (path, method, operation) in operations(&root) {
        let responses = operation["responses"].as_object().unwrap();
        let bodies = responses.values().chain(operation.get("requestBody"));
        for body in bodies {
            let content = resolved(&root, body)
                .get("content")
                .and_then(Value::as_object);
            for media in content.into_iter().flat_map(|content| content.values()) {
                if let Some(example) = media.get("example") {
                    conforms(
                        &root,
                        &media["schema"],
                        example,
                        &format!("{method} {path}"),
                    );
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 60, "{seen}");
}

#[test]
fn problems_have_the_whole_vocabulary_and_its_statuses() {
    let root = document();
    let codes = strings(&root["components"]["schemas"]["Code"]["enum"]);
    assert_eq!(codes, Code::ALL.map(|code| code.to_string()));
    for (path, method, operation) in operations(&root) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let response = resolved(&root, response);
            let Some(problem) = response["content"].get(wire::PROBLEM_JSON) else {
                continue;
            };
            let code = problem["example"]["Code"].as_str().unwrap();
            let code = Code::ALL
                .into_iter()
                .find(|it| it.as_str() == code)
                .unwrap();
            // 426 is the one that is not the code's own.
            if status != "426" {
                assert_eq!(*status, code.http_status().to_string(), "{method} {path}");
            }
            let limited = ["Retry-After", "RateLimit", "RateLimit-Policy"];
            if code == Code::RateLimited {
                assert!(
                    limited
                        .iter()
                        .all(|name| response["headers"][name].is_object())
                );
            }
        }
        assert!(operation["responses"]["429"].is_object(), "{method} {path}");
    }
}

type Parser = fn(&[u8]) -> Result<(), Error>;

fn parser(schema: &str) -> Parser {
    match schema {
        "RegisterRequest" => |body| RegisterRequest::parse(body).map(drop),
        "LoginRequest" => |body| LoginRequest::parse(body).map(drop),
        "ChangeNameRequest" => |body| ChangeNameRequest::parse(body).map(drop),
        "ChangePasswordRequest" => |body| ChangePasswordRequest::parse(body).map(drop),
        "RefreshRequest" => |body| RefreshRequest::parse(body).map(drop),
        "CreateRoomRequest" => |body| CreateRoomRequest::parse(body).map(drop),
        "JoinRequest" => |body| JoinRequest::parse(body).map(drop),
        "LeaveRequest" => |body| LeaveRequest::parse(body).map(drop),
        "InviteRequest" => |body| InviteRequest::parse(body).map(drop),
        "InvitationRequest" => |body| InvitationRequest::parse(body).map(drop),
        "KickRequest" => |body| KickRequest::parse(body).map(drop),
        "PostMessageRequest" => |body| PostMessageRequest::parse(body).map(drop),
        "ReadRequest" => |body| ReadRequest::parse(body).map(drop),
        "history" => |body| HistoryQuery::parse(None, body).map(drop),
        other => panic!("no parser for {other}"),
    }
}

/// Asserts that the parser refuses the body because of the field.
fn refuses(parse: Parser, body: &Value, field: &str) {
    let refused = parse(body.to_string().as_bytes()).expect_err(&body.to_string());
    assert!(
        refused.detail().starts_with(field),
        "{body}: {}",
        refused.detail()
    );
}

/// Values within a schema's bounds, at them, and values over them.
fn around(schema: &Value) -> (Vec<Value>, Vec<Value>) {
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
    let text = |length: u64| json!("x".repeat(usize::try_from(length).unwrap()));
    let make = |length: u64| {
        if schema["type"] == "string" {
            text(length)
        } else {
            json!(length)
        }
    };
    let (least, most) = match schema["type"].as_str() {
        Some("string") => (bound("minLength"), bound("maxLength")),
        _ => (bound("minimum"), bound("maximum")),
    };
    // What is formed by more rules than its length is tried over the bounds only.
    let free = schema.get("format").is_none_or(|format| format != "email");
    let within = least
        .into_iter()
        .chain(most)
        .filter(|_| free)
        .map(make)
        .collect();
    let under = least.and_then(|least| least.checked_sub(1));
    let over = most.map(|most| most + 1);
    (within, under.into_iter().chain(over).map(make).collect())
}

#[test]
fn the_schemas_of_bodies_say_what_their_parsers_do() {
    let root = document();
    let mut seen = BTreeSet::new();
    for (_, _, operation) in operations(&root) {
        let Some(media) = operation.pointer("/requestBody/content/application~1json") else {
            continue;
        };
        let name = media["schema"]["$ref"]
            .as_str()
            .and_then(|at| at.rsplit('/').next());
        let parse = parser(name.unwrap_or("history"));
        seen.insert(name);
        let schema = resolved(&root, &media["schema"]);
        let shapes = schema["anyOf"]
            .as_array()
            .map_or_else(|| vec![schema], |some| some.iter().collect());
        for shape in shapes {
            let required = strings(shape.get("required").unwrap_or(&json!([])));
            let properties = shape["properties"].as_object().unwrap();
            let mut example = media["example"].clone();
            // A shape may have other keys than the example's.
            let all = example.as_object_mut().unwrap();
            all.retain(|key, _| properties.contains_key(key));
            for key in &required {
                all.entry(key.clone()).or_insert(json!("something"));
            }
            parse(example.to_string().as_bytes()).unwrap();
            for (key, property) in properties {
                let with = |value: Value| {
                    let mut body = example.clone();
                    if name.is_none() {
                        // Its keys exclude each other.
                        body = json!({});
                    }
                    body[key] = value;
                    body
                };
                let mut without = example.clone();
                without.as_object_mut().unwrap().remove(key);
                if required.contains(key) {
                    let one_of_two = schema.get("anyOf").is_some() && key != "Password";
                    refuses(parse, &without, if one_of_two { "Email" } else { key });
                } else {
                    parse(without.to_string().as_bytes()).unwrap();
                }
                refuses(parse, &with(json!({})), key);
                let (within, outside) = around(resolved(&root, property));
                for value in within {
                    parse(with(value).to_string().as_bytes()).unwrap();
                }
                for value in outside {
                    refuses(parse, &with(value), key);
                }
            }
        }
    }
    assert_eq!(seen.len(), 14);
}

#[test]
fn the_queries_say_what_their_parsers_do() {
    let root = document();
    for (path, parse) in [
        (
            "/messages/{RoomID}",
            (|query| HistoryQuery::parse(Some(query), b"").map(drop))
                as fn(&str) -> Result<(), Error>,
        ),
        ("/rooms/{RoomID}/events", |query| {
            EventsQuery::parse(Some(query)).map(drop)
        }),
        ("/rooms/{RoomID}/members", |query| {
            MembersQuery::parse(Some(query)).map(drop)
        }),
        ("/directory", |query| {
            DirectoryQuery::parse(Some(query)).map(drop)
        }),
        ("/rooms", |query| RoomsQuery::parse(Some(query)).map(drop)),
    ] {
        let parameters = root["paths"][path]["get"]["parameters"].as_array().unwrap();
        let in_query = parameters.iter().filter(|it| it["in"] == "query");
        assert!(in_query.clone().count() >= 1);
        for parameter in in_query {
            let name = parameter["name"].as_str().unwrap();
            let (within, outside) = around(&parameter["schema"]);
            for value in within {
                parse(&format!("{name}={value}")).unwrap();
            }
            for value in outside {
                let refused = parse(&format!("{name}={value}")).expect_err(name);
                assert!(refused.detail().starts_with(name));
            }
        }
    }
}

#[test]
fn the_limits_are_those_of_the_contract() {
    let root = document();
    let schemas = &root["components"]["schemas"];
    let pair = |name: &str| {
        (
            schemas[name]["minLength"].as_u64(),
            schemas[name]["maxLength"].as_u64(),
        )
    };
    for (name, (least, most)) in [
        ("Username", limits::USERNAME_CHARS),
        ("RoomName", limits::ROOM_NAME_CHARS),
        ("Password", limits::PASSWORD_CHARS),
        ("MessageText", limits::MESSAGE_CHARS),
        ("Nonce", limits::NONCE_CHARS),
    ] {
        assert_eq!(
            pair(name),
            (Some(least as u64), Some(most as u64)),
            "{name}"
        );
    }
    assert_eq!(pair("Email").1, Some(limits::EMAIL_CHARS as u64));
    let page = &root["paths"]["/messages/{RoomID}"]["get"]["responses"]["200"];
    let schema = &page["content"]["application/json"]["schema"];
    assert_eq!(schema["maxItems"], limits::HISTORY_PAGE);
}

/// Keys of a serialized object.
fn keys(value: impl serde::Serialize) -> BTreeSet<String> {
    let value = serde_json::to_value(value).unwrap();
    value.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_schemas_of_answers_have_the_keys_that_are_written() {
    let (uid, room) = (Uid::new(1).unwrap(), RoomId::new(1).unwrap());
    let at = Timestamp::from_micros(0);
    let profile = Profile {
        uid,
        username: "ann".into(),
        email: None,
        created_at: at,
    };
    let hall = Room {
        room_id: room,
        name: None,
        creator_uid: uid,
        is_private: false,
        created_at: at,
    };
    let event = Event {
        kind: EventKind::Room,
        id: Seq::START,
        seq: Seq(1),
        room,
        uid,
        text: String::new(),
        by: None,
        emoji: None,
        timestamp: at,
        more: serde_json::Map::new(),
    };
    let page = EventsPage::<Event> {
        events: Vec::new(),
        head: Seq(1),
        epoch: Epoch(1),
        first: Seq(1),
        reset: false,
    };
    let whole_profile = Profile {
        email: Some("ann@example.org".into()),
        ..profile.clone()
    };
    let whole_hall = Room {
        name: Some("hall".into()),
        ..hall.clone()
    };
    let whole_event = Event {
        id: Seq(1),
        by: Some(uid),
        emoji: Some("+".into()),
        ..event.clone()
    };
    let whole_page = EventsPage {
        reset: true,
        ..page.clone()
    };
    let details = RoomDetails {
        room_id: room,
        name: None,
        kind: RoomKind::Room,
        is_private: false,
        role: Role::Owner,
        unread: 0,
        last_read: Seq(1),
        head: Seq(1),
        epoch: Epoch(1),
        first: Seq(1),
        last_message: None,
    };
    let whole_details = RoomDetails {
        name: Some("hall".into()),
        last_message: Some(Entry {
            id: Seq(1),
            room_id: room,
            uid,
            kind: EventKind::Message,
            text: "hello".into(),
            timestamp: at,
        }),
        ..details.clone()
    };
    let whole = document();
    for (name, least, most) in [
        ("RoomDetails", keys(&details), keys(&whole_details)),
        ("Profile", keys(&profile), keys(&whole_profile)),
        ("Room", keys(&hall), keys(&whole_hall)),
        ("Event", keys(&event), keys(&whole_event)),
        ("EventsPage", keys(&page), keys(&whole_page)),
    ] {
        let mut schema = &whole["components"]["schemas"][name];
        if let Some(parts) = schema.get("allOf") {
            schema = &parts[0];
        }
        let required: BTreeSet<_> = strings(&schema["required"]).into_iter().collect();
        assert_eq!(required, least, "{name}: {schema}");
        assert_eq!(keys(&schema["properties"]), most, "{name}");
    }
}

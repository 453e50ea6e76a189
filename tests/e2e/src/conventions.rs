//! What holds for every route: tolerant bodies, tokens, errors in one form, request
//! ids, CORS, health.

use client::wire::{Code, PROBLEM_JSON, Problem};
use client::{Answer, Api, Method};
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use tokio::io::AsyncWriteExt;

use crate::harness::{User, raw, unique};

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let header = |(name, value): &(&str, &str)| {
        (
            name.parse::<HeaderName>().unwrap(),
            value.parse::<HeaderValue>().unwrap(),
        )
    };
    pairs.iter().map(header).collect()
}

async fn ask(api: &Api, method: Method, path: &str, with: &[(&str, &str)], body: &str) -> Answer {
    api.raw(method, path, headers(with), body.to_owned())
        .await
        .unwrap()
}

/// The answer as a problem document, which has to be whole.
fn problem(answer: &Answer) -> Problem {
    assert_eq!(
        answer.header("content-type"),
        Some(PROBLEM_JSON),
        "{answer:?}"
    );
    let problem: Problem = answer.json().unwrap();
    assert_eq!(problem.status, answer.status);
    assert_eq!(
        Some(problem.request_id.as_str()),
        answer.header("x-request-id")
    );
    assert!(!problem.title.is_empty() && !problem.kind.is_empty() && !problem.detail.is_empty());
    problem
}

async fn profile_with(api: &Api, authorization: &str) -> u16 {
    ask(
        api,
        Method::GET,
        "/profile",
        &[("authorization", authorization)],
        "",
    )
    .await
    .status
}

scenarios! {
    async fn a_body_is_json_whatever_its_content_type_says(world: World) {
        for content_type in
            ["application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8", "x"]
        {
            let name = unique("u");
            let body = format!(
                r#"{{"Username":"{name}","Email":"{name}@example.org","Password":"secret secret"}}"#
            );
            let with = [("content-type", content_type)];
            let answer = ask(world.gateway(0), Method::POST, "/register", &with, &body).await;
            assert_eq!(answer.status, 201, "{content_type}: {answer:?}");
        }
    }

    async fn keys_match_in_any_case_the_last_wins_and_unknown_ones_are_passed_over(world: World) {
        let name = unique("u");
        let body = format!(
            r#"{{"USERNAME":17,"username":"{name}","Email":"x","eMail":"{name}@example.org",
                "Shoe":{{"Size":[45]}},"password":"secret secret"}}"#
        );
        let answer = ask(world.gateway(0), Method::POST, "/register", &[], &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        world.gateway(0).login_by_name(&name, "secret secret").await.unwrap();
    }

    async fn answers_are_spelled_as_documented(world: World) {
        let name = unique("u");
        let body = format!(
            r#"{{"Username":"{name}","Email":"{name}@example.org","Password":"secret secret"}}"#
        );
        let api = world.gateway(0);
        let answer = ask(api, Method::POST, "/register", &[], &body).await;
        let uid = answer.json::<serde_json::Value>().unwrap()["UID"].as_u64().unwrap();
        assert_eq!(answer.body, format!(r#"{{"UID":{uid}}}"#));
        for method in [Method::PUT, Method::POST] {
            let answer = ask(api, method, "/login", &[], &body).await;
            assert_eq!(answer.status, 200);
            let login: serde_json::Map<String, serde_json::Value> = answer.json().unwrap();
            for key in ["token", "RefreshToken", "ExpiresAt", "SessionID"] {
                assert!(login.contains_key(key), "{key}");
            }
        }
        let ann = api.login(&format!("{name}@example.org"), "secret secret").await.unwrap();
        let body = format!(r#"{{"NewName":"{}"}}"#, unique("c"));
        let answer = ask(&ann, Method::PUT, "/change-name", &[], &body).await;
        assert_eq!(answer.body, r#"{"status":"name changed"}"#);
        let body = format!(r#"{{"Name":"{}"}}"#, unique("r"));
        let answer = ask(&ann, Method::POST, "/create-room", &[], &body).await;
        let room = answer.json::<serde_json::Value>().unwrap()["RoomID"].as_u64().unwrap();
        assert_eq!(answer.body, format!(r#"{{"RoomID":{room}}}"#));
        let answer = ask(&ann, Method::GET, "/rooms", &[], "").await;
        assert_eq!(answer.body, format!(r#"{{"IDs":[{room}]}}"#));
        let other = world.user().await;
        let body = format!(r#"{{"RoomID":{room},"UID":{}}}"#, other.uid);
        let answer = ask(&ann, Method::PUT, "/invite", &[], &body).await;
        assert_eq!(answer.body, r#"{"status":"invited"}"#);
        let answer = ask(other.api(), Method::PUT, "/leave", &[], &body).await;
        assert_eq!(answer.body, r#"{"status":"left"}"#);
        let answer = ask(other.api(), Method::PUT, "/join", &[], &body).await;
        assert_eq!(answer.body, r#"{"status":"joined"}"#);
    }

    async fn a_token_may_be_bare_or_a_bearer(world: World) {
        let ann = world.user().await;
        let token = ann.token();
        for good in [token.to_owned(), format!("Bearer {token}"), format!("bearer {token}")] {
            assert_eq!(profile_with(world.gateway(0), &good).await, 200);
        }
        for bad in ["", "Bearer", "Bearer ", "Basic YTpi", "x"] {
            assert_eq!(profile_with(world.gateway(0), bad).await, 401, "{bad}");
        }
    }

    async fn what_needs_a_token_is_refused_without_one(world: World) {
        let routes = [
            (Method::GET, "/profile"), (Method::PUT, "/change-name"), (Method::POST, "/create-room"),
            (Method::PUT, "/join"), (Method::PUT, "/invite"), (Method::PUT, "/leave"),
            (Method::GET, "/rooms"), (Method::GET, "/messages/1"), (Method::POST, "/logout"),
            (Method::GET, "/sessions"), (Method::DELETE, "/sessions"),
            (Method::DELETE, "/sessions/1"), (Method::PUT, "/change-password"),
            (Method::POST, "/ws-ticket"),
        ];
        for (method, path) in routes {
            let answer = ask(world.gateway(0), method, path, &[], "{}").await;
            assert_eq!(answer.status, 401, "{path}");
            assert_eq!(problem(&answer).code, Code::Unauthenticated);
        }
    }

    async fn no_cookie_is_set_or_believed(world: World) {
        let ann = world.user().await;
        let with = [("cookie", format!("token={0}; Authorization={0}", ann.token()))];
        let with = with.each_ref().map(|(name, value)| (*name, value.as_str()));
        assert_eq!(ask(world.gateway(0), Method::GET, "/profile", &with, "").await.status, 401);
        let answer = ask(ann.api(), Method::GET, "/profile", &[], "").await;
        assert_eq!(answer.header("set-cookie"), None);
    }

    async fn an_error_is_a_problem_document_or_plain_text_for_who_asks(world: World) {
        let gateway = world.gateway(0);
        let answer = ask(gateway, Method::POST, "/register", &[], "{}").await;
        let problem = problem(&answer);
        assert_eq!((problem.status, problem.code), (400, Code::InvalidArgument));
        assert!(problem.detail.starts_with("Username"));
        for accept in ["text/plain", "text/plain; charset=utf-8"] {
            let with = [("accept", accept)];
            let answer = ask(gateway, Method::POST, "/register", &with, "{}").await;
            assert_eq!(answer.status, 400);
            assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
            assert_eq!(String::from_utf8_lossy(&answer.body).trim_end(), problem.detail);
        }
    }

    async fn an_unknown_route_is_not_found_in_the_same_form(world: World) {
        for path in ["/nowhere", "/profile/1/2", "/register/", "/ROOMS", "/..%2f", "/%00"] {
            let answer = ask(world.gateway(0), Method::GET, path, &[], "").await;
            assert_eq!(answer.status, 404, "{path}");
            assert_eq!(problem(&answer).code, Code::NotFound);
        }
    }

    async fn a_wrong_method_is_told_the_right_ones(world: World) {
        for (method, path, allowed) in [
            (Method::GET, "/register", "POST"),
            (Method::DELETE, "/login", "PUT"),
            (Method::DELETE, "/login", "POST"),
            (Method::PUT, "/create-room", "POST"),
            (Method::POST, "/join", "PUT"),
            (Method::POST, "/rooms", "GET"),
            (Method::PATCH, "/profile/1", "GET"),
            (Method::PUT, "/refresh", "POST"),
            (Method::GET, "/logout", "POST"),
            (Method::POST, "/sessions", "GET"),
            (Method::POST, "/sessions", "DELETE"),
            (Method::GET, "/sessions/1", "DELETE"),
            (Method::POST, "/change-password", "PUT"),
            (Method::GET, "/ws-ticket", "POST"),
        ] {
            let answer = ask(world.gateway(0), method, path, &[], "").await;
            assert_eq!(answer.status, 405, "{path}");
            let allow = answer.header("allow").unwrap_or_default().to_owned();
            assert!(allow.split(',').any(|method| method.trim() == allowed), "{path}: {allow}");
            problem(&answer);
        }
    }

    async fn a_sane_request_id_is_kept_and_another_is_replaced(world: World) {
        let gateway = world.gateway(0);
        let with = [("x-request-id", "trace-42.a_B")];
        let answer = ask(gateway, Method::GET, "/nowhere", &with, "").await;
        assert_eq!(answer.header("x-request-id"), Some("trace-42.a_B"));
        assert_eq!(problem(&answer).request_id, "trace-42.a_B");
        let long = "x".repeat(1_000);
        for insane in ["two words", "<script>", "\"", long.as_str()] {
            let with = [("x-request-id", insane)];
            let answer = ask(gateway, Method::GET, "/nowhere", &with, "").await;
            let id = answer.header("x-request-id").unwrap();
            assert!(id != insane && !id.is_empty() && id.len() <= 128, "{id}");
        }
        let ann = world.user().await;
        let answer = ask(ann.api(), Method::GET, "/rooms", &[], "").await;
        assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()));
    }

    async fn browsers_of_any_origin_may_ask_without_credentials(world: World) {
        let with = [
            ("origin", "https://chat.example.org"),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", "authorization,content-type"),
        ];
        let answer = ask(world.gateway(0), Method::OPTIONS, "/join", &with, "").await;
        assert!((200..300).contains(&answer.status), "{answer:?}");
        let allowed = |name| answer.header(name).unwrap_or_default().to_ascii_lowercase();
        assert_eq!(allowed("access-control-allow-origin"), "*");
        assert!(allowed("access-control-allow-methods").contains("put"));
        assert!(allowed("access-control-allow-headers").contains("authorization"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        let ann = world.user().await;
        for (api, expected) in [(ann.api(), 200), (world.gateway(0), 401)] {
            let with = [("origin", "https://chat.example.org")];
            let answer = ask(api, Method::GET, "/rooms", &with, "").await;
            assert_eq!(answer.status, expected);
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        }
    }

    async fn answers_tell_browsers_not_to_guess(world: World) {
        let ann = world.user().await;
        let answer = ask(ann.api(), Method::GET, "/profile", &[], "").await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }

    async fn who_has_said_all_still_hears_the_answer(world: World) {
        let mut stream = raw::dial(world.gateway(0)).await;
        stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(raw::status(&raw::read_to_end(&mut stream).await), 200);
    }

    async fn a_body_that_was_not_read_ends_the_connection_and_the_answer_says_so(world: World) {
        let mut stream = raw::dial(world.gateway(0)).await;
        let request = b"PUT /join HTTP/1.1\r\nHost: x\r\nAuthorization: x\r\nContent-Length: 9\r\n\r\n{\"R";
        stream.write_all(request).await.unwrap();
        let answer = raw::read_to_end(&mut stream).await;
        assert_eq!(raw::status(&answer), 401);
        let head = String::from_utf8_lossy(&answer).to_lowercase();
        assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    }

    async fn health_is_told_to_everyone_in_few_words(world: World) {
        for path in ["/health/live", "/health/ready"] {
            for gateway in 0..2 {
                let answer = ask(world.gateway(gateway), Method::GET, path, &[], "").await;
                assert_eq!(answer.status, 200, "{path}");
            }
        }
    }

    async fn an_upgrade_without_a_good_token_is_refused_before_it_happens(world: World) {
        let nobody: &Api = world.gateway(0);
        for api in [nobody.clone(), nobody.with_token("x"), nobody.with_token("a.b.c")] {
            for token_in in [client::TokenIn::Header, client::TokenIn::Query] {
                let refusal = client::Socket::connect(&api, token_in).await.unwrap_err();
                assert_eq!(refusal.status(), Some(401));
            }
        }
    }

    async fn a_plain_get_of_the_websocket_is_a_client_error(world: World) {
        let ann: User = world.user().await;
        let answer = ask(ann.api(), Method::GET, "/ws", &[], "").await;
        assert!((400..500).contains(&answer.status), "{}", answer.status);
        problem(&answer);
    }
}

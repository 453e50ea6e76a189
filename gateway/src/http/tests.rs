//! The routes and the port, with user-service and session-service as fakes in this
//! process and the others not there.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use base::{Code, SessionId};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use proto::session::Ended;
use proto::session::sessions_server::SessionsServer;
use proto::user::users_server::UsersServer;
use runtime::config::{Environment, Secret, Tls, load};
use runtime::{Channel, Lifecycle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tonic::service::Routes;
use tower::ServiceExt;
use wire::Problem;

use super::route::{Repeat, Rights};
use super::router;
use crate::fakes::{FakeSessions, FakeUsers, Listener};
use crate::{Config, Gateway, Ports};

pub(super) struct House {
    gateway: Gateway,
    lifecycle: Lifecycle,
    verified: Arc<AtomicUsize>,
    listeners: mpsc::Receiver<Listener>,
}

pub(super) fn house(changes: &[(&str, &str)]) -> House {
    let changes = changes.iter().map(|(key, value)| {
        let key = format!("PARLEY_GATEWAY__{key}");
        (key, (*value).to_owned())
    });
    let mut environment: Environment = changes.collect();
    environment.insert("PARLEY_GATEWAY__HTTP__LISTEN".into(), "127.0.0.1:0".into());
    let config = load::<Config>(None, &environment).unwrap().config;

    let lifecycle = Lifecycle::new();
    let token = Secret::new("a token for services");
    let here = |routes| Channel::in_process(routes, &token, &lifecycle).unwrap();
    // Port 9, discard: nobody listens there.
    let nowhere =
        Channel::remote(&"127.0.0.1:9".parse().unwrap(), &token, &Tls::default()).unwrap();
    let (sessions, listeners) = FakeSessions::new();
    let verified = Arc::clone(&sessions.verified);
    let ports = Ports {
        users: here(Routes::new(UsersServer::new(FakeUsers))),
        sessions: here(Routes::new(SessionsServer::new(sessions))),
        rooms: nowhere.clone(),
        messages: nowhere.into(),
        ..Ports::nobody(&token, &lifecycle)
    };
    House {
        gateway: Gateway::new(config, ports, &lifecycle),
        lifecycle,
        verified,
        listeners,
    }
}

impl House {
    /// Serves a port of its own.
    async fn serve(&self) -> SocketAddr {
        let listener = super::bind(&self.gateway.config.http).await.unwrap();
        super::serve(listener, self.gateway.clone()).unwrap()
    }

    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        router::build(self.gateway.clone())
            .oneshot(request)
            .await
            .unwrap()
    }

    pub(super) async fn get(&self, path: &str) -> Response {
        self.ask("GET", path, &[], "").await
    }

    async fn get_as(&self, token: &str, path: &str) -> Response {
        self.ask("GET", path, &[("Authorization", token)], "").await
    }

    /// Waits until it is known that a session has ended.
    async fn until_ended(&self, session: u64) {
        let session = SessionId::new(session).unwrap();
        let waiting = async {
            while !self.gateway.sessions.has_ended(session) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting)
            .await
            .unwrap();
    }

    /// Sends bytes over a real connection and reads to its end.
    async fn say(&self, address: SocketAddr, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        rest(&mut stream).await
    }
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(10), reading)
        .await
        .unwrap()
        .unwrap();
    String::from_utf8(answer).unwrap()
}

pub(super) async fn body(response: Response) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn problem(response: Response) -> Problem {
    assert_eq!(response.headers()[header::CONTENT_TYPE], wire::PROBLEM_JSON);
    let (status, id) = (
        response.status(),
        response.headers()["x-request-id"].clone(),
    );
    let problem: Problem = serde_json::from_str(&body(response).await).unwrap();
    assert_eq!(problem.status, status.as_u16());
    assert_eq!(problem.request_id, id.to_str().unwrap());
    problem
}

#[tokio::test]
async fn an_unknown_route_and_a_wrong_method_are_problems_like_any_other() {
    let house = house(&[]);
    let response = house.get("/nothing").await;
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let unknown = problem(response).await;
    assert_eq!((unknown.status, unknown.code), (404, Code::NotFound));

    for (method, path, allow) in [
        ("DELETE", "/register", "POST"),
        ("BREW", "/login", "PUT,POST"),
        ("POST", "/rooms", "GET,HEAD"),
    ] {
        let response = house.ask(method, path, &[], "").await;
        assert_eq!(response.headers()[header::ALLOW], allow);
        assert_eq!(problem(response).await.status, 405);
    }
    let text = house
        .ask("GET", "/nothing", &[("Accept", "text/plain")], "")
        .await;
    assert_eq!(body(text).await, "there is nothing here\n");
}

#[tokio::test]
async fn a_route_refuses_strangers_exactly_when_its_rights_say_so() {
    let house = house(&[("LIMITS__ENABLED", "false")]);
    for route in router::routes() {
        let segments = route.path.split('/');
        let segments = segments.map(|it| if it.starts_with('{') { "1" } else { it });
        let path = segments.collect::<Vec<_>>().join("/");
        let method = serde_json::to_value(&route.method).unwrap();
        let method = method.as_str().unwrap().to_uppercase();
        let status = house.ask(&method, &path, &[], "").await.status();
        let needs_token = matches!(route.rights, Rights::Account | Rights::AccountInQuery);
        assert_eq!(
            status == StatusCode::UNAUTHORIZED,
            needs_token,
            "{method} {}: {status}",
            route.path
        );
    }
}

/// `deploy/nginx/nginx.conf` has the paths whose requests must not be sent to another gateway.
#[test]
fn nginx_repeats_no_request_whose_second_try_would_be_refused() {
    let refused = router::routes().into_iter();
    let refused = refused.filter(|route| route.repeat == Repeat::Refused);
    let paths: BTreeSet<String> = refused
        .map(|route| {
            let segments = route.path.split('/').skip(1);
            let segments = segments.map(|it| if it.starts_with('{') { "[^/]+" } else { it });
            segments.collect::<Vec<_>>().join("/")
        })
        .collect();
    let paths = paths.into_iter().collect::<Vec<_>>().join("|");
    let expected = format!("location ~ ^/({paths})$ {{\n            proxy_next_upstream off;");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/nginx/nginx.conf");
    let nginx = std::fs::read_to_string(file).unwrap();
    assert!(nginx.contains(&expected), "nginx.conf lacks: {expected}");
}

#[tokio::test]
async fn a_sane_request_id_is_kept_and_another_replaced() {
    let house = house(&[]);
    let id = |response: Response| {
        response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned()
    };
    let sane = house
        .ask("GET", "/version", &[("X-Request-ID", "abc-1")], "")
        .await;
    assert_eq!(id(sane), "abc-1");
    let longest = "x".repeat(64);
    let kept = house
        .ask("GET", "/version", &[("X-Request-ID", &longest)], "")
        .await;
    assert_eq!(id(kept), longest);
    // A tab is the one control character that a header field may have.
    for odd in ["a b", "a\tb", "", "a;b", &"x".repeat(65)] {
        let response = house
            .ask("GET", "/version", &[("X-Request-ID", odd)], "")
            .await;
        assert_eq!(id(response).len(), 32, "{odd:?}");
    }
}

#[tokio::test]
async fn a_token_is_asked_about_once() {
    let house = house(&[]);
    for header in ["good", "Bearer good", "bearer good"] {
        let response = house.get_as(header, "/profile").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert!(body(response).await.contains("ann@example.org"));
    }
    assert_eq!(house.verified.load(Ordering::SeqCst), 1);
}

/// The fake goes on to believe it, so that one sees whether it is asked.
#[tokio::test]
async fn a_token_is_asked_about_again_when_its_session_has_ended_or_may_have() {
    let mut house = house(&[]);
    let ends = house.listeners.recv().await.unwrap().ends;
    let tell = async |ended| ends.send(Ok(ended)).await.unwrap();
    let asked = async || {
        assert_eq!(
            house.get_as("good", "/profile").await.status(),
            StatusCode::OK
        );
        house.verified.load(Ordering::SeqCst)
    };
    let asked_by_now = async |count| {
        let asking = async { while asked().await < count {} };
        tokio::time::timeout(Duration::from_secs(10), asking)
            .await
            .unwrap();
    };
    tell(Ended::default()).await;
    // The first word is a gap too: what was asked before it is not believed after it.
    asked_by_now(1).await;
    let before = Ended {
        session_ids: vec![2],
        no: 1,
        reset: false,
    };
    tell(before).await;
    house.until_ended(2).await;
    let settled = asked().await;
    assert_eq!(
        asked().await,
        settled,
        "another session's end is nothing to it"
    );
    tell(Ended {
        session_ids: vec![],
        no: 9,
        reset: true,
    })
    .await;
    asked_by_now(settled + 1).await;
    assert_eq!(asked().await, settled + 1);
    tell(Ended {
        session_ids: vec![1],
        no: 10,
        reset: false,
    })
    .await;
    asked_by_now(settled + 2).await;
}

#[tokio::test]
async fn without_a_valid_token_there_is_no_way_in() {
    let house = house(&[]);
    for token in ["", "forged", "Basic good", "Bearer "] {
        let response = house.get_as(token, "/profile").await;
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
        assert_eq!(
            problem(response).await.code,
            Code::Unauthenticated,
            "{token:?}"
        );
    }
    assert_eq!(problem(house.get("/rooms").await).await.status, 401);
    let stranger = house.get("/profile/7").await;
    assert_eq!(stranger.status(), StatusCode::OK);
    assert!(!body(stranger).await.contains("Email"));
}

#[tokio::test]
async fn a_body_is_judged_by_what_it_says() {
    let house = house(&[]);
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let good = r#"{"username":"ann","EMAIL":"a@b.c","Password":"longenough","x":1}"#;
    let response = house.ask("POST", "/register", &form, good).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(body(response).await, r#"{"UID":7}"#);

    for (bad, names) in [
        ("{", "JSON"),
        (r#"{"Username":1}"#, "Username"),
        ("[]", "object"),
    ] {
        let problem = problem(house.ask("POST", "/register", &[], bad).await).await;
        assert_eq!(problem.code, Code::InvalidArgument);
        assert!(problem.detail.contains(names), "{}", problem.detail);
    }
    let huge = "x".repeat(base::limits::BODY_BYTES + 1);
    assert_eq!(
        problem(house.ask("POST", "/register", &[], &huge).await)
            .await
            .status,
        413
    );
}

#[tokio::test]
async fn a_path_that_names_no_id_is_a_bad_request() {
    let house = house(&[]);
    for id in [
        "0",
        "-1",
        "x",
        "1.5",
        "9007199254740992",
        "9223372036854775808",
        "%ff",
    ] {
        for path in ["/profile/", "/room/"] {
            let problem = problem(house.get(&format!("{path}{id}")).await).await;
            assert_eq!(problem.status, 400, "{path}{id}");
        }
        let path = format!("/messages/{id}");
        assert_eq!(
            house.get_as("good", &path).await.status(),
            StatusCode::BAD_REQUEST
        );
    }
}

#[tokio::test]
async fn the_page_is_at_home_in_one_place() {
    let house = house(&[]);
    let page = house.get("/").await;
    assert_eq!(page.status(), StatusCode::OK);
    assert!(page.headers().contains_key("content-security-policy"));
    for path in ["/web/x/index.html", "/web/x/%FF", "/web/x/../Cargo.toml"] {
        let refusal = problem(house.get(path).await).await;
        assert_eq!(refusal.code, Code::NotFound, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_unavailable_and_what_breaks_is_internal() {
    let house = house(&[]);
    for path in ["/rooms", "/room/1", "/messages/1"] {
        let response = house.get_as("good", path).await;
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        assert_eq!(problem(response).await.code, Code::Unavailable, "{path}");
    }
    let broken = problem(house.get("/profile/666").await).await;
    assert_eq!(
        (broken.code, &*broken.detail),
        (Code::Internal, "internal error")
    );
}

#[tokio::test]
async fn logins_are_limited_and_the_answer_says_when_to_come_again() {
    let house = house(&[("LIMITS__LOGIN_ACCOUNT__BURST", "2")]);
    let login = |name: &str| format!(r#"{{"Username":"{name}","Password":"wrong"}}"#);
    for method in ["PUT", "POST"] {
        let refused = house.ask(method, "/login", &[], &login("jess_é")).await;
        assert_eq!(problem(refused).await.code, Code::Unauthenticated);
    }
    // Other spellings of the same name, as accounts are found.
    for spelling in ["jess_é", "JESS_É", "jeſſ_é", "jess_e\u{301}"] {
        let limited = house.ask("PUT", "/login", &[], &login(spelling)).await;
        assert_eq!(limited.headers()[header::RETRY_AFTER], "6");
        assert_eq!(limited.headers()["ratelimit"], "\"login-account\";r=0;t=6");
        assert_eq!(problem(limited).await.code, Code::RateLimited, "{spelling}");
    }
    let other = house.ask("PUT", "/login", &[], &login("bob")).await;
    assert_eq!(other.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn limits_can_be_off() {
    let house = house(&[("LIMITS__LOGIN__BURST", "1"), ("LIMITS__ENABLED", "false")]);
    for _ in 0..5 {
        let body = r#"{"Username":"ann","Password":"wrong"}"#;
        let refused = house.ask("PUT", "/login", &[], body).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_browser_elsewhere_may_call_when_it_is_configured_to() {
    let preflight = [
        ("Origin", "https://good.example"),
        ("Access-Control-Request-Method", "PUT"),
        ("Access-Control-Request-Headers", "authorization"),
    ];
    let open = house(&[]);
    let response = open.ask("OPTIONS", "/join", &preflight, "").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    assert!(
        !response
            .headers()
            .contains_key("access-control-allow-credentials")
    );
    let refusal = open.ask("PUT", "/join", &preflight[..1], "{}").await;
    assert_eq!(refusal.headers()["access-control-allow-origin"], "*");
    assert_eq!(problem(refusal).await.status, 401);

    let listed = house(&[("CORS__ORIGINS", "https://good.example")]);
    let response = listed.ask("OPTIONS", "/join", &preflight, "").await;
    assert_eq!(
        response.headers()["access-control-allow-origin"],
        "https://good.example"
    );
    let response = listed
        .ask("GET", "/version", &[("Origin", "https://evil.example")], "")
        .await;
    assert!(
        !response
            .headers()
            .contains_key("access-control-allow-origin")
    );
}

#[tokio::test]
async fn a_socket_is_refused_before_the_upgrade() {
    let house = house(&[("CORS__ORIGINS", "https://good.example")]);
    let status = |response: Response| response.status().as_u16();
    assert_eq!(status(house.get("/ws").await), 401);
    assert_eq!(status(house.get("/ws?token=forged").await), 401);
    let plain = house.get("/ws?token=good").await;
    assert_eq!(plain.headers()[header::UPGRADE], "websocket");
    assert_eq!(problem(plain).await.status, 426);
    let foreign = [("Origin", "https://evil.example"), ("Host", "chat.example")];
    assert_eq!(
        status(house.ask("GET", "/ws?token=good", &foreign, "").await),
        403
    );
}

#[tokio::test]
async fn a_client_that_sends_ten_mebibytes_sees_the_refusal() {
    let house = house(&[]);
    let address = house.serve().await;
    let ten = 10 << 20;
    let mut request =
        format!("POST /register HTTP/1.1\r\nHost: x\r\nContent-Length: {ten}\r\n\r\n");
    request.push_str(&"x".repeat(ten));
    let answer = house.say(address, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("\"Code\":\"too_large\""));

    let chunk = format!("100000\r\n{}\r\n", "x".repeat(1 << 20)).repeat(10);
    let head = "POST /register HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunked = format!("{head}{chunk}");
    let answer = house.say(address, chunked.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn who_dawdles_is_let_go() {
    let house = house(&[
        ("HTTP__BODY_TIMEOUT", "50ms"),
        ("HTTP__HEADER_TIMEOUT", "50ms"),
    ]);
    let address = house.serve().await;
    let body = b"POST /register HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{";
    let answer = house.say(address, body).await;
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    assert!(answer.contains("connection: close") && answer.contains("deadline_exceeded"));
    let head = house.say(address, b"GET /version HTTP/1.1\r\nHo").await;
    assert!(!head.contains("200"), "{head}");
}

#[tokio::test]
async fn a_good_handshake_is_upgraded() {
    let house = house(&[]);
    let address = house.serve().await;
    let handshake = "GET /ws?token=good HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(handshake.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
}

#[tokio::test]
async fn a_drain_lets_idle_connections_go_and_accepts_no_more() {
    let house = house(&[]);
    let address = house.serve().await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    house.lifecycle.drain();
    assert!(rest(&mut idle).await.contains("\"Ready\":true"));
    drop(idle);
    house.lifecycle.drained().await;
    assert!(TcpStream::connect(address).await.is_err());
}

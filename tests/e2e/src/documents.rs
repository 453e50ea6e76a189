//! The documents that client developers read.

use client::wire::{Code, limits};
use client::{Answer, Method};
use http::HeaderMap;
use http::header::IF_NONE_MATCH;
use serde_json::Value;

use crate::harness::raw::RawSocket;
use crate::harness::{World, unique};

async fn read(world: &World, gateway: usize, path: &str) -> Answer {
    let api = world.gateway(gateway);
    let answer = api.raw(Method::GET, path, HeaderMap::new(), "").await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 200, "{path}");
    answer
}

async fn document(world: &World, path: &str) -> Value {
    let answer = read(world, 0, path).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.json().unwrap()
}

scenarios! {
    async fn every_gateway_has_the_same_documents_and_tells_who_has_them(world: World) {
        for path in ["/openapi.json", "/asyncapi.json", "/docs"] {
            let [here, there] = [read(&world, 0, path).await, read(&world, 1, path).await];
            assert_eq!(here.body, there.body, "{path}");
            let tag = here.header("etag").unwrap();
            assert_eq!(there.header("etag"), Some(tag));
            let known = HeaderMap::from_iter([(IF_NONE_MATCH, tag.parse().unwrap())]);
            let again = world.gateway(1).raw(Method::GET, path, known, "").await.unwrap();
            assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        }
    }

    async fn the_limits_that_the_document_tells_are_kept(world: World) {
        let openapi = document(&world, "/openapi.json").await;
        let username = &openapi["components"]["schemas"]["Username"];
        let most = usize::try_from(username["maxLength"].as_u64().unwrap()).unwrap();
        assert_eq!(most, limits::USERNAME_CHARS.1);
        let ann = world.user().await;
        let name = unique("n");
        let longest = format!("{name}{}", "x".repeat(most - name.len()));
        ann.api().change_name(&longest).await.unwrap();
        let refused = ann.api().change_name(&format!("{longest}x")).await.unwrap_err();
        assert_eq!(refused.code(), Some(Code::InvalidArgument));
    }

    async fn a_get_that_the_document_lets_anybody_make_needs_no_token(world: World) {
        let openapi = document(&world, "/openapi.json").await;
        let paths = openapi["paths"].as_object().unwrap();
        let mut open = 0;
        for (path, item) in paths.iter().filter(|(path, _)| !path.contains('{')) {
            let Some(get) = item.get("get") else { continue };
            let gateway = world.gateway(0);
            let answer = gateway.raw(Method::GET, path, HeaderMap::new(), "").await.unwrap();
            if get.get("security").is_none() {
                open += 1;
                assert_eq!(answer.status, 200, "{path}");
            } else {
                assert_eq!(answer.status, 401, "{path}");
            }
        }
        assert!(open >= 6, "{open}");
    }

    async fn a_ping_of_the_document_gets_the_pong_of_the_document(world: World) {
        let asyncapi = document(&world, "/asyncapi.json").await;
        let messages = &asyncapi["components"]["messages"];
        let mut socket = RawSocket::open(world.user().await.api()).await;
        let example = |name: &str| &messages[name]["examples"][0]["payload"];
        socket.send_text(&example("commandPing").to_string()).await;
        let pong: Value = serde_json::from_str(&socket.text().await).unwrap();
        assert_eq!(&pong, example("pong"));
    }

    async fn the_page_needs_nothing_from_elsewhere(world: World) {
        let answer = read(&world, 0, "/docs").await;
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"));
        let page = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(!page.contains("://"));
    }
}

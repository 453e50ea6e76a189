//! The three routes.

use axum::response::Response;
use http::{StatusCode, header};
use serde_json::Value;

use crate::http::tests::{body, house};

fn is_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn the_documents_are_served_to_anybody_from_anywhere() {
    let house = house(&[]);
    for (path, kind, key) in [
        ("/openapi.json", "application/json", "openapi"),
        ("/asyncapi.json", "application/json", "asyncapi"),
        ("/docs", "text/html; charset=utf-8", ""),
    ] {
        let ask = |method| house.ask(method, path, &[("Origin", "https://example.org")], "");
        let response = ask("GET").await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let headers = response.headers().clone();
        assert_eq!(headers[header::CONTENT_TYPE], kind);
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert_eq!(headers[header::CACHE_CONTROL], "no-cache");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        let text = body(response).await;
        if key.is_empty() {
            assert!(text.starts_with("<!doctype html>"));
        } else {
            assert!(is_json(&text)[key].is_string());
        }
        let head = ask("HEAD").await;
        assert_eq!(head.headers()[header::ETAG], headers[header::ETAG]);
        assert_eq!(
            head.headers()[header::CONTENT_LENGTH],
            text.len().to_string()
        );
        assert_eq!(body(head).await, "");
    }
}

#[tokio::test]
async fn who_has_a_document_does_not_get_it_again() {
    let house = house(&[]);
    for path in ["/openapi.json", "/asyncapi.json", "/docs"] {
        let tag = house.get(path).await.headers()[header::ETAG].clone();
        let tag = tag.to_str().unwrap();
        let asked = |tags: String| {
            let house = &house;
            async move {
                house
                    .ask("GET", path, &[("If-None-Match", &tags)], "")
                    .await
            }
        };
        for tags in [
            tag.to_owned(),
            format!("\"x\", {tag}"),
            format!("W/{tag}"),
            "*".to_owned(),
        ] {
            let response: Response = asked(tags.clone()).await;
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{tags}");
            assert_eq!(response.headers()[header::ETAG], tag);
            assert_eq!(body(response).await, "");
        }
        assert_eq!(asked("\"x\"".to_owned()).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn the_page_may_run_its_own_script_and_nothing_else() {
    let house = house(&[]);
    let response = house.get("/docs").await;
    let policy = response.headers()[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .unwrap()
        .to_owned();
    let page = body(response).await;
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"));
    assert!(!policy.contains("unsafe") && !policy.contains("http"));
    // One of each, so that the digests are of all there is; and nothing from elsewhere.
    for (opening, count) in [
        ("<script", 1),
        ("<style", 1),
        ("style=", 0),
        ("://", 0),
        ("src=", 0),
    ] {
        assert_eq!(page.matches(opening).count(), count, "{opening}");
    }
}

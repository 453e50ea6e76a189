//! Bodies that are no object of the right shape, or no JSON, or too much.

use client::wire::{Code, Problem};
use client::{Answer, Api, Method};
use http::HeaderMap;

use crate::harness::unique;

async fn put(api: &Api, path: &str, body: impl Into<Vec<u8>>) -> Answer {
    api.raw(Method::PUT, path, HeaderMap::new(), body.into())
        .await
        .unwrap()
}

/// A registration of exactly `length` bytes.
fn padded(length: usize) -> String {
    let name = unique("u");
    let body = format!(
        r#"{{"Username":"{name}","Email":"{name}@example.org","Password":"secret secret","Pad":""}}"#
    );
    let pad = "x".repeat(length - body.len());
    body.replace(r#""Pad":"""#, &format!(r#""Pad":"{pad}""#))
}

scenarios! {
    async fn a_body_that_is_no_object_is_refused_in_clear_words(world: World) {
        let ann = world.user().await;
        let bodies: [&[u8]; 22] = [
            b"", b" ", b"null", b"1", b"\"x\"", b"[]", b"[{\"RoomID\":1}]", b"x", b"{", b"}",
            b"{\"RoomID\":1", b"{\"RoomID\"}", b"{\"RoomID\":}", b"{\"RoomID\":1,}", b"{RoomID:1}",
            b"{'RoomID':1}", b"{\"RoomID\":1}{\"RoomID\":1}", b"{\"RoomID\":1} x", b"RoomID=1",
            b"\xff\xfe{\"RoomID\":1}", b"\xef\xbb\xbf{\"RoomID\":1}", b"{\"RoomID\":0x1}",
        ];
        for body in bodies {
            let answer = put(ann.api(), "/join", body).await;
            let shown = String::from_utf8_lossy(body);
            assert_eq!(answer.status, 400, "{shown}");
            let problem: Problem = answer.json().unwrap();
            assert_eq!(problem.code, Code::InvalidArgument);
            assert!(!problem.detail.is_empty(), "{shown}");
        }
    }

    async fn invalid_utf_8_is_refused_wherever_it_is(world: World) {
        let ann = world.user().await;
        let bodies: [&[u8]; 5] = [
            b"{\"NewName\":\"ab\xffc\"}", b"{\"NewName\":\"ab\xc3\"}", b"{\"NewName\":\"ab\xed\xa0\x80\"}",
            b"{\"NewName\":\"abc\",\"Other\":\"\xff\"}", b"{\"NewName\":\"ab\xc0\x80c\"}",
        ];
        for body in bodies {
            assert_eq!(put(ann.api(), "/change-name", body).await.status, 400, "{body:?}");
        }
        for escape in [r"\ud800", r"\udc00", r"\ud800\u0041", r"\u12", r"\x41"] {
            let body = format!(r#"{{"NewName":"abc{escape}"}}"#);
            assert_eq!(put(ann.api(), "/change-name", body).await.status, 400, "{escape}");
        }
        assert_eq!(ann.api().profile().await.unwrap().username, ann.name);
    }

    async fn of_duplicate_keys_the_last_wins(world: World) {
        let ann = world.user().await;
        let (first, last) = (unique("a"), unique("b"));
        let body = format!(r#"{{"NewName":"{first}","newname":[],"NEWNAME":"{last}"}}"#);
        assert_eq!(put(ann.api(), "/change-name", body).await.status, 200);
        assert_eq!(ann.api().profile().await.unwrap().username, last);
        let body = format!(r#"{{"NewName":"{first}","newname":[]}}"#);
        assert_eq!(put(ann.api(), "/change-name", body).await.status, 400);
        let body = format!(r#"{{"NewName":"{first}","newname":null}}"#);
        assert_eq!(put(ann.api(), "/change-name", body).await.status, 400);
    }

    async fn a_body_nested_without_end_is_refused_and_no_more(world: World) {
        let ann = world.user().await;
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            for (depth, closing) in [(10_000, ""), (10_000, "}"), (10_000, close), (100, close)] {
                let (opening, closing) = (open.repeat(depth), closing.repeat(depth));
                for key in ["NewName", "Other"] {
                    let body = format!(r#"{{"{key}":{opening}{closing}}}"#);
                    let answer = put(ann.api(), "/change-name", body).await;
                    assert_eq!(answer.status, 400, "{key} {open} {depth}");
                }
            }
        }
        ann.api().profile().await.unwrap();
    }

    async fn a_body_of_64_kib_is_taken_and_one_byte_more_is_not(world: World) {
        let register = async |body: String| {
            world.gateway(0).raw(Method::POST, "/register", HeaderMap::new(), body).await.unwrap()
        };
        assert_eq!(register(padded(64 * 1024)).await.status, 201);
        let answer = register(padded(64 * 1024 + 1)).await;
        assert_eq!(answer.status, 413);
        assert_eq!(answer.json::<Problem>().unwrap().code, Code::TooLarge);
    }

    async fn a_huge_header_is_refused_and_no_more(world: World) {
        let ann = world.user().await;
        let headers = [(http::header::USER_AGENT, "x".repeat(1 << 20).parse().unwrap())];
        // An answer or a closed connection: either is right.
        if let Ok(answer) =
            ann.api().raw(Method::GET, "/profile", headers.into_iter().collect(), "").await
        {
            assert!((400..500).contains(&answer.status), "{}", answer.status);
        }
        ann.api().profile().await.unwrap();
    }
}

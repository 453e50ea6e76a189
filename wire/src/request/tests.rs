//! The rules of the request bodies, each at and over its edge.

use proptest::prelude::*;

use super::*;

fn refusal<T: std::fmt::Debug>(parsed: Result<T>) -> String {
    let error = parsed.unwrap_err();
    assert_eq!(error.code(), base::Code::InvalidArgument);
    error.detail().to_owned()
}

#[test]
fn a_registration_needs_all_three_and_names_what_is_wrong() {
    let ok = br#"{"username":"ann","EMAIL":"a@b.c","Password":"12345678"}"#;
    assert_eq!(RegisterRequest::parse(ok).unwrap().username.as_str(), "ann");
    for (body, field) in [
        (r#"{"Email":"a@b.c","Password":"12345678"}"#, "Username"),
        (r#"{"Username":"ann","Password":"12345678"}"#, "Email"),
        (r#"{"Username":"ann","Email":"a@b.c"}"#, "Password"),
        (
            r#"{"Username":"an","Email":"a@b.c","Password":"12345678"}"#,
            "Username",
        ),
        (
            r#"{"Username":"ann","Email":"ab.c","Password":"12345678"}"#,
            "Email",
        ),
        (
            r#"{"Username":"ann","Email":"a@b.c","Password":"1234567"}"#,
            "Password",
        ),
        (
            r#"{"Username":1,"Email":"a@b.c","Password":"12345678"}"#,
            "Username",
        ),
    ] {
        let detail = refusal(RegisterRequest::parse(body.as_bytes()));
        assert!(
            detail.starts_with(&format!("{field}: ")),
            "{body}: {detail}"
        );
    }
}

#[test]
fn a_change_of_password_takes_any_old_one_and_no_new_one_that_breaks_the_rules() {
    let parse = |body: &str| ChangePasswordRequest::parse(body.as_bytes());
    let ok = parse(r#"{"oldpassword":"","NewPassword":"12345678"}"#).unwrap();
    assert_eq!(ok.old_password, "");
    assert_eq!(ok.new_password.as_bytes(), b"12345678");
    assert!(!format!("{ok:?}").contains("1234"));
    for (body, field) in [
        (r#"{"NewPassword":"12345678"}"#, "OldPassword"),
        (
            r#"{"OldPassword":1,"NewPassword":"12345678"}"#,
            "OldPassword",
        ),
        (
            r#"{"OldPassword":"a\u0000b","NewPassword":"12345678"}"#,
            "OldPassword",
        ),
        (r#"{"OldPassword":"x"}"#, "NewPassword"),
        (
            r#"{"OldPassword":"x","NewPassword":"1234567"}"#,
            "NewPassword",
        ),
    ] {
        let detail = refusal(parse(body));
        assert!(
            detail.starts_with(&format!("{field}: ")),
            "{body}: {detail}"
        );
    }
}

#[test]
fn a_refresh_takes_any_string_and_does_not_print_it() {
    let parse = |body: &str| RefreshRequest::parse(body.as_bytes());
    let ok = parse(r#"{"refreshtoken":"1.secret"}"#).unwrap();
    assert_eq!(ok.refresh_token, "1.secret");
    assert!(!format!("{ok:?}").contains("secret"));
    for body in ["{}", r#"{"RefreshToken":7}"#, r#"{"RefreshToken":null}"#] {
        let detail = refusal(parse(body));
        assert!(detail.starts_with("RefreshToken: "), "{body}: {detail}");
    }
}

#[test]
fn a_login_takes_any_string_but_not_any_type() {
    let name = |body: &str| LoginRequest::parse(body.as_bytes()).map(|login| login.name);
    let email = |text: &str| LoginName::Email(text.to_owned());
    let username = |text: &str| LoginName::Username(text.to_owned());
    assert_eq!(name(r#"{"Email":"?","Password":""}"#).unwrap(), email("?"));
    assert_eq!(
        name(r#"{"Username":"!","Password":"x"}"#).unwrap(),
        username("!")
    );
    assert_eq!(
        name(r#"{"Email":"","Username":"u","Password":""}"#).unwrap(),
        username("u")
    );
    assert_eq!(
        name(r#"{"Email":"e","Username":"","Password":""}"#).unwrap(),
        email("e")
    );
    assert!(refusal(name(r#"{"Password":"x"}"#)).starts_with("Email: "));
    assert!(refusal(name(r#"{"Email":"e"}"#)).starts_with("Password: "));
    assert!(refusal(name(r#"{"Email":"e","Password":1}"#)).starts_with("Password: "));
    assert!(refusal(name(r#"{"Email":"\u0000","Password":"x"}"#)).starts_with("Email: "));
}

#[test]
fn a_login_does_not_print_its_password() {
    let login = LoginRequest::parse(br#"{"Email":"e","Password":"sesame"}"#).unwrap();
    assert!(!format!("{login:?}").contains("sesame"));
}

#[test]
fn a_room_is_open_unless_it_says_otherwise() {
    let room = |body: &str| CreateRoomRequest::parse(body.as_bytes());
    assert!(!room(r#"{"Name":"abc"}"#).unwrap().is_private);
    assert!(
        !room(r#"{"Name":"abc","IsPrivate":null}"#)
            .unwrap()
            .is_private
    );
    assert!(
        room(r#"{"Name":"abc","isprivate":true}"#)
            .unwrap()
            .is_private
    );
    assert!(refusal(room(r#"{"Name":"abc","IsPrivate":1}"#)).starts_with("IsPrivate: "));
    assert!(refusal(room(r#"{"IsPrivate":true}"#)).starts_with("Name: "));
}

#[test]
fn an_invitation_names_room_and_user() {
    assert!(InviteRequest::parse(br#"{"RoomID":1,"UID":2}"#).is_ok());
    assert!(refusal(InviteRequest::parse(br#"{"RoomID":1}"#)).starts_with("UID: "));
    assert!(refusal(InviteRequest::parse(br#"{"RoomID":0,"UID":2}"#)).starts_with("RoomID: "));
    assert!(refusal(JoinRequest::parse(br#"{"RoomID":"1"}"#)).starts_with("RoomID: "));
    assert!(refusal(LeaveRequest::parse(b"{}")).starts_with("RoomID: "));
    assert!(refusal(ChangeNameRequest::parse(br#"{"NewName":"x"}"#)).starts_with("NewName: "));
}

#[test]
fn history_is_asked_for_by_body_or_by_query() {
    let page = |query, body: &str| HistoryQuery::parse(query, body.as_bytes());
    let all = HistoryQuery {
        from: HistoryFrom::Newest,
        limit: 100,
    };
    assert_eq!(page(None, "").unwrap(), all);
    assert_eq!(page(Some(""), r#"{"LastID":0}"#).unwrap(), all);
    let some = HistoryQuery {
        from: HistoryFrom::UpTo(Seq(5)),
        limit: 7,
    };
    assert_eq!(page(None, r#"{"lastid":5,"limit":7}"#).unwrap(), some);
    assert_eq!(page(Some("lastid=5&token=x&Limit=7"), "").unwrap(), some);
    for (query, from) in [
        ("After=0", HistoryFrom::After(Seq(0))),
        ("LastID=0&After=7", HistoryFrom::After(Seq(7))),
        ("around=7", HistoryFrom::Around(Seq(7))),
    ] {
        assert_eq!(page(Some(query), "").unwrap().from, from, "{query}");
    }
    for (query, body, field) in [
        (Some("After=1&LastID=1"), "", "After"),
        (Some("After=1&Around=1"), "", "After"),
        (Some("Around=1&LastID=1"), "", "Around"),
        (Some("Around=0"), "", "Around"),
        (Some("LastID=-1"), "", "LastID"),
        (Some("LastID=x"), "", "LastID"),
        (Some("LastID="), "", "LastID"),
        (Some("Limit=0"), "", "Limit"),
        (Some("Limit=101"), "", "Limit"),
        (None, r#"{"LastID":-1}"#, "LastID"),
        (None, r#"{"LastID":"5"}"#, "LastID"),
        (None, r#"{"Limit":0}"#, "Limit"),
    ] {
        assert!(
            refusal(page(query, body)).starts_with(field),
            "{query:?} {body}"
        );
    }
    assert_eq!(refusal(page(None, "x")), "must be a JSON object");
}

#[test]
fn a_post_has_a_text_and_may_have_a_nonce() {
    let post = |body: &str| PostMessageRequest::parse(body.as_bytes());
    assert_eq!(post(r#"{"Text":"hi","Nonce":null}"#).unwrap().nonce, None);
    assert_eq!(
        post(r#"{"Text":"hi","Nonce":"n"}"#)
            .unwrap()
            .nonce
            .unwrap()
            .as_str(),
        "n"
    );
    assert!(refusal(post(r#"{"Text":"hi","Nonce":""}"#)).starts_with("Nonce: "));
    assert!(refusal(post(r#"{"Nonce":"n"}"#)).starts_with("Text: "));
    assert!(refusal(post(r#"{"Text":""}"#)).starts_with("Text: "));
}

#[test]
fn a_page_of_the_log_begins_after_an_event() {
    let page = |query| EventsQuery::parse(Some(query));
    let first = EventsQuery {
        after: Seq(0),
        epoch: None,
        limit: 1_000,
    };
    assert_eq!(EventsQuery::parse(None).unwrap(), first);
    let later = EventsQuery {
        after: Seq(41),
        epoch: Some(Epoch(2)),
        limit: 5,
    };
    assert_eq!(page("after=41&Epoch=2&Limit=5").unwrap(), later);
    for (query, field) in [
        ("After=x", "After"),
        ("Limit=1001", "Limit"),
        ("Epoch=-1", "Epoch"),
    ] {
        assert!(
            page(query).unwrap_err().detail().starts_with(field),
            "{query}"
        );
    }
}

proptest! {
    #[test]
    fn no_body_makes_a_parser_panic(body in proptest::collection::vec(any::<u8>(), 0..120)) {
        drop(RegisterRequest::parse(&body));
        drop(LoginRequest::parse(&body));
        drop(InviteRequest::parse(&body));
        drop(PostMessageRequest::parse(&body));
        drop(HistoryQuery::parse(None, &body));
    }

    #[test]
    fn no_query_makes_a_parser_panic(query in ".*") {
        drop(EventsQuery::parse(Some(&query)));
        drop(HistoryQuery::parse(Some(&query), b""));
    }
}

//! What each route is for, takes, answers and refuses, in the words of its clients. The
//! router's table beside it has the same routes; a test compares the two.

use base::{Code, MAX_ID, RoomId, limits};
use http::StatusCode;
use serde_json::json;
use utoipa::openapi::path::HttpMethod::{Delete, Get, Post, Put};
use utoipa::openapi::schema::{Object, Type};
use wire::event::{Event, EventsPage};
use wire::request::{
    ChangeNameRequest, ChangePasswordRequest, CreateRoomRequest, InvitationRequest, InviteRequest,
    JoinRequest, KickRequest, LeaveRequest, LoginRequest, PostMessageRequest, ReadRequest,
    RefreshRequest, RegisterRequest,
};
use wire::response::{
    Directory, Entry, Invitation, Invited, Joined, LoggedIn, MemberPage, Posted, Profile,
    ReadMarker, Registered, Room, RoomCreated, RoomIds, RoomList, SessionList, Status, Ticket,
    UserList,
};

use super::operation::{Route, content, number, string};

const WHEN: &str = "2026-01-02T03:04:05.678901Z";
const CODE: &str = "q83vEjRWeJCrze8SNFZ4kA";
const ROOM: RoomId = RoomId::new(1).unwrap();
/// Why a code leads nowhere: no reason is told from another.
const GOOD_NO_MORE: &str = "no such invitation, or it is used up, expired or withdrawn";

/// Every route, by the part of the document it is in.
pub(super) fn all() -> Vec<Route> {
    let parts = [
        ("Accounts", accounts()),
        ("Sessions", sessions()),
        ("Rooms", rooms()),
        ("Rooms", invitations()),
        ("Messages", messages()),
        ("Live", live()),
        ("Operation", operation()),
    ];
    let tag = |(tag, routes): (&'static str, Vec<Route>)| {
        routes.into_iter().map(move |route| route.tagged(tag))
    };
    parts.into_iter().flat_map(tag).collect()
}

fn accounts() -> Vec<Route> {
    let login = |method, id| {
        Route::new((method, "/login"), id, "Log in")
            .served()
            .about("Opens a session. Takes an address or a name; whatever is wrong is refused in the same words and the same time.")
            .takes::<LoginRequest>(json!({ "Email": "ann@example.org", "Password": "correct horse" }))
            .answers::<LoggedIn>(StatusCode::OK, "Logged in.", logged_in())
            .refuses(Code::Unauthenticated, "wrong name or password")
    };
    vec![
        Route::new((Post, "/register"), "register", "Make an account")
            .served()
            .takes::<RegisterRequest>(json!({ "Username": "ann", "Email": "ann@example.org", "Password": "correct horse" }))
            .answers::<Registered>(StatusCode::CREATED, "Registered.", json!({ "UID": 1 }))
            .refuses(Code::Conflict, "the name or the address is taken"),
        login(Put, "login"),
        login(Post, "loginByPost"),
        Route::new((Get, "/profile"), "ownProfile", "See one's own profile")
            .authenticated()
            .served()
            .answers::<Profile>(StatusCode::OK, "The caller's profile.", json!({ "UID": 1, "Username": "ann", "Email": "ann@example.org", "CreatedAt": WHEN })),
        Route::new((Get, "/profile/{UID}"), "profile", "See somebody's profile")
            .served()
            .about("Without the address, which is nobody else's business.")
            .answers::<Profile>(StatusCode::OK, "The user's profile, without `Email`.", json!({ "UID": 1, "Username": "ann", "CreatedAt": WHEN }))
            .refuses(Code::NotFound, "no such user"),
        Route::new((Get, "/users"), "users", "Look users up")
            .authenticated()
            .served()
            .about("By numbers or by a name; who is not there is left out. One of the two is needed.")
            .query_text("UID", format!("Numbers with commas between them, {} at most.", limits::PROFILES))
            .query_text("Username", "The user of this name, in any case.")
            .answers::<UserList>(StatusCode::OK, "Who of them is there.", json!({ "Users": [
                { "UID": 1, "Username": "ann", "CreatedAt": WHEN },
            ] })),
        Route::new((Put, "/change-name"), "changeName", "Go by another name")
            .authenticated()
            .served()
            .takes::<ChangeNameRequest>(json!({ "NewName": "anna" }))
            .answers::<Status>(StatusCode::OK, "Renamed.", json!(Status::NAME_CHANGED))
            .refuses(Code::Conflict, "the name is taken"),
        Route::new((Put, "/change-password"), "changePassword", "Take another password")
            .authenticated()
            .served()
            .about("Ends all other sessions, also one whose login with the old password is under way.")
            .takes::<ChangePasswordRequest>(json!({ "OldPassword": "correct horse", "NewPassword": "battery staple" }))
            .answers::<Status>(StatusCode::OK, "Changed.", json!(Status::PASSWORD_CHANGED))
            .refuses(Code::PermissionDenied, "the old password is wrong"),
    ]
}

fn sessions() -> Vec<Route> {
    vec![
        Route::new((Post, "/refresh"), "refresh", "Get a new pair of tokens")
            .served()
            .about("The old refresh token dies. One that comes a second time ends its session, for two have it; but the same token with the same `Idempotency-Key` within 60 s gets the same pair.")
            .idempotent("Makes it safe to repeat within 60 s.")
            .takes::<RefreshRequest>(json!({ "RefreshToken": "1.c2VjcmV0" }))
            .answers::<LoggedIn>(StatusCode::OK, "The new pair.", logged_in())
            .refuses(Code::Unauthenticated, "the session has ended"),
        Route::new((Post, "/logout"), "logout", "End this session")
            .authenticated()
            .served()
            .about("Its WebSockets are closed with 4001 on every gateway.")
            .answers::<Status>(StatusCode::OK, "Ended.", json!(Status::LOGGED_OUT)),
        Route::new((Get, "/sessions"), "sessions", "See where one is logged in")
            .authenticated()
            .served()
            .answers::<SessionList>(StatusCode::OK, "The caller's sessions, newest first.", json!({ "Sessions": [{
                "SessionID": 1, "Device": "curl/8.5.0", "Address": "192.0.2.1",
                "CreatedAt": WHEN, "LastUsed": WHEN, "Current": true,
            }] })),
        Route::new((Delete, "/sessions"), "endOtherSessions", "End all other sessions")
            .authenticated()
            .served()
            .answers::<Status>(StatusCode::OK, "Ended.", json!(Status::ENDED)),
        Route::new((Delete, "/sessions/{SessionID}"), "endSession", "End one session")
            .authenticated()
            .served()
            .answers::<Status>(StatusCode::OK, "Ended.", json!(Status::ENDED))
            .refuses(Code::NotFound, "no such session"),
        Route::new((Post, "/ws-ticket"), "ticket", "Get a ticket for a WebSocket")
            .authenticated()
            .served()
            .about("For `GET /ws?ticket=`, so that no URL has a token: good once, within 30 s.")
            .answers::<Ticket>(StatusCode::OK, "The ticket.", json!({ "Ticket": "1.dGlja2V0", "ExpiresAt": WHEN })),
    ]
}

fn rooms() -> Vec<Route> {
    let member = json!({ "RoomID": 1, "UID": 2 });
    vec![
        Route::new((Post, "/create-room"), "createRoom", "Make a room")
            .authenticated()
            .served()
            .about("Its creator is its owner and first member.")
            .takes::<CreateRoomRequest>(json!({ "Name": "lobby", "IsPrivate": false }))
            .answers::<RoomCreated>(StatusCode::CREATED, "Made.", json!({ "RoomID": 1 }))
            .refuses(Code::Conflict, "a room of this name exists"),
        Route::new((Put, "/join"), "join", "Become a member of a public room")
            .authenticated()
            .served()
            .takes::<JoinRequest>(json!({ "RoomID": 1 }))
            .answers::<Status>(StatusCode::OK, "Joined.", json!(Status::JOINED))
            .refuses(Code::PermissionDenied, "the room is private")
            .refuses(Code::NotFound, "no such room")
            .refuses(Code::Conflict, "already a member"),
        Route::new((Put, "/leave"), "leave", "Be a member no more")
            .authenticated()
            .served()
            .takes::<LeaveRequest>(json!({ "RoomID": 1 }))
            .answers::<Status>(StatusCode::OK, "Left.", json!(Status::LEFT))
            .refuses(Code::NotFound, "no such room")
            .refuses(Code::Conflict, "not a member, or an owner who is not the last member"),
        Route::new((Put, "/invite"), "invite", "Make somebody a member")
            .authenticated()
            .served()
            .takes::<InviteRequest>(member.clone())
            .answers::<Status>(StatusCode::OK, "A member now.", json!(Status::INVITED))
            .refuses(Code::PermissionDenied, "only the creator invites")
            .refuses(Code::NotFound, "no such room, or no such user")
            .refuses(Code::Conflict, "already a member"),
        Route::new((Put, "/kick"), "kick", "Take somebody out of a room")
            .authenticated()
            .served()
            .about("He reads nothing more; his `leave` names who did it in `By`. Who means himself wants `/leave`: `invalid_argument`.")
            .takes::<KickRequest>(member)
            .answers::<Status>(StatusCode::OK, "A member no more.", json!(Status::KICKED))
            .refuses(Code::PermissionDenied, "the caller is not above the member")
            .refuses(Code::NotFound, "no such room")
            .refuses(Code::Conflict, "not a member"),
        Route::new((Get, "/rooms"), "rooms", "See one's rooms")
            .authenticated()
            .served()
            .about("With `Details` also what they are and how the caller stands in them; then a room that he is about to enter or to leave may be missing.")
            .query("Details", (0, 1), "1: with details. Absent: without.")
            .answers_either::<RoomIds, RoomList>(StatusCode::OK, "The caller's rooms; `Rooms` with `Details`.", json!({ "IDs": [1], "Rooms": [{
                "RoomID": 1, "Name": "lobby", "Kind": "room", "IsPrivate": false, "Role": "member",
                "Unread": 2, "LastRead": 39, "Head": 41, "Epoch": 1, "First": 1,
                "LastMessage": { "ID": 41, "RoomID": 1, "UID": 2, "Type": "message", "Text": "hello", "Timestamp": WHEN },
            }] })),
        Route::new((Get, "/room/{RoomID}"), "room", "See a room")
            .perhaps_authenticated()
            .served()
            .about("A private room is not found by those outside it.")
            .answers::<Room>(StatusCode::OK, "The room.", json!({ "RoomID": 1, "Name": "lobby", "CreatorUID": 1, "IsPrivate": false, "CreatedAt": WHEN }))
            .refuses(Code::NotFound, "no such room"),
        Route::new((Get, "/rooms/{RoomID}/members"), "members", "See who is in a room")
            .authenticated()
            .served()
            .about("In pages, by ascending UID. Who is in a private room is seen from inside alone.")
            .query("After", (0, MAX_ID), "The page begins with the first member after this UID.")
            .query("Limit", (1, u64::from(limits::MEMBERS_PAGE)), "Members, most. Absent: as many as may be.")
            .answers::<MemberPage>(StatusCode::OK, "The page.", json!({
                "Members": [{ "UID": 1, "Username": "ann", "Role": "owner" }], "More": false,
            }))
            .refuses(Code::NotFound, "no such room"),
        Route::new((Get, "/directory"), "directory", "Find public rooms")
            .authenticated()
            .served()
            .about("By how their names begin, in any case, in the order of their names.")
            .query_text("Q", "How the names begin. Absent: anyhow.")
            .query("Limit", (1, u64::from(limits::DIRECTORY_PAGE)), "Rooms, most. Absent: as many as may be.")
            .answers::<Directory>(StatusCode::OK, "The rooms.", json!({
                "Rooms": [{ "RoomID": 1, "Name": "lobby", "Members": 2 }],
            })),
    ]
}

fn invitations() -> Vec<Route> {
    vec![
        Route::new((Post, "/rooms/{RoomID}/invites"), "makeInvitation", "Invite whoever has a code")
            .authenticated()
            .served()
            .about(format!("The answer has the code, and nothing else ever does. A room has {} that are good at once, most.", limits::INVITATIONS))
            .may_take::<InvitationRequest>(json!({ "MaxUses": 1, "ExpiresIn": 3600 }))
            .answers::<Invitation>(StatusCode::CREATED, "Made.", json!({ "Code": CODE, "ExpiresAt": WHEN }))
            .refuses(Code::PermissionDenied, "only the creator invites")
            .refuses(Code::NotFound, "no such room")
            .refuses(Code::Conflict, "the room has as many as it may have"),
        Route::new((Get, "/invites/{Code}"), "invitation", "See where a code leads")
            .authenticated()
            .served()
            .answers::<Invited>(StatusCode::OK, "The room.", json!({ "RoomID": 1, "Name": "lobby" }))
            .refuses(Code::NotFound, GOOD_NO_MORE),
        Route::new((Put, "/invites/{Code}"), "acceptInvitation", "Become a member by a code")
            .authenticated()
            .served()
            .about("Also of a private room. A use is taken by who becomes a member, and by nobody else. Who is in is told so while the code is kept, good or not: his first try may have let him in.")
            .answers::<Joined>(StatusCode::OK, "Joined.", json!(Joined::of(ROOM)))
            .refuses(Code::NotFound, GOOD_NO_MORE)
            .refuses(Code::Conflict, "already a member"),
        Route::new((Delete, "/invites/{Code}"), "withdrawInvitation", "Make a code good no more")
            .authenticated()
            .served()
            .answers::<Status>(StatusCode::OK, "Withdrawn.", json!(Status::WITHDRAWN))
            .refuses(Code::PermissionDenied, "only the creator withdraws it, or who made it")
            .refuses(Code::NotFound, GOOD_NO_MORE),
    ]
}

fn messages() -> Vec<Route> {
    let place = (0, MAX_ID);
    let pivot = (1, MAX_ID);
    let page = (1, u64::from(limits::HISTORY_PAGE));
    let body = Object::builder()
        .property("LastID", number(place.0, place.1))
        .property("After", number(place.0, place.1))
        .property("Around", number(pivot.0, pivot.1))
        .property("Limit", number(page.0, page.1))
        .build();
    vec![
        Route::new((Get, "/messages/{RoomID}"), "history", "Read a room's messages")
            .authenticated()
            .served()
            .about("`message`, `join` and `leave`, for members. Without a parameter: the newest. Of `LastID`, `After` and `Around` one may be given. Old clients send the same keys as a body; where both name one, the query's counts.")
            .query("LastID", place, "Backwards from this ID, itself included, newest first; 0: from the newest.")
            .query("After", place, "Forwards from the first after this ID, oldest first.")
            .query("Around", pivot, "Half of the page up to this ID, half after it, newest first.")
            .query("Limit", page, "Entries, most. Absent: as many as may be.")
            .may_take_any(body, json!({ "LastID": 41 }))
            .answers_list::<Entry>(StatusCode::OK, "The page.", json!([
                { "ID": 3, "RoomID": 1, "UID": 1, "Type": "message", "Text": "hello", "Timestamp": WHEN },
            ]), limits::HISTORY_PAGE as usize)
            .refuses(Code::PermissionDenied, "not a member of the room")
            .refuses(Code::NotFound, "no such room"),
        Route::new((Post, "/messages/{RoomID}"), "send", "Say something")
            .authenticated()
            .served()
            .about("Answered when the message is durable. With a nonce it is safe to repeat: for at least 24 h a repeat gets the first answer and posts nothing.")
            .idempotent("The nonce, where the body has none.")
            .takes::<PostMessageRequest>(json!({ "Text": "hello", "Nonce": "7f3a" }))
            .answers::<Posted>(StatusCode::CREATED, "Durable.", json!({ "MessageID": 3, "Timestamp": WHEN }))
            .refuses(Code::PermissionDenied, "not a member of the room")
            .refuses(Code::NotFound, "no such room")
            .refuses(Code::NonceReused, "the nonce was used for another message"),
        Route::new((Put, "/rooms/{RoomID}/read"), "read", "Say how far one has read")
            .authenticated()
            .served()
            .about("Moves the caller's read marker, and never back. The room hears of a move as a `read` frame; so do the caller's other devices.")
            .takes::<ReadRequest>(json!({ "ID": 41 }))
            .answers::<ReadMarker>(StatusCode::OK, "Where the marker is now.", json!({ "RoomID": 1, "ID": 41 }))
            .refuses(Code::PermissionDenied, "not a member of the room")
            .refuses(Code::NotFound, "no such room"),
        Route::new((Get, "/rooms/{RoomID}/events"), "events", "Page through a room's log")
            .authenticated()
            .served()
            .about(format!(
                "For who is further behind than a resume replays. Events are exactly as they were sent live. A page ends earlier where it would have more than about {} KiB. When `Reset` is true, what the client has is of another life of the log, and the page is of the newest events.",
                limits::EVENTS_PAGE_BYTES / 1024
            ))
            .query("After", place, "The page begins with the event after this one.")
            .query("Epoch", place, "The life of the log that `After` was counted in.")
            .query("Limit", (1, u64::from(limits::EVENTS_PAGE)), "Events, most. Absent: as many as may be.")
            .mentions::<Event>()
            .answers::<EventsPage<Event>>(StatusCode::OK, "The page.", json!({
                "Events": [{ "Type": "message", "ID": 3, "Seq": 3, "RoomID": 1, "UID": 1, "Text": "hello", "Timestamp": WHEN }],
                "Head": 3, "Epoch": 1, "First": 1,
            }))
            .refuses(Code::PermissionDenied, "not a member of the room")
            .refuses(Code::NotFound, "no such room"),
    ]
}

fn live() -> Vec<Route> {
    vec![
        Route::new((Get, "/ws"), "connect", "Open a WebSocket")
            .authenticated_by_query()
            .served()
            .about("RFC 6455 over HTTP/1.1. A browser's Origin must be this host or one of the operator's list. What is said on it: `/asyncapi.json`.")
            .query_text("token", "A token, for who cannot set headers.")
            .query_text("ticket", "A ticket of `POST /ws-ticket`, in place of a token.")
            .answers_nothing(StatusCode::SWITCHING_PROTOCOLS, "A WebSocket from here on.")
            .refuses(Code::InvalidArgument, "Sec-WebSocket-Key: must be 16 bytes in Base64")
            .refuses(Code::PermissionDenied, "this origin may not connect")
            .refuses_as(426, Code::InvalidArgument, "this is a WebSocket: ask for an upgrade"),
    ]
}

fn operation() -> Vec<Route> {
    let flag = |name: &'static str| {
        Object::builder()
            .property(name, Object::with_type(Type::Boolean))
            .required(name)
            .build()
    };
    let version = Object::builder()
        .property("Name", string())
        .property("Version", string())
        .required("Name")
        .required("Version");
    let document = |path, id, summary| {
        Route::new((Get, path), id, summary)
            .about("Has an `ETag`; `If-None-Match` is answered by 304.")
            .answers_nothing(StatusCode::NOT_MODIFIED, "The client has it.")
    };
    let any = || content(Object::with_type(Type::Object), json!({}));
    vec![
        Route::new((Get, "/health/live"), "live", "Ask whether it lives").answers_as(
            StatusCode::OK,
            "It lives.",
            "application/json",
            content(flag("Live"), json!({ "Live": true })),
        ),
        Route::new((Get, "/health/ready"), "ready", "Ask whether it is ready")
            .answers_as(
                StatusCode::OK,
                "It is ready.",
                "application/json",
                content(flag("Ready"), json!({ "Ready": true })),
            )
            .refuses(Code::Unavailable, "not ready"),
        Route::new((Get, "/version"), "version", "Ask which version runs").answers_as(
            StatusCode::OK,
            "The version.",
            "application/json",
            content(
                version,
                json!({ "Name": "parley", "Version": env!("CARGO_PKG_VERSION") }),
            ),
        ),
        document("/openapi.json", "openapi", "Read this document").answers_as(
            StatusCode::OK,
            "OpenAPI 3.1.",
            "application/json",
            any(),
        ),
        document(
            "/asyncapi.json",
            "asyncapi",
            "Read about the frames of a WebSocket",
        )
        .answers_as(StatusCode::OK, "AsyncAPI 3.0.", "application/json", any()),
        document("/docs", "docs", "Read both as a page").answers_as(
            StatusCode::OK,
            "A page.",
            "text/html",
            content(string(), json!("<!doctype html>…")),
        ),
    ]
}

fn logged_in() -> serde_json::Value {
    json!({ "token": "eyJhbGciOi…", "RefreshToken": "1.c2VjcmV0", "ExpiresAt": WHEN, "SessionID": 1 })
}

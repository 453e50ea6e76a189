//! Messages over HTTP: a room's history, and a post for those without a socket.

use axum::Json;
use axum::extract::{RawQuery, State};
use base::{Code, Error, MAX_ID, RoomId, Seq, Timestamp, Uid, limits};
use http::{HeaderMap, StatusCode};
use proto::message::messages_client::MessagesClient;
use proto::message::{Event, HistoryRequest, Kind, Page, Sent};
use serde_json::json;
use tokio::sync::oneshot;
use utoipa::openapi::schema::Object;
use wire::frame::EventKind;
use wire::request::{HistoryFrom, HistoryQuery, PostMessageRequest, ReadRequest};
use wire::response::{Entry, Posted, ReadMarker};

use super::body::Body;
use super::caller::Caller;
use super::headers;
use super::path::RoomPath;
use super::problem::Answer;
use super::route::{Repeat, Rights, Route, WHEN, number};
use crate::Gateway;
use crate::posts::{Post, Waiter};
use crate::reading;

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
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
        Route::get("/messages/{RoomID}", Rights::Account, history)
            .named("history", "Read a room's messages")
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
        Route::post("/messages/{RoomID}", Rights::Account, send)
            .named("send", "Say something")
            .about("Answered when the message is durable. With a nonce it is safe to repeat: for at least 24 h a repeat gets the first answer and posts nothing.")
            .idempotent("The nonce, where the body has none.")
            .takes::<PostMessageRequest>(json!({ "Text": "hello", "Nonce": "7f3a" }))
            .answers::<Posted>(StatusCode::CREATED, "Durable.", json!({ "MessageID": 3, "Timestamp": WHEN }))
            .refuses(Code::PermissionDenied, "not a member of the room")
            .refuses(Code::NotFound, "no such room")
            .refuses(Code::NonceReused, "the nonce was used for another message"),
        Route::put("/rooms/{RoomID}/read", Rights::Account, Repeat::Safe, read)
            .named("read", "Say how far one has read")
            .about("Moves the caller's read marker, and never back. The room hears of a move as a `read` frame; so do the caller's other devices.")
            .takes::<ReadRequest>(json!({ "ID": 41 }))
            .answers::<ReadMarker>(StatusCode::OK, "Where the marker is now.", json!({ "RoomID": 1, "ID": 41 }))
            .refuses(Code::PermissionDenied, "not a member of the room")
            .refuses(Code::NotFound, "no such room"),
    ]
}

/// `GET /messages/{RoomID}`, whose page the query or a body names.
pub(super) async fn history(
    State(gateway): State<Gateway>,
    caller: Caller,
    RoomPath(room): RoomPath,
    RawQuery(query): RawQuery,
    Body(body): Body,
) -> Answer<Json<Vec<Entry>>> {
    let HistoryQuery { from, limit } = HistoryQuery::parse(query.as_deref(), &body)?;
    let (page, last_id) = match from {
        HistoryFrom::Newest => (Page::Back, Seq::START),
        HistoryFrom::UpTo(last) => (Page::Back, last),
        HistoryFrom::After(after) => (Page::After, after),
        HistoryFrom::Around(pivot) => (Page::Around, pivot),
    };
    let message = HistoryRequest {
        room_id: room.get(),
        last_id: last_id.get(),
        limit,
        page: page.into(),
    };
    let ask = |channel| async {
        let request = caller.call.request(message);
        let mut messages = MessagesClient::new(channel);
        caller.call.wait(messages.history(request)).await
    };
    let reply = gateway.ports.messages.ask(room.get(), ask).await?;
    let entries: Result<_, _> = reply.events.into_iter().filter_map(entry).collect();
    Ok(Json(entries.map_err(Error::internal)?))
}

/// `POST /messages/{RoomID}`
pub(super) async fn send(
    State(gateway): State<Gateway>,
    caller: Caller,
    RoomPath(room): RoomPath,
    headers: HeaderMap,
    Body(body): Body,
) -> Answer<(StatusCode, Json<Posted>)> {
    gateway.limits.send(caller.uid)?;
    let PostMessageRequest { text, nonce } = PostMessageRequest::parse(&body)?;
    let nonce = nonce.map_or_else(|| headers::nonce(&headers), |nonce| Ok(Some(nonce)))?;
    let nonce = nonce.map_or_else(|| gateway.nonces.next(), Ok)?;
    let (told, outcome) = oneshot::channel();
    gateway.posts.send(Post {
        room,
        uid: caller.uid,
        text,
        nonce,
        request_id: caller.call.request_id().clone(),
        waiter: Box::new(Told(told)),
    });
    // A post has a time of its own, which may be longer than a request's.
    let sent = tokio::time::timeout_at(caller.call.deadline(), outcome)
        .await
        .map_err(|_| Error::deadline_exceeded())?
        .map_err(|_| Error::unavailable("going down", "nobody is left to answer"))??;
    let event = sent
        .event
        .ok_or_else(|| Error::internal("Sent without an event"))?;
    let posted = Posted {
        message_id: Seq(event.seq),
        timestamp: Timestamp::from_micros(event.at),
    };
    Ok((StatusCode::CREATED, Json(posted)))
}

/// `PUT /rooms/{RoomID}/read`
pub(super) async fn read(
    State(gateway): State<Gateway>,
    caller: Caller,
    RoomPath(room_id): RoomPath,
    Body(body): Body,
) -> Answer<Json<ReadMarker>> {
    let ReadRequest { id } = ReadRequest::parse(&body)?;
    let id = reading::mark(&gateway, &caller.call, room_id, id).await?;
    Ok(Json(ReadMarker { room_id, id }))
}

/// A request that waits for the answer to its post.
struct Told(oneshot::Sender<base::Result<Sent>>);

impl Waiter for Told {
    fn answer(self: Box<Self>, outcome: base::Result<Sent>) {
        // A client that went away has no use for the answer.
        let _ = self.0.send(outcome);
    }
}

/// An event as history shows it; `None` for what history does not show.
pub(super) fn entry(event: Event) -> Option<base::Result<Entry>> {
    let kind = match u32_kind(event.kind)? {
        Kind::Message => EventKind::Message,
        Kind::Join => EventKind::Join,
        Kind::Leave => EventKind::Leave,
        _ => return None,
    };
    let ids =
        RoomId::try_from(event.room_id).and_then(|room| Ok((room, Uid::try_from(event.uid)?)));
    Some(ids.map(|(room_id, uid)| Entry {
        id: Seq(event.seq),
        room_id,
        uid,
        kind,
        text: event.text,
        timestamp: Timestamp::from_micros(event.at),
    }))
}

fn u32_kind(kind: u32) -> Option<Kind> {
    Kind::try_from(i32::try_from(kind).ok()?).ok()
}

//! Messages over HTTP: a room's history, and a post for those without a socket.

use axum::Json;
use axum::extract::{RawQuery, State};
use base::{Error, RoomId, Seq, Timestamp, Uid};
use http::{HeaderMap, StatusCode};
use proto::message::messages_client::MessagesClient;
use proto::message::{Event, HistoryRequest, Kind, Page, Sent};
use tokio::sync::oneshot;
use wire::frame::EventKind;
use wire::request::{HistoryFrom, HistoryQuery, PostMessageRequest};
use wire::response::{Entry, Posted};

use super::body::Body;
use super::caller::Caller;
use super::headers;
use super::path::RoomPath;
use super::problem::Answer;
use crate::Gateway;
use crate::posts::{Post, Waiter};

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

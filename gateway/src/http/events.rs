//! A room's log over HTTP, for whoever was away for longer than a replay goes back.

use axum::Json;
use axum::extract::{RawQuery, State};
use base::{Code, Epoch, Error, MAX_ID, RoomId, Seq, limits};
use http::StatusCode;
use proto::message::messages_client::MessagesClient;
use proto::message::{EventsReply, EventsRequest};
use serde_json::json;
use serde_json::value::RawValue;
use wire::event::{Event, EventsPage};
use wire::request::EventsQuery;

use super::caller::Caller;
use super::path::RoomPath;
use super::problem::Answer;
use super::route::{Rights, Route, WHEN};
use crate::Gateway;
use crate::fanout::Frame;
use crate::resume::{Log, Resume};

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    let place = (0, MAX_ID);
    vec![
        Route::get("/rooms/{RoomID}/events", Rights::Account, page)
            .named("events", "Page through a room's log")
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

/// `GET /rooms/{RoomID}/events`
pub(super) async fn page(
    State(gateway): State<Gateway>,
    caller: Caller,
    RoomPath(room): RoomPath,
    RawQuery(query): RawQuery,
) -> Answer<Json<EventsPage<Box<RawValue>>>> {
    let EventsQuery {
        after,
        epoch,
        limit,
    } = EventsQuery::parse(query.as_deref())?;
    let mut reply = ask(&gateway, &caller, room, after, limit).await?;
    let log = log_of(&reply);
    let reset = log.resume(after, epoch)? == Resume::Reset;
    if reset {
        reply = ask(&gateway, &caller, room, log.replay_from(), limit).await?;
    }
    let log = log_of(&reply);
    Ok(Json(EventsPage {
        events: reply
            .events
            .iter()
            .filter_map(frame)
            .collect::<Result<_, _>>()?,
        head: log.head,
        epoch: log.epoch,
        first: log.first,
        reset,
    }))
}

async fn ask(
    gateway: &Gateway,
    caller: &Caller,
    room: RoomId,
    after: Seq,
    limit: u32,
) -> base::Result<EventsReply> {
    let message = EventsRequest {
        room_id: room.get(),
        after: after.get(),
        limit,
    };
    let ask = |channel| async {
        let mut messages = MessagesClient::new(channel).max_decoding_message_size(8 << 20);
        let request = caller.call.request(message);
        caller.call.wait(messages.events(request)).await
    };
    gateway.ports.messages.ask(room.get(), ask).await
}

fn log_of(reply: &EventsReply) -> Log {
    Log {
        head: Seq(reply.head),
        epoch: Epoch(reply.epoch),
        first: Seq(reply.first),
    }
}

/// An event exactly as it goes to connections.
fn frame(event: &proto::message::Event) -> Option<base::Result<Box<RawValue>>> {
    let frame = Frame::encode(event)?;
    Some(RawValue::from_string(frame.text.as_str().to_owned()).map_err(Error::internal))
}

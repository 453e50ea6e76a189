//! A room's log as `GET /messages/{RoomID}` tells it, page by page.

use std::time::Duration;

use client::wire::response::Entry;
use client::wire::{RoomId, Seq};
use client::{Api, Result};
use tokio::time::sleep;

use crate::ledger::Event;

const PAGE: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(200);

/// All of it, oldest first, just as the pages had it.
pub(super) async fn whole(api: &Api, room: RoomId) -> Result<Vec<Event>> {
    back_to(api, room, (None, Seq::START), 50).await
}

/// What lies between two events that the caller has. Nothing is asked twice: a line has
/// its own way to go elsewhere.
pub(super) async fn between(
    api: &Api,
    room: RoomId,
    after: Seq,
    before: Seq,
) -> Result<Vec<Event>> {
    let last = Seq(before.get() - 1);
    back_to(api, room, (Some(last), after), 1).await
}

async fn back_to(
    api: &Api,
    room: RoomId,
    (mut last, after): (Option<Seq>, Seq),
    tries: u32,
) -> Result<Vec<Event>> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let page = page(api, room, last, tries).await?;
        let Some(oldest) = page.last().map(|entry| entry.id) else {
            break;
        };
        events.extend(page.iter().map(Event::from));
        if oldest <= after.next() {
            break;
        }
        last = Some(Seq(oldest.get() - 1));
    }
    events.reverse();
    let begin = events.iter().position(|event| event.seq > after);
    Ok(events.split_off(begin.unwrap_or(events.len())))
}

async fn page(api: &Api, room: RoomId, last: Option<Seq>, tries: u32) -> Result<Vec<Entry>> {
    for _ in 1..tries {
        match api.messages(room, last, PAGE).await {
            Err(error) if error.retryable() => sleep(BETWEEN_TRIES).await,
            page => return page,
        }
    }
    api.messages(room, last, PAGE).await
}

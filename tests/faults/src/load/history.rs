//! A room's log as `GET /messages/{RoomID}` tells it, page by page.

use std::time::Duration;

use client::wire::{RoomId, Seq};
use client::{Api, Error, Result};
use tokio::time::sleep;

use crate::ledger::Event;

const PAGE: u32 = 100;
/// Failures in all that are waited out.
const TRIES: usize = 300;
const BETWEEN_TRIES: Duration = Duration::from_millis(200);

/// All of it, oldest first, just as the pages had it. What is refused for good is asked
/// again all the same, and told to `refused`: the rest has to be checked.
pub(super) async fn whole(
    apis: &[Api],
    room: RoomId,
    refused: &mut Vec<Error>,
) -> Result<Vec<Event>> {
    let mut tries = 0;
    let (mut pages, mut last) = (Vec::new(), None);
    loop {
        let api = &apis[tries % apis.len()];
        let page = match api.messages(room, last, PAGE).await {
            Ok(page) => page,
            Err(error) if tries < TRIES => {
                tries += 1;
                if !error.retryable() {
                    refused.push(error);
                }
                sleep(BETWEEN_TRIES).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        let Some(oldest) = page.last().map(|entry| entry.id) else {
            break;
        };
        pages.extend(page.iter().map(Event::from));
        if oldest.get() <= 1 {
            break;
        }
        last = Some(Seq(oldest.get() - 1));
    }
    pages.reverse();
    Ok(pages)
}

/// What lies between two events that the caller has. Nothing is asked twice: a line has
/// its own way to go elsewhere.
pub(super) async fn between(
    api: &Api,
    room: RoomId,
    after: Seq,
    before: Seq,
) -> Result<Vec<Event>> {
    let (mut events, mut before) = (Vec::new(), before);
    while before > after.next() {
        let last = Seq(before.get() - 1);
        let page = api.messages(room, Some(last), PAGE).await?;
        let newer = page.iter().filter(|entry| entry.id > after);
        events.extend(newer.map(Event::from));
        let Some(oldest) = page.last() else { break };
        before = oldest.id;
    }
    events.reverse();
    Ok(events)
}

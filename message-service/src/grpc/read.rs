//! Reading the logs.

use base::{Code, Error, RoomId, Seq, limits};
use proto::message::{
    Event as WireEvent, EventsReply, EventsRequest, FetchReply, FetchRequest, Head, HeadsReply,
    HeadsRequest, HistoryReply, HistoryRequest, Page, PositionReply, PositionRequest,
    Standing as WireStanding, StandingsReply, StandingsRequest,
};
use runtime::Call;

use crate::domain::{End, Event, HistoryFrom, ReadError, Standing};
use crate::store::Store;

pub(super) async fn position(
    store: &dyn Store,
    call: &Call,
    request: &PositionRequest,
) -> base::Result<PositionReply> {
    let room = RoomId::try_from(request.room_id)?;
    match store.position(room, call.acting()?).await? {
        None => Err(refused(ReadError::NoRoom)),
        Some(position) if position.role == 0 => Err(refused(ReadError::NotMember)),
        Some(position) => Ok(PositionReply {
            head: position.head.get(),
            epoch: position.epoch.0,
            first: position.first.get(),
            role: position.role,
        }),
    }
}

pub(super) async fn events(
    store: &dyn Store,
    call: &Call,
    request: &EventsRequest,
) -> base::Result<EventsReply> {
    let room = RoomId::try_from(request.room_id)?;
    let limit = within("Limit", request.limit, limits::EVENTS_PAGE)?;
    let reader = Some(call.acting()?);
    let page = store
        .page(room, reader, Seq(request.after), limit)
        .await
        .map_err(refused)?;
    Ok(EventsReply {
        events: cut(page.events),
        head: page.position.head.get(),
        epoch: page.position.epoch.0,
        first: page.position.first.get(),
    })
}

pub(super) async fn history(
    store: &dyn Store,
    call: &Call,
    request: &HistoryRequest,
) -> base::Result<HistoryReply> {
    let room = RoomId::try_from(request.room_id)?;
    let limit = within("Limit", request.limit, limits::HISTORY_PAGE)?;
    let last = Seq(request.last_id);
    let from = match request.page() {
        Page::Back => HistoryFrom::UpTo((last != Seq::START).then_some(last)),
        Page::After => HistoryFrom::After(last),
        Page::Around => HistoryFrom::Around(last),
    };
    let events = store
        .history(room, call.acting()?, from, limit)
        .await
        .map_err(refused)?;
    Ok(HistoryReply {
        events: events.into_iter().map(WireEvent::from).collect(),
    })
}

pub(super) async fn fetch(store: &dyn Store, request: &FetchRequest) -> base::Result<FetchReply> {
    let room = RoomId::try_from(request.room_id)?;
    let span = request.to.saturating_sub(request.after);
    let limit = if request.to == 0 {
        u64::from(limits::EVENTS_PAGE)
    } else {
        span
    };
    let limit = u32::try_from(limit)
        .unwrap_or(u32::MAX)
        .clamp(1, limits::EVENTS_PAGE);
    let page = store
        .page(room, None, Seq(request.after), limit)
        .await
        .map_err(refused)?;
    Ok(FetchReply {
        events: cut(page.events),
        head: page.position.head.get(),
        epoch: page.position.epoch.0,
    })
}

pub(super) async fn heads(store: &dyn Store, request: &HeadsRequest) -> base::Result<HeadsReply> {
    let rooms = rooms(&request.room_ids, limits::HEADS_ROOMS)?;
    let heads = store.heads(&rooms).await?;
    let head = |end: End| Head {
        room_id: end.room.get(),
        head: end.head.get(),
        epoch: end.epoch.0,
    };
    Ok(HeadsReply {
        heads: heads.into_iter().map(head).collect(),
    })
}

pub(super) async fn standings(
    store: &dyn Store,
    call: &Call,
    request: &StandingsRequest,
) -> base::Result<StandingsReply> {
    let rooms = rooms(&request.room_ids, limits::STANDINGS_ROOMS)?;
    let standings = store.standings(call.acting()?, &rooms).await?;
    let standing = |it: Standing| WireStanding {
        room_id: it.room.get(),
        head: it.position.head.get(),
        epoch: it.position.epoch.0,
        first: it.position.first.get(),
        read: it.read.get(),
        unread: it.unread,
        last_message: it.last_message.map(WireEvent::from),
    };
    Ok(StandingsReply {
        standings: standings.into_iter().map(standing).collect(),
    })
}

fn rooms(ids: &[u64], most: usize) -> base::Result<Vec<RoomId>> {
    if ids.len() > most {
        return Err(Error::invalid(
            "room_ids",
            format!("must be {most} at most"),
        ));
    }
    ids.iter().map(|&id| RoomId::try_from(id)).collect()
}

fn within(name: &str, value: u32, most: u32) -> base::Result<u32> {
    if (1..=most).contains(&value) {
        Ok(value)
    } else {
        Err(Error::invalid(name, format!("must be 1 to {most}")))
    }
}

/// Cuts a page at its size in bytes; it keeps one event at least.
fn cut(events: Vec<Event>) -> Vec<WireEvent> {
    let mut bytes = 0;
    let mut page = Vec::with_capacity(events.len());
    for event in events {
        bytes += event.text.len() + event.attrs.len() + 64;
        if bytes > limits::EVENTS_PAGE_BYTES && !page.is_empty() {
            break;
        }
        page.push(event.into());
    }
    page
}

fn refused(error: ReadError) -> Error {
    match error {
        ReadError::NoRoom => Error::new(Code::NotFound, "no such room"),
        ReadError::NotMember => Error::new(Code::PermissionDenied, "not a member of the room"),
        ReadError::Store(error) => error.into(),
    }
}

//! Getting into a room: the membership is checked, what was missed is read from
//! the log page by page, and then the connection joins the fan-out with neither
//! hole nor repeat at the seam.

use std::time::Duration;

use base::{Code, Epoch, Error, RoomId, Seq, limits};
use proto::message::messages_client::MessagesClient;
use proto::message::{EventsReply, EventsRequest, PositionRequest};
use runtime::Call;
use tokio::time::Instant;
use wire::frame::Entered;

use crate::Gateway;
use crate::fanout::{Frame, RoomHandle};
use crate::resume::{Log, Resume};

/// How long a page of the log is asked for again and again.
const PAGE_PATIENCE: Duration = Duration::from_secs(15);
/// How long one attempt may take.
const PAGE_ATTEMPT: Duration = Duration::from_secs(5);
/// The pause between two.
const PAGE_PAUSE: Duration = Duration::from_millis(200);

/// How a connection comes into a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// It is its current room from here on.
    Enter,
    /// One room more.
    Subscribe,
}

/// A client's wish to be in a room.
pub(super) struct Wish {
    pub(super) way: Way,
    pub(super) room: RoomId,
    pub(super) after: Option<Seq>,
    pub(super) epoch: Option<Epoch>,
    pub(super) reference: Option<String>,
}

/// The wish granted: where the connection stands, before it is admitted.
pub(super) struct Granted {
    pub(super) wish: Wish,
    pub(super) handle: RoomHandle,
    /// Where the log ended when the membership was checked.
    pub(super) head: Seq,
    /// Which life of the log that was.
    pub(super) epoch: Epoch,
    /// The first event to be sent is the one after this.
    pub(super) cursor: Seq,
    /// What the client is told.
    pub(super) entered: Entered,
}

impl Granted {
    /// The Seq that the client is told: what is after it is live.
    pub(super) fn told(&self) -> Seq {
        self.entered.seq.unwrap_or(self.head)
    }
}

/// What an operation of a connection came to.
pub(super) enum Done {
    /// The position is known, or the wish refused.
    Position(Box<Granted>),
    /// A page of what was missed.
    Page(Box<Granted>, Vec<Frame>),
    /// Refused, and which command's answer this is.
    Refused(Error, Option<String>),
    /// As refused, after it was granted: he is a member no longer.
    Expelled(RoomId, Error, Option<String>),
    /// Granted, and the log is not to be had for too long, or not that one any more.
    Lost,
}

/// Checks a wish. The room is open before its head is asked for, so that nothing
/// that happens in between is missed.
pub(super) async fn position(gateway: Gateway, call: Call, wish: Wish) -> Done {
    let handle = gateway.fanout.open(wish.room);
    let room_id = wish.room.get();
    let position = gateway.ports.messages.ask(room_id, async |channel| {
        let mut client = MessagesClient::new(channel);
        call.wait(client.position(call.request(PositionRequest { room_id })))
            .await
    });
    let position = match position.await {
        Ok(position) => position,
        Err(error) => return Done::Refused(error, wish.reference),
    };
    let epoch = Epoch(position.epoch);
    let delivered = handle.delivered_in(epoch);
    let head = Seq(position.head).max(delivered.unwrap_or(Seq::START));
    let mut entered = Entered {
        room: Some(wish.room),
        seq: Some(head),
        epoch: Some(epoch),
        first: Some(Seq(position.first)),
        reference: wish.reference.clone(),
        ..Entered::default()
    };
    let log = Log {
        head,
        epoch,
        first: Seq(position.first),
    };
    let cursor = match wish.after {
        None => head,
        Some(after) => match log.resume(after, wish.epoch) {
            Ok(Resume::Reset) => {
                entered.reset = true;
                log.replay_from()
            }
            Ok(Resume::From(after)) if after < log.replay_from() => {
                entered.truncated = true;
                log.replay_from()
            }
            Ok(Resume::From(after)) => after,
            Err(error) => return Done::Refused(error, wish.reference),
        },
    };
    Done::Position(Box::new(Granted {
        head: Seq(position.head),
        epoch,
        wish,
        handle,
        cursor,
        entered,
    }))
}

/// Reads the next page after the cursor. The answer was given, so a failure that may
/// pass is no answer any more: the page is asked for again.
pub(super) async fn page(gateway: Gateway, call: Call, mut granted: Box<Granted>) -> Done {
    let deadline = Instant::now() + PAGE_PATIENCE;
    loop {
        let call = call.clone().within(PAGE_ATTEMPT);
        match next_page(&gateway, &call, &granted).await {
            Ok(page) => {
                let frames = page.events.iter().filter_map(Frame::encode).collect();
                if Epoch(page.epoch) != granted.epoch {
                    return Done::Lost;
                }
                granted.head = granted.head.max(Seq(page.head));
                if let Some(last) = page.events.last() {
                    granted.cursor = Seq(last.seq);
                }
                return Done::Page(granted, frames);
            }
            Err(error) if matches!(error.code(), Code::PermissionDenied | Code::NotFound) => {
                return Done::Expelled(granted.wish.room, error, granted.wish.reference);
            }
            Err(_) if Instant::now() >= deadline => return Done::Lost,
            Err(error) => {
                tracing::debug!(room = %granted.wish.room, %error, "a page is not to be had yet");
                tokio::time::sleep(PAGE_PAUSE).await;
            }
        }
    }
}

async fn next_page(gateway: &Gateway, call: &Call, granted: &Granted) -> base::Result<EventsReply> {
    let (room_id, after) = (granted.wish.room.get(), granted.cursor.get());
    let page = gateway.ports.messages.ask(room_id, async |channel| {
        let mut client = MessagesClient::new(channel).max_decoding_message_size(8 << 20);
        let request = EventsRequest {
            room_id,
            after,
            limit: limits::EVENTS_PAGE,
        };
        call.wait(client.events(call.request(request))).await
    });
    let page = page.await?;
    if page.events.is_empty() && after < granted.head.get() {
        // The ring was ahead of the log that this replica shows: it will show it, as it
        // was committed.
        return Err(Error::unavailable(
            "try again",
            "a log ended before its head",
        ));
    }
    Ok(page)
}

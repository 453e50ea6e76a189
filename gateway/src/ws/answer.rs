//! The answer to a post, from the stream of posts back to its connection.

use std::sync::Arc;

use proto::message::Sent as WireSent;
use runtime::RequestId;
use wire::frame::{Fault, Sent, ServerFrame};
use wire::{RoomId, Seq, Timestamp};

use crate::outbound::{Link, UnderWay};
use crate::posts::Waiter;

/// A connection that waits for the answer to its post.
pub(crate) struct Answer {
    under_way: UnderWay,
    room: RoomId,
    request_id: RequestId,
    reference: Option<String>,
}

impl Answer {
    pub(crate) fn new(
        link: &Arc<Link>,
        room: RoomId,
        request_id: RequestId,
        reference: Option<String>,
    ) -> Self {
        Self {
            under_way: UnderWay::begin(link),
            room,
            request_id,
            reference,
        }
    }
}

impl Waiter for Answer {
    fn answer(self: Box<Self>, outcome: base::Result<WireSent>) {
        let event = outcome.map(|sent| sent.event.unwrap_or_default());
        let frame = match event {
            Ok(event) => ServerFrame::Sent(Sent {
                message_id: Seq(event.seq),
                room: self.room,
                timestamp: Timestamp::from_micros(event.at),
                reference: self.reference,
            }),
            Err(error) => {
                let fault = Fault::new(&error, self.reference);
                ServerFrame::Error(fault.of_request(self.request_id.as_str()))
            }
        };
        self.under_way.answer(&frame);
    }
}

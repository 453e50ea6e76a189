//! The rooms of a connection: how it comes into them, and out again.

use std::sync::Arc;

use base::{Code, Error, RoomId, Seq};
use tokio_tungstenite::tungstenite::Message;
use wire::frame::{Entered, ServerFrame};

use super::Connection;
use crate::fanout::{Admission, RoomHandle, Watch};
use crate::ws::Wire;
use crate::ws::end::End;
use crate::ws::entering::{self, Done, Granted, Way, Wish};

/// A room that the connection gets the events of.
pub(super) struct Membership {
    pub(super) handle: RoomHandle,
    pub(super) subscribed: bool,
}

impl<W: Wire> Connection<W> {
    /// The room a message is for.
    pub(super) fn addressed(&self, room: Option<RoomId>) -> base::Result<RoomId> {
        match room.or(self.current) {
            None => Err(Error::new(
                Code::InvalidArgument,
                "RoomID: enter a room first",
            )),
            Some(room) if self.watches(room) => Ok(room),
            Some(room) if self.rooms.contains_key(&room) => Err(left()),
            Some(_) => {
                let rule = "this connection has neither entered nor subscribed to it";
                Err(Error::invalid("RoomID", rule))
            }
        }
    }

    fn watches(&self, room: RoomId) -> bool {
        self.rooms
            .get(&room)
            .is_some_and(|membership| membership.handle.watched_by(&self.link))
    }

    pub(super) async fn wish(&mut self, wish: Wish) -> Result<(), End> {
        if let Err(limited) = self.gateway.limits.enter(self.who.uid) {
            return self.refuse(&limited.into(), wish.reference).await;
        }
        if wish.after.is_some() || wish.way == Way::Subscribe {
            self.link.want_every_kind();
        }
        let (gateway, call) = (self.gateway.clone(), self.call());
        self.operation = Some(Box::pin(entering::position(gateway, call, wish)));
        Ok(())
    }

    /// A room that is watched already: its events go on, none is missed.
    async fn still_here(&mut self, granted: Granted) -> Result<(), End> {
        let Granted {
            wish,
            handle,
            epoch,
            entered,
            ..
        } = granted;
        // Its events here are of another life of the log than the answer is.
        if handle.delivered_in(epoch).is_none() {
            return Err(End::RESTORED);
        }
        if wish.way == Way::Enter {
            self.leave_current(Some(wish.room));
            self.current = Some(wish.room);
        }
        if let Some(membership) = self.rooms.get_mut(&wish.room) {
            membership.subscribed |= wish.way == Way::Subscribe;
        }
        let seq = self.written_up_to(wish.room).await?;
        let entered = Entered { seq, ..entered };
        self.answer(granted_as(wish.way, entered)).await
    }

    /// Writes what waits; the Seq up to which the room's events are written then.
    async fn written_up_to(&mut self, room: RoomId) -> Result<Option<Seq>, End> {
        loop {
            let before = self.position_in(room);
            self.write_queued().await?;
            if self.position_in(room) == before {
                return Ok(before);
            }
        }
    }

    fn position_in(&self, room: RoomId) -> Option<Seq> {
        self.rooms.get(&room)?.handle.position_of(&self.link)
    }

    pub(super) async fn done(&mut self, done: Done) -> Result<(), End> {
        match done {
            Done::Refused(error, reference) => self.refuse(&error, reference).await,
            Done::Expelled(room, error, reference) => {
                self.expel(room);
                self.refuse(&error, reference).await
            }
            // What was promised with the answer cannot be kept here.
            Done::Lost => Err(End::TOO_SLOW),
            Done::Position(granted)
                if granted.wish.after.is_none() && self.watches(granted.wish.room) =>
            {
                self.still_here(*granted).await
            }
            Done::Position(granted) => {
                // From here on nothing of the room left may come.
                if granted.wish.way == Way::Enter {
                    self.leave_current(Some(granted.wish.room));
                }
                if granted.wish.after.is_some() {
                    granted.handle.dismiss(&self.link);
                }
                self.write_queued().await?;
                let entered = granted.entered.clone();
                self.answer(granted_as(granted.wish.way, entered)).await?;
                self.admit(granted).await
            }
            Done::Page(granted, mut frames) => {
                let watch = self.watch(&granted);
                let end = frames.iter().position(|frame| watch.ends_with(frame));
                if let Some(end) = end {
                    frames.truncate(end + 1);
                }
                for frame in frames {
                    if watch.wants(&frame) {
                        self.feed(Message::Text(frame.text)).await?;
                    }
                }
                self.flush().await?;
                if end.is_some() {
                    // That he joined again since does not count: he has seen himself leave.
                    self.expel(granted.wish.room);
                    return Ok(());
                }
                self.admit(granted).await
            }
        }
    }

    fn watch(&self, granted: &Granted) -> Watch {
        Watch {
            link: Arc::clone(&self.link),
            uid: self.who.uid,
            member_at: granted.head.min(granted.told()),
        }
    }

    /// Joins the fan-out, or reads on in the log when it is too far behind.
    async fn admit(&mut self, granted: Box<Granted>) -> Result<(), End> {
        let watch = self.watch(&granted);
        let (cursor, head, epoch) = (granted.cursor, granted.head, granted.epoch);
        match granted.handle.admit(watch, cursor, head, epoch) {
            Admission::Restored => Err(End::RESTORED),
            Admission::Behind => {
                let (gateway, call) = (self.gateway.clone(), self.call());
                self.operation = Some(Box::pin(entering::page(gateway, call, granted)));
                Ok(())
            }
            Admission::Watching(missed) => {
                let Granted { wish, handle, .. } = *granted;
                let subscribed = wish.way == Way::Subscribe
                    || self.rooms.get(&wish.room).is_some_and(|it| it.subscribed);
                let membership = Membership { handle, subscribed };
                self.rooms.insert(wish.room, membership);
                if wish.way == Way::Enter {
                    self.current = Some(wish.room);
                }
                self.write_frames(missed).await
            }
            Admission::Ended(missed) => {
                self.expel(granted.wish.room);
                let told = granted.told();
                let mut own = missed.iter().filter(|frame| frame.ends(self.who.uid));
                let is_told = own.any(|frame| frame.seq > told);
                self.write_frames(missed).await?;
                if is_told {
                    return Ok(());
                }
                // He wants what comes after his leave, or it is no news to him, as it comes
                // before what he was told of: nothing else would say that he is out.
                self.refuse(&left(), granted.wish.reference).await
            }
        }
    }

    /// Leaves the current room, unless it is `but` or subscribed to.
    pub(super) fn leave_current(&mut self, but: Option<RoomId>) {
        if let Some(room) = self.current
            && Some(room) != but
        {
            self.current = None;
            if self
                .rooms
                .get(&room)
                .is_some_and(|membership| !membership.subscribed)
            {
                self.forget(room);
            }
        }
    }

    /// The user is in the room no longer.
    fn expel(&mut self, room: RoomId) {
        self.forget(room);
        if self.current == Some(room) {
            self.current = None;
        }
    }

    pub(super) fn forget(&mut self, room: RoomId) {
        if let Some(membership) = self.rooms.remove(&room) {
            membership.handle.dismiss(&self.link);
        }
    }
}

fn left() -> Error {
    Error::new(
        Code::PermissionDenied,
        "you left the room; enter it again when you are a member",
    )
}

fn granted_as(way: Way, entered: Entered) -> ServerFrame {
    match way {
        Way::Enter => ServerFrame::Enter(entered),
        Way::Subscribe => ServerFrame::Subscribe(entered),
    }
}

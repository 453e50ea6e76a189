//! What a command carries as `Ref`, so that its answer says for itself what it answers.

use wire::RoomId;
use wire::frame::{Command, Framed};

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Subscribe,
    Message,
}

/// One command of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) kind: Kind,
    /// No two commands of a client share it.
    pub(super) number: u64,
    pub(super) room: RoomId,
}

impl Tag {
    /// The command with this as its reference.
    pub(super) fn on(self, command: Command) -> Framed {
        let kind = match self.kind {
            Kind::Subscribe => 's',
            Kind::Message => 'm',
        };
        Framed {
            reference: Some(format!("{kind}{}.{}", self.number, self.room)),
            command,
        }
    }

    /// The tag that an answer carries back; `None` for one that is not ours.
    pub(super) fn of(reference: Option<&str>) -> Option<Self> {
        let (kind, rest) = reference?.split_at_checked(1)?;
        let (number, room) = rest.split_once('.')?;
        Some(Self {
            kind: match kind {
                "s" => Kind::Subscribe,
                "m" => Kind::Message,
                _ => return None,
            },
            number: number.parse().ok()?,
            room: wire::room_id(room).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_is_what_was_sent() {
        for kind in [Kind::Subscribe, Kind::Message] {
            let tag = Tag {
                kind,
                number: u64::MAX,
                room: RoomId::new(wire::MAX_ID).unwrap(),
            };
            let reference = tag.on(Command::Ping).reference.unwrap();
            assert!(reference.len() <= 64);
            assert_eq!(Tag::of(Some(&reference)), Some(tag));
        }
        for foreign in [
            None,
            Some(""),
            Some("é"),
            Some("s1"),
            Some("x1.1"),
            Some("s1.0"),
        ] {
            assert_eq!(Tag::of(foreign), None);
        }
    }
}

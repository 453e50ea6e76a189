//! Frames from the server. The SDK reads them, the gateway writes them (events by
//! `encode_event`, which writes the same).

use base::{Code, Epoch, Error, RoomId, Seq, Timestamp, Uid};
use serde::{Deserialize, Serialize};

use crate::event::{Event, EventKind};

/// What the server says on a connection.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "Type", rename_all = "lowercase")]
pub enum ServerFrame {
    /// The connection switched to a room, or to none; the first frame of all, too.
    Enter(Entered),
    /// The connection gets the room's events from here on.
    Subscribe(Entered),
    /// The connection gets the room's events no more.
    Unsubscribe(Left),
    /// One's own message is durable.
    Sent(Sent),
    /// A command was refused; the connection stays open.
    Error(Fault),
    /// The answer to a ping.
    Pong(Pong),
    /// The answer to a `hello` that carried a reference.
    Hello(Hello),
    /// Somebody has read up to an event; nothing durable.
    Read(Read),
    /// Something durable happened in a room.
    #[serde(untagged)]
    Event(Event),
    /// What this version does not know. It may be an event all the same: see
    /// [`ServerFrame::place`].
    #[serde(untagged)]
    Other(serde_json::Map<String, serde_json::Value>),
}

impl ServerFrame {
    /// Reads a text frame. An unknown `Type` is [`ServerFrame::Other`].
    ///
    /// # Errors
    /// When it is no JSON object with a `Type`, or lacks what its `Type` promises.
    pub fn parse(frame: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(rename = "Type", borrow)]
            kind: std::borrow::Cow<'a, str>,
        }
        let head: Head<'_> = serde_json::from_str(frame)?;
        match &*head.kind {
            "sent" => serde_json::from_str(frame).map(Self::Sent),
            "enter" => serde_json::from_str(frame).map(Self::Enter),
            "subscribe" => serde_json::from_str(frame).map(Self::Subscribe),
            "unsubscribe" => serde_json::from_str(frame).map(Self::Unsubscribe),
            "error" => serde_json::from_str(frame).map(Self::Error),
            "pong" => serde_json::from_str(frame).map(Self::Pong),
            "hello" => serde_json::from_str(frame).map(Self::Hello),
            "read" => serde_json::from_str(frame).map(Self::Read),
            kind if EventKind::of(kind).is_some() => serde_json::from_str(frame).map(Self::Event),
            _ => serde_json::from_str(frame).map(Self::Other),
        }
    }

    /// The room and the place in its log of an event, be it of a kind that this version
    /// does not know: who counts Seq counts that one too.
    pub fn place(&self) -> Option<(RoomId, Seq)> {
        match self {
            Self::Event(event) => Some((event.room, event.seq)),
            Self::Other(fields) => {
                let number = |name| fields.get(name)?.as_u64();
                Some((RoomId::new(number("RoomID")?)?, Seq(number("Seq")?)))
            }
            _ => None,
        }
    }

    /// The frame as sent.
    pub fn to_json(&self) -> String {
        // Maps with string keys and plain values always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for ServerFrame {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let frame = Box::<serde_json::value::RawValue>::deserialize(from)?;
        Self::parse(frame.get()).map_err(serde::de::Error::custom)
    }
}

/// `enter` and `subscribe`: where the connection stands in a room.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Entered {
    /// The room; `None` (0 on the wire): no room.
    #[serde(rename = "RoomID", with = "room_or_zero")]
    pub room: Option<RoomId>,
    /// The newest event when the switch was made, or the one replay goes up to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
    /// Older events than the replay begins with are to be had by HTTP.
    #[serde(default, skip_serializing_if = "is_false")]
    pub truncated: bool,
    /// Which life of the log this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// The oldest event kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Seq>,
    /// What the client has is of another life of the log: start afresh.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reset: bool,
    /// The command's reference.
    #[serde(rename = "Ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// `unsubscribe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The room.
    #[serde(rename = "RoomID")]
    pub room: RoomId,
    /// The command's reference.
    #[serde(rename = "Ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// `sent`: a message is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Its number within the room.
    #[serde(rename = "MessageID")]
    pub message_id: Seq,
    /// The room.
    #[serde(rename = "RoomID")]
    pub room: RoomId,
    /// When it was written down.
    #[serde(rename = "Timestamp")]
    pub timestamp: Timestamp,
    /// The command's reference.
    #[serde(rename = "Ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// `error`: a command was refused, and nothing else happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Fault {
    /// What is wrong, for a person.
    pub error: String,
    /// What is wrong, for a program.
    pub code: Code,
    /// Whether the same command may succeed later.
    pub retryable: bool,
    /// The request that opened the connection, to be told to an operator; with
    /// [`Code::Internal`] only.
    #[serde(rename = "RequestID", default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The command's reference.
    #[serde(rename = "Ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

impl Fault {
    /// The frame for `error`; its cause stays here.
    pub fn new(error: &Error, reference: Option<String>) -> Self {
        Self {
            error: error.detail().to_owned(),
            code: error.code(),
            retryable: error.code().retryable(),
            request_id: None,
            reference,
        }
    }

    /// Names the request, where that helps.
    #[must_use]
    pub fn of_request(mut self, id: &str) -> Self {
        if self.code == Code::Internal {
            self.request_id = Some(id.to_owned());
        }
        self
    }
}

/// `pong`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// The command's reference.
    #[serde(rename = "Ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// `hello`: which version of the protocol the server goes on in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version.
    #[serde(rename = "Version")]
    pub version: u32,
    /// The command's reference.
    #[serde(rename = "Ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// `read`: how far a member of a room has read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// The room.
    #[serde(rename = "RoomID")]
    pub room: RoomId,
    /// The member.
    #[serde(rename = "UID")]
    pub uid: Uid,
    /// The newest event that he has read.
    #[serde(rename = "ID")]
    pub id: Seq,
    /// The command's reference, on the answer to one.
    #[serde(rename = "Ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for this signature"
)]
fn is_false(value: &bool) -> bool {
    !value
}

mod room_or_zero {
    use base::{MAX_ID, RoomId};
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks for this signature"
    )]
    #[expect(clippy::ref_option, reason = "serde asks for this signature")]
    pub(super) fn serialize<S: Serializer>(
        room: &Option<RoomId>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_u64(room.map_or(0, RoomId::get))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<RoomId>, D::Error> {
        match u64::deserialize(from)? {
            0 => Ok(None),
            id if id <= MAX_ID => Ok(RoomId::new(id)),
            _ => Err(D::Error::custom(
                "RoomID: must be an integer from 0 to 2^53 - 1",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use base::Uid;

    use super::*;

    fn round_trip(frame: &ServerFrame, json: &str) {
        assert_eq!(frame.to_json(), json);
        assert_eq!(&ServerFrame::parse(json).unwrap(), frame);
    }

    #[test]
    fn frames_are_spelled_as_documented() {
        let room = RoomId::new(1).unwrap();
        let uid = Uid::new(2).unwrap();
        let timestamp = Timestamp::from_micros(0);
        round_trip(&ServerFrame::Enter(Entered::default()), crate::frame::HELLO);
        let entered = Entered {
            room: Some(room),
            seq: Some(Seq(57)),
            ..Entered::default()
        };
        round_trip(
            &ServerFrame::Enter(entered.clone()),
            r#"{"Type":"enter","RoomID":1,"Seq":57}"#,
        );
        let whole = Entered {
            truncated: true,
            epoch: Some(Epoch(1)),
            first: Some(Seq(1)),
            reset: true,
            reference: Some("r".into()),
            ..entered
        };
        round_trip(
            &ServerFrame::Subscribe(whole),
            r#"{"Type":"subscribe","RoomID":1,"Seq":57,"Truncated":true,"Epoch":1,"First":1,"Reset":true,"Ref":"r"}"#,
        );
        round_trip(
            &ServerFrame::Unsubscribe(Left {
                room,
                reference: None,
            }),
            r#"{"Type":"unsubscribe","RoomID":1}"#,
        );
        round_trip(
            &ServerFrame::Sent(Sent {
                message_id: Seq(58),
                room,
                timestamp,
                reference: None,
            }),
            r#"{"Type":"sent","MessageID":58,"RoomID":1,"Timestamp":"1970-01-01T00:00:00.000000Z"}"#,
        );
        let leave = Event {
            kind: EventKind::Leave,
            id: Seq(59),
            seq: Seq(59),
            room,
            uid,
            text: String::new(),
            by: Uid::new(1),
            emoji: None,
            timestamp,
            more: serde_json::Map::default(),
        };
        round_trip(
            &ServerFrame::Event(leave),
            r#"{"Type":"leave","ID":59,"Seq":59,"RoomID":1,"UID":2,"Text":"","By":1,"Timestamp":"1970-01-01T00:00:00.000000Z"}"#,
        );
        round_trip(
            &ServerFrame::Error(Fault::new(&Error::invalid("Text", "is required"), None)),
            r#"{"Type":"error","Error":"Text: is required","Code":"invalid_argument","Retryable":false}"#,
        );
        round_trip(&ServerFrame::Pong(Pong::default()), r#"{"Type":"pong"}"#);
        let read = Read {
            room,
            uid,
            id: Seq(57),
            reference: None,
        };
        round_trip(
            &ServerFrame::Read(read),
            r#"{"Type":"read","RoomID":1,"UID":2,"ID":57}"#,
        );
    }

    #[test]
    fn later_kinds_have_what_they_are_about() {
        for json in [
            r#"{"Type":"edit","ID":4,"Seq":9,"RoomID":1,"UID":2,"Text":"better","Timestamp":"1970-01-01T00:00:00.000000Z"}"#,
            r#"{"Type":"react","ID":4,"Seq":9,"RoomID":1,"UID":2,"Emoji":"+","Timestamp":"1970-01-01T00:00:00.000000Z"}"#,
            r#"{"Type":"room","Seq":9,"RoomID":1,"UID":2,"Timestamp":"1970-01-01T00:00:00.000000Z","Name":"den"}"#,
        ] {
            let frame = ServerFrame::parse(json).unwrap();
            assert!(matches!(frame, ServerFrame::Event(_)), "{json}");
            assert_eq!(frame.place(), Some((RoomId::new(1).unwrap(), Seq(9))));
            assert_eq!(ServerFrame::parse(&frame.to_json()).unwrap(), frame);
        }
    }

    #[test]
    fn an_unknown_type_passes_through() {
        let json = r#"{"RoomID":1,"Seq":60,"Type":"sparkle"}"#;
        let frame = ServerFrame::parse(json).unwrap();
        assert!(matches!(frame, ServerFrame::Other(_)));
        assert_eq!(frame.place(), Some((RoomId::new(1).unwrap(), Seq(60))));
        assert_eq!(frame.to_json(), json);
        assert!(ServerFrame::parse(r#"{"Type":"message"}"#).is_err());
        assert!(ServerFrame::parse(r#"{"Seq":60}"#).is_err());
    }
}

//! Frames from a client, parsed into what cannot be wrong.

use base::{Epoch, Error, MAX_ID, MessageText, Nonce, RoomId, Seq, limits};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::json::Fields;

const NAMES: [&str; 9] = Command::KEYS;
const TYPE: usize = 0;
const ROOM_ID: usize = 1;
const TEXT: usize = 2;
const NONCE: usize = 3;
const AFTER: usize = 4;
const EPOCH: usize = 5;
const REF: usize = 6;
const VERSION: usize = 7;
const ID: usize = 8;

/// What a client asks of its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Switch to a room.
    Enter {
        /// The room; `None` (0 on the wire) leaves the current one.
        room: Option<RoomId>,
        /// Resume directly after this event.
        after: Option<Seq>,
        /// The life of the log that `after` was counted in.
        epoch: Option<Epoch>,
    },
    /// Get the events of one more room.
    Subscribe {
        /// The room.
        room: RoomId,
        /// Resume directly after this event.
        after: Option<Seq>,
        /// The life of the log that `after` was counted in.
        epoch: Option<Epoch>,
    },
    /// Get the events of a room no more.
    Unsubscribe {
        /// The room.
        room: RoomId,
    },
    /// Say something.
    Message {
        /// Where; `None` (absent or 0 on the wire): in the current room.
        room: Option<RoomId>,
        /// What.
        text: MessageText,
        /// What makes it safe to repeat.
        nonce: Option<Nonce>,
    },
    /// Say how far one has read.
    Read {
        /// The room; `None` (absent or 0 on the wire): the current room.
        room: Option<RoomId>,
        /// The newest event that was read.
        id: Seq,
    },
    /// Ask for a pong.
    Ping,
    /// Say which version of the protocol the client speaks, from 1.
    Hello {
        /// The version.
        version: u32,
    },
}

impl Command {
    /// Every key that a command may have.
    pub const KEYS: [&str; 9] = [
        "Type", "RoomID", "Text", "Nonce", "After", "Epoch", "Ref", "Version", "ID",
    ];
}

/// A command with the reference that its answer carries back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framed {
    /// At most 64 characters, chosen by the client.
    pub reference: Option<String>,
    /// What is asked.
    pub command: Command,
}

/// A frame that is no command, with the reference that the error carries back.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The frame's `Ref`, where it had a valid one.
    pub reference: Option<String>,
    /// What is wrong.
    pub error: Error,
}

impl Framed {
    /// Reads a text frame.
    ///
    /// # Errors
    /// `invalid_argument`, naming the field, when a rule of the contract is broken.
    pub fn parse(frame: &str) -> Result<Self, Refused> {
        let refuse = |error| Refused {
            reference: None,
            error,
        };
        let mut fields = Fields::parse_str(&NAMES, frame).map_err(refuse)?;
        let reference = reference(&mut fields).map_err(refuse)?;
        match command(&mut fields) {
            Ok(command) => Ok(Self { reference, command }),
            Err(error) => Err(Refused { reference, error }),
        }
    }

    /// The frame as sent.
    pub fn to_json(&self) -> String {
        // A map of strings and integers always serializes.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl From<Command> for Framed {
    fn from(command: Command) -> Self {
        Self {
            reference: None,
            command,
        }
    }
}

fn reference(fields: &mut Fields<'_, 9>) -> base::Result<Option<String>> {
    let Some(text) = fields.optional_string(REF)? else {
        return Ok(None);
    };
    if text.len() > limits::REF_CHARS * 4 || text.chars().count() > limits::REF_CHARS {
        return Err(Error::invalid("Ref", "must have at most 64 characters"));
    }
    if text.contains('\0') {
        return Err(Error::invalid("Ref", "may not have NUL"));
    }
    Ok(Some(text.into_owned()))
}

fn command(fields: &mut Fields<'_, 9>) -> base::Result<Command> {
    match &*fields.string(TYPE)? {
        "message" => Ok(Command::Message {
            room: fields.optional_id(ROOM_ID)?,
            text: MessageText::try_from_string("Text", fields.string(TEXT)?.into_owned())?,
            nonce: nonce(fields)?,
        }),
        "enter" => {
            let room = fields.optional_integer(ROOM_ID, 0, MAX_ID)?;
            let room = RoomId::new(room.ok_or_else(|| fields.missing(ROOM_ID))?);
            Ok(Command::Enter {
                room,
                after: after(fields)?,
                epoch: epoch(fields)?,
            })
        }
        "subscribe" => Ok(Command::Subscribe {
            room: fields.id(ROOM_ID)?,
            after: after(fields)?,
            epoch: epoch(fields)?,
        }),
        "unsubscribe" => Ok(Command::Unsubscribe {
            room: fields.id(ROOM_ID)?,
        }),
        "read" => {
            let id = fields.optional_integer(ID, 1, MAX_ID)?;
            Ok(Command::Read {
                room: fields.optional_id(ROOM_ID)?,
                id: Seq(id.ok_or_else(|| fields.missing(ID))?),
            })
        }
        "ping" => Ok(Command::Ping),
        "hello" => {
            let version = fields.optional_integer(VERSION, 1, u64::from(u32::MAX))?;
            let version = version.and_then(|version| u32::try_from(version).ok());
            Ok(Command::Hello {
                version: version.ok_or_else(|| fields.missing(VERSION))?,
            })
        }
        _ => Err(Error::invalid("Type", "no such command")),
    }
}

fn nonce(fields: &mut Fields<'_, 9>) -> base::Result<Option<Nonce>> {
    fields
        .optional_string(NONCE)?
        .map(|text| Nonce::parse("Nonce", &text))
        .transpose()
}

fn after(fields: &Fields<'_, 9>) -> base::Result<Option<Seq>> {
    Ok(fields.optional_integer(AFTER, 0, MAX_ID)?.map(Seq))
}

fn epoch(fields: &Fields<'_, 9>) -> base::Result<Option<Epoch>> {
    Ok(fields.optional_integer(EPOCH, 0, MAX_ID)?.map(Epoch))
}

impl Serialize for Framed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match &self.command {
            Command::Enter { room, after, epoch } => {
                map.serialize_entry("Type", "enter")?;
                map.serialize_entry("RoomID", &room.map_or(0, RoomId::get))?;
                entry(&mut map, "After", after.as_ref())?;
                entry(&mut map, "Epoch", epoch.as_ref())?;
            }
            Command::Subscribe { room, after, epoch } => {
                map.serialize_entry("Type", "subscribe")?;
                map.serialize_entry("RoomID", room)?;
                entry(&mut map, "After", after.as_ref())?;
                entry(&mut map, "Epoch", epoch.as_ref())?;
            }
            Command::Unsubscribe { room } => {
                map.serialize_entry("Type", "unsubscribe")?;
                map.serialize_entry("RoomID", room)?;
            }
            Command::Message { room, text, nonce } => {
                map.serialize_entry("Type", "message")?;
                entry(&mut map, "RoomID", room.as_ref())?;
                map.serialize_entry("Text", text.as_str())?;
                entry(&mut map, "Nonce", nonce.as_ref().map(Nonce::as_str))?;
            }
            Command::Read { room, id } => {
                map.serialize_entry("Type", "read")?;
                entry(&mut map, "RoomID", room.as_ref())?;
                map.serialize_entry("ID", id)?;
            }
            Command::Ping => map.serialize_entry("Type", "ping")?,
            Command::Hello { version } => {
                map.serialize_entry("Type", "hello")?;
                map.serialize_entry("Version", version)?;
            }
        }
        entry(&mut map, "Ref", self.reference.as_deref())?;
        map.end()
    }
}

fn entry<M: SerializeMap, T: Serialize + ?Sized>(
    map: &mut M,
    key: &str,
    value: Option<&T>,
) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(key, value))
}

#[cfg(test)]
mod tests {
    use proptest::option::of;
    use proptest::prelude::*;

    use super::*;

    fn parse(frame: &str) -> Command {
        Framed::parse(frame).unwrap().command
    }

    fn refusal(frame: &str) -> String {
        let refused = Framed::parse(frame).unwrap_err();
        assert_eq!(refused.error.code(), base::Code::InvalidArgument);
        refused.error.detail().to_owned()
    }

    #[test]
    fn the_original_frames_are_understood() {
        let room = RoomId::new(1);
        assert_eq!(
            parse(r#"{"type":"enter","roomid":1}"#),
            Command::Enter {
                room,
                after: None,
                epoch: None
            }
        );
        assert_eq!(
            parse(r#"{"Type":"enter","RoomID":0,"Text":"","UID":0}"#),
            Command::Enter {
                room: None,
                after: None,
                epoch: None
            }
        );
        let text = MessageText::parse("Text", "hi").unwrap();
        assert_eq!(
            parse(r#"{"Type":"message","RoomID":0,"Text":"hi"}"#),
            Command::Message {
                room: None,
                text,
                nonce: None
            }
        );
    }

    #[test]
    fn a_refusal_names_the_field_and_keeps_the_reference() {
        for (frame, field) in [
            (r#"{"Ref":"r"}"#, "Type"),
            (r#"{"Ref":"r","Type":1}"#, "Type"),
            (r#"{"Ref":"r","Type":"Message","Text":"x"}"#, "Type"),
            (r#"{"Ref":"r","Type":"enter"}"#, "RoomID"),
            (r#"{"Ref":"r","Type":"enter","RoomID":"1"}"#, "RoomID"),
            (r#"{"Ref":"r","Type":"enter","RoomID":-1}"#, "RoomID"),
            (
                r#"{"Ref":"r","Type":"enter","RoomID":1,"After":-1}"#,
                "After",
            ),
            (
                r#"{"Ref":"r","Type":"enter","RoomID":1,"Epoch":"e"}"#,
                "Epoch",
            ),
            (r#"{"Ref":"r","Type":"subscribe","RoomID":0}"#, "RoomID"),
            (r#"{"Ref":"r","Type":"unsubscribe"}"#, "RoomID"),
            (r#"{"Ref":"r","Type":"message"}"#, "Text"),
            (r#"{"Ref":"r","Type":"message","Text":""}"#, "Text"),
            (
                r#"{"Ref":"r","Type":"message","Text":"x","Nonce":""}"#,
                "Nonce",
            ),
            (r#"{"Ref":"r","Type":"hello","Version":0}"#, "Version"),
            (r#"{"Ref":"r","Type":"read","RoomID":1}"#, "ID"),
            (r#"{"Ref":"r","Type":"read","ID":0}"#, "ID"),
        ] {
            let refused = Framed::parse(frame).unwrap_err();
            assert!(
                refused.error.detail().starts_with(&format!("{field}: ")),
                "{frame}"
            );
            assert_eq!(refused.reference.as_deref(), Some("r"), "{frame}");
        }
    }

    #[test]
    fn a_reference_has_64_characters_at_most() {
        let ping = |reference: &str| format!(r#"{{"Type":"ping","Ref":"{reference}"}}"#);
        let longest = "é".repeat(64);
        assert_eq!(
            Framed::parse(&ping(&longest)).unwrap().reference,
            Some(longest)
        );
        assert!(refusal(&ping(&"é".repeat(65))).starts_with("Ref: "));
        assert!(refusal(r#"{"Type":"ping","Ref":1}"#).starts_with("Ref: "));
        assert!(refusal(r#"{"Type":"ping","Ref":"a\u0000"}"#).starts_with("Ref: "));
    }

    fn texts() -> impl Strategy<Value = MessageText> {
        ".{1,50}".prop_filter_map("valid", |text| MessageText::parse("Text", &text).ok())
    }

    fn nonces() -> impl Strategy<Value = Nonce> {
        "[^\\x00]{1,64}".prop_filter_map("valid", |text| Nonce::parse("Nonce", &text).ok())
    }

    fn rooms() -> impl Strategy<Value = RoomId> {
        (1..=MAX_ID).prop_filter_map("valid", RoomId::new)
    }

    fn afters() -> impl Strategy<Value = (Option<Seq>, Option<Epoch>)> {
        (
            of((0..=MAX_ID).prop_map(Seq)),
            of((0..=MAX_ID).prop_map(Epoch)),
        )
    }

    fn commands() -> impl Strategy<Value = Command> {
        prop_oneof![
            (of(rooms()), afters()).prop_map(|(room, (after, epoch))| Command::Enter {
                room,
                after,
                epoch
            }),
            (rooms(), afters()).prop_map(|(room, (after, epoch))| Command::Subscribe {
                room,
                after,
                epoch
            }),
            rooms().prop_map(|room| Command::Unsubscribe { room }),
            (of(rooms()), texts(), of(nonces())).prop_map(|(room, text, nonce)| Command::Message {
                room,
                text,
                nonce
            }),
            (of(rooms()), 1..=MAX_ID).prop_map(|(room, id)| Command::Read { room, id: Seq(id) }),
            Just(Command::Ping),
            (1..=u32::MAX).prop_map(|version| Command::Hello { version }),
        ]
    }

    proptest! {
        #[test]
        fn what_the_sdk_writes_is_read_back(command in commands(), reference in of("[^\\x00]{0,64}")) {
            let framed = Framed { reference, command };
            prop_assert_eq!(Framed::parse(&framed.to_json()).unwrap(), framed);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            drop(Framed::parse(&text));
        }

        #[test]
        fn no_object_makes_it_panic(kind in "(message|enter|subscribe|unsubscribe|read|ping|hello|x)", value in r#"(-?[0-9]{1,20}|"[^"\\]{0,9}"|null|true|\[\]|\{\})"#) {
            for name in NAMES {
                let frame = format!(r#"{{"Type":"{kind}","{name}":{value}}}"#);
                if let Err(refused) = Framed::parse(&frame) {
                    let detail = refused.error.detail().to_owned();
                    prop_assert!(NAMES.iter().any(|name| detail.starts_with(name)), "{}: {}", frame, detail);
                }
            }
        }
    }
}

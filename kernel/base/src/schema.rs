//! The ids and texts as JSON Schema, each with the limits that its parser keeps.

use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::{
    Code, Email, Epoch, MAX_ID, MessageText, Nonce, Password, RoomId, RoomName, Seq, SessionId,
    Timestamp, Uid, Username, limits,
};

macro_rules! schema {
    ($name:ident, $object:expr, $description:expr) => {
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $object.description(Some($description)).build().into()
            }
        }

        impl ToSchema for $name {}
    };
}

schema!(Uid, integer(1), "A user.");
schema!(RoomId, integer(1), "A room.");
schema!(SessionId, integer(1), "A login session.");
schema!(
    Seq,
    integer(0),
    "A place in a room's log: 1, 2, 3 … without gaps. 0 stands before the first."
);
schema!(
    Epoch,
    integer(0),
    "Which life of a room's log this is: new only after a restore from a backup."
);
schema!(
    Timestamp,
    string().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))),
    "RFC 3339 in UTC, with millisecond precision or finer."
);
schema!(
    Username,
    text(limits::USERNAME_CHARS),
    "Letters and decimal digits of any script, or `_`, counted in NFC. Unique whatever its \
     case; kept as typed."
);
schema!(
    RoomName,
    text(limits::ROOM_NAME_CHARS),
    "No control characters but tab and line feed, and not blank. Unique whatever its case; \
     kept as typed."
);
schema!(
    Email,
    string()
        .max_length(Some(limits::EMAIL_CHARS))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Email))),
    "One `@` and a dot in the domain. Unique whatever its case; kept as typed."
);
schema!(
    Password,
    text(limits::PASSWORD_CHARS).format(Some(SchemaFormat::KnownFormat(KnownFormat::Password))),
    "Any characters but NUL."
);
schema!(
    MessageText,
    text(limits::MESSAGE_CHARS),
    "Any characters but NUL."
);
schema!(
    Nonce,
    text(limits::NONCE_CHARS),
    "What makes a write safe to repeat, chosen by its sender; unique for the user and the \
     room. Any characters but NUL."
);
schema!(
    Code,
    string().enum_values(Some(Code::ALL.map(Code::as_str))),
    "What is wrong, for a program. The vocabulary is closed."
);

fn integer(least: u64) -> ObjectBuilder {
    Object::builder()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(least))
        .maximum(Some(MAX_ID))
}

fn text((least, most): (usize, usize)) -> ObjectBuilder {
    string().min_length(Some(least)).max_length(Some(most))
}

fn string() -> ObjectBuilder {
    Object::builder().schema_type(Type::String)
}

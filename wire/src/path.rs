//! Ids as they stand in a path: decimal digits and nothing else.

use base::{Error, Result, RoomId, SessionId, Uid};

/// The room that a path segment names.
///
/// # Errors
/// `invalid_argument`, naming `RoomID`, when the segment is not a positive integer
/// of at most 2^53 − 1.
pub fn room_id(segment: &str) -> Result<RoomId> {
    digits(segment)
        .and_then(RoomId::new)
        .ok_or_else(|| not_an_id("RoomID"))
}

/// The user that a path segment names.
///
/// # Errors
/// As [`room_id`], naming `UID`.
pub fn uid(segment: &str) -> Result<Uid> {
    digits(segment)
        .and_then(Uid::new)
        .ok_or_else(|| not_an_id("UID"))
}

/// The session that a path segment names.
///
/// # Errors
/// As [`room_id`], naming `SessionID`.
pub fn session_id(segment: &str) -> Result<SessionId> {
    digits(segment)
        .and_then(SessionId::new)
        .ok_or_else(|| not_an_id("SessionID"))
}

/// The number that `text` writes in decimal digits, without a sign.
pub(crate) fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn not_an_id(field: &str) -> Error {
    Error::invalid(field, "must be an integer from 1 to 2^53 - 1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_of_a_possible_id_are_one() {
        assert_eq!(room_id("1").unwrap().get(), 1);
        assert_eq!(uid("9007199254740991").unwrap().get(), base::MAX_ID);
        for bad in [
            "",
            "0",
            "-1",
            "+1",
            "1.0",
            "x",
            "9007199254740992",
            "9223372036854775808",
            " 1",
        ] {
            assert!(
                room_id(bad).unwrap_err().detail().starts_with("RoomID"),
                "{bad}"
            );
            assert!(uid(bad).unwrap_err().detail().starts_with("UID"), "{bad}");
            let session = session_id(bad).unwrap_err();
            assert!(session.detail().starts_with("SessionID"), "{bad}");
        }
    }
}

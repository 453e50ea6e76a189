//! Ids are positive integers that a JavaScript number holds exactly.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use crate::Error;

/// The largest id: 2^53 − 1, the largest integer that IEEE 754 doubles, and so
/// JSON in a browser, count up to without gaps (RFC 8259, section 6).
pub const MAX_ID: u64 = (1 << 53) - 1;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "u64", into = "u64")]
        pub struct $name(NonZeroU64);

        impl $name {
            /// The id of this number, if it is one: 1 to [`MAX_ID`].
            pub const fn new(value: u64) -> Option<Self> {
                match NonZeroU64::new(value) {
                    Some(value) if value.get() <= MAX_ID => Some(Self(value)),
                    _ => None,
                }
            }

            /// The number.
            pub const fn get(self) -> u64 {
                self.0.get()
            }

            /// The number as databases store it; it always fits.
            pub const fn as_i64(self) -> i64 {
                self.0.get().cast_signed()
            }
        }

        impl TryFrom<u64> for $name {
            type Error = Error;
            fn try_from(value: u64) -> Result<Self, Error> {
                Self::new(value)
                    .ok_or_else(|| Error::invalid($field, "must be an integer from 1 to 2^53 - 1"))
            }
        }

        impl TryFrom<i64> for $name {
            type Error = Error;
            fn try_from(value: i64) -> Result<Self, Error> {
                Self::try_from(u64::try_from(value).unwrap_or(0))
            }
        }

        impl From<$name> for u64 {
            fn from(id: $name) -> u64 {
                id.get()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A user.
    Uid, "UID"
);
id!(
    /// A room.
    RoomId, "RoomID"
);
id!(
    /// A login session.
    SessionId, "SessionID"
);
id!(
    /// The number of a membership change within its room, from 1, without gaps.
    ChangeNo, "ChangeNo"
);

/// The place of an event in its room's log: 1, 2, 3 … without gaps. 0 stands
/// before the first event.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first event.
    pub const START: Self = Self(0);

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number as databases store it.
    pub const fn as_i64(self) -> i64 {
        self.0.cast_signed()
    }

    /// The Seq directly after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl std::fmt::Display for Seq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Which life of a log this is: new only after a restore from backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_positive_and_exact_in_a_double() {
        assert!(Uid::new(0).is_none());
        assert_eq!(Uid::new(1).map(Uid::get), Some(1));
        assert_eq!(Uid::new(MAX_ID).map(Uid::get), Some(MAX_ID));
        assert!(Uid::new(MAX_ID + 1).is_none());
        assert!(RoomId::try_from(-1_i64).is_err());
    }
}

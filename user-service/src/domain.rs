//! What an account is made of.

use base::{Email, SessionId, Timestamp, Uid, Username};
use serde::{Deserialize, Serialize};

/// An account about to be made.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Its name, as typed.
    pub username: Username,
    /// Its address, as typed.
    pub email: Email,
    /// Its password, hashed.
    pub hash: Hash,
}

/// A password's hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash {
    /// A PHC string: algorithm, cost, salt and output.
    pub phc: String,
    /// The number of the scheme around it, so that a later one can tell.
    pub version: i16,
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hash(…)")
    }
}

/// By what somebody says who he is.
#[derive(Debug, Clone)]
pub enum Login {
    /// By his address.
    Email(Email),
    /// By his name.
    Username(Username),
}

/// What proves that somebody is who he says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The account.
    pub uid: Uid,
    /// Grows with each change of the password.
    pub password_version: u64,
    /// The hash of the password.
    pub hash: Hash,
}

/// A proven login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Who it is.
    pub uid: Uid,
    /// The version of the password that was given.
    pub password_version: u64,
}

/// A password change that session-service has not confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Untold {
    /// Whose password it is.
    pub uid: Uid,
    /// Its version by now.
    pub version: u64,
    /// The session that lives on.
    pub kept: Option<SessionId>,
}

/// What is shown of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The account.
    pub uid: Uid,
    /// Its name, as typed.
    pub username: String,
    /// Its address, as typed.
    pub email: String,
    /// When it was made.
    pub created_at: Timestamp,
}

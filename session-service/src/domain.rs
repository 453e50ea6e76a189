//! What a session is made of.

use base::{SessionId, Timestamp, Uid};

/// Characters that are kept of what a client calls itself.
const DEVICE_CHARS: usize = 200;
/// Characters that are kept of an address; the longest IPv6 one has 45.
const ADDRESS_CHARS: usize = 64;

/// A session about to be opened.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Whose it is.
    pub uid: Uid,
    /// The version of the password that was verified.
    pub password_version: u64,
    /// Where it is opened.
    pub client: Client,
    /// What is stored of its refresh token.
    pub refresh: SecretHash,
}

/// Where a session was opened: for its user to recognise, believed by nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    device: String,
    address: String,
}

impl Client {
    /// Takes what a client says, cut to what is worth keeping.
    pub fn new(device: &str, address: &str) -> Self {
        let plain = |text: &str, most| {
            let readable = text.chars().filter(|c| !c.is_control());
            readable.take(most).collect()
        };
        Self {
            device: plain(device, DEVICE_CHARS),
            address: plain(address, ADDRESS_CHARS),
        }
    }

    /// What the client calls itself: 200 characters at most, no control characters.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Its address, as the gateway saw it.
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// SHA-256 of a secret. Secrets are 256 random bits, so a plain hash is as good as a slow
/// one; idempotency keys are no secrets, and hashed for their length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretHash(pub [u8; 32]);

/// A session, as its user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Where it was opened.
    pub client: Client,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used: Timestamp,
}

/// A refresh token that comes to be renewed.
#[derive(Debug, Clone, Copy)]
pub struct Renewal {
    /// What came.
    pub presented: SecretHash,
    /// The idempotency key it came with.
    pub key: Option<SecretHash>,
    /// What the next secret is derived with.
    pub salt: [u8; 32],
    /// What comes in its place.
    pub next: SecretHash,
}

/// How a token was renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewed {
    /// Whose session it is.
    pub uid: Uid,
    /// What the next secret is derived with.
    pub salt: [u8; 32],
    /// When it was.
    pub at: Timestamp,
}

/// Sessions that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// With their numbers, ascending without gaps.
    pub ended: Vec<(u64, SessionId)>,
    /// The newest number there is.
    pub head: u64,
    /// The oldest number that is kept; `head + 1` when none is.
    pub first: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_is_cut_and_has_no_control_characters() {
        let client = Client::new(&"ü".repeat(300), "127.0.0.1\0\n");
        assert_eq!(client.device(), "ü".repeat(200));
        assert_eq!(client.address(), "127.0.0.1");
    }
}

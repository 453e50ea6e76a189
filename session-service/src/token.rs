//! Makes and reads tokens: JWTs (RFC 7519) signed with HS256, and no other way.
//!
//! A token names its key by `kid`, so that two keys can be told apart while one
//! replaces the other. Time comes from the service's clock, without leeway: the
//! processes that make and read tokens are the same.

use base::{Code, Entropy, Error, SessionId, Timestamp, Uid};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use runtime::config::{Secret, Span};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Config;
use crate::domain::SecretHash;

/// Bytes of a secret, least: as many as HS256 puts out (RFC 7518, section 3.2).
pub(crate) const SECRET_BYTES: usize = 32;
/// Who makes our tokens, and who they are for.
const PARLEY: &str = "parley";
/// Microseconds in a second.
const SECOND: i64 = 1_000_000;

/// The keys that tokens are made and read with.
pub(crate) struct Tokens {
    current: Key,
    previous: Option<Key>,
    expire: Span,
    validation: Validation,
}

struct Key {
    id: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    /// The user, as text (RFC 7519, section 4.1.2).
    sub: String,
    /// The session.
    sid: u64,
    iat: i64,
    exp: i64,
    iss: String,
    aud: String,
}

/// What a token says, once it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) uid: Uid,
    pub(crate) session: SessionId,
    pub(crate) expires_at: Timestamp,
}

impl Tokens {
    /// # Errors
    /// When the secret is missing, or one is too short.
    pub(crate) fn new(config: &Config) -> base::Result<Self> {
        let missing = || Error::invalid("jwt_secret", "set JWT_SECRET to 32 bytes or more");
        let current = config.jwt_secret.as_ref().ok_or_else(missing)?;
        let previous = config.jwt_secret_previous.as_ref();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[PARLEY]);
        validation.set_audience(&[PARLEY]);
        // Checked below, by our own clock.
        validation.validate_exp = false;
        Ok(Self {
            current: Key::new("JWT_SECRET", current)?,
            previous: previous
                .map(|secret| Key::new("JWT_SECRET_PREVIOUS", secret))
                .transpose()?,
            expire: config.expire,
            validation,
        })
    }

    /// A token for a session, and when it ends.
    pub(crate) fn issue(
        &self,
        uid: Uid,
        session: SessionId,
        now: Timestamp,
    ) -> base::Result<(String, Timestamp)> {
        let exp = now.after(self.expire.0).seconds();
        let claims = Claims {
            sub: uid.to_string(),
            sid: session.get(),
            iat: now.seconds(),
            exp,
            iss: PARLEY.to_owned(),
            aud: PARLEY.to_owned(),
        };
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(self.current.id.clone());
        let token = jsonwebtoken::encode(&header, &claims, &self.current.encoding)
            .map_err(Error::internal)?;
        Ok((token, Timestamp::from_micros(exp * SECOND)))
    }

    /// What a token says, if it is one of ours and has not expired.
    pub(crate) fn read(&self, token: &str, now: Timestamp) -> base::Result<Statement> {
        let invalid = || Error::new(Code::Unauthenticated, "the token is not valid");
        let header = jsonwebtoken::decode_header(token).map_err(|_| invalid())?;
        let key = [Some(&self.current), self.previous.as_ref()]
            .into_iter()
            .flatten()
            .find(|key| header.kid.as_deref() == Some(&key.id))
            .ok_or_else(invalid)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &self.validation)
            .map_err(|_| invalid())?
            .claims;
        if claims.exp <= now.seconds() {
            return Err(Error::new(Code::Unauthenticated, "the token has expired"));
        }
        let uid = claims.sub.parse().ok().and_then(Uid::new);
        Ok(Statement {
            uid: uid.ok_or_else(invalid)?,
            session: SessionId::new(claims.sid).ok_or_else(invalid)?,
            expires_at: Timestamp::from_micros(claims.exp.saturating_mul(SECOND)),
        })
    }
}

impl Key {
    fn new(name: &str, secret: &Secret) -> base::Result<Self> {
        let bytes = secret.expose().as_bytes();
        if bytes.len() < SECRET_BYTES {
            let rule = format!("has {} bytes; it takes 32 or more", bytes.len());
            return Err(Error::invalid(name, rule));
        }
        let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(bytes).into();
        Ok(Self {
            id: format!("{:08x}", u32::from_be_bytes([a, b, c, d])),
            encoding: EncodingKey::from_secret(bytes),
            decoding: DecodingKey::from_secret(bytes),
        })
    }
}

/// 32 bytes that nobody can guess.
pub(crate) fn random(entropy: &dyn Entropy) -> base::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes).map_err(Error::internal)?;
    Ok(bytes)
}

/// What is stored of a text.
pub(crate) fn hash(text: &str) -> SecretHash {
    SecretHash(Sha256::digest(text).into())
}

/// What renews a token: the session's id, a dot, 32 bytes in base64url.
pub(crate) struct Refresh {
    secret: String,
}

impl Refresh {
    /// A new one.
    pub(crate) fn new(entropy: &dyn Entropy) -> base::Result<Self> {
        Ok(Self::of(&random(entropy)?))
    }

    /// The session and the secret that a client's token names.
    pub(crate) fn parse(token: &str) -> Option<(SessionId, Self)> {
        let (session, secret) = token.split_once('.')?;
        let session = session.parse().ok().and_then(SessionId::new)?;
        let bytes = URL_SAFE_NO_PAD.decode(secret).ok()?;
        (bytes.len() == 32).then(|| {
            let secret = secret.to_owned();
            (session, Self { secret })
        })
    }

    /// The one that comes after this one. Who has this one and the salt can tell it, so
    /// an answer that was lost can be given again; who has the database alone cannot,
    /// for that has no more than this one's hash.
    ///
    /// # Errors
    /// `internal`; none is known.
    pub(crate) fn next(&self, salt: &[u8; 32]) -> base::Result<Self> {
        Ok(Self::of(&hmac_sha256(self.secret.as_bytes(), salt)?))
    }

    fn of(bytes: &[u8; 32]) -> Self {
        Self {
            secret: URL_SAFE_NO_PAD.encode(bytes),
        }
    }

    /// What is stored of it.
    pub(crate) fn hash(&self) -> SecretHash {
        hash(&self.secret)
    }

    /// What the client keeps.
    pub(crate) fn token(&self, session: SessionId) -> String {
        format!("{session}.{}", self.secret)
    }
}

/// HMAC (RFC 2104).
fn hmac_sha256(key: &[u8], text: &[u8]) -> base::Result<[u8; 32]> {
    let mac = Hmac::<Sha256>::new_from_slice(key).map_err(Error::internal)?;
    Ok(mac.chain_update(text).finalize().into_bytes().into())
}

#[cfg(test)]
mod tests;

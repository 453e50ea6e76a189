//! The codes of invitations. Who has one may come in, so nobody keeps it: the store has its
//! hash, and it is in no log.

use base::{Entropy, Error};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::domain::CodeHash;

/// Random bytes of a code: too many to guess one, whatever the number of codes.
const BYTES: usize = 16;

/// A new code: 22 characters of base64url.
///
/// # Errors
/// `internal` when there is no randomness to be had.
pub(crate) fn new(entropy: &dyn Entropy) -> base::Result<String> {
    let mut bytes = [0; BYTES];
    entropy.fill(&mut bytes).map_err(Error::internal)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What is kept of a code; of what is none, something that is kept of no code.
pub(crate) fn hash(code: &str) -> CodeHash {
    CodeHash(Sha256::digest(code).into())
}

#[cfg(test)]
mod tests {
    use base::OsEntropy;

    use super::*;

    #[test]
    fn codes_are_22_characters_that_a_path_may_have() {
        let (one, two) = (new(&OsEntropy).unwrap(), new(&OsEntropy).unwrap());
        assert_eq!(one.len(), 22);
        assert!(
            one.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        assert_ne!(one, two);
        assert_eq!(hash(&one), hash(&one));
        assert_ne!(hash(&one), hash(&two));
    }
}

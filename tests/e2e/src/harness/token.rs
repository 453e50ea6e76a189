//! Makes tokens that a server must not believe, with the server's own secret.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::Value;

use super::{User, World};

/// A valid token taken apart, and what is needed to put another one together.
pub(crate) struct Forge {
    header: Value,
    claims: Value,
    secret: Vec<u8>,
}

impl Forge {
    /// Takes `user`'s token as the model.
    ///
    /// # Panics
    /// When the token is not signed with the system's secret by HS256.
    pub(crate) async fn new(world: &World, user: &User) -> Self {
        let parts: Vec<&str> = user.token().split('.').collect();
        let [header, claims, signature] = parts.as_slice() else {
            panic!("no JWT")
        };
        let signed = format!("{header}.{claims}");
        let file = std::fs::read(world.secret_file().await).unwrap();
        let secret = candidates(&file)
            .into_iter()
            .find(|secret| sign(&signed, secret, Algorithm::HS256) == *signature)
            .expect("the secret that the system keeps signs its tokens by HS256");
        Self {
            header: decode(header),
            claims: decode(claims),
            secret,
        }
    }

    /// A token with the same claims; the model's own, to show that forging works.
    pub(crate) fn faithful(&self) -> String {
        self.with_claims(|_| {})
    }

    /// A token with other claims and a good signature.
    pub(crate) fn with_claims(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = self.claims.clone();
        change(&mut claims);
        let signed = format!("{}.{}", encode(&self.header), encode(&claims));
        let signature = sign(&signed, &self.secret, Algorithm::HS256);
        format!("{signed}.{signature}")
    }

    /// A token by another algorithm of the same family, rightly signed.
    pub(crate) fn by_hs512(&self) -> String {
        let mut header = self.header.clone();
        header["alg"] = "HS512".into();
        let signed = format!("{}.{}", encode(&header), encode(&self.claims));
        let signature = sign(&signed, &self.secret, Algorithm::HS512);
        format!("{signed}.{signature}")
    }
}

/// `token` with its header saying `alg` and without a signature.
pub(crate) fn unsigned(token: &str, alg: &str) -> String {
    let mut parts = token.split('.');
    let mut header = decode(parts.next().unwrap());
    header["alg"] = alg.into();
    format!("{}.{}.", encode(&header), parts.next().unwrap())
}

/// What the key may be, given the file that keeps it: the file itself, its line without
/// the end, or what a line `JWT_SECRET=…` says; as it stands or decoded.
fn candidates(file: &[u8]) -> Vec<Vec<u8>> {
    let mut secrets = vec![file.to_vec()];
    for line in file.split(|byte| *byte == b'\n') {
        let line = line
            .strip_prefix(b"JWT_SECRET=")
            .unwrap_or(line)
            .trim_ascii();
        secrets.push(line.to_vec());
        secrets.extend(STANDARD.decode(line).ok());
        secrets.extend(URL_SAFE_NO_PAD.decode(line).ok());
    }
    secrets.retain(|secret| !secret.is_empty());
    secrets
}

fn sign(signed: &str, secret: &[u8], algorithm: Algorithm) -> String {
    crypto::sign(
        signed.as_bytes(),
        &EncodingKey::from_secret(secret),
        algorithm,
    )
    .unwrap()
}

fn decode(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

/// The example of RFC 7515, appendix A.1.
#[test]
fn signatures_are_those_of_the_standard() {
    let signed = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let key =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let secret = URL_SAFE_NO_PAD.decode(key).unwrap();
    let signature = sign(signed, &secret, Algorithm::HS256);
    assert_eq!(signature, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
}

//! What is believed, and what is not.

use std::time::Duration;

use runtime::config::{Environment, load};
use serde_json::{Value, json};

use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_767_323_045_678_901);
const ANN: Uid = Uid::new(7).unwrap();
const SESSION: SessionId = SessionId::new(3).unwrap();
const ONE: &str = "one secret of thirty-two bytes..";
const OTHER: &str = "another secret, of thirty-eight bytes.";

fn config(secret: Option<&str>, previous: Option<&str>) -> Config {
    let mut config = load::<Config>(None, &Environment::new()).unwrap().config;
    config.jwt_secret = secret.map(Secret::new);
    config.jwt_secret_previous = previous.map(Secret::new);
    config
}

fn tokens(secret: &str) -> Tokens {
    Tokens::new(&config(Some(secret), None)).unwrap()
}

fn claims() -> Value {
    let now = NOW.seconds();
    json!({
        "sub": "7", "sid": 3, "iat": now, "exp": now + 60, "iss": "parley", "aud": "parley",
    })
}

/// A token with the right kid, made in any way.
fn forged(header: &Header, claims: &Value, secret: &str) -> String {
    let mut header = header.clone();
    header.kid = Some(tokens(ONE).current.id);
    jsonwebtoken::encode(
        &header,
        claims,
        &EncodingKey::from_secret(secret.as_bytes()),
    )
    .unwrap()
}

fn hs256() -> Header {
    Header::new(Algorithm::HS256)
}

fn refused(token: &str) -> bool {
    let read = tokens(ONE).read(token, NOW);
    read.is_err_and(|error| error.code() == Code::Unauthenticated)
}

#[test]
fn a_token_says_who_and_which_session_and_until_when() {
    let tokens = tokens(ONE);
    let (token, expires_at) = tokens.issue(ANN, SESSION, NOW).unwrap();
    assert_eq!(expires_at.seconds(), NOW.seconds() + 24 * 3_600);
    let expected = Statement {
        uid: ANN,
        session: SESSION,
        expires_at,
    };
    assert_eq!(tokens.read(&token, NOW).unwrap(), expected);
}

#[test]
fn a_token_ends_at_its_exp_without_leeway() {
    let tokens = tokens(ONE);
    let (token, expires_at) = tokens.issue(ANN, SESSION, NOW).unwrap();
    let last = Timestamp::from_micros(expires_at.micros() - 1);
    assert!(tokens.read(&token, last).is_ok());
    let error = tokens.read(&token, expires_at).unwrap_err();
    let said = (error.code(), error.detail());
    assert_eq!(said, (Code::Unauthenticated, "the token has expired"));
}

#[test]
fn what_is_not_ours_is_refused() {
    // The way of these tests is itself right.
    assert!(!refused(&forged(&hs256(), &claims(), ONE)));
    assert!(refused(&forged(&hs256(), &claims(), OTHER)));
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        assert!(refused(&forged(&Header::new(algorithm), &claims(), ONE)));
    }
    for (key, value) in [
        ("iss", json!("else")),
        ("aud", json!("else")),
        ("aud", json!(["else"])),
        ("exp", json!("soon")),
        ("sub", json!("nobody")),
        ("sub", json!("0")),
        ("sub", json!(7)),
        ("sid", json!(0)),
        ("sid", json!(-1)),
    ] {
        let mut claims = claims();
        claims[key] = value.clone();
        assert!(refused(&forged(&hs256(), &claims, ONE)), "{key} {value}");
    }
    for key in ["iss", "aud", "exp", "sub", "sid"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(key);
        assert!(refused(&forged(&hs256(), &claims, ONE)), "without {key}");
    }
}

#[test]
fn an_unsigned_token_is_refused_however_it_is_spelt() {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let kid = tokens(ONE).current.id;
    for alg in ["none", "None", "NONE", "", "HS256", "RS256"] {
        let header = json!({ "alg": alg, "typ": "JWT", "kid": kid });
        for signature in ["", "AAAA"] {
            let token = format!("{}.{}.{signature}", part(&header), part(&claims()));
            assert!(refused(&token), "{alg}");
        }
    }
}

#[test]
fn garbage_is_refused() {
    let (good, _) = tokens(ONE).issue(ANN, SESSION, NOW).unwrap();
    let cut = &good[..good.len() - 1];
    let headless = good.split_once('.').unwrap().1;
    for bad in ["", ".", "..", "a.b.c", "\u{0}", "ü.ü.ü", cut, headless] {
        assert!(refused(bad), "{bad}");
    }
}

#[test]
fn a_token_without_a_kid_is_refused() {
    let key = EncodingKey::from_secret(ONE.as_bytes());
    assert!(refused(
        &jsonwebtoken::encode(&hs256(), &claims(), &key).unwrap()
    ));
}

#[test]
fn tokens_of_the_previous_secret_are_good_and_new_ones_are_of_the_current() {
    let (old, _) = tokens(ONE).issue(ANN, SESSION, NOW).unwrap();
    let both = Tokens::new(&config(Some(OTHER), Some(ONE))).unwrap();
    assert_eq!(both.read(&old, NOW).unwrap().uid, ANN);
    let (new, _) = both.issue(ANN, SESSION, NOW).unwrap();
    assert!(tokens(OTHER).read(&new, NOW).is_ok());
    assert!(tokens(OTHER).read(&old, NOW).is_err());
}

#[test]
fn a_short_or_missing_secret_is_refused_in_clear_words() {
    let refusal = |secret, previous| match Tokens::new(&config(secret, previous)) {
        Ok(_) => panic!("it is no secret"),
        Err(error) => error.detail().to_owned(),
    };
    assert!(refusal(None, None).contains("set JWT_SECRET to 32 bytes or more"));
    assert!(refusal(Some(&ONE[1..]), None).contains("JWT_SECRET: has 31 bytes"));
    assert!(refusal(Some(ONE), Some("short")).contains("JWT_SECRET_PREVIOUS: has 5 bytes"));
}

#[test]
fn a_kid_is_eight_hex_digits_that_do_not_tell_the_secret() {
    let id = tokens(ONE).current.id;
    assert_eq!(id.len(), 8);
    assert!(id.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_ne!(id, tokens(OTHER).current.id);
}

#[test]
fn no_two_refresh_tokens_are_the_same_and_what_is_stored_is_not_the_token() {
    let (one, other) = (
        Refresh::new(&base::OsEntropy),
        Refresh::new(&base::OsEntropy),
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_ne!(one.token(SESSION), other.token(SESSION));
    assert_ne!(one.hash(), other.hash());
    let (session, secret) = one.token(SESSION).split_once('.').map(own).unwrap();
    assert_eq!(session, "3");
    assert_eq!(URL_SAFE_NO_PAD.decode(&secret).unwrap().len(), 32);
    assert_eq!(SecretHash(Sha256::digest(&secret).into()), one.hash());
}

/// RFC 4231, test case 2.
#[test]
fn the_mac_is_that_of_the_standard() {
    let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?").unwrap();
    let expected = [
        0x5bdc_c146_bf60_754e_6a04_2426_0895_75c7_u128,
        0x5a00_3f08_9d27_3983_9dec_58b9_64ec_3843,
    ];
    assert_eq!(mac.to_vec(), expected.map(u128::to_be_bytes).concat());
}

#[test]
fn the_next_refresh_token_follows_from_this_one_and_the_salt_alone() {
    let one = Refresh::new(&base::OsEntropy).unwrap();
    let other = Refresh::new(&base::OsEntropy).unwrap();
    let next = |from: &Refresh, salt| from.next(&[salt; 32]).unwrap().token(SESSION);
    assert_eq!(next(&one, 1), next(&one, 1));
    assert_ne!(next(&one, 1), next(&one, 2));
    assert_ne!(next(&one, 1), next(&other, 1));
    let (session, parsed) = Refresh::parse(&next(&one, 1)).unwrap();
    assert_eq!(session, SESSION);
    assert_eq!(parsed.hash(), one.next(&[1; 32]).unwrap().hash());
}

fn own((a, b): (&str, &str)) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

#[test]
fn a_token_lives_as_long_as_configured() {
    let mut config = config(Some(ONE), None);
    config.expire = Span(Duration::from_secs(90));
    let tokens = Tokens::new(&config).unwrap();
    let (_, expires_at) = tokens.issue(ANN, SESSION, NOW).unwrap();
    assert_eq!(expires_at.seconds(), NOW.seconds() + 90);
}

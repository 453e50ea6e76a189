//! Tokens that look right and are not.

use client::wire::Code;
use client::{Api, Socket, TokenIn};
use serde_json::json;

use crate::harness::{Forge, World, refused, unsigned};

/// Asserts that `token` opens nothing on either gateway, by HTTP or by WebSocket.
async fn opens_nothing(world: &World, token: &str, why: &str) {
    for gateway in 0..2 {
        let api: Api = world.gateway(gateway).with_token(token);
        let error = api.profile().await.expect_err(why);
        assert_eq!(error.code(), Some(Code::Unauthenticated), "{why}");
        for token_in in [TokenIn::Header, TokenIn::Query] {
            let error = Socket::connect(&api, token_in).await.expect_err(why);
            assert_eq!(error.status(), Some(401), "{why}");
        }
    }
}

scenarios! {
    async fn a_token_without_a_signature_opens_nothing(world: World) {
        let ann = world.user().await;
        for alg in ["none", "None", "NONE", "nOnE", "HS256", "HS384", "RS256", ""] {
            opens_nothing(&world, &unsigned(ann.token(), alg), alg).await;
        }
    }

    async fn a_token_with_another_signature_opens_nothing(world: World) {
        let (ann, bob) = world.two_users().await;
        let (signed, signature) = ann.token().rsplit_once('.').unwrap();
        let foreign = bob.token().rsplit_once('.').unwrap().1;
        opens_nothing(&world, &format!("{signed}.{foreign}"), "another's signature").await;
        let reversed: String = signature.chars().rev().collect();
        opens_nothing(&world, &format!("{signed}.{reversed}"), "a shuffled signature").await;
        opens_nothing(&world, &format!("{signed}.AAAA"), "a short signature").await;
        let mut parts = ann.token().split('.');
        let (header, claims) = (parts.next().unwrap(), bob.token().split('.').nth(1).unwrap());
        opens_nothing(&world, &format!("{header}.{claims}.{signature}"), "another's claims").await;
    }

    async fn what_is_no_token_opens_nothing(world: World) {
        let long = "x".repeat(6_000);
        for token in [".", "..", "...", "a.b", "a.b.c", "a.b.c.d", long.as_str(), "eyJhbGciOiJIUzI1NiJ9.e30.x"] {
            opens_nothing(&world, token, token).await;
        }
    }

    async fn an_expired_token_opens_nothing(world: World) {
        let ann = world.user().await;
        let forge = Forge::new(&world, &ann).await;
        world.gateway(0).with_token(&forge.faithful()).profile().await.unwrap();
        for exp in [json!(1), json!(0), json!(-1), json!("never"), json!(null)] {
            let token = forge.with_claims(|claims| claims["exp"] = exp.clone());
            opens_nothing(&world, &token, &format!("exp {exp}")).await;
        }
        let token = forge.with_claims(|claims| drop(claims.as_object_mut().unwrap().remove("exp")));
        opens_nothing(&world, &token, "no exp").await;
    }

    async fn a_token_of_another_issuer_or_audience_opens_nothing(world: World) {
        let ann = world.user().await;
        let forge = Forge::new(&world, &ann).await;
        for claim in ["iss", "aud"] {
            for value in [json!("elsewhere"), json!(""), json!(["elsewhere"]), json!(null)] {
                let token = forge.with_claims(|claims| claims[claim] = value.clone());
                opens_nothing(&world, &token, &format!("{claim} {value}")).await;
            }
            let token = forge.with_claims(|claims| drop(claims.as_object_mut().unwrap().remove(claim)));
            opens_nothing(&world, &token, &format!("no {claim}")).await;
        }
    }

    async fn a_token_of_a_session_that_never_was_opens_nothing(world: World) {
        let ann = world.user().await;
        let forge = Forge::new(&world, &ann).await;
        for sid in [json!(client::wire::MAX_ID), json!(0), json!(-1), json!("x"), json!(null)] {
            let token = forge.with_claims(|claims| claims["sid"] = sid.clone());
            opens_nothing(&world, &token, &format!("sid {sid}")).await;
        }
    }

    async fn a_token_by_another_algorithm_opens_nothing(world: World) {
        let ann = world.user().await;
        let forge = Forge::new(&world, &ann).await;
        opens_nothing(&world, &forge.by_hs512(), "HS512").await;
    }

    async fn a_token_opens_what_its_user_may_and_nothing_else(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.private_room().await;
        refused(bob.api().messages(room, None, 100).await, Code::PermissionDenied);
        assert_eq!(bob.api().profile().await.unwrap().uid, bob.uid);
    }
}

//! Registration, login, profiles, names.

use client::wire::Code;

use crate::harness::{refused, unique};

scenarios! {
    async fn who_registers_can_log_in_and_sees_his_profile(world: World) {
        let ann = world.user().await;
        let profile = ann.api().profile().await.unwrap();
        assert_eq!(profile.uid, ann.uid);
        assert_eq!(profile.username, ann.name);
        assert_eq!(profile.email.as_deref(), Some(ann.email.as_str()));
        let elsewhere = ann.api_at(1).profile().await.unwrap();
        assert_eq!(elsewhere, profile);
    }

    async fn a_login_by_name_is_as_good_as_one_by_address(world: World) {
        let ann = world.user().await;
        let login = world.gateway(0).login_by_name(&ann.name, &ann.password).await.unwrap();
        assert!(!login.refresh_token.is_empty());
        let profile = world.gateway(0).with_token(&login.token).profile().await.unwrap();
        assert_eq!(profile.uid, ann.uid);
        let created = profile.created_at.micros();
        assert!(login.expires_at.micros() > created, "the token ends before the user began");
    }

    async fn a_login_ignores_the_case_of_name_and_address(world: World) {
        let ann = world.user().await;
        let gateway = world.gateway(0);
        gateway.login(&ann.email.to_uppercase(), &ann.password).await.unwrap();
        gateway.login_by_name(&ann.name.to_uppercase(), &ann.password).await.unwrap();
    }

    async fn two_logins_are_two_sessions(world: World) {
        let ann = world.user().await;
        let first = world.gateway(0).login_by_name(&ann.name, &ann.password).await.unwrap();
        let second = world.gateway(1).login_by_name(&ann.name, &ann.password).await.unwrap();
        assert_ne!(first.session_id, second.session_id);
        for login in [first, second] {
            world.gateway(1).with_token(&login.token).profile().await.unwrap();
        }
    }

    async fn a_wrong_password_and_an_unknown_user_are_the_same_refusal(world: World) {
        let ann = world.user().await;
        let gateway = world.gateway(0);
        let nobody = format!("{}@example.org", unique("n"));
        let wrong = refused(gateway.login(&ann.email, "not it at all").await, Code::Unauthenticated);
        let unknown = refused(gateway.login(&nobody, "not it at all").await, Code::Unauthenticated);
        assert_eq!(wrong.detail, unknown.detail);
        // What could be no address or password at all is not told apart either.
        for (email, password) in [("no address", "secret secret"), (ann.email.as_str(), "x"), ("", "")] {
            let hopeless = refused(gateway.login(email, password).await, Code::Unauthenticated);
            assert_eq!(hopeless.detail, wrong.detail);
        }
        let by_name = gateway.login_by_name(&unique("n"), "not it at all").await;
        assert_eq!(refused(by_name, Code::Unauthenticated).detail, wrong.detail);
    }

    async fn a_password_is_compared_to_the_letter(world: World) {
        let ann = world.user().await;
        for wrong in [ann.password.to_uppercase(), format!("{} ", ann.password)] {
            refused(world.gateway(0).login(&ann.email, &wrong).await, Code::Unauthenticated);
        }
    }

    async fn a_taken_name_or_address_is_a_conflict_that_does_not_say_which(world: World) {
        let ann = world.user().await;
        let gateway = world.gateway(1);
        let other = unique("o");
        let email = format!("{other}@example.org");
        let name = refused(gateway.register(&ann.name, &email, "secret secret").await, Code::Conflict);
        let mail = refused(gateway.register(&other, &ann.email, "secret secret").await, Code::Conflict);
        assert_eq!(name.detail, mail.detail);
        // Nor does case make another name of it.
        let upper = gateway.register(&ann.name.to_uppercase(), &email, "secret secret").await;
        refused(upper, Code::Conflict);
        let upper = gateway.register(&other, &ann.email.to_uppercase(), "secret secret").await;
        refused(upper, Code::Conflict);
        gateway.register(&other, &email, "secret secret").await.unwrap();
    }

    async fn of_two_who_register_one_name_at_once_one_gets_it(world: World) {
        let name = unique("t");
        let register = async |gateway: usize| {
            let email = format!("{name}{gateway}@example.org");
            world.gateway(gateway).register(&name, &email, "secret secret").await
        };
        let (first, second) = tokio::join!(register(0), register(1));
        let (won, lost) = if first.is_ok() { (first, second) } else { (second, first) };
        won.unwrap();
        refused(lost, Code::Conflict);
    }

    async fn a_strangers_profile_has_no_address_and_needs_no_token(world: World) {
        let (ann, bob) = world.two_users().await;
        for asker in [bob.api(), ann.api_at(1), world.gateway(0)] {
            let profile = asker.profile_of(ann.uid).await.unwrap();
            assert_eq!((profile.uid, profile.username), (ann.uid, ann.name.clone()));
            assert_eq!(profile.email, None);
        }
    }

    async fn an_unknown_user_has_no_profile(world: World) {
        let far = client::wire::Uid::new(client::wire::MAX_ID).unwrap();
        refused(world.gateway(0).profile_of(far).await, Code::NotFound);
    }

    async fn a_changed_name_is_seen_by_all_at_once_and_logs_in(world: World) {
        let ann = world.user().await;
        // Both gateways have seen the old name, and may have kept it.
        for gateway in 0..2 {
            world.gateway(gateway).profile_of(ann.uid).await.unwrap();
        }
        let name = unique("c");
        ann.api().change_name(&name).await.unwrap();
        for gateway in 0..2 {
            let profile = world.gateway(gateway).profile_of(ann.uid).await.unwrap();
            assert_eq!(profile.username, name);
        }
        world.gateway(1).login_by_name(&name, &ann.password).await.unwrap();
        let old = world.gateway(1).login_by_name(&ann.name, &ann.password).await;
        refused(old, Code::Unauthenticated);
    }

    async fn a_name_given_up_is_free_again(world: World) {
        let (ann, bob) = world.two_users().await;
        refused(bob.api().change_name(&ann.name).await, Code::Conflict);
        ann.api().change_name(&unique("c")).await.unwrap();
        bob.api().change_name(&ann.name).await.unwrap();
    }

    async fn one_may_change_the_case_of_ones_own_name(world: World) {
        let ann = world.user().await;
        let upper = ann.name.to_uppercase();
        ann.api().change_name(&upper).await.unwrap();
        assert_eq!(ann.api().profile().await.unwrap().username, upper);
    }

    async fn names_of_any_script_are_kept_as_typed(world: World) {
        let ann = world.user().await;
        let number: String = unique("").chars().rev().take(9).collect();
        for name in [format!("Женя_{number}"), format!("小明{number}"), format!("Zoë{number}")] {
            ann.api().change_name(&name).await.unwrap();
            assert_eq!(ann.api().profile().await.unwrap().username, name);
        }
    }

    async fn what_is_one_name_in_two_compositions_is_one_name(world: World) {
        let (ann, bob) = world.two_users().await;
        let number: String = unique("").chars().rev().take(9).collect();
        ann.api().change_name(&format!("Zo\u{eb}{number}")).await.unwrap();
        let decomposed = format!("Zoe\u{308}{number}");
        refused(bob.api().change_name(&decomposed).await, Code::Conflict);
        world.gateway(0).login_by_name(&decomposed, &ann.password).await.unwrap();
    }
}

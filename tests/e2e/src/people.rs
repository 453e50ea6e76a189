//! Looking users up.

use client::wire::response::Profile;
use client::wire::{Code, MAX_ID, Uid};
use client::{Answer, Api, Method};
use http::HeaderMap;

use crate::harness::{refused, unique};

async fn look_up(api: &Api, query: &str) -> Answer {
    let path = format!("/users?{query}");
    let answer = api.raw(Method::GET, &path, HeaderMap::new(), "").await;
    answer.unwrap()
}

fn names(profiles: &[Profile]) -> Vec<&str> {
    profiles.iter().map(|it| it.username.as_str()).collect()
}

scenarios! {
    async fn those_who_are_there_are_found_by_their_numbers(world: World) {
        let (ann, bob) = world.two_users().await;
        let nobody = Uid::new(MAX_ID).unwrap();
        let found = ann.api().users(&[bob.uid, nobody, ann.uid, bob.uid]).await.unwrap();
        assert_eq!(names(&found), [&ann.name, &bob.name]);
        assert_eq!(found[1], bob.api_at(1).profile_of(bob.uid).await.unwrap());
        assert_eq!(ann.api_at(1).users(&[nobody]).await.unwrap(), []);
    }

    async fn one_is_found_by_name_in_any_case_and_only_whole(world: World) {
        let (ann, bob) = world.two_users().await;
        for name in [bob.name.clone(), bob.name.to_uppercase()] {
            let found = ann.api().user_named(&name).await.unwrap().unwrap();
            assert_eq!((found.uid, &found.username), (bob.uid, &bob.name));
        }
        let part = &bob.name[..bob.name.len() - 1];
        assert_eq!(ann.api().user_named(part).await.unwrap(), None);
        let name = unique("ж");
        bob.api().change_name(&name).await.unwrap();
        assert_eq!(ann.api_at(1).user_named(&bob.name).await.unwrap(), None);
        let found = ann.api_at(1).user_named(&name.to_uppercase()).await.unwrap();
        assert_eq!(found.unwrap().uid, bob.uid);
    }

    async fn nobodys_address_is_shown_not_even_ones_own(world: World) {
        let (ann, bob) = world.two_users().await;
        let query = format!("uid={}&UID={},{}&username={}", MAX_ID, bob.uid, ann.uid, bob.name);
        let answer = look_up(ann.api(), &query).await;
        assert_eq!(answer.status, 200);
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(!text.contains("Email") && !text.contains('@'), "{text}");
        // Named twice, told once.
        let users = answer.json::<client::wire::response::UserList>().unwrap().users;
        assert_eq!(names(&users), [&ann.name, &bob.name]);
    }

    async fn who_has_no_token_looks_nobody_up(world: World) {
        let ann = world.user().await;
        let stranger = world.gateway(0);
        refused(stranger.users(&[ann.uid]).await, Code::Unauthenticated);
        refused(stranger.user_named(&ann.name).await, Code::Unauthenticated);
    }
}

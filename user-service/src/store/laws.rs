//! The laws of the store. `laws!` makes a test of each, on every adapter.

use std::sync::Arc;

use base::{Email, SessionId, Timestamp, Uid, Username};
use tokio::task::JoinSet;

use super::{RegisterError, RenameError, Store};
use crate::domain::{Hash, Login, NewAccount, Profile, Untold};

type Shared = Arc<dyn Store>;

const NOW: Timestamp = Timestamp::from_micros(1_767_323_045_678_901);
const LATER: Timestamp = Timestamp::from_micros(1_767_323_045_678_902);
const SESSION: SessionId = SessionId::new(3).unwrap();

fn username(name: &str) -> Username {
    Username::parse("Username", name).unwrap()
}

fn hash(phc: &str) -> Hash {
    Hash {
        phc: phc.to_owned(),
        version: 1,
    }
}

fn account(name: &str, email: &str) -> NewAccount {
    NewAccount {
        username: username(name),
        email: Email::parse("Email", email).unwrap(),
        hash: hash("$first"),
    }
}

async fn register(store: &Shared, name: &str) -> Uid {
    let account = account(name, &format!("{name}@example.org"));
    store.register(&account, NOW).await.unwrap()
}

async fn name_of(store: &Shared, uid: Uid) -> String {
    store.profile(uid).await.unwrap().unwrap().username
}

async fn an_account_is_read_as_it_was_made(store: Shared) {
    let uid = store
        .register(&account("Jörg", "Jörg@Example.org"), NOW)
        .await
        .unwrap();
    let expected = Profile {
        uid,
        username: "Jörg".to_owned(),
        email: "Jörg@Example.org".to_owned(),
        created_at: NOW,
    };
    assert_eq!(store.profile(uid).await.unwrap(), Some(expected));
    assert_eq!(store.profile(Uid::new(99).unwrap()).await.unwrap(), None);
}

async fn those_who_are_there_are_found_together_and_by_name(store: Shared) {
    let (ann, bob) = (register(&store, "Ann").await, register(&store, "Bob").await);
    let nobody = Uid::new(99).unwrap();
    let found = store.profiles(&[bob, nobody, ann, bob]).await.unwrap();
    let names: Vec<_> = found.iter().map(|it| it.username.as_str()).collect();
    assert_eq!(names, ["Ann", "Bob"]);
    assert_eq!(store.profiles(&[]).await.unwrap(), []);
    let any_case = store.profile_named(&username("aNN")).await.unwrap();
    assert_eq!(any_case, found.into_iter().next());
    assert_eq!(store.profile_named(&username("Eve")).await.unwrap(), None);
}

async fn uids_count_up_and_a_refusal_uses_none(store: Shared) {
    assert_eq!(register(&store, "one").await.get(), 1);
    let refused = store
        .register(&account("one", "other@example.org"), NOW)
        .await;
    assert!(matches!(refused, Err(RegisterError::Taken)));
    assert_eq!(register(&store, "two").await.get(), 2);
}

async fn names_and_addresses_that_differ_in_case_alone_are_one(store: Shared) {
    register(&store, "Ämilie").await;
    for (name, email) in [
        ("äMILIE", "other@example.org"),
        ("Other", "ÄMILIE@EXAMPLE.ORG"),
        ("ämilie", "ämilie@example.org"),
    ] {
        let refused = store.register(&account(name, email), NOW).await;
        assert!(
            matches!(refused, Err(RegisterError::Taken)),
            "{name} {email}"
        );
    }
}

async fn of_many_who_want_a_name_one_gets_it(store: Shared) {
    let mut wanting = JoinSet::new();
    for n in 0..8 {
        let store = Arc::clone(&store);
        wanting.spawn(async move {
            let account = account("wanted", &format!("{n}@example.org"));
            store.register(&account, NOW).await
        });
    }
    let outcomes = wanting.join_all().await;
    assert_eq!(outcomes.iter().filter(|made| made.is_ok()).count(), 1);
    for refused in outcomes.iter().filter_map(|made| made.as_ref().err()) {
        assert!(matches!(refused, RegisterError::Taken), "{refused}");
    }
}

async fn credentials_are_found_by_name_and_by_address_in_any_case(store: Shared) {
    let uid = register(&store, "Ann").await;
    for login in [
        Login::Username(username("aNN")),
        Login::Email(Email::parse("Email", "ANN@example.org").unwrap()),
    ] {
        let found = store.credentials(&login).await.unwrap().unwrap();
        let expected = (uid, 1, hash("$first"));
        assert_eq!((found.uid, found.password_version, found.hash), expected);
    }
    let nobody = Login::Username(username("nobody"));
    assert_eq!(store.credentials(&nobody).await.unwrap(), None);
}

async fn a_hash_is_replaced_only_while_it_is_the_one_that_was_read(store: Shared) {
    let uid = register(&store, "Ann").await;
    let ann = Login::Username(username("Ann"));
    let stored = async || store.credentials(&ann).await.unwrap().unwrap();
    store
        .rehash(uid, &hash("$first"), &hash("$second"))
        .await
        .unwrap();
    assert_eq!(stored().await.hash, hash("$second"));
    store
        .rehash(uid, &hash("$first"), &hash("$third"))
        .await
        .unwrap();
    assert_eq!(stored().await.hash, hash("$second"));
    assert_eq!(stored().await.password_version, 1);
}

/// Changes a password of version `old`.
async fn change(
    store: &Shared,
    uid: Uid,
    old: u64,
    new: &str,
    kept: Option<SessionId>,
) -> Option<Untold> {
    let changed = store.change_password(uid, old, &hash(new), kept, NOW).await;
    changed.unwrap()
}

async fn a_new_password_is_a_new_version_that_is_to_be_told(store: Shared) {
    let uid = register(&store, "Ann").await;
    assert_eq!(store.untold(LATER).await.unwrap(), []);
    let changed = change(&store, uid, 1, "$second", Some(SESSION)).await;
    let change = Untold {
        uid,
        version: 2,
        kept: Some(SESSION),
    };
    assert_eq!(changed, Some(change));
    let stored = store.credentials_of(uid).await.unwrap().unwrap();
    assert_eq!((stored.uid, stored.password_version), (uid, 2));
    assert_eq!(stored.hash, hash("$second"));
    assert_eq!(
        store.untold(NOW).await.unwrap(),
        [],
        "it may be under way still"
    );
    assert_eq!(store.untold(LATER).await.unwrap(), [change]);
    store.told(&change).await.unwrap();
    assert_eq!(store.untold(LATER).await.unwrap(), []);
}

async fn of_several_changes_the_newest_is_told_and_an_older_word_leaves_it(store: Shared) {
    let uid = register(&store, "Ann").await;
    let first = change(&store, uid, 1, "$second", Some(SESSION)).await;
    let first = first.unwrap();
    let second = change(&store, uid, 2, "$third", None).await.unwrap();
    assert_eq!((second.version, second.kept), (3, None));
    store.told(&first).await.unwrap();
    assert_eq!(store.untold(LATER).await.unwrap(), [second]);
    store.told(&second).await.unwrap();
    store.told(&first).await.unwrap();
    assert_eq!(store.untold(LATER).await.unwrap(), []);
}

async fn a_password_is_changed_only_while_it_is_the_one_that_was_verified(store: Shared) {
    let uid = register(&store, "Ann").await;
    let mut changing = JoinSet::new();
    for n in 0..8 {
        let store = Arc::clone(&store);
        changing.spawn(async move {
            let new = format!("${n}");
            let changed = change(&store, uid, 1, &new, None).await;
            changed.map(|_| hash(&new))
        });
    }
    let changed: Vec<Hash> = changing.join_all().await.into_iter().flatten().collect();
    let stored = store.credentials_of(uid).await.unwrap().unwrap();
    assert_eq!((changed, stored.password_version), (vec![stored.hash], 2));
}

async fn who_is_not_there_has_no_password(store: Shared) {
    let nobody = Uid::new(99).unwrap();
    assert_eq!(store.credentials_of(nobody).await.unwrap(), None);
    assert_eq!(change(&store, nobody, 1, "$second", None).await, None);
}

async fn a_new_name_takes_the_place_of_the_old_one(store: Shared) {
    let uid = register(&store, "Ann").await;
    store.rename(uid, &username("Anna")).await.unwrap();
    assert_eq!(name_of(&store, uid).await, "Anna");
    let freed = store
        .register(&account("ann", "new@example.org"), NOW)
        .await;
    assert!(freed.is_ok());
}

async fn ones_own_name_may_change_its_case(store: Shared) {
    let uid = register(&store, "Ann").await;
    store.rename(uid, &username("ANN")).await.unwrap();
    assert_eq!(name_of(&store, uid).await, "ANN");
}

async fn a_taken_name_is_refused_and_nothing_changes(store: Shared) {
    register(&store, "Ann").await;
    let bob = register(&store, "Bob").await;
    let refused = store.rename(bob, &username("ann")).await;
    assert!(matches!(refused, Err(RenameError::Taken)));
    assert_eq!(name_of(&store, bob).await, "Bob");
}

async fn who_is_not_there_gets_no_name(store: Shared) {
    let refused = store.rename(Uid::new(99).unwrap(), &username("Ann")).await;
    assert!(matches!(refused, Err(RenameError::NoAccount)));
}

/// Runs laws on a file that no other test has.
#[cfg(feature = "sqlite")]
async fn on_sqlite(law: impl AsyncFnOnce(Arc<super::SqliteStore>)) {
    let data = tempfile::tempdir().unwrap();
    let store = super::SqliteStore::open(&data.path().join("users.db")).await;
    law(Arc::new(store.unwrap())).await;
}

/// Runs laws in a schema that no other test has.
#[cfg(feature = "servers")]
async fn on_postgres(law: impl AsyncFnOnce(Arc<super::PostgresStore>)) {
    let connect = super::PostgresStore::connect;
    runtime::testing::on_postgres("users", 4, connect, async |store| {
        law(Arc::new(store)).await;
    })
    .await;
}

base::laws! {
    #[cfg(feature = "sqlite")]
    on_sqlite,
    #[cfg(feature = "servers")]
    on_postgres;
    an_account_is_read_as_it_was_made,
    those_who_are_there_are_found_together_and_by_name,
    uids_count_up_and_a_refusal_uses_none,
    names_and_addresses_that_differ_in_case_alone_are_one,
    of_many_who_want_a_name_one_gets_it,
    credentials_are_found_by_name_and_by_address_in_any_case,
    a_hash_is_replaced_only_while_it_is_the_one_that_was_read,
    a_new_password_is_a_new_version_that_is_to_be_told,
    of_several_changes_the_newest_is_told_and_an_older_word_leaves_it,
    a_password_is_changed_only_while_it_is_the_one_that_was_verified,
    who_is_not_there_has_no_password,
    a_new_name_takes_the_place_of_the_old_one,
    ones_own_name_may_change_its_case,
    a_taken_name_is_refused_and_nothing_changes,
    who_is_not_there_gets_no_name,
}

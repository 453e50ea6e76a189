//! After a restore from backup the logs begin a new life, and clients that hold more
//! than the backup are told so, once.

use client::wire::{Code, Epoch, Seq};

use crate::harness::{World, refused, run_embedded};

/// The folder of an embedded system is its backup, when it is taken while nothing runs.
async fn who_holds_more_than_the_backup_is_reset_and_goes_on(world: World) {
    let mut own = world.own(false).await;
    let (ann, bob) = own.two_users().await;
    let room = ann.room_with(&[&bob]).await;
    ann.say_all(room, &["kept", "kept too"]).await;
    own.back_up().await;
    ann.say_all(room, &["lost", "lost too", "lost as well"])
        .await;
    own.restore_with_new_epoch().await;

    let mut socket = bob.connect().await;
    refused(
        socket.enter_at(Some(room), Some(Seq(7)), None).await,
        Code::InvalidArgument,
    );
    let entered = socket
        .enter_at(Some(room), Some(Seq(7)), Some(Epoch(1)))
        .await
        .unwrap();
    assert!(entered.reset);
    assert_eq!((entered.seq, entered.epoch), (Some(Seq(4)), Some(Epoch(2))));
    let again = socket
        .enter_at(Some(room), Some(Seq(4)), Some(Epoch(2)))
        .await
        .unwrap();
    assert!(!again.reset);
    // The numbers of what was lost are given again, in the new life.
    assert_eq!(ann.say(room, "new").await.message_id, Seq(5));
    let page = bob
        .api()
        .events(room, Seq(6), Some(Epoch(1)), 10)
        .await
        .unwrap();
    assert!(page.reset);
    assert_eq!(
        (page.head, page.epoch, page.events.len()),
        (Seq(5), Epoch(2), 5)
    );
    let later = ann.room().await;
    let entered = ann
        .connect()
        .await
        .enter_at(Some(later), Some(Seq(9)), Some(Epoch(1)))
        .await;
    assert!(
        entered.unwrap().reset,
        "a room of this number may have been another one"
    );
    own.stop().await;
}

#[test]
fn embedded_who_holds_more_than_the_backup_is_reset_and_goes_on() {
    run_embedded(who_holds_more_than_the_backup_is_reset_and_goes_on);
}

#[cfg(feature = "distributed")]
disruptive_scenarios! {
    async fn gateways_that_run_through_a_restore_send_their_clients_to_the_new_life(world: World) {
        let dev = crate::harness::distributed::Dev::from_env();
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let (mut anns, mut bobs) = (ann.enter_at(0, room).await, bob.enter_at(1, room).await);
        anns.say("before").await;
        bobs.hears("before").await;
        let epoch = bobs.entered.epoch.unwrap();
        dev.new_epoch().await;
        // Nobody writes: the gateways find out by themselves.
        for feed in [&mut anns, &mut bobs] {
            assert_eq!(feed.end().await, Some(1001));
        }
        let mut socket = bob.connect_at(1).await;
        let entered = socket.enter_at(Some(room), Some(Seq(3)), Some(epoch)).await.unwrap();
        assert!(entered.reset && entered.epoch > Some(epoch));
        // And where somebody writes, at once.
        let mut feed = ann.enter_at(0, room).await;
        dev.new_epoch().await;
        bob.api_at(1).post(room, "after", None).await.unwrap();
        assert_eq!(feed.end().await, Some(1001));
    }
}

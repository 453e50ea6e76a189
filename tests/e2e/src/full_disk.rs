//! A disk that is full: what was acknowledged stays, reads go on, writes are refused, and
//! all is well when there is space again.

use std::time::Duration;

use client::wire::{Code, Seq};
use tokio::time::timeout;

use crate::harness::{SmallDisk, World, run_embedded};

async fn writes_are_refused_and_reads_go_on(world: World) {
    let Some(disk) = SmallDisk::new(4) else {
        eprintln!("SKIPPED: nobody here may mount a disk");
        return;
    };
    let own = world.own_on(disk.path()).await;
    let ann = own.user().await;
    let room = ann.room().await;
    let text = "x".repeat(2_000);
    let mut feed = ann.enter(room).await;
    let mut acked = Seq(1);
    let refusal = loop {
        match feed.socket.say(&text).await {
            Ok(sent) => acked = sent.message_id,
            Err(error) => break error,
        }
    };
    let refused = |error: &client::Error| {
        let code = error.code();
        assert!(
            matches!(code, Some(Code::Unavailable | Code::DeadlineExceeded)),
            "{error:?}"
        );
        assert!(error.retryable());
    };
    refused(&refusal);
    assert!(acked > Seq(50), "{acked}");
    refused(&ann.api().create_room("another", false).await.unwrap_err());
    let newest = &ann.api().messages(room, None, 1).await.unwrap()[0];
    assert!(newest.id >= acked);
    let page = ann.api().events(room, Seq(0), None, 10).await.unwrap();
    assert_eq!(page.events.len(), 10);
    feed.socket.ping().await.unwrap();

    disk.grow(64);
    let saying = async {
        while let Err(error) = feed.socket.say_in(None, "at last", Some("n")).await {
            refused(&error);
        }
    };
    timeout(Duration::from_secs(20), saying)
        .await
        .expect("recovery by itself");
    let mut after = Seq(0);
    let mut messages = 0;
    loop {
        let page = ann.api().events(room, after, None, 1_000).await.unwrap();
        let Some(last) = page.events.last() else {
            break;
        };
        messages += page.events.len();
        after = last.place().unwrap().1;
    }
    assert_eq!(u64::try_from(messages).unwrap(), after.get());
    assert!(after > acked);
    drop(feed);
    own.stop().await;
}

#[test]
fn disk_full_sqlite_refuses_writes_and_reads_on() {
    run_embedded(writes_are_refused_and_reads_go_on);
}

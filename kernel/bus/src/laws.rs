//! The laws of the bus; every adapter passes them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::{Bus, Record, Tail};

const PATIENCE: Duration = Duration::from_secs(20);

fn record(key: u64, text: &str) -> Record {
    Record {
        key,
        payload: Bytes::copy_from_slice(text.as_bytes()),
    }
}

async fn next(tail: &mut Box<dyn Tail>) -> Record {
    tokio::time::timeout(PATIENCE, tail.next())
        .await
        .expect("a record in time")
        .unwrap()
}

async fn every_tail_gets_what_is_published_after_it_opened(bus: Arc<dyn Bus>) {
    bus.publish(vec![record(1, "before")]).await.unwrap();
    let mut first = bus.tail(Box::new(|_| true)).await.unwrap();
    let mut second = bus.tail(Box::new(|_| true)).await.unwrap();
    bus.publish(vec![record(1, "after")]).await.unwrap();
    assert_eq!(next(&mut first).await, record(1, "after"));
    assert_eq!(next(&mut second).await, record(1, "after"));
}

async fn records_of_one_key_keep_their_order(bus: Arc<dyn Bus>) {
    let mut tail = bus.tail(Box::new(|_| true)).await.unwrap();
    for number in 0..200 {
        bus.publish(vec![record(7, &number.to_string())])
            .await
            .unwrap();
    }
    for number in 0..200 {
        assert_eq!(next(&mut tail).await, record(7, &number.to_string()));
    }
}

async fn what_is_published_together_arrives_in_order(bus: Arc<dyn Bus>) {
    let mut tail = bus.tail(Box::new(|key| key != 2)).await.unwrap();
    let half = "x".repeat(300 * 1024);
    let records = |text: &str| vec![record(1, text), record(2, text), record(3, text)];
    bus.publish(Vec::new()).await.unwrap();
    for text in ["short", &half, ""] {
        bus.publish(records(text)).await.unwrap();
        for key in [1, 3] {
            // The texts are too long to be shown.
            let is_next = next(&mut tail).await == record(key, text);
            assert!(is_next, "{key} of {} bytes", text.len());
        }
    }
}

async fn what_is_not_wanted_does_not_arrive(bus: Arc<dyn Bus>) {
    let mut tail = bus.tail(Box::new(|key| key == 2)).await.unwrap();
    bus.publish(vec![record(1, "no")]).await.unwrap();
    bus.publish(vec![record(2, "yes")]).await.unwrap();
    assert_eq!(next(&mut tail).await, record(2, "yes"));
}

async fn a_record_of_half_a_mebibyte_passes(bus: Arc<dyn Bus>) {
    let mut tail = bus.tail(Box::new(|_| true)).await.unwrap();
    let large = Record {
        key: 3,
        payload: vec![7; 512 * 1024].into(),
    };
    bus.publish(vec![large.clone()]).await.unwrap();
    assert_eq!(next(&mut tail).await, large);
}

/// Runs laws on a bus in this process.
async fn memory(law: impl AsyncFnOnce(Arc<dyn Bus>)) {
    law(crate::memory::MemoryBus::new()).await;
}

/// Runs laws on a topic of its own.
#[cfg(feature = "servers")]
async fn kafka(law: impl AsyncFnOnce(Arc<dyn Bus>)) {
    law(on_kafka().await).await;
}

base::laws! {
    memory,
    #[cfg(feature = "servers")]
    kafka;
    every_tail_gets_what_is_published_after_it_opened,
    records_of_one_key_keep_their_order,
    what_is_published_together_arrives_in_order,
    what_is_not_wanted_does_not_arrive,
    a_record_of_half_a_mebibyte_passes,
}

/// A bus on a topic of its own, at the broker named by `PARLEY_TEST_KAFKA`.
#[cfg(feature = "servers")]
async fn on_kafka() -> Arc<dyn Bus> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static TOPICS: AtomicU32 = AtomicU32::new(0);
    let brokers = std::env::var("PARLEY_TEST_KAFKA").expect("PARLEY_TEST_KAFKA names a broker");
    let kafka = runtime::config::Kafka {
        brokers: runtime::config::List(vec![brokers.parse().unwrap()]),
        replication: 1,
    };
    let number = TOPICS.fetch_add(1, Ordering::Relaxed);
    let topic = format!("laws-{}-{number}", std::process::id());
    let bus =
        crate::kafka::KafkaBus::connect(&kafka, &topic, 4, &runtime::Lifecycle::new()).unwrap();
    let ready = async { while bus.publish(vec![record(0, "warm-up")]).await.is_err() {} };
    tokio::time::timeout(PATIENCE, ready)
        .await
        .expect("a topic in time");
    bus
}

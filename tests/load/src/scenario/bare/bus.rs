//! What Kafka takes from one process to another: through a topic of its own with one
//! partition, each record taken by all replicas before it counts.

use std::io::{Error, ErrorKind, Result};
use std::time::Duration;

use hdrhistogram::Histogram;
use rdkafka::Message as _;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::time::Instant;

use super::blocking;
use crate::report::{Latencies, float};
use crate::scenario::calls;

/// Bytes of a record.
const RECORD: usize = 256;
/// Between two records that are alone.
const PAUSE: Duration = Duration::from_millis(20);
/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(10);
/// The last record of a stretch says this in the place of a time.
const LAST: u64 = u64::MAX;

/// A topic with somebody who writes and somebody who reads.
struct Way {
    topic: String,
    producer: BaseProducer,
    consumer: BaseConsumer,
    /// Times in records count from here.
    start: Instant,
}

/// What came of a stretch.
struct Come {
    /// From sending to receiving.
    micros: Histogram<u64>,
    /// When the last one came.
    last: Instant,
}

/// Sends records 50 times a second, and then as fast as it can, each for `length`; gives how
/// long one was on its way that was alone, and how many a second came when they were not.
pub(super) async fn carry(brokers: &str, length: Duration) -> Result<(Latencies, f64)> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers);
    client.set("socket.nagle.disable", "true");
    let admin: AdminClient<DefaultClientContext> = client.create().map_err(Error::other)?;
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let topic = format!("load-bare-{}", std::process::id());
    let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(1));
    let made = admin.create_topics([&new], &options).await;
    for outcome in made.map_err(Error::other)? {
        outcome.map_err(|(_, code)| Error::other(code))?;
    }
    let way = topic.clone();
    let carried = blocking(move || Way::open(&client, way)?.carry(length)).await;
    let removed = admin.delete_topics(&[&topic], &options).await;
    let carried = carried?;
    removed.map_err(Error::other)?;
    Ok(carried)
}

impl Way {
    fn open(client: &ClientConfig, topic: String) -> Result<Self> {
        let mut settings = client.clone();
        settings
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0");
        let producer = settings.create().map_err(Error::other)?;
        let mut settings = client.clone();
        settings
            .set("group.id", "load-unused")
            .set("enable.auto.commit", "false");
        let consumer: BaseConsumer = settings.create().map_err(Error::other)?;
        let mut assignment = TopicPartitionList::new();
        let beginning = assignment.add_partition_offset(&topic, 0, Offset::Beginning);
        beginning.map_err(Error::other)?;
        consumer.assign(&assignment).map_err(Error::other)?;
        Ok(Self {
            topic,
            producer,
            consumer,
            start: Instant::now(),
        })
    }

    fn carry(&self, length: Duration) -> Result<(Latencies, f64)> {
        // Until both have found the broker, what comes says nothing.
        self.both(|| Ok(1))?;
        let (_, come) = self.both(|| self.send_alone(length))?;
        let alone = Latencies::new(&come.micros);
        let begun = Instant::now();
        let (sent, come) = self.both(|| self.send_all(length))?;
        let took = come.last.duration_since(begun);
        Ok((alone, float(sent) / took.as_secs_f64()))
    }

    /// Sends on this thread, and the last record of it, while another one receives.
    fn both(&self, send: impl FnOnce() -> Result<u64>) -> Result<(u64, Come)> {
        std::thread::scope(|scope| {
            let receiving = scope.spawn(|| self.receive());
            let count = send()?;
            self.send(LAST)?;
            let flushed = self.producer.flush(PATIENCE);
            flushed.map_err(Error::other)?;
            let come = receiving.join();
            let come = come.map_err(|_| Error::other("nobody receives"))??;
            Ok((count, come))
        })
    }

    fn send_alone(&self, length: Duration) -> Result<u64> {
        let (mut sent, stop) = (0, Instant::now() + length);
        while Instant::now() < stop {
            std::thread::sleep(PAUSE);
            self.producer.poll(Duration::ZERO);
            self.send(self.now())?;
            sent += 1;
        }
        Ok(sent)
    }

    fn send_all(&self, length: Duration) -> Result<u64> {
        let (mut sent, stop) = (0, Instant::now() + length);
        while Instant::now() < stop {
            self.send(self.now())?;
            sent += 1;
        }
        Ok(sent)
    }

    /// Sends a record, as soon as there is room for it.
    fn send(&self, time: u64) -> Result<()> {
        let mut payload = [b'x'; RECORD];
        payload[..8].copy_from_slice(&time.to_be_bytes());
        let record = BaseRecord::to(&self.topic).key(&[0; 8]).payload(&payload);
        let mut record = record.partition(0);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    self.producer.poll(Duration::from_millis(1));
                    record = back;
                }
                Err((error, _)) => return Err(Error::other(error)),
            }
        }
    }

    /// Receives records up to the last one.
    fn receive(&self) -> Result<Come> {
        let mut micros = calls::histogram()?;
        loop {
            let come = self.consumer.poll(PATIENCE);
            let come = come.ok_or(ErrorKind::TimedOut)?.map_err(Error::other)?;
            let time = come.payload().and_then(|payload| payload.first_chunk());
            match u64::from_be_bytes(*time.ok_or(ErrorKind::InvalidData)?) {
                LAST => {
                    let last = Instant::now();
                    return Ok(Come { micros, last });
                }
                sent => micros.saturating_record(self.now().saturating_sub(sent).max(1)),
            }
        }
    }

    /// Microseconds since the start.
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(LAST)
    }
}

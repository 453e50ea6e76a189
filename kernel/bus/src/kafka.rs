//! The bus on Apache Kafka.
//!
//! A tail assigns itself all partitions without a consumer group, from the end as
//! it is when the tail opens: every gateway reads everything that comes after.
//! Kafka's cost is per request, so the broker's own waiting (`fetch.wait.max.ms`)
//! stays at its default, and batching is left to the publisher.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{Consumer, ConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use runtime::config::Kafka;
use runtime::{Lifecycle, Part};

use crate::{Bus, BusError, Record, Tail, Wanted};

/// How long a publish may take until it counts as failed.
const PUBLISH_TIMEOUT: &str = "2000";
/// How long a question to a broker may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);
/// How long records stay in a topic that Parley makes: the log is the truth, the
/// topic is a way there.
const RETENTION_MS: &str = "3600000";
/// How often the topic is asked for until it is there, and watched afterwards.
const WATCH_PERIOD: Duration = Duration::from_secs(2);

/// One topic of a Kafka cluster.
pub struct KafkaBus {
    client: ClientConfig,
    producer: FutureProducer<Watcher>,
    topic: String,
    healthy: Arc<AtomicBool>,
}

/// Hears librdkafka's own word on the brokers.
#[derive(Clone)]
struct Watcher {
    healthy: Arc<AtomicBool>,
}

impl ClientContext for Watcher {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.healthy.store(false, Ordering::Relaxed);
        }
        tracing::debug!(%error, reason, "kafka");
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, message, "kafka");
    }
}

impl ConsumerContext for Watcher {}

impl KafkaBus {
    /// A bus on `topic`, which is made with `partitions` when it is not there. It
    /// returns at once; the part `kafka` is up when the topic can be reached.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    pub fn connect(
        kafka: &Kafka,
        topic: &str,
        partitions: i32,
        lifecycle: &Lifecycle,
    ) -> Result<Arc<Self>, BusError> {
        let brokers: Vec<String> = kafka.brokers.0.iter().map(ToString::to_string).collect();
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", brokers.join(","))
            .set("client.id", "parley")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "500")
            .set("retry.backoff.ms", "50")
            .set("socket.nagle.disable", "true")
            .set("topic.metadata.refresh.interval.ms", "30000")
            .set("allow.auto.create.topics", "false");
        let healthy = Arc::new(AtomicBool::new(true));
        let mut settings = client.clone();
        settings
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("message.timeout.ms", PUBLISH_TIMEOUT)
            .set("queue.buffering.max.messages", "10000")
            .set("queue.buffering.max.kbytes", "65536");
        let producer = settings
            .create_with_context(Watcher {
                healthy: Arc::clone(&healthy),
            })
            .map_err(failed)?;
        let bus = Arc::new(Self {
            client,
            producer,
            topic: topic.to_owned(),
            healthy,
        });

        let part = lifecycle.health().part("kafka");
        let replication = i32::from(kafka.replication);
        let keep = keep(Arc::clone(&bus), partitions, replication, part);
        let stopping = lifecycle.stopping().clone();
        lifecycle.spawn("kafka", async move {
            stopping.run_until_cancelled(keep).await;
        });
        Ok(bus)
    }

    async fn make_topic(&self, partitions: i32, replication: i32) -> Result<(), BusError> {
        let admin: AdminClient<DefaultClientContext> = self.client.create().map_err(failed)?;
        let topic = NewTopic::new(
            &self.topic,
            partitions,
            TopicReplication::Fixed(replication),
        )
        .set("retention.ms", RETENTION_MS);
        let options = AdminOptions::new()
            .operation_timeout(Some(ASK_TIMEOUT))
            .request_timeout(Some(ASK_TIMEOUT));
        for outcome in admin
            .create_topics([&topic], &options)
            .await
            .map_err(failed)?
        {
            match outcome {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => return Err(BusError(format!("{topic}: {code}"))),
            }
        }
        Ok(())
    }
}

/// Makes the topic as soon as the brokers are there, then watches them.
async fn keep(bus: Arc<KafkaBus>, partitions: i32, replication: i32, part: Part) {
    let mut tick = tokio::time::interval(WATCH_PERIOD);
    let mut made = false;
    loop {
        tick.tick().await;
        let outcome = if made {
            reach(&bus).await
        } else {
            bus.make_topic(partitions, replication).await
        };
        bus.healthy.store(outcome.is_ok(), Ordering::Relaxed);
        match outcome {
            Ok(()) => {
                made = true;
                part.up();
            }
            Err(error) => part.down(error),
        }
    }
}

async fn reach(bus: &Arc<KafkaBus>) -> Result<(), BusError> {
    let bus = Arc::clone(bus);
    blocking(move || {
        let client = rdkafka::producer::Producer::client(&bus.producer);
        client
            .fetch_metadata(Some(&bus.topic), ASK_TIMEOUT)
            .map(drop)
            .map_err(failed)
    })
    .await
}

/// librdkafka's questions block; they go where blocking is allowed.
async fn blocking<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, BusError> + Send + 'static,
) -> Result<T, BusError> {
    tokio::task::spawn_blocking(ask)
        .await
        .map_err(|error| BusError(error.to_string()))?
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: KafkaError) -> BusError {
    BusError(error.to_string())
}

#[async_trait]
impl Bus for KafkaBus {
    async fn publish(&self, record: Record) -> Result<(), BusError> {
        let key = record.key.to_be_bytes();
        let record = FutureRecord::to(&self.topic)
            .key(&key[..])
            .payload(&record.payload[..]);
        let delivery = self
            .producer
            .send_result(record)
            .map_err(|(error, _)| failed(error))?;
        let outcome = match delivery.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err((error, _))) => Err(failed(error)),
            Err(_) => Err(BusError("the producer went away".to_owned())),
        };
        self.healthy.store(outcome.is_ok(), Ordering::Relaxed);
        outcome
    }

    async fn tail(&self, wanted: Wanted) -> Result<Box<dyn Tail>, BusError> {
        let mut settings = self.client.clone();
        settings
            .set("group.id", "parley-unused")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "false")
            .set("auto.offset.reset", "latest")
            .set("fetch.error.backoff.ms", "50")
            .set("queued.max.messages.kbytes", "16384");
        let watcher = Watcher {
            healthy: Arc::clone(&self.healthy),
        };
        let topic = self.topic.clone();
        let consumer = blocking(move || {
            let consumer: StreamConsumer<Watcher> =
                settings.create_with_context(watcher).map_err(failed)?;
            let metadata = consumer
                .fetch_metadata(Some(&topic), ASK_TIMEOUT)
                .map_err(failed)?;
            let found = metadata.topics().iter().find(|found| found.name() == topic);
            let partitions = found
                .map(rdkafka::metadata::MetadataTopic::partitions)
                .unwrap_or_default();
            if partitions.is_empty() {
                return Err(BusError(format!("{topic} is not there yet")));
            }
            let mut assignment = TopicPartitionList::new();
            for partition in partitions {
                let (_, end) = consumer
                    .fetch_watermarks(&topic, partition.id(), ASK_TIMEOUT)
                    .map_err(failed)?;
                assignment
                    .add_partition_offset(&topic, partition.id(), Offset::Offset(end))
                    .map_err(failed)?;
            }
            consumer.assign(&assignment).map_err(failed)?;
            Ok(consumer)
        })
        .await?;
        Ok(Box::new(KafkaTail { consumer, wanted }))
    }

    fn healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }
}

struct KafkaTail {
    consumer: StreamConsumer<Watcher>,
    wanted: Wanted,
}

#[async_trait]
impl Tail for KafkaTail {
    async fn next(&mut self) -> Result<Record, BusError> {
        loop {
            let message = self.consumer.recv().await.map_err(failed)?;
            let key = message.key().and_then(|key| <[u8; 8]>::try_from(key).ok());
            let Some(key) = key.map(u64::from_be_bytes) else {
                continue;
            };
            if (self.wanted)(key) {
                let payload = Bytes::copy_from_slice(message.payload().unwrap_or_default());
                return Ok(Record { key, payload });
            }
        }
    }
}

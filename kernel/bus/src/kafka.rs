//! The bus on Apache Kafka.
//!
//! A tail assigns itself all partitions without a consumer group, from the end as
//! it is when the tail opens: every gateway reads everything that comes after.
//! Kafka's cost is per request, so the broker's own waiting (`fetch.wait.max.ms`)
//! stays at its default, and batching is left to the publisher. A process publishes to one
//! partition, whatever the key: a producer's request is of one partition, so a round of a
//! hundred rooms is one request instead of dozens. Its records are in order there; those of
//! two processes are not, but neither would they be sent in order. What is published together
//! is one of Kafka's records, a [`bundle`]: librdkafka's work is by the record, on both ends.
//!
//! A client of librdkafka that hears of no brokers at all, as a cluster that starts
//! may say, forgets those that it knew and never connects again
//! (confluentinc/librdkafka#5301). So clients are tried regularly, and one that gets no
//! answer is replaced.

mod bundle;
mod producer;

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use base::{Entropy, OsEntropy};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{Consumer, ConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::metadata::MetadataPartition;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use runtime::config::Kafka;
use runtime::{Lifecycle, Part};

use crate::{Bus, BusError, Record, Tail, Wanted};
use producer::Producer;

/// How long a publish may take until it counts as failed.
const PUBLISH_TIMEOUT: &str = "2000";
/// How long it may take until the bus counts as bad: readers are to have what it holds up
/// from the log within 2 s, and librdkafka looks at its time-outs once a second.
const SLOW: Duration = Duration::from_secs(1);
/// How long a question to a broker may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);
/// How long records stay in a topic that Parley makes: the log is the truth, the
/// topic is a way there.
const RETENTION_MS: &str = "3600000";
/// How often the brokers are asked for the topic.
const WATCH_PERIOD: Duration = Duration::from_secs(2);
/// How often the brokers of a tail are asked whether the topic is as it was.
const PROBE_PERIOD: Duration = Duration::from_secs(5);

/// One topic of a Kafka cluster.
pub struct KafkaBus {
    client: ClientConfig,
    producer: RwLock<Arc<Producer>>,
    topic: String,
    /// The key of all that this process publishes: it goes to one partition.
    key: [u8; 8],
    /// Whether the last record was not taken.
    failing: AtomicBool,
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
    /// returns at once; the aid `kafka` is up when the topic can be reached. It is an
    /// aid and no more, because the log is read where the bus does not carry.
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
        let watcher = Watcher {
            healthy: Arc::clone(&healthy),
        };
        let bus = Arc::new(Self {
            producer: RwLock::new(producer(&client, watcher)?),
            client,
            topic: topic.to_owned(),
            key: any_key()?,
            failing: AtomicBool::new(false),
            healthy,
        });

        let part = lifecycle.health().aid("kafka");
        let replication = i32::from(kafka.replication);
        let keep = keep(Arc::clone(&bus), partitions, replication, part);
        let stopping = lifecycle.stopping().clone();
        lifecycle.spawn("kafka", async move {
            stopping.run_until_cancelled(keep).await;
        });
        Ok(bus)
    }

    fn watcher(&self) -> Watcher {
        Watcher {
            healthy: Arc::clone(&self.healthy),
        }
    }

    fn producer(&self) -> Arc<Producer> {
        let producer = self.producer.read();
        Arc::clone(&producer.unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another producer in the place of one that gets no answer. What that one
    /// had taken fails, and is published again by whoever published it.
    fn replace_producer(&self) -> Result<(), BusError> {
        let fresh = producer(&self.client, self.watcher())?;
        let mut place = self
            .producer
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *place = fresh;
        Ok(())
    }

    /// Sends records, and waits until all of them are safe.
    async fn deliver(&self, records: &[Record]) -> Result<(), BusError> {
        let producer = self.producer();
        let bundles = bundle::pack(records);
        let send = |bundle: &Vec<u8>| producer.send(&self.topic, self.key, bundle);
        let deliveries: Vec<_> = bundles.iter().map(send).collect();
        drop(producer);
        for delivery in deliveries {
            let delivered = delivery?.await;
            let gone = |_| BusError("the producer went away".to_owned());
            delivered.map_err(gone)?.map_err(failed)?;
        }
        Ok(())
    }

    /// Waits for a publish; when that takes long, says so before it has failed.
    async fn watched<T>(&self, delivery: impl Future<Output = T>) -> T {
        let mut delivery = pin!(delivery);
        if let Ok(delivered) = tokio::time::timeout(SLOW, &mut delivery).await {
            return delivered;
        }
        self.healthy.store(false, Ordering::Relaxed);
        delivery.await
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
        let outcomes = admin.create_topics([&topic], &options).await;
        end_elsewhere(admin);
        for outcome in outcomes.map_err(failed)? {
            match outcome {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => return Err(BusError(format!("{topic}: {code}"))),
            }
        }
        Ok(())
    }
}

fn producer(client: &ClientConfig, watcher: Watcher) -> Result<Arc<Producer>, BusError> {
    let mut settings = client.clone();
    settings
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "0")
        .set("message.timeout.ms", PUBLISH_TIMEOUT)
        .set("queue.buffering.max.messages", "10000")
        .set("queue.buffering.max.kbytes", "65536");
    Ok(Arc::new(Producer::start(&settings, watcher)?))
}

/// What spreads the processes over the partitions.
fn any_key() -> Result<[u8; 8], BusError> {
    let mut key = [0; 8];
    let filled = OsEntropy.fill(&mut key);
    filled.map_err(|error| BusError(error.to_string()))?;
    Ok(key)
}

/// Watches the brokers, and makes the topic when they do not have it.
async fn keep(bus: Arc<KafkaBus>, partitions: i32, replication: i32, part: Part) {
    let mut tick = tokio::time::interval(WATCH_PERIOD);
    loop {
        tick.tick().await;
        let outcome = match topic_there(&bus).await {
            Ok(true) => Ok(()),
            Ok(false) => bus.make_topic(partitions, replication).await,
            Err(error) => Err(error),
        };
        bus.healthy.store(outcome.is_ok(), Ordering::Relaxed);
        match outcome {
            Ok(()) => part.up(),
            Err(error) => part.down(error),
        }
    }
}

/// Whether the brokers have the topic. A producer that does not reach them is replaced.
async fn topic_there(bus: &Arc<KafkaBus>) -> Result<bool, BusError> {
    let bus = Arc::clone(bus);
    blocking(move || {
        let producer = bus.producer();
        let client = producer.client();
        // Once in this state, a producer refuses everything for ever.
        let fatal = client.fatal_error().map(|(_, why)| BusError(why));
        let asked = client.fetch_metadata(Some(&bus.topic), ASK_TIMEOUT);
        match fatal.map_or(asked.map_err(failed), Err) {
            Ok(metadata) => {
                let found = metadata.topics().iter().find(|it| it.name() == bus.topic);
                let found = found.is_some_and(|topic| !topic.partitions().is_empty());
                // The brokers answer, and yet it could not publish: one that was there before a
                // cluster was made anew may never be able to again.
                if bus.failing.swap(false, Ordering::Relaxed) {
                    drop(producer);
                    bus.replace_producer()?;
                }
                Ok(found)
            }
            Err(error) => {
                drop(producer);
                bus.replace_producer()?;
                Err(error)
            }
        }
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

/// Drops a client of librdkafka where blocking is allowed: its end waits for its threads,
/// and a consumer's for its group.
fn end_elsewhere(client: impl Send + 'static) {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(move || drop(client))),
        Err(_) => drop(client),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: KafkaError) -> BusError {
    BusError(error.to_string())
}

#[async_trait]
impl Bus for KafkaBus {
    async fn publish(&self, records: Vec<Record>) -> Result<(), BusError> {
        if records.is_empty() {
            return Ok(());
        }
        let outcome = self.watched(self.deliver(&records)).await;
        self.failing.store(outcome.is_err(), Ordering::Relaxed);
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
            // A topic that was made anew or came back shorter ends the tail.
            .set("auto.offset.reset", "error")
            .set("fetch.error.backoff.ms", "50")
            .set("queued.max.messages.kbytes", "16384");
        let watcher = self.watcher();
        let topic = self.topic.clone();
        let (consumer, partitions) = blocking(move || {
            let consumer: StreamConsumer<Watcher> =
                settings.create_with_context(watcher).map_err(failed)?;
            let partitions = partitions(&consumer, &topic)?;
            let mut assignment = TopicPartitionList::new();
            for &partition in &partitions {
                let (_, end) = consumer
                    .fetch_watermarks(&topic, partition, ASK_TIMEOUT)
                    .map_err(failed)?;
                assignment
                    .add_partition_offset(&topic, partition, Offset::Offset(end))
                    .map_err(failed)?;
            }
            consumer.assign(&assignment).map_err(failed)?;
            Ok((Arc::new(consumer), partitions))
        })
        .await?;
        Ok(Box::new(KafkaTail {
            probe: probe(Arc::clone(&consumer), self.topic.clone(), partitions),
            consumer: Some(consumer),
            wanted,
            ready: VecDeque::new(),
        }))
    }

    fn healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }
}

/// The partitions of a topic; never none.
fn partitions(consumer: &StreamConsumer<Watcher>, topic: &str) -> Result<Vec<i32>, BusError> {
    let metadata = consumer
        .fetch_metadata(Some(topic), ASK_TIMEOUT)
        .map_err(failed)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let mut partitions: Vec<i32> = found
        .map(|found| {
            found
                .partitions()
                .iter()
                .map(MetadataPartition::id)
                .collect()
        })
        .unwrap_or_default();
    if partitions.is_empty() {
        return Err(BusError(format!("{topic} is not there yet")));
    }
    partitions.sort_unstable();
    Ok(partitions)
}

/// Asks the brokers again and again whether they are there and the topic has the
/// partitions that it had; ends when not.
fn probe(consumer: Arc<StreamConsumer<Watcher>>, topic: String, before: Vec<i32>) -> Probing {
    Box::pin(async move {
        loop {
            tokio::time::sleep(PROBE_PERIOD).await;
            let (consumer, topic) = (Arc::clone(&consumer), topic.clone());
            match blocking(move || partitions(&consumer, &topic)).await {
                Ok(now) if now == before => {}
                Ok(_) => return BusError("the topic has other partitions".to_owned()),
                Err(error) => return error,
            }
        }
    })
}

type Probing = Pin<Box<dyn Future<Output = BusError> + Send>>;

struct KafkaTail {
    probe: Probing,
    /// There until the tail ends.
    consumer: Option<Arc<StreamConsumer<Watcher>>>,
    wanted: Wanted,
    /// What a bundle held and was not taken yet.
    ready: VecDeque<Record>,
}

impl Drop for KafkaTail {
    fn drop(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            // The probe's hold on it is gone then.
            self.probe = Box::pin(std::future::pending());
            end_elsewhere(consumer);
        }
    }
}

#[async_trait]
impl Tail for KafkaTail {
    async fn next(&mut self) -> Result<Record, BusError> {
        let Some(consumer) = &self.consumer else {
            return Err(BusError("the tail has ended".to_owned()));
        };
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Ok(record);
            }
            let message = tokio::select! {
                message = consumer.recv() => message.map_err(failed)?,
                error = &mut self.probe => return Err(error),
            };
            let bundle = message.payload().unwrap_or_default();
            let take = |record| self.ready.push_back(record);
            if bundle::unpack(bundle, &self.wanted, take).is_none() {
                tracing::warn!("a record of the bus cannot be read; the log is asked for it");
            }
        }
    }
}

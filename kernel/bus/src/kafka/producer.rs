//! The producing end. rdkafka's own future producer asks for news ten times a second and
//! turns round on the spot for the last millisecond of each: a hundredth of a core for a
//! process that publishes nothing. This one asks once a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use tokio::sync::oneshot;

use super::{Watcher, failed};
use crate::BusError;

/// How long one question for news may wait; they come at once while it does.
const POLL: Duration = Duration::from_secs(1);

/// Tells what became of a bundle.
type Telling = oneshot::Sender<Result<(), KafkaError>>;

/// A producer, and the thread that hears what became of its bundles.
pub(super) struct Producer {
    base: Arc<BaseProducer<Deliveries>>,
    ended: Arc<AtomicBool>,
}

impl Producer {
    pub(super) fn start(settings: &ClientConfig, watcher: Watcher) -> Result<Self, BusError> {
        let base: BaseProducer<Deliveries> = settings
            .create_with_context(Deliveries(watcher))
            .map_err(failed)?;
        let (base, ended) = (Arc::new(base), Arc::new(AtomicBool::new(false)));
        let (hearing, told) = (Arc::clone(&base), Arc::clone(&ended));
        // The last hold on the client is this thread's: its end may take a while.
        let hear = move || {
            while !told.load(Ordering::Acquire) {
                hearing.poll(POLL);
            }
        };
        std::thread::Builder::new()
            .name("kafka-deliveries".to_owned())
            .spawn(hear)
            .map_err(|error| BusError(error.to_string()))?;
        Ok(Self { base, ended })
    }

    /// Sends a bundle, to the partition of this key; what became of it comes later.
    pub(super) fn send(
        &self,
        topic: &str,
        key: [u8; 8],
        bundle: &[u8],
    ) -> Result<oneshot::Receiver<Result<(), KafkaError>>, BusError> {
        let (telling, delivery) = oneshot::channel();
        let sent = BaseRecord::with_opaque_to(topic, Box::new(telling))
            .key(&key)
            .payload(bundle);
        self.base.send(sent).map_err(|(error, _)| failed(error))?;
        Ok(delivery)
    }

    pub(super) fn client(&self) -> &Client<impl ClientContext> {
        self.base.client()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
    }
}

struct Deliveries(Watcher);

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Telling>;

    fn delivery(&self, result: &DeliveryResult<'_>, telling: Box<Telling>) {
        let outcome = result.as_ref().map(|_| ());
        // Whoever published it may have gone away.
        let _ = telling.send(outcome.map_err(|(error, _)| error.clone()));
    }
}

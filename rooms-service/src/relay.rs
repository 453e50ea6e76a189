//! Finishes what calls left: membership changes that a room's log lacks because a
//! process died or message-service was away. Every replica runs it; two that do
//! the same work do no harm.

use std::time::Duration;

use base::Entropy;

use crate::Relay;
use crate::service::Service;

/// Runs until it is stopped.
pub(crate) async fn run(service: Service, relay: Relay, entropy: impl Entropy) {
    loop {
        tokio::time::sleep(pause(relay.period.0, &entropy)).await;
        match service.finish_pending(relay.after.0).await {
            Ok(0) => {}
            Ok(rooms) => {
                metrics::counter!("parley_rooms_relayed_total").increment(rooms);
                tracing::info!(rooms, "finished membership changes that were left");
            }
            Err(error) => {
                metrics::counter!("parley_rooms_relay_failed_total").increment(1);
                tracing::warn!(%error, cause = error.cause(), "membership changes stay pending");
            }
        }
    }
}

/// A period and up to half of it more, so that replicas do not move in step.
fn pause(period: Duration, entropy: &impl Entropy) -> Duration {
    let mut byte = [0];
    // Without randomness there is no jitter, and no harm.
    let _ = entropy.fill(&mut byte);
    period + period * u32::from(byte[0]) / 512
}

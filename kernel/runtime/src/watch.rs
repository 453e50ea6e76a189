//! Whether the services are there, as `grpc.health.v1` tells, for this process's own
//! readiness.

use std::time::Duration;

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::{Lifecycle, Part, Replica, Replicas};

/// How often a service is asked.
const PERIOD: Duration = Duration::from_secs(1);
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Keeps `part` up while one of `replicas` is serving.
pub fn watch(part: Part, replicas: impl Into<Replicas>, lifecycle: &Lifecycle) {
    let replicas = replicas.into();
    let watching = async move {
        let mut tick = tokio::time::interval(PERIOD);
        loop {
            tick.tick().await;
            match any_serving(replicas.current()).await {
                Ok(()) => part.up(),
                Err(why) => part.down(why),
            }
        }
    };
    let stopping = lifecycle.stopping().clone();
    lifecycle.spawn("watch-service", async move {
        stopping.run_until_cancelled(watching).await;
    });
}

async fn any_serving(replicas: Vec<Replica>) -> Result<(), &'static str> {
    let mut why = "not reachable";
    for replica in replicas {
        let mut client = HealthClient::new(replica.channel());
        let question = client.check(HealthCheckRequest::default());
        if let Ok(Ok(answer)) = tokio::time::timeout(PATIENCE, question).await {
            if answer.into_inner().status() == ServingStatus::Serving {
                return Ok(());
            }
            why = "not ready itself";
        }
    }
    Err(why)
}

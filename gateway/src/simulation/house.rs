//! The gateways of a simulated world and the replicas behind them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{SessionId, Uid};
use proto::message::messages_server::MessagesServer;
use runtime::config::{Environment, Secret, load};
use runtime::{Channel, Lifecycle, Replicas, RequestId};
use tokio::io::DuplexStream;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::{AbortHandle, JoinSet};
use tonic::service::Routes;

use super::bus::Reading;
use super::log::World;
use super::service::Replica;
use crate::ws::{self, Who};
use crate::{Config, Gateway, Ports};

const GATEWAYS: usize = 2;
const REPLICAS: usize = 2;
/// Bytes on the way to a client: little, so that a reader who stops is soon noticed.
const WIRE: usize = 8 * 1024;

pub(super) struct House {
    replicas: Vec<Replica>,
    gateways: [AsyncMutex<Option<Running>>; GATEWAYS],
    /// Gateways that are to come back.
    reviving: Mutex<Vec<AbortHandle>>,
}

struct Running {
    gateway: Gateway,
    lifecycle: Lifecycle,
    connections: JoinSet<()>,
}

impl House {
    pub(super) async fn start(world: &Arc<World>) -> Arc<Self> {
        let house = Arc::new(Self {
            replicas: (0..REPLICAS).map(|_| Replica::new(world)).collect(),
            gateways: [const { AsyncMutex::const_new(None) }; GATEWAYS],
            reviving: Mutex::default(),
        });
        for gateway in &house.gateways {
            *gateway.lock().await = Some(house.gateway(world));
        }
        house
    }

    fn gateway(&self, world: &Arc<World>) -> Running {
        let environment = [
            ("PARLEY_GATEWAY__LIMITS__ENABLED", "false"),
            ("PARLEY_GATEWAY__WEBSOCKET__QUEUE", "60"),
            ("PARLEY_GATEWAY__WEBSOCKET__WINDOW", "8"),
        ];
        let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let environment: Environment = environment.into_iter().map(own).collect();
        let config = load::<Config>(None, &environment).unwrap().config;
        let lifecycle = Lifecycle::new();
        let token = Secret::new("a token for services");
        let here = |routes| Channel::in_process(routes, &token, &lifecycle).unwrap();
        let replica = |(index, replica): (usize, &Replica)| {
            let routes = Routes::new(MessagesServer::new(replica.clone()));
            (format!("replica-{index}"), here(routes))
        };
        let ports = Ports {
            messages: Replicas::new(self.replicas.iter().enumerate().map(replica).collect())
                .unwrap(),
            bus: Arc::new(Reading(Arc::clone(&world.bus))),
            ..Ports::nobody(&token, &lifecycle)
        };
        Running {
            gateway: Gateway::new(config, ports, &lifecycle),
            lifecycle,
            connections: JoinSet::new(),
        }
    }

    /// A connection of a user to some gateway; `None` when that one is down.
    pub(super) async fn connect(&self, world: &World, uid: u64) -> Option<DuplexStream> {
        let index = usize::try_from(world.number(0, GATEWAYS as u64 - 1)).unwrap();
        let mut running = self.gateways[index].lock().await;
        let running = running.as_mut()?;
        if running.lifecycle.draining().is_cancelled() {
            return None;
        }
        let (near, far) = tokio::io::duplex(WIRE);
        let who = Who {
            uid: Uid::new(uid).unwrap(),
            session: SessionId::new(uid).unwrap(),
            request_id: RequestId::parse("simulated").unwrap(),
        };
        let serving = ws::serve(running.gateway.clone(), far, who);
        running.connections.spawn(serving);
        Some(near)
    }

    /// Some replica.
    pub(super) fn replica(&self, world: &World) -> &Replica {
        let index = world.number(0, REPLICAS as u64 - 1);
        &self.replicas[usize::try_from(index).unwrap()]
    }

    /// A gateway is gone from one moment to the next, and comes back later.
    pub(super) async fn kill(self: &Arc<Self>, world: &Arc<World>) {
        self.take_down(world, false).await;
    }

    /// A gateway is told to end, does so in good order, and comes back later.
    pub(super) async fn drain(self: &Arc<Self>, world: &Arc<World>) {
        self.take_down(world, true).await;
    }

    async fn take_down(self: &Arc<Self>, world: &Arc<World>, in_order: bool) {
        let index = usize::try_from(world.number(0, GATEWAYS as u64 - 1)).unwrap();
        let Some(mut running) = self.gateways[index].lock().await.take() else {
            return;
        };
        if in_order {
            running.lifecycle.drain();
            let ending = async { while running.connections.join_next().await.is_some() {} };
            let _ = tokio::time::timeout(Duration::from_secs(10), ending).await;
        }
        running.connections.shutdown().await;
        assert!(running.lifecycle.stop(Duration::from_secs(10)).await);
        let (house, world) = (Arc::clone(self), Arc::clone(world));
        let pause = world.millis(0, 3_000);
        let reviving = super::spawn(async move {
            tokio::time::sleep(pause).await;
            let mut place = house.gateways[index].lock().await;
            place.get_or_insert_with(|| house.gateway(&world));
        });
        self.reviving.lock().unwrap().push(reviving.abort_handle());
    }

    pub(super) async fn heal(&self) {
        for replica in &self.replicas {
            replica.heal();
        }
        // Gateways come back within three seconds by themselves.
        tokio::time::sleep(Duration::from_secs(4)).await;
    }

    pub(super) async fn stop(&self) {
        for reviving in self.reviving.lock().unwrap().drain(..) {
            reviving.abort();
        }
        for gateway in &self.gateways {
            if let Some(mut running) = gateway.lock().await.take() {
                running.connections.shutdown().await;
                running.lifecycle.stop(Duration::from_secs(10)).await;
            }
        }
    }
}

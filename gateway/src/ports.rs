//! What the gateway needs of the rest of the system.

use std::sync::Arc;

use runtime::{Channel, Replicas};

/// The ways to the services, and the bus.
#[derive(Clone)]
pub struct Ports {
    /// user-service.
    pub users: Channel,
    /// session-service.
    pub sessions: Channel,
    /// rooms-service.
    pub rooms: Channel,
    /// The replicas of message-service.
    pub messages: Replicas,
    /// Where committed events come from.
    pub bus: Arc<dyn bus::Bus>,
}

#[cfg(feature = "kafka")]
mod remote {
    use base::Error;
    use runtime::{Channel, Lifecycle, Replicas};

    use super::Ports;
    use crate::Config;

    impl Ports {
        /// The ways over the network that `config` names. Nothing need be there yet:
        /// the health of `lifecycle` says what is missing.
        ///
        /// # Errors
        /// When the configuration cannot be used.
        pub fn connect(config: &Config, lifecycle: &Lifecycle) -> base::Result<Self> {
            let token = config.process.service_token()?;
            let tls = &config.process.tls;
            let services = &config.services;
            let users = Channel::remote(&services.user, token, tls)?;
            let sessions = Channel::remote(&services.session, token, tls)?;
            let rooms = Channel::remote(&services.rooms, token, tls)?;
            let messages = Replicas::connect(&services.message.0, token, tls, lifecycle)?;
            for (name, replicas) in [
                ("user", users.clone().into()),
                ("session", sessions.clone().into()),
                ("rooms", rooms.clone().into()),
                ("message", messages.clone()),
            ] {
                runtime::watch(lifecycle.health().part(name), replicas, lifecycle);
            }
            let bus = bus::kafka::KafkaBus::connect(
                &config.kafka,
                bus::ROOMS,
                bus::PARTITIONS,
                lifecycle,
            )
            .map_err(|error| Error::invalid("kafka", error))?;
            Ok(Self {
                users,
                sessions,
                rooms,
                messages,
                bus,
            })
        }
    }
}

#[cfg(test)]
impl Ports {
    /// Services without any method, and a bus of its own, for tests that need only some of
    /// the ports: `Ports { users, ..Ports::nobody(&token, &lifecycle) }`.
    pub(crate) fn nobody(token: &runtime::config::Secret, lifecycle: &runtime::Lifecycle) -> Self {
        let routes = tonic::service::Routes::default();
        let nobody = Channel::in_process(routes, token, lifecycle).unwrap();
        Self {
            users: nobody.clone(),
            sessions: nobody.clone(),
            rooms: nobody.clone(),
            messages: nobody.into(),
            bus: bus::memory::MemoryBus::new(),
        }
    }
}

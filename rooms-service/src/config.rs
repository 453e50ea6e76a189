//! The configuration of rooms-service.

use std::net::SocketAddr;

use base::Error;
use runtime::config::{self, Address, List, Process, ServiceConfig, Span};
use serde::{Deserialize, Serialize};

/// The configuration; `config.default.toml` says what each key is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the service answers gRPC.
    pub listen: SocketAddr,
    /// What every process has.
    pub process: Process,
    /// The database.
    pub postgres: config::Postgres,
    /// The cache.
    pub redis: config::Redis,
    /// The services that this one calls.
    pub services: Services,
    /// The task that finishes what calls left.
    pub relay: Relay,
}

/// Other services.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Services {
    /// Every replica of message-service.
    pub message: List<Address>,
}

/// When the relay works.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relay {
    /// How often it looks for pending membership changes.
    pub period: Span,
    /// How old a pending change must be.
    pub after: Span,
}

impl ServiceConfig for Config {
    const NAME: &'static str = "rooms";
    const DEFAULTS: &'static str = include_str!("../config.default.toml");

    fn process(&self) -> &Process {
        &self.process
    }

    fn check(&self) -> base::Result<()> {
        if self.services.message.0.is_empty() {
            return Err(Error::invalid(
                "services.message",
                "name at least one host:port",
            ));
        }
        if self.relay.period.0.is_zero() {
            return Err(Error::invalid("relay.period", "must be longer than 0"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use runtime::config::{Environment, load};

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn the_defaults_are_a_configuration() {
        let config = load::<Config>(None, &Environment::new()).unwrap().config;
        assert!(config.process.service_token.is_none());
        assert!(config.postgres.url.is_none());
        assert!(config.process.tls.ca.is_none());
    }

    #[test]
    fn the_environment_names_databases_and_every_replica() {
        let environment = environment(&[
            ("POSTGRES_PASSWORD", "of this test"),
            ("PARLEY_ROOMS__SERVICES__MESSAGE", "m1:9111,m2:9112"),
        ]);
        let config = load::<Config>(None, &environment).unwrap().config;
        assert_eq!(config.services.message.0.len(), 2);
        let password = config.postgres.password.unwrap();
        assert_eq!(password.expose(), "of this test");
    }

    #[test]
    fn a_service_without_logs_to_write_to_is_refused() {
        let environment = environment(&[("PARLEY_ROOMS__SERVICES__MESSAGE", ",")]);
        assert!(load::<Config>(None, &environment).is_err());
    }
}

//! The configuration of user-service.

use std::net::SocketAddr;

use argon2::Params;
use base::Error;
use runtime::config::{Address, Postgres, Process, Redis, ServiceConfig, Span};
use serde::{Deserialize, Serialize};

/// Length of the output that every new hash has.
pub(crate) const OUTPUT_BYTES: usize = 32;

/// All of it; `config.default.toml` has the defaults and says what each key means.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The sections of every process.
    pub process: Process,
    /// Where the service answers gRPC.
    pub listen: SocketAddr,
    /// The services it calls.
    pub services: Services,
    /// The database.
    pub postgres: Postgres,
    /// The cache.
    pub redis: Redis,
    /// How passwords are hashed.
    pub argon2: Argon2,
}

/// Where other services are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Services {
    /// session-service.
    pub session: Address,
}

/// How passwords are hashed, and how many at once.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argon2 {
    /// KiB of memory a hash takes, 8 a lane at least.
    pub memory_kib: u32,
    /// Passes over it, 1 at least.
    pub passes: u32,
    /// Lanes, 1 at least.
    pub lanes: u32,
    /// Hashes under way at once; 0: as many as there are cores.
    pub running: usize,
    /// Those that may wait for their turn.
    pub waiting: usize,
    /// How long one may wait.
    pub max_wait: Span,
}

impl Argon2 {
    /// Returns the cost of a hash in the form that the argon2 crate takes.
    ///
    /// # Errors
    /// When the cost is outside the limits of argon2.
    pub(crate) fn params(&self) -> base::Result<Params> {
        Params::new(self.memory_kib, self.passes, self.lanes, Some(OUTPUT_BYTES))
            .map_err(|error| Error::invalid("argon2", error))
    }
}

impl ServiceConfig for Config {
    const NAME: &'static str = "user";
    const DEFAULTS: &'static str = include_str!("../config.default.toml");

    fn process(&self) -> &Process {
        &self.process
    }

    fn check(&self) -> base::Result<()> {
        self.argon2.params().map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use runtime::config::{Environment, load};

    use super::*;

    #[test]
    fn the_defaults_are_complete_and_cost_what_they_should() {
        let config = load::<Config>(None, &Environment::new()).unwrap().config;
        let argon2 = &config.argon2;
        let cost = (argon2.memory_kib, argon2.passes, argon2.lanes);
        assert_eq!(cost, (12 * 1_024, 3, 1));
        assert!(config.postgres.password.is_none());
        assert_eq!(config.services.session.to_string(), "127.0.0.1:9102");
    }

    #[test]
    fn a_cost_that_argon2_does_not_know_is_refused() {
        let name = "PARLEY_USER__ARGON2__PASSES".to_owned();
        let environment = Environment::from([(name, "0".to_owned())]);
        let error = load::<Config>(None, &environment).unwrap_err();
        assert!(error.detail().contains("argon2"), "{error}");
    }
}

//! The configuration of session-service.

use std::net::SocketAddr;
use std::time::Duration;

use base::Error;
use runtime::config::{Postgres, Process, Secret, ServiceConfig, Span};
use serde::{Deserialize, Serialize};

/// The longest a token may live: ten years.
const LONGEST: Duration = Duration::from_hours(24 * 3_653);

/// All of it; `config.default.toml` has the defaults and says what each key means.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The sections of every process.
    pub process: Process,
    /// Where the service answers gRPC.
    pub listen: SocketAddr,
    /// How long a token is good for: 1 s to ten years.
    pub expire: Span,
    /// How long a session lives without being used: 1 h to ten years.
    pub idle: Span,
    /// What tokens are signed with; 32 bytes at least.
    pub jwt_secret: Option<Secret>,
    /// The secret before that one, whose tokens are still good.
    pub jwt_secret_previous: Option<Secret>,
    /// The database.
    pub postgres: Postgres,
}

impl ServiceConfig for Config {
    const NAME: &'static str = "session";
    const DEFAULTS: &'static str = include_str!("../config.default.toml");

    fn process(&self) -> &Process {
        &self.process
    }

    fn check(&self) -> base::Result<()> {
        if !(Duration::from_secs(1)..=LONGEST).contains(&self.expire.0) {
            return Err(Error::invalid("expire", "must be from 1s to ten years"));
        }
        if !(Duration::from_hours(1)..=LONGEST).contains(&self.idle.0) {
            return Err(Error::invalid("idle", "must be from 1h to ten years"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use runtime::config::{Environment, load};

    use super::*;

    fn loaded(name: &str, value: &str) -> base::Result<Config> {
        let environment = Environment::from([(name.to_owned(), value.to_owned())]);
        Ok(load::<Config>(None, &environment)?.config)
    }

    #[test]
    fn the_defaults_are_complete_and_have_no_secret() {
        let config = load::<Config>(None, &Environment::new()).unwrap().config;
        assert_eq!(config.expire.0, Duration::from_hours(24));
        assert_eq!(config.idle.0, Duration::from_hours(30 * 24));
        assert!(config.jwt_secret.is_none() && config.jwt_secret_previous.is_none());
    }

    #[test]
    fn the_originals_names_are_heard() {
        let config = loaded("JWT_SECRET", "a secret").unwrap();
        assert_eq!(config.jwt_secret, Some(Secret::new("a secret")));
        let config = loaded("JWT_SECRET_PREVIOUS", "an old one").unwrap();
        assert_eq!(config.jwt_secret_previous, Some(Secret::new("an old one")));
    }

    #[test]
    fn a_token_that_never_or_always_lives_is_refused() {
        for wrong in ["0s", "4000d"] {
            assert!(loaded("PARLEY_SESSION__EXPIRE", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_session_that_is_never_or_always_idle_is_refused() {
        for wrong in ["59m", "4000d"] {
            assert!(loaded("PARLEY_SESSION__IDLE", wrong).is_err(), "{wrong}");
        }
        let config = loaded("PARLEY_SESSION__IDLE", "1h").unwrap();
        assert_eq!(config.idle.0, Duration::from_hours(1));
    }
}

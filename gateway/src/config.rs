//! What can be set: see `config.default.toml`, which comments every key.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use base::Error;
use ipnet::IpNet;
use runtime::config::{Address, Kafka, List, Process, ServiceConfig, Span};
use serde::{Deserialize, Serialize};

/// The gateway's configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What every process has.
    pub process: Process,
    /// The public port.
    pub http: Http,
    /// Where the services are.
    pub services: Services,
    /// Where the bus is.
    pub kafka: Kafka,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: List<Network>,
    /// Browsers of other origins.
    pub cors: Cors,
    /// Limits of rate.
    pub limits: Limits,
    /// Live connections.
    pub websocket: WebSocket,
}

/// The public port.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// The address; port 0 is any free one.
    pub listen: SocketAddr,
    /// Connections open at once, most.
    pub max_connections: usize,
    /// For the head of a request, and between requests.
    pub header_timeout: Span,
    /// For the body of a request.
    pub body_timeout: Span,
    /// For the services' answer.
    pub request_timeout: Span,
}

/// Where the services are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Services {
    /// user-service.
    pub user: Address,
    /// session-service.
    pub session: Address,
    /// rooms-service.
    pub rooms: Address,
    /// Every replica of message-service.
    pub message: List<Address>,
}

/// A network in CIDR form, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Network(pub IpNet);

impl FromStr for Network {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let net = text.parse::<IpNet>();
        net.or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map(Self)
            .map_err(|_| Error::invalid("network", format!("{text:?} is none; write 10.0.0.0/8")))
    }
}

/// Browsers of other origins.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// `https://chat.example.org`, or `*` for all.
    pub origins: List<String>,
}

impl Cors {
    /// Whether every origin is welcome.
    pub(crate) fn any(&self) -> bool {
        self.origins.0.iter().any(|origin| origin == "*")
    }
}

/// Limits of rate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Whether there are any.
    pub enabled: bool,
    /// Registrations of one address.
    pub register: Rate,
    /// Logins of one address.
    pub login: Rate,
    /// Logins into one account.
    pub login_account: Rate,
    /// Requests without a known token, of one address.
    pub anonymous: Rate,
    /// Files of the browser client that one address asks for.
    pub pages: Rate,
    /// HTTP requests of one user.
    pub authenticated: Rate,
    /// Of these, how often he asks for all of his rooms with what is unread.
    pub details: Rate,
    /// Messages of one user.
    pub sends: Rate,
    /// Rooms that one user enters or subscribes to.
    pub enters: Rate,
    /// WebSocket connections of one address.
    pub connects: Rate,
}

/// `count` every `per`, and up to `burst` at once.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How many in the long run.
    pub count: u32,
    /// In what time.
    pub per: Span,
    /// How many at once after a pause.
    pub burst: u32,
}

/// Live connections.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebSocket {
    /// How often the server pings.
    pub ping_every: Span,
    /// A connection silent for so long is dropped.
    pub silent_after: Span,
    /// Frames that may wait for a slow reader.
    pub queue: usize,
    /// Messages of one connection that may be without an answer.
    pub window: usize,
}

impl ServiceConfig for Config {
    const NAME: &'static str = "gateway";
    const DEFAULTS: &'static str = include_str!("../config.default.toml");

    fn process(&self) -> &Process {
        &self.process
    }

    fn check(&self) -> base::Result<()> {
        let limits = &self.limits;
        let rates = [
            ("limits.register", limits.register),
            ("limits.login", limits.login),
            ("limits.login_account", limits.login_account),
            ("limits.anonymous", limits.anonymous),
            ("limits.pages", limits.pages),
            ("limits.authenticated", limits.authenticated),
            ("limits.details", limits.details),
            ("limits.sends", limits.sends),
            ("limits.enters", limits.enters),
            ("limits.connects", limits.connects),
        ];
        for (key, rate) in rates {
            if rate.count == 0 || rate.burst == 0 || rate.per.0.is_zero() {
                return Err(Error::invalid(key, "count, per and burst must be above 0"));
            }
        }
        if self.services.message.0.is_empty() {
            return Err(Error::invalid(
                "services.message",
                "name at least one address",
            ));
        }
        let socket = &self.websocket;
        if self.http.max_connections == 0 || socket.queue == 0 || socket.window == 0 {
            let rule = "max_connections, queue and window must be above 0";
            return Err(Error::invalid("http, websocket", rule));
        }
        if socket.ping_every.0.is_zero() || socket.silent_after.0 <= socket.ping_every.0 {
            let rule = "must be longer than ping_every, and that above 0";
            return Err(Error::invalid("websocket.silent_after", rule));
        }
        for origin in &self.cors.origins.0 {
            if http::HeaderValue::from_str(origin).is_err() {
                return Err(Error::invalid(
                    "cors.origins",
                    format!("{origin:?} is none"),
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::config::{Environment, load};

    #[test]
    fn the_defaults_load_and_the_environment_overrides_them() {
        let environment = Environment::from([
            ("PARLEY_GATEWAY__LIMITS__ENABLED".into(), "false".into()),
            ("PARLEY_GATEWAY__LIMITS__SENDS__BURST".into(), "7".into()),
            (
                "PARLEY_GATEWAY__TRUSTED_PROXIES".into(),
                "10.0.0.0/8, ::1".into(),
            ),
            ("PARLEY_GATEWAY__SERVICES__MESSAGE".into(), "a:1,b:2".into()),
        ]);
        let config = load::<Config>(None, &environment).unwrap().config;
        assert!(!config.limits.enabled);
        assert_eq!(config.limits.sends.burst, 7);
        assert_eq!(config.trusted_proxies.0.len(), 2);
        assert_eq!(config.services.message.0.len(), 2);
        assert!(config.process.tls.ca.is_none());
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        for (key, value, names) in [
            ("LIMITS__SENDS__COUNT", "0", "limits.sends"),
            ("WEBSOCKET__QUEUE", "0", "queue"),
            ("WEBSOCKET__SILENT_AFTER", "1s", "websocket.silent_after"),
            ("TRUSTED_PROXIES", "10.0.0.0/99", "network"),
        ] {
            let environment = Environment::from([(format!("PARLEY_GATEWAY__{key}"), value.into())]);
            let error = load::<Config>(None, &environment).unwrap_err();
            assert!(error.detail().contains(names), "{}", error.detail());
        }
    }
}

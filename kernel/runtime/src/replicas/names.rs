//! Replicas by the names of their hosts: as many as a name has addresses.

use std::net::SocketAddr;
use std::time::Duration;

use base::Error;

use super::Replicas;
use crate::config::{Address, Secret, Tls};
use crate::{Channel, Lifecycle};

/// How often names are resolved again.
const PERIOD: Duration = Duration::from_secs(2);
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Keeps `replicas` what the names among `addresses` stand for. Does nothing where all
/// are addresses already.
pub(super) fn follow(
    replicas: &Replicas,
    addresses: &[Address],
    token: &Secret,
    tls: &Tls,
    lifecycle: &Lifecycle,
) {
    let mut names: Vec<Name> = addresses.iter().cloned().map(Name::new).collect();
    if names.iter().all(Name::is_address) {
        return;
    }
    let (replicas, token, tls) = (replicas.clone(), token.clone(), tls.clone());
    let following = async move {
        let mut tick = tokio::time::interval(PERIOD);
        loop {
            tick.tick().await;
            for name in &mut names {
                name.resolve().await;
            }
            let places = names.iter().flat_map(Name::places).collect();
            let connect = |place: &Place| place.connect(&token, &tls);
            if let Err(error) = replicas.become_those(&places, connect) {
                tracing::warn!(%error, "the replicas stay as they were");
            }
        }
    };
    let stopping = lifecycle.stopping().clone();
    lifecycle.spawn("resolve-names", async move {
        stopping.run_until_cancelled(following).await;
    });
}

/// What was configured, and what it stands for, as far as is known.
struct Name {
    address: Address,
    resolved: Vec<SocketAddr>,
}

impl Name {
    fn new(address: Address) -> Self {
        Self {
            address,
            resolved: Vec::new(),
        }
    }

    fn is_address(&self) -> bool {
        self.address.host().parse::<std::net::IpAddr>().is_ok()
    }

    /// Asks again. A name that cannot be resolved for now stands for what it did.
    async fn resolve(&mut self) {
        if self.is_address() {
            return;
        }
        let asking = tokio::net::lookup_host((self.address.host(), self.address.port()));
        let answer = match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Ok(found)) => Ok(one_family(found.collect())),
            Ok(Err(error)) => Err(Error::unavailable("not resolved", error)),
            Err(_) => Err(Error::deadline_exceeded()),
        };
        match answer {
            Ok(found) if !found.is_empty() => self.resolved = found,
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(name = %self.address, %error, "a name is not resolved for now");
            }
        }
    }

    /// The replicas that it stands for: by their addresses, which are the same for
    /// every caller, or by itself while nothing is known of it.
    fn places(&self) -> Vec<(String, Place)> {
        let place = |at: Option<SocketAddr>| Place {
            name: self.address.clone(),
            at,
        };
        if self.resolved.is_empty() {
            return vec![(self.address.to_string(), place(None))];
        }
        let found = self.resolved.iter();
        found.map(|at| (at.to_string(), place(Some(*at)))).collect()
    }
}

/// Where a replica is.
struct Place {
    name: Address,
    at: Option<SocketAddr>,
}

impl Place {
    fn connect(&self, token: &Secret, tls: &Tls) -> base::Result<Channel> {
        match self.at {
            Some(at) => Channel::remote_at(&self.name, at, token, tls),
            None => Channel::remote(&self.name, token, tls),
        }
    }
}

/// A host with addresses of both families is one replica, not two: the family that the
/// resolver puts first counts.
fn one_family(mut found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    if let Some(first) = found.first().map(SocketAddr::is_ipv4) {
        found.retain(|address| address.is_ipv4() == first);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::Replica;
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_name_becomes_what_it_stands_for_and_an_address_stays() {
        let addresses = ["localhost:7", "192.0.2.1:7"].map(address);
        let (token, lifecycle) = (Secret::new("a token"), Lifecycle::new());
        let tls = Tls::default();
        let replicas = Replicas::connect(&addresses, &token, &tls, &lifecycle).unwrap();
        let mut changes = replicas.changes();
        changes.changed().await.unwrap();
        let current = replicas.current();
        let names: Vec<_> = current.iter().map(Replica::name).collect();
        let of_localhost = |name: &&&str| ["127.0.0.1:7", "[::1]:7"].contains(*name);
        assert_eq!(names.iter().filter(of_localhost).count(), 1, "{names:?}");
        assert!(names.contains(&"192.0.2.1:7"));
        assert_eq!(names.len(), 2);
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_resolved_any_more_stands_for_what_it_did() {
        let mut name = Name::new(address("localhost:7"));
        assert_eq!(name.places()[0].0, "localhost:7");
        name.resolve().await;
        let resolved = name.resolved.clone();
        assert!(!resolved.is_empty());
        name.address = address("does-not-exist.invalid:7");
        name.resolve().await;
        assert_eq!(name.resolved, resolved);
    }

    #[test]
    fn both_families_of_one_host_are_one_replica() {
        let [v6, v4] = ["[::1]:7", "127.0.0.1:7"].map(|text| text.parse().unwrap());
        assert_eq!(one_family(vec![v6, v4]), [v6]);
        assert_eq!(one_family(vec![v4, v6]), [v4]);
    }
}

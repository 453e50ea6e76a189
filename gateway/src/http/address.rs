//! Where a client is. Its word on that counts only when a trusted proxy passes it on.

use std::net::IpAddr;

use http::HeaderMap;

use crate::config::Network;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address, as far as it can be believed.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientAddress(pub(super) IpAddr);

/// The client's address: the peer, or, when that is a trusted proxy, the last entry
/// of `X-Forwarded-For` that is none.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let peer = peer.to_canonical();
    let is_proxy = |address: &IpAddr| trusted.iter().any(|network| network.0.contains(address));
    if !is_proxy(&peer) {
        return peer;
    }
    let mut client = peer;
    for value in headers.get_all(FORWARDED_FOR).iter().rev() {
        for entry in value.to_str().unwrap_or_default().rsplit(',') {
            // What a proxy did not write as an address is the client's own word.
            let Some(address) = parse(entry.trim()) else {
                return client;
            };
            client = address;
            if !is_proxy(&client) {
                return client;
            }
        }
    }
    client
}

/// An address, with or without a port.
fn parse(entry: &str) -> Option<IpAddr> {
    let with_port = || entry.parse().map(|at: std::net::SocketAddr| at.ip());
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse().or_else(|_| with_port());
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        let trusted: Vec<Network> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        client(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn a_stranger_cannot_say_where_he_is() {
        assert_eq!(seen("9.9.9.9", &["1.1.1.1"], &[]), "9.9.9.9");
        assert_eq!(seen("9.9.9.9", &["1.1.1.1"], &["10.0.0.0/8"]), "9.9.9.9");
    }

    #[test]
    fn behind_proxies_the_last_stranger_counts() {
        let trusted = ["10.0.0.0/8", "::1"];
        assert_eq!(seen("10.0.0.1", &["1.1.1.1"], &trusted), "1.1.1.1");
        assert_eq!(
            seen("10.0.0.1", &["6.6.6.6, 1.1.1.1, 10.0.0.2"], &trusted),
            "1.1.1.1"
        );
        assert_eq!(
            seen("10.0.0.1", &["6.6.6.6", "1.1.1.1,10.0.0.2"], &trusted),
            "1.1.1.1"
        );
        assert_eq!(seen("::1", &["[2001:db8::5]:99"], &trusted), "2001:db8::5");
        assert_eq!(seen("::ffff:10.0.0.1", &["1.1.1.1:5"], &trusted), "1.1.1.1");
    }

    #[test]
    fn what_is_no_address_ends_the_walk() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(
            seen("10.0.0.1", &["1.1.1.1, unknown"], &trusted),
            "10.0.0.1"
        );
        assert_eq!(
            seen("10.0.0.1", &["1.1.1.1, x, 10.0.0.2"], &trusted),
            "10.0.0.2"
        );
        assert_eq!(seen("10.0.0.1", &[""], &trusted), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &[], &trusted), "10.0.0.1");
    }
}

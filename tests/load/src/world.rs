//! Sets the stage: users, rooms, and connections that have entered them.
//!
//! Names carry a random suffix per run, so runs do not meet. Registration costs the
//! server a password hash each, so it is asked for `AT_ONCE` at a time and no faster.

use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::Entropy;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::timeout;

use crate::http::Http;
use crate::ledger::Ledger;
use crate::scan;
use crate::ws::Socket;

const AT_ONCE: usize = 8;
const CONNECTS_AT_ONCE: usize = 64;
const ENTER_DEADLINE: Duration = Duration::from_secs(10);
/// Connections from one loopback address; the next thousand comes from the next one.
const CONNECTIONS_PER_ADDRESS: usize = 1000;
const PASSWORD: &str = "load-test-password";

/// A registered user, logged in.
#[derive(Debug)]
pub(crate) struct User {
    uid: u64,
    token: String,
}

/// The gateways and a pool of connections to them.
#[derive(Debug)]
pub(crate) struct World {
    gateways: Vec<SocketAddr>,
    suffix: String,
    idle: Mutex<Vec<Http>>,
}

impl World {
    /// Resolves `gateways`, written `http://host:port`.
    pub(crate) async fn new(gateways: &[String], entropy: &dyn Entropy) -> Result<Self> {
        let mut addresses = Vec::new();
        for gateway in gateways {
            let host = gateway
                .strip_prefix("http://")
                .unwrap_or(gateway)
                .trim_end_matches('/');
            let address = tokio::net::lookup_host(host).await?.next();
            addresses.push(address.ok_or_else(|| {
                Error::new(ErrorKind::NotFound, format!("{gateway} has no address"))
            })?);
        }
        let mut random = [0; 4];
        entropy.fill(&mut random)?;
        let suffix = format!("{:08x}", u32::from_be_bytes(random));
        let idle = (0..AT_ONCE)
            .map(|n| Http::new(addresses[n % addresses.len()]))
            .collect();
        Ok(Self {
            gateways: addresses,
            suffix,
            idle: Mutex::new(idle),
        })
    }

    /// Registers `count` users and logs them in.
    pub(crate) async fn users(&self, count: usize) -> Result<Vec<User>> {
        stream::iter((0..count).map(|index| self.user(index)))
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Creates one room for each list of members, the first of whom is its creator.
    pub(crate) async fn rooms(&self, members: &[Vec<&User>]) -> Result<Vec<u64>> {
        stream::iter(
            members
                .iter()
                .enumerate()
                .map(|(index, members)| self.room(index, members)),
        )
        .buffered(AT_ONCE)
        .try_collect()
        .await
    }

    /// Opens one connection for each user and room, in the order given, and enters.
    pub(crate) async fn enter(&self, seats: &[(&User, u64)]) -> Result<Vec<(Socket, Ledger)>> {
        let seats = seats.iter().enumerate();
        stream::iter(seats.map(|(index, &(user, room))| self.connect(index, user, room)))
            .buffered(CONNECTS_AT_ONCE)
            .try_collect()
            .await
    }

    async fn user(&self, index: usize) -> Result<User> {
        let name = format!("l{}u{index}", self.suffix);
        let body = format!(
            r#"{{"Username":"{name}","Email":"{name}@load.example","Password":"{PASSWORD}"}}"#
        );
        let mut http = self.borrow();
        let answer = http.call(("POST", "/register"), None, &body).await?;
        let uid = scan::number(&answer, "UID").ok_or_else(|| absent("UID"))?;
        let body = format!(r#"{{"Email":"{name}@load.example","Password":"{PASSWORD}"}}"#);
        let answer = http.call(("PUT", "/login"), None, &body).await?;
        let token = scan::text(&answer, "token")
            .ok_or_else(|| absent("token"))?
            .to_owned();
        self.give_back(http);
        Ok(User { uid, token })
    }

    async fn room(&self, index: usize, members: &[&User]) -> Result<u64> {
        let Some((creator, others)) = members.split_first() else {
            return Err(absent("creator"));
        };
        let token = Some(creator.token.as_str());
        let body = format!(r#"{{"Name":"l{}r{index}","IsPrivate":true}}"#, self.suffix);
        let mut http = self.borrow();
        let answer = http.call(("POST", "/create-room"), token, &body).await?;
        let room = scan::number(&answer, "RoomID").ok_or_else(|| absent("RoomID"))?;
        for other in others {
            let body = format!(r#"{{"RoomID":{room},"UID":{}}}"#, other.uid);
            http.call(("PUT", "/invite"), token, &body).await?;
        }
        self.give_back(http);
        Ok(room)
    }

    async fn connect(&self, index: usize, user: &User, room: u64) -> Result<(Socket, Ledger)> {
        let gateway = self.gateways[index % self.gateways.len()];
        let source = source(index, gateway);
        let entered = async {
            let mut socket = Socket::open(gateway, source, &user.token).await?;
            socket.send(format!(r#"{{"Type":"enter","RoomID":{room}}}"#).as_bytes());
            let (mut seq, mut refused) = (None, None);
            while seq.is_none() && refused.is_none() {
                socket
                    .turn(|frame| {
                        let event = scan::event(frame);
                        match event.kind {
                            b"enter" if event.room_id == room => seq = Some(event.seq),
                            b"error" => refused = Some(String::from_utf8_lossy(frame).into_owned()),
                            _ => {}
                        }
                    })
                    .await?;
            }
            match refused {
                Some(error) => Err(Error::other(format!("entering room {room}: {error}"))),
                None => Ok((socket, Ledger::new(seq.unwrap_or(0)))),
            }
        };
        timeout(ENTER_DEADLINE, entered).await.map_err(|_| {
            Error::new(
                ErrorKind::TimedOut,
                format!("room {room} was not entered in time"),
            )
        })?
    }

    /// A connection of the pool. One that fails is not given back; the run is over then.
    fn borrow(&self) -> Http {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        idle.unwrap_or_else(|| Http::new(self.gateways[0]))
    }

    fn give_back(&self, http: Http) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(http);
    }
}

/// The address to connect from. On loopback there is a new one for every thousand
/// connections, because one has only some 28,000 ports.
fn source(index: usize, gateway: SocketAddr) -> Option<IpAddr> {
    let block = index / CONNECTIONS_PER_ADDRESS;
    let last = u8::try_from(block + 1).ok().filter(|_| block > 0)?;
    (gateway.ip() == Ipv4Addr::LOCALHOST).then(|| Ipv4Addr::new(127, 0, 0, last).into())
}

fn absent(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("the server gave no {what}"))
}

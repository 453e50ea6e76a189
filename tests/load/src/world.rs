//! Sets the stage: users, rooms, and connections that have entered them.
//!
//! Names carry a random suffix per run, so runs do not meet. Registration costs the
//! server a password hash each, so it is asked for `AT_ONCE` at a time and no faster.

use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
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
/// Rooms cost no hash, but each its own commits, which go together when many wait.
const ROOMS_AT_ONCE: usize = 32;
const CONNECTS_AT_ONCE: usize = 64;
const ENTER_DEADLINE: Duration = Duration::from_secs(30);
/// Connections from one loopback address; the next thousand comes from the next one.
const CONNECTIONS_PER_ADDRESS: usize = 1000;
pub(crate) const PASSWORD: &str = "load-test-password";

/// A registered user, logged in.
#[derive(Debug)]
pub(crate) struct User {
    uid: u64,
    pub(crate) email: String,
    pub(crate) token: String,
}

/// Where a connection belongs.
#[derive(Debug, Clone)]
pub(crate) struct Place<'a> {
    pub(crate) user: &'a User,
    /// One is entered, more are subscribed to.
    pub(crate) rooms: Vec<u64>,
    /// The index of its gateway.
    pub(crate) gateway: usize,
}

/// The gateways and a pool of connections to them.
#[derive(Debug)]
pub(crate) struct World {
    gateways: Vec<SocketAddr>,
    suffix: String,
    /// How many rooms were made, so that each has a name of its own.
    made: AtomicUsize,
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
        let idle = (0..ROOMS_AT_ONCE)
            .map(|n| Http::new(addresses[n % addresses.len()]))
            .collect();
        Ok(Self {
            gateways: addresses,
            suffix,
            made: AtomicUsize::new(0),
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
        stream::iter(members.iter().map(|members| self.room(members)))
            .buffered(ROOMS_AT_ONCE)
            .try_collect()
            .await
    }

    /// A connection for HTTP to the gateway at `index`, counted round robin.
    pub(crate) fn http(&self, index: usize) -> Http {
        Http::new(self.gateways[index % self.gateways.len()])
    }

    /// One place for each user and room, the gateways taking turns.
    pub(crate) fn round_robin<'a>(
        &self,
        seats: impl IntoIterator<Item = (&'a User, u64)>,
    ) -> Vec<Place<'a>> {
        let seats = seats.into_iter().enumerate();
        let place = |(index, (user, room))| Place {
            user,
            rooms: vec![room],
            gateway: index % self.gateways.len(),
        };
        seats.map(place).collect()
    }

    /// Opens one connection for each place, in the order given, and enters its rooms.
    pub(crate) async fn enter(&self, places: &[Place<'_>]) -> Result<Vec<(Socket, Vec<Ledger>)>> {
        let places = places.iter().enumerate();
        stream::iter(places.map(|(index, place)| self.connect(index, place)))
            .buffered(CONNECTS_AT_ONCE)
            .try_collect()
            .await
    }

    /// Opens a connection of `user`, the `index`th of a run, to the gateway at `gateway`.
    pub(crate) async fn open(&self, index: usize, token: &str, gateway: usize) -> Result<Socket> {
        let gateway = self.gateways[gateway % self.gateways.len()];
        Socket::open(gateway, source(index, gateway), token).await
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
        Ok(User {
            uid,
            email: format!("{name}@load.example"),
            token,
        })
    }

    async fn room(&self, members: &[&User]) -> Result<u64> {
        let Some((creator, others)) = members.split_first() else {
            return Err(absent("creator"));
        };
        let token = Some(creator.token.as_str());
        let index = self.made.fetch_add(1, Ordering::Relaxed);
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

    async fn connect(&self, index: usize, place: &Place<'_>) -> Result<(Socket, Vec<Ledger>)> {
        let rooms = &place.rooms;
        let entered = async {
            let mut socket = self.open(index, &place.user.token, place.gateway).await?;
            let kind = if rooms.len() == 1 {
                "enter"
            } else {
                "subscribe"
            };
            for room in rooms {
                socket.send(format!(r#"{{"Type":"{kind}","RoomID":{room}}}"#).as_bytes());
            }
            // The answers come in the order of the commands.
            let (mut seqs, mut refused) = (Vec::with_capacity(rooms.len()), None);
            while seqs.len() < rooms.len() && refused.is_none() {
                socket
                    .turn(|frame| {
                        let event = scan::event(frame);
                        if event.kind == b"error" {
                            refused = Some(String::from_utf8_lossy(frame).into_owned());
                        }
                        let answered = event.kind == kind.as_bytes();
                        if answered && rooms.get(seqs.len()) == Some(&event.room_id) {
                            seqs.push(event.seq);
                        }
                    })
                    .await?;
            }
            match refused {
                Some(error) => Err(Error::other(format!("entering rooms {rooms:?}: {error}"))),
                None => Ok((socket, seqs.into_iter().map(Ledger::new).collect())),
            }
        };
        timeout(ENTER_DEADLINE, entered).await.map_err(|_| {
            Error::new(
                ErrorKind::TimedOut,
                format!("rooms {rooms:?} were not entered in time"),
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

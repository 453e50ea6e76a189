//! Replicas of message-service that die, freeze, come and go while people write.

use std::path::Path;
use std::time::Duration;

use client::Api;
use client::wire::{Code, RoomId, Seq};
use tempfile::NamedTempFile;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::harness::distributed::Dev;
use crate::harness::extra_gateway::{ExtraGateway, may_have_hosts};
use crate::harness::relay::Relay;
use crate::harness::{User, World, refused};

const HOST: &str = "messages.test";
/// Far from every port that a system under test has, on addresses that only this
/// scenario uses.
const PORT: u16 = 25_777;
/// How long a message may take when a replica dies, and when it stands still: a second and
/// two are promised, and half a second is the tests' own share of a machine that they fill.
const FAILOVER: Duration = Duration::from_millis(1_500);
const FAILOVER_FROM_FROZEN: Duration = Duration::from_millis(2_500);
/// How soon what the name stands for now is known.
const KNOWN: Duration = Duration::from_secs(10);

fn publish(hosts: &Path, addresses: &[&str]) {
    let line = |address: &&str| format!("{address} {HOST}\n");
    let lines: String = addresses.iter().map(line).collect();
    // In place, for the gateway has this very file under another name.
    std::fs::write(hosts, lines).unwrap();
}

/// Says one thing after the other until it is stopped; tells how many, and how long the
/// slowest took.
async fn talk(api: Api, room: RoomId, stopped: watch::Receiver<bool>) -> (u64, Duration) {
    let mut socket = api.connect().await.unwrap();
    let entered = socket.enter(room).await.unwrap();
    let mut last: Seq = entered.seq.unwrap();
    let (mut count, mut slowest) = (0, Duration::ZERO);
    while !*stopped.borrow() {
        let said_at = Instant::now();
        let sent = socket.say_in(None, &count.to_string(), None).await.unwrap();
        assert_eq!(sent.message_id, last.next());
        last = sent.message_id;
        slowest = slowest.max(said_at.elapsed());
        count += 1;
    }
    (count, slowest)
}

struct Talk {
    talking: JoinSet<(u64, Duration)>,
    stop: watch::Sender<bool>,
}

impl Talk {
    /// Many rooms, so that each replica is preferred by some.
    async fn start(api: Api, ann: &User) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut talking = JoinSet::new();
        for _ in 0..8 {
            talking.spawn(talk(api.clone(), ann.room().await, stopped.clone()));
        }
        Self { talking, stop }
    }

    async fn end(self) -> (u64, Duration) {
        self.stop.send_replace(true);
        let said = self.talking.join_all().await;
        let count = said.iter().map(|(count, _)| count).sum();
        let slowest = said.into_iter().map(|(_, slowest)| slowest).max();
        (count, slowest.unwrap())
    }
}

/// Talks on both gateways while `fault` is done to each replica in turn; tells how long
/// the slowest message took.
async fn slowest_through(world: &World, fault: impl AsyncFn(&Dev, &str)) -> Duration {
    let dev = Dev::from_env();
    let ann = world.user().await;
    let (one, other) = (ann.api_at(0).clone(), ann.api_at(1).clone());
    let talks = [Talk::start(one, &ann).await, Talk::start(other, &ann).await];
    for replica in ["message-1", "message-2"] {
        sleep(Duration::from_secs(1)).await;
        fault(&dev, replica).await;
        dev.well_again().await;
    }
    let mut slowest = Duration::ZERO;
    for talk in talks {
        let (count, took) = talk.end().await;
        println!("{count} messages, the slowest took {took:?}");
        slowest = slowest.max(took);
    }
    slowest
}

disruptive_scenarios! {
    async fn a_replica_that_dies_is_replaced_within_a_second(world: World) {
        let slowest = slowest_through(&world, async |dev, replica| {
            dev.kill(replica).await;
            dev.up(replica).await;
        })
        .await;
        assert!(slowest <= FAILOVER, "{slowest:?}");
    }

    async fn a_replica_that_stands_still_is_replaced_within_two_seconds(world: World) {
        let slowest = slowest_through(&world, async |dev, replica| {
            dev.freeze(replica).await;
            sleep(Duration::from_secs(4)).await;
            dev.thaw(replica).await;
        })
        .await;
        assert!(slowest <= FAILOVER_FROM_FROZEN, "{slowest:?}");
    }

    async fn a_refusal_stays_true_when_a_replica_that_stood_still_goes_on(world: World) {
        let dev = Dev::from_env();
        let (ann, bob) = world.two_users().await;
        for replica in ["message-1", "message-2"] {
            // Each is preferred by some rooms.
            let mut rooms = Vec::new();
            for _ in 0..6 {
                rooms.push(ann.room().await);
            }
            dev.freeze(replica).await;
            let mut posting = JoinSet::new();
            for room in rooms.clone() {
                let api = bob.api().clone();
                posting.spawn(async move {
                    refused(api.post(room, "from outside", None).await, Code::PermissionDenied);
                    api.join(room).await.unwrap();
                });
            }
            posting.join_all().await;
            dev.thaw(replica).await;
            dev.well_again().await;
            for room in rooms {
                bob.say(room, "from inside").await;
                let log = bob.api().messages(room, None, 100).await.unwrap();
                assert!(log.iter().all(|entry| entry.text != "from outside"));
            }
        }
    }

    async fn replicas_behind_a_name_come_and_go_and_no_message_is_refused(world: World) {
        if !may_have_hosts().await {
            eprintln!("SKIPPED: nobody here may give a process other hosts");
            return;
        }
        let dev = Dev::from_env();
        let hosts = NamedTempFile::new().unwrap();
        let [one, two] = ["127.0.44.1", "127.0.44.2"];
        let targets = dev.addresses("message");
        let mut first = Relay::at(&format!("{one}:{PORT}"), targets[0].clone()).await;
        let mut second = Relay::at(&format!("{two}:{PORT}"), targets[1].clone()).await;
        publish(hosts.path(), &[one]);
        let name = format!("{HOST}:{PORT}");
        let gateway = ExtraGateway::start_with_hosts(&dev, name, hosts.path()).await;
        first.used().await;
        let ann = world.user().await;
        let base = format!("http://{}", gateway.address());
        let api = Api::new(&base).unwrap().with_token(ann.token());
        let talk = Talk::start(api, &ann).await;
        publish(hosts.path(), &[one, two]);
        timeout(KNOWN, second.used()).await.expect("the new one is found in time");
        sleep(Duration::from_secs(1)).await;
        // The name may forget it before or after it goes.
        first.cut();
        publish(hosts.path(), &[two]);
        sleep(KNOWN).await;
        drop(first);
        let (count, slowest) = talk.end().await;
        println!("{count} messages, the slowest took {slowest:?}");
        assert!(slowest <= FAILOVER_FROM_FROZEN, "{slowest:?}");
    }
}

//! Kafka that some reach and others do not, that loses what is newest, that comes back
//! with less than it had: whatever it does, delivery goes on in order and little later.

use std::path::Path;
use std::time::Duration;

use client::Api;
use faults::plan::{Act, Link, Process};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::harness::distributed::Dev;
use crate::harness::extra_gateway::ExtraGateway;
use crate::harness::extra_messages::ExtraMessages;
use crate::harness::own::{LoneKafka, OwnSystem};
use crate::harness::{Feed, World};

/// Rooms in which is talked: some for each replica of message-service.
const ROOMS: usize = 6;
/// How long Kafka is out of reach.
const OUTAGE: Duration = Duration::from_secs(12);
/// How late an event may come while Kafka does not carry it.
const LATE: Duration = Duration::from_secs(2);
/// How soon all is as before when it does again.
const CURRENT: Duration = Duration::from_secs(5);
/// An event that comes sooner did not wait for heads to be asked for: Kafka carried it.
const LIVE: Duration = Duration::from_millis(250);
/// How late an event comes that was lost on a bus that is well, most.
const NOTICED: Duration = Duration::from_secs(6);

/// How late messages were heard after their acknowledgement.
#[derive(Debug, Default, Clone, Copy)]
struct Heard {
    messages: usize,
    latest: Duration,
    /// How many were later than [`LIVE`].
    late: usize,
}

impl Heard {
    fn note(&mut self, late: Duration) {
        self.messages += 1;
        self.latest = self.latest.max(late);
        self.late += usize::from(late > LIVE);
    }

    fn and(self, other: Self) -> Self {
        Self {
            messages: self.messages + other.messages,
            latest: self.latest.max(other.latest),
            late: self.late + other.late,
        }
    }
}

/// Pairs that talk, each in a room of its own and at either gateway: what is said next is
/// said when the other has heard what was said before.
struct Talk {
    pairs: Vec<(Feed, Feed)>,
}

impl Talk {
    async fn begin(world: &World) -> Self {
        let (ann, bob) = world.two_users().await;
        let mut pairs = Vec::new();
        for _ in 0..ROOMS {
            let room = ann.room_with(&[&bob]).await;
            pairs.push((ann.enter_at(0, room).await, bob.enter_at(1, room).await));
        }
        Self { pairs }
    }

    /// Goes on while something happens.
    async fn during(&mut self, happening: impl Future<Output = ()>) -> Heard {
        let (stop, stopped) = watch::channel(false);
        let mut talking = JoinSet::new();
        for (anns, bobs) in self.pairs.drain(..) {
            talking.spawn(talk(anns, bobs, stopped.clone()));
        }
        happening.await;
        stop.send_replace(true);
        let mut all = Heard::default();
        for (anns, bobs, heard) in talking.join_all().await {
            self.pairs.push((anns, bobs));
            all = all.and(heard);
        }
        println!("{all:?}");
        all
    }

    /// Asserts that Kafka carries again, soon after it has come back.
    async fn is_live_again(&mut self) {
        let catching_up = self.during(sleep(CURRENT)).await;
        assert!(catching_up.latest <= LATE, "{catching_up:?}");
        let live = self.during(sleep(CURRENT)).await;
        assert!(live.late * 20 < live.messages, "{live:?}");
    }
}

async fn talk(
    mut anns: Feed,
    mut bobs: Feed,
    stopped: watch::Receiver<bool>,
) -> (Feed, Feed, Heard) {
    let mut heard = Heard::default();
    while !*stopped.borrow() {
        let text = heard.messages.to_string();
        anns.say(&text).await;
        let acknowledged = Instant::now();
        bobs.hears(&text).await;
        heard.note(acknowledged.elapsed());
        // So that the machine is not what is slow.
        sleep(Duration::from_millis(50)).await;
    }
    (anns, bobs, heard)
}

/// Cuts both replicas of message-service off from Kafka, which the gateways still reach.
async fn message_service_is_cut_off(act: fn(Link) -> Act) {
    let own = OwnSystem::start().await;
    let mut talk = Talk::begin(&own.world()).await;
    let cuts = [1, 2].map(|number| {
        act(Link {
            from: Some(Process::Message(number)),
            to: Process::KAFKA,
        })
    });
    let heard = talk
        .during(async {
            let noticed = async {
                for name in ["message-1", "message-2"] {
                    own.dev().says(name, lacks_kafka).await;
                }
                own.dev().says("gateway-2", |it| !lacks_kafka(it)).await;
            };
            tokio::join!(own.suffer(cuts, OUTAGE), noticed);
        })
        .await;
    assert!(heard.latest <= LATE, "{heard:?}");
    own.dev().well_again().await;
    talk.is_live_again().await;
}

fn lacks_kafka(ready: &serde_json::Value) -> bool {
    ready["Degraded"].get("kafka").is_some()
}

/// Stops Kafka, takes data from it, and starts it again.
async fn kafka_forgets(forget: impl Fn(&Path)) {
    let own = OwnSystem::start().await;
    let dev = own.dev();
    let mut talk = Talk::begin(&own.world()).await;
    // So that readers are past the end of what will be left.
    talk.during(sleep(Duration::from_secs(3))).await;
    let heard = talk
        .during(async {
            dev.down("kafka").await;
            forget(&dev.data("kafka"));
            dev.up("kafka").await;
            dev.well_again().await;
        })
        .await;
    assert!(heard.latest <= LATE, "{heard:?}");
    talk.is_live_again().await;
}

disruptive_scenarios! {
    async fn message_service_refused_by_kafka_messages_arrive_in_order_and_little_later(_world: World) {
        message_service_is_cut_off(Act::Reset).await;
    }

    async fn message_service_without_an_answer_of_kafka_messages_arrive_in_order_and_little_later(_world: World) {
        message_service_is_cut_off(Act::Silence).await;
    }

    async fn kafka_back_with_nothing_costs_moments(_world: World) {
        kafka_forgets(|data| std::fs::remove_dir_all(data).unwrap()).await;
    }

    async fn kafka_back_with_a_shorter_log_costs_moments(_world: World) {
        kafka_forgets(|data| {
            let mut forgotten = 0;
            for entry in std::fs::read_dir(data).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap();
                // The partitions of a topic of ours; what Kafka knows of itself stays.
                if path.is_dir() && name.starts_with("parley.") {
                    std::fs::remove_dir_all(&path).unwrap();
                    forgotten += 1;
                }
            }
            assert!(forgotten > 0);
        })
        .await;
    }

    async fn an_event_that_a_well_bus_lost_is_noticed_within_seconds(world: World) {
        let dev = Dev::from_env();
        let kafka = LoneKafka::start().await;
        let messages = ExtraMessages::start(&dev, 512).await;
        let deaf = ExtraGateway::start_deaf(&dev, &kafka, &messages).await;
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let mut anns = ann.enter(room).await;
        let api = Api::new(&format!("http://{}", deaf.address())).unwrap();
        let mut socket = api.with_token(bob.token()).connect().await.unwrap();
        let entered = socket.enter(room).await.unwrap();
        let mut bobs = Feed::new(socket, entered);
        // Until it reads its bus, it asks for heads more often.
        let (mut latest, mut waited) = (Duration::ZERO, 0);
        for number in 0.. {
            let text = number.to_string();
            anns.say(&text).await;
            let acknowledged = Instant::now();
            bobs.hears(&text).await;
            latest = latest.max(acknowledged.elapsed());
            waited += usize::from(acknowledged.elapsed() > LATE);
            if waited == 4 {
                break;
            }
        }
        assert!(latest <= NOTICED, "{latest:?} late");
        println!("{latest:?} late at most, of what the bus never carried");
    }
}

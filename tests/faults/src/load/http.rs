//! Sending over HTTP, half of it with the nonce in an `Idempotency-Key` header; to
//! another gateway when one does not answer, until there is an answer.

use std::sync::Arc;
use std::time::Duration;

use client::wire::response::Posted;
use client::wire::{Code, Problem, RoomId};
use client::{Api, Error, Method};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::sending::{Pending, Sending, Told, outage};
use super::users::User;
use super::{Kept, Phase, Phases, Shared, word_for};
use crate::check::{Kind, Violation};
use crate::ledger::{Way, hash};
use crate::random::Random;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const BETWEEN_TRIES: Duration = Duration::from_millis(150);

/// Posts one message after the other.
pub(super) struct Poster {
    pub(super) user: Arc<User>,
    pub(super) label: String,
    pub(super) kept: Kept,
    sending: Sending,
    gateway: usize,
    shared: Arc<Shared>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Acknowledged,
    Refused(Code),
    /// There was no answer in time.
    Unknown,
}

impl Poster {
    pub(super) fn new(
        user: &Arc<User>,
        room: RoomId,
        label: String,
        shared: &Arc<Shared>,
        random: Random,
    ) -> Self {
        let writer = shared.next_writer();
        let sending = Sending::new(writer, user.uid, vec![room], random);
        Self {
            user: Arc::clone(user),
            label,
            kept: Kept::default(),
            sending,
            gateway: usize::try_from(writer).unwrap_or(0) % shared.gateways,
            shared: Arc::clone(shared),
        }
    }

    /// Posts one more message and keeps the acknowledgement.
    pub(super) async fn post(&mut self, until: impl Fn() -> Option<Instant>) -> Outcome {
        let number = self.sending.write(self.shared.now());
        loop {
            let Some(pending) = self.sending.send(number, 0) else {
                return Outcome::Unknown;
            };
            let answer = post(&self.user.apis[self.gateway], pending).await;
            match answer {
                Ok(posted) => {
                    self.acknowledged(number, &posted);
                    return Outcome::Acknowledged;
                }
                Err(Failure::Refused(code)) => {
                    if let Some(refused) = self.sending.drop(number)
                        && refused.tries > 1
                    {
                        let doubt = (refused.room, hash(&refused.text));
                        self.kept.doubts.push(doubt);
                    }
                    return Outcome::Refused(code);
                }
                Err(Failure::Passing(word)) => self.kept.meet(format!("post: {word}")),
            }
            if until().is_some_and(|until| Instant::now() >= until) {
                return Outcome::Unknown;
            }
            self.gateway = (self.gateway + 1) % self.shared.gateways;
            sleep(BETWEEN_TRIES).await;
        }
    }

    fn acknowledged(&mut self, number: u32, posted: &Posted) {
        let told = Told {
            at: self.shared.now(),
            gateway: self.gateway + 1,
            way: Way::Http,
        };
        let (id, at) = (posted.message_id, posted.timestamp);
        if let Some((room, ack, waited)) = self.sending.acknowledge(number, id, at, &told) {
            self.kept.acks.push((room, ack));
            if let Some(waited) = waited {
                let outage = outage(&self.label, waited, told.at);
                self.kept.outages.push(outage);
            }
        }
    }

    pub(super) fn violation(&mut self, kind: Kind, room: RoomId, words: &str) {
        self.kept.violations.push(Violation {
            kind,
            room: Some(room),
            seqs: Vec::new(),
            nonces: Vec::new(),
            words: format!("{}: {words}, at {} us", self.label, self.shared.now()),
        });
    }
}

enum Failure {
    /// For good.
    Refused(Code),
    /// Perhaps not the next time.
    Passing(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.code() {
            Some(code) if !error.retryable() => Self::Refused(code),
            _ => Self::Passing(word_for(&error)),
        }
    }
}

async fn post(api: &Api, pending: &Pending) -> Result<Posted, Failure> {
    let nonce = pending.tag.to_string();
    if pending.tag.number.is_multiple_of(2) {
        return Ok(api.post(pending.room, &pending.text, Some(&nonce)).await?);
    }
    let mut headers = HeaderMap::new();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    let key = HeaderValue::from_str(&nonce).map_err(|error| Error::Usage(error.to_string()))?;
    headers.insert(IDEMPOTENCY_KEY, key);
    let path = format!("/messages/{}", pending.room);
    let body = serde_json::json!({ "Text": pending.text }).to_string();
    let answer = api.raw(Method::POST, &path, headers, body).await?;
    if answer.status == 201 {
        return Ok(answer.json()?);
    }
    match answer.json::<Problem>() {
        Ok(problem) if !problem.code.retryable() => Err(Failure::Refused(problem.code)),
        Ok(problem) => Err(Failure::Passing(problem.code.to_string())),
        Err(_) => Err(Failure::Passing(format!("status {}", answer.status))),
    }
}

/// Posts at its pace until it is told to settle.
pub(super) async fn run(
    mut poster: Poster,
    room: RoomId,
    pace: Duration,
    phases: Phases,
    (acked, settled): (watch::Sender<u64>, watch::Sender<usize>),
) -> Kept {
    let mut next = Instant::now();
    while matches!(*phases.borrow(), Phase::Work { .. }) {
        next = (next + pace).max(Instant::now());
        match poster.post(|| deadline(&phases)).await {
            Outcome::Acknowledged => acked.send_modify(|count| *count += 1),
            Outcome::Refused(code) => {
                let words = format!("a member's message: {code}");
                poster.violation(Kind::Refused, room, &words);
            }
            Outcome::Unknown => poster.violation(Kind::Stuck, room, "a message has no answer"),
        }
        sleep_until(next).await;
    }
    settled.send_modify(|count| *count += 1);
    poster.kept
}

/// Until when answers are waited for, once that is known.
pub(super) fn deadline(phases: &Phases) -> Option<Instant> {
    match *phases.borrow() {
        Phase::Work { .. } => None,
        Phase::Settle { until } | Phase::Drain { until, .. } => Some(until),
    }
}

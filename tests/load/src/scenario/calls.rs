//! Plain HTTP in a closed loop: each connection asks again as soon as it has its answer.

use std::collections::BTreeMap;
use std::io::{Error, Result};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::http::Http;
use crate::proc::{Meter, Process};
use crate::report::{Part, float};

/// What one connection asks for, again and again.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) token: Option<String>,
    pub(super) body: String,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Calls {
    /// Answers with a status of 2xx, in microseconds.
    pub(super) micros: Histogram<u64>,
    /// Answers with another status, by that.
    pub(super) refused: BTreeMap<u16, u64>,
    pub(super) part: Part,
}

impl Calls {
    /// Answers a second.
    pub(super) fn rate(&self) -> f64 {
        float(self.micros.len()) / self.part.seconds
    }

    /// CPU time of the gateways over the answers.
    pub(super) fn gateway_micros(&self) -> f64 {
        self.part.gateway_seconds() * 1e6 / float(self.micros.len())
    }
}

/// Lets each of `callers` ask for `length`. What is answered later does not count.
pub(super) async fn run(
    name: &str,
    callers: Vec<(Http, Call)>,
    length: Duration,
    processes: &[Process],
) -> Result<Calls> {
    let meter = Meter::start(processes)?;
    let stop = Instant::now() + length;
    let mut tasks = JoinSet::new();
    for (http, call) in callers {
        tasks.spawn(ask(http, call, stop));
    }
    let (mut micros, mut refused) = (histogram()?, BTreeMap::new());
    while let Some(joined) = tasks.join_next().await {
        let (took, statuses) = joined.map_err(Error::other)??;
        micros.add(took).map_err(Error::other)?;
        for (status, count) in statuses {
            *refused.entry(status).or_default() += count;
        }
    }
    let (processes, own) = meter.stop()?;
    let part = Part {
        name: name.to_owned(),
        seconds: length.as_secs_f64(),
        traffic: None,
        processes,
        own,
    };
    Ok(Calls {
        micros,
        refused,
        part,
    })
}

async fn ask(
    mut http: Http,
    call: Call,
    stop: Instant,
) -> Result<(Histogram<u64>, BTreeMap<u16, u64>)> {
    let (mut micros, mut refused) = (histogram()?, BTreeMap::new());
    loop {
        let begun = Instant::now();
        let what = (call.method, call.path.as_str());
        let (status, _) = http.ask(what, call.token.as_deref(), &call.body).await?;
        let answered = Instant::now();
        match status {
            200..=299 if answered > stop => {}
            200..=299 => {
                let took = u64::try_from((answered - begun).as_micros()).unwrap_or(u64::MAX);
                micros.saturating_record(took.max(1));
            }
            status => *refused.entry(status).or_default() += 1,
        }
        if answered >= stop {
            return Ok((micros, refused));
        }
    }
}

/// From a microsecond to a minute, to three digits.
pub(super) fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, 60_000_000, 3).map_err(Error::other)
}

//! Pages of rooms with short and long histories, in a table with many more events: does a
//! page cost the same wherever it is?

use std::io::{Error, Result};
use std::path::PathBuf;

use base::OsEntropy;
use clap::{Args, value_parser};
use tokio::time::Instant;

use super::{Bench, calls};
use crate::fill::Fill;
use crate::http::Http;
use crate::report::{Latencies, Report};
use crate::scan;
use crate::system::Database;
use crate::world::{User, World};

/// Messages of a page.
const PAGE: u64 = 100;
/// The positions of a page in a room's history, and what is before it, in halves.
const POSITIONS: [(&str, u64); 3] = [("beginning", 0), ("middle", 1), ("end", 2)];

#[derive(Debug, Clone, Args)]
pub(crate) struct History {
    /// The database, if it is not that of a system of the generator's own.
    #[arg(long, value_name = "URL", conflicts_with = "sqlite")]
    postgres: Option<String>,
    /// The same, of standalone: its `message.db`.
    #[arg(long, value_name = "FILE")]
    sqlite: Option<PathBuf>,
    /// Events of a room, one room for each.
    #[arg(long, default_value = "1000,100000,5000000", value_delimiter = ',', value_parser = value_parser!(u64).range(200..))]
    events: Vec<u64>,
    /// Events of all rooms together, at least.
    #[arg(long, default_value_t = 10_000_000)]
    table: u64,
    /// Pages asked for at each position.
    #[arg(long, default_value_t = 300, value_parser = value_parser!(u32).range(1..))]
    pages: u32,
    /// Length of a text.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u16).range(28..=2000))]
    bytes: u16,
}

impl History {
    pub(super) async fn run(&self, bench: &mut Bench) -> Result<Report> {
        let database = match (&self.postgres, &self.sqlite) {
            (Some(url), _) => Some(Database::Postgres(url.clone())),
            (None, Some(file)) => Some(Database::Sqlite(file.clone())),
            (None, None) => bench.system.database()?,
        };
        let database =
            database.ok_or_else(|| Error::other("history needs to know the database"))?;
        let world = World::new(&bench.system.urls(), &OsEntropy).await?;
        let users = world.users(1).await?;
        let user = &users[0];
        let rooms = self.fill(&world, user, &database).await?;

        let settings = vec![("table", self.table), ("pages", self.pages.into())];
        let mut report = Report::new("history", settings);
        let mut http = world.http(0);
        let mut first: Vec<Latencies> = Vec::new();
        let (mut slowest_p50, mut slowest_p99) = (1.0_f64, 1.0_f64);
        for (events, room) in self.events.iter().zip(rooms) {
            for (position, (name, halves)) in POSITIONS.into_iter().enumerate() {
                let last = PAGE + (events - PAGE) / 2 * halves;
                let found = self.pages(&mut http, user, room, last).await?;
                report.figure(format!("{events} events, {name}, p50 ms"), found.p50);
                report.figure(format!("{events} events, {name}, p99 ms"), found.p99);
                if let Some(first) = first.get(position) {
                    slowest_p50 = slowest_p50.max(found.p50 / first.p50);
                    slowest_p99 = slowest_p99.max(found.p99 / first.p99);
                } else {
                    first.push(found);
                }
            }
        }
        report.figure("p50, slowest to smallest room", slowest_p50);
        report.figure("p99, slowest to smallest room", slowest_p99);
        Ok(report)
    }

    /// Makes the rooms, one message in each, and fills the rest in.
    async fn fill(&self, world: &World, user: &User, database: &Database) -> Result<Vec<u64>> {
        let rooms: Vec<Vec<&User>> = self.events.iter().map(|_| vec![user]).collect();
        let rooms = world.rooms(&rooms).await?;
        let mut fill = Fill::connect(database).await?;
        let text = "x".repeat(self.bytes.into());
        let mut newest = 0;
        for (&room, &events) in rooms.iter().zip(&self.events) {
            let (path, body) = (
                format!("/messages/{room}"),
                format!(r#"{{"Text":"{text}"}}"#),
            );
            let mut http = world.http(0);
            let answer = http.call(("POST", &path), Some(&user.token), &body).await?;
            newest = scan::number(&answer, "MessageID").unwrap_or(0);
            fill.lengthen(room, newest, events).await?;
        }
        if let Some(&room) = rooms.first() {
            let there: u64 = self.events.iter().sum();
            fill.pad(room, newest, self.table.saturating_sub(there))
                .await?;
        }
        fill.settle().await?;
        Ok(rooms)
    }

    /// Asks for pages that end at about `last`.
    async fn pages(&self, http: &mut Http, user: &User, room: u64, last: u64) -> Result<Latencies> {
        let mut micros = calls::histogram()?;
        for page in 0..self.pages {
            // Not always the same one.
            let last = (last - u64::from(page) % (PAGE / 2)).max(PAGE);
            let path = format!("/messages/{room}?LastID={last}&Limit={PAGE}");
            let begun = Instant::now();
            let answer = http.call(("GET", &path), Some(&user.token), "").await?;
            let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            micros.saturating_record(took.max(1));
            let newest = format!(r#""ID":{last},"#);
            if !String::from_utf8_lossy(&answer).contains(&newest) {
                return Err(Error::other(format!("GET {path} gives no message {last}")));
            }
        }
        Ok(Latencies::new(&micros))
    }
}

//! Plain GETs over connections that are kept: what a request costs a gateway.

use std::io::Result;

use base::OsEntropy;
use clap::{Args, value_parser};

use super::Bench;
use super::calls::{self, Call};
use crate::report::{Latencies, Report};
use crate::world::{User, World};

#[derive(Debug, Clone, Args)]
pub(crate) struct Requests {
    /// What to ask for, one after the other.
    #[arg(long, default_value = "/profile,/rooms", value_delimiter = ',')]
    path: Vec<String>,
    /// Connections, each a user of its own.
    #[arg(long, default_value_t = 16, value_parser = value_parser!(u16).range(1..))]
    connections: u16,
    /// Rooms of each user.
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u16).range(1..))]
    rooms: u16,
}

impl Requests {
    pub(super) async fn run(&self, bench: &mut Bench) -> Result<Report> {
        let settings = vec![
            ("connections", self.connections.into()),
            ("rooms", self.rooms.into()),
        ];
        let mut report = Report::new("requests", settings);
        let world = World::new(&bench.system.urls(), &OsEntropy).await?;
        let users = world.users(self.connections.into()).await?;
        let own = |user| (0..self.rooms).map(move |_| vec![user]);
        let rooms: Vec<Vec<&User>> = users.iter().flat_map(own).collect();
        world.rooms(&rooms).await?;
        for path in &self.path {
            let callers = users.iter().enumerate().map(|(index, user)| {
                let call = Call {
                    method: "GET",
                    path: path.clone(),
                    token: Some(user.token.clone()),
                    body: String::new(),
                };
                (world.http(index), call)
            });
            let processes = bench.system.processes();
            let calls = calls::run(path, callers.collect(), bench.length, processes).await?;
            let latencies = Latencies::new(&calls.micros);
            report.figure(format!("{path} requests/s"), calls.rate());
            report.figure(format!("{path} p50 ms"), latencies.p50);
            report.figure(format!("{path} p99 ms"), latencies.p99);
            report.figure(format!("{path} gateway us/request"), calls.gateway_micros());
            for (status, count) in &calls.refused {
                report.fault(format!("{path}: {count} answers with {status}"));
            }
            if calls.micros.is_empty() {
                report.fault(format!("{path}: no answer"));
            }
            report.add(calls.part);
        }
        Ok(report)
    }
}

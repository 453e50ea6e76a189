//! The processes of a distributed system: `deploy/services` as Rust values.
//!
//! Tests that start, break or measure a system take names and ports from here, as
//! `deploy/dev` takes them from the same file. The tests of this crate compare the files
//! that are written by hand (docker-compose.yml, defaults) with the table.
//!
//! # Panics
//! Every function panics when the table is malformed or has no such process: the table is
//! part of the program.

#[cfg(test)]
mod compose;
#[cfg(test)]
mod defaults;

use std::sync::LazyLock;

const TABLE: &str = include_str!("../../../deploy/services");

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name in `deploy/dev` and docker-compose.yml.
    pub name: &'static str,
    /// The crate and its binary; `None` for a backend.
    pub binary: Option<&'static str>,
    /// The port of the first process.
    pub port: u16,
    /// The port of health and metrics of the first process; `None` for a backend.
    pub admin: Option<u16>,
    /// Replicas at most; 1: the process has no number.
    pub most: u16,
    /// The backends and services that it connects to.
    pub uses: Vec<&'static str>,
    /// Environment variables with its own secrets.
    pub secrets: Vec<&'static str>,
}

/// All entries, services before backends, in the order of the table.
pub fn entries() -> &'static [Entry] {
    static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| parse(TABLE));
    &ENTRIES
}

/// The entries that have a binary of ours.
pub fn services() -> impl Iterator<Item = &'static Entry> {
    entries().iter().filter(|entry| entry.binary.is_some())
}

/// The databases and brokers.
pub fn backends() -> impl Iterator<Item = &'static Entry> {
    entries().iter().filter(|entry| entry.binary.is_none())
}

/// The entry that a process is of: that of `message-2` is `message`.
///
/// # Panics
/// When the table has none.
pub fn entry(process: &str) -> &'static Entry {
    let (name, _) = parts(process);
    let found = entries().iter().find(|entry| entry.name == name);
    found.unwrap_or_else(|| panic!("deploy/services has no {process}"))
}

/// The port of a process, without an offset.
///
/// # Panics
/// When the table has no such process.
pub fn port(process: &str) -> u16 {
    entry(process).port + parts(process).1 - 1
}

/// The port of a process's health and metrics, without an offset; backends have none.
///
/// # Panics
/// When the table has no such process.
pub fn admin_port(process: &str) -> Option<u16> {
    Some(entry(process).admin? + parts(process).1 - 1)
}

impl Entry {
    /// The names of its processes when it has `count` replicas.
    pub fn processes(&self, count: u16) -> Vec<String> {
        if self.most == 1 {
            vec![self.name.to_owned()]
        } else {
            let numbered = |number| format!("{}-{number}", self.name);
            (1..=count).map(numbered).collect()
        }
    }

    /// The key under which `deploy/dev/up` keeps the number of replicas in `conf/settings`;
    /// `None` when it is not replicated.
    pub fn count_key(&self) -> Option<String> {
        (self.most > 1).then(|| format!("{}S", self.name.to_uppercase()))
    }

    /// The environment variable of a configuration key: `LOG__LEVEL` becomes
    /// `PARLEY_USER__LOG__LEVEL`.
    pub fn variable(&self, key: &str) -> String {
        format!("PARLEY_{}__{key}", self.name.to_uppercase())
    }
}

/// The service's name and the number from 1 that a process's name is made of.
fn parts(process: &str) -> (&str, u16) {
    let numbered = process
        .rsplit_once('-')
        .and_then(|(name, number)| Some((name, number.parse().ok()?)));
    numbered.unwrap_or((process, 1))
}

fn parse(table: &'static str) -> Vec<Entry> {
    let lines = table.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let entries: Vec<Entry> = lines.map(parse_line).collect();
    assert!(
        entries.is_sorted_by_key(|entry| entry.binary.is_none()),
        "deploy/services has a service after a backend"
    );
    entries
}

fn parse_line(line: &'static str) -> Entry {
    let wrong = || panic!("deploy/services: {line}: expected 7 columns with numbers in 3 to 5");
    let columns: Vec<&str> = line.split_whitespace().collect();
    let [name, binary, port, admin, most, uses, secrets] = columns[..] else {
        wrong()
    };
    let given = |column: &'static str| (column != "-").then_some(column);
    let number = |column: &str| column.parse::<u16>().unwrap_or_else(|_| wrong());
    let list = |column| given(column).into_iter().flat_map(|list| list.split(','));
    Entry {
        name,
        binary: given(binary),
        port: number(port),
        admin: given(admin).map(number),
        most: number(most),
        uses: list(uses).collect(),
        secrets: list(secrets).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_moves_the_ports() {
        assert_eq!(port("message-1"), entry("message").port);
        assert_eq!(port("message-3"), entry("message").port + 2);
        assert_eq!(
            admin_port("gateway-2"),
            entry("gateway").admin.map(|it| it + 1)
        );
        assert_eq!(admin_port("kafka"), None);
    }

    #[test]
    fn only_a_replicated_service_has_numbers() {
        assert_eq!(entry("message").processes(2), ["message-1", "message-2"]);
        assert_eq!(entry("rooms").processes(2), ["rooms"]);
        assert_eq!(entry("gateway").count_key().as_deref(), Some("GATEWAYS"));
        assert_eq!(entry("rooms").count_key(), None);
    }

    #[test]
    fn what_a_process_uses_is_in_the_table() {
        for used in entries().iter().flat_map(|entry| &entry.uses) {
            assert_eq!(entry(used).name, *used);
        }
    }

    #[test]
    fn no_two_processes_have_a_port_in_common() {
        let mut ports: Vec<u16> = Vec::new();
        for entry in entries() {
            let firsts = [Some(entry.port), entry.admin];
            for first in firsts.into_iter().flatten() {
                ports.extend(first..first + entry.most);
            }
        }
        // The controller of Kafka.
        ports.push(port("kafka") + 1);
        let count = ports.len();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), count, "{ports:?}");
        // The kernel takes ports for outgoing connections from 32768 on; the largest offset
        // of `deploy/dev/up` is 3600.
        assert!(ports.iter().all(|port| port + 3_600 < 32_768));
    }

    #[test]
    #[should_panic(expected = "deploy/services: user user-service 9101")]
    fn a_line_with_a_column_missing_is_refused() {
        parse("user user-service 9101 9201 1 -");
    }
}

//! The services' embedded defaults against the table, and against the defaults that they share.

use std::collections::BTreeSet;

use super::{Entry, entry, services};
use toml::{Table, Value};

fn table(path: &str) -> Table {
    let path = format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.parse()
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn defaults(service: &Entry) -> Table {
    table(&format!("{}/config.default.toml", service.binary.unwrap()))
}

fn shared() -> Table {
    table("kernel/runtime/config.shared.toml")
}

#[test]
fn a_service_without_replicas_listens_where_the_table_says() {
    for service in services().filter(|service| service.most == 1) {
        let defaults = defaults(service);
        let local = |port: u16| Value::from(format!("127.0.0.1:{port}"));
        let (name, admin) = (service.name, service.admin.unwrap());
        assert_eq!(defaults["listen"], local(service.port), "{name}");
        assert_eq!(
            defaults["process"]["admin"]["listen"],
            local(admin),
            "{name}"
        );
    }
}

#[test]
fn a_service_is_configured_for_what_it_uses() {
    for service in services() {
        let (name, defaults) = (service.name, defaults(service));
        let mut used: BTreeSet<&str> = defaults
            .get("services")
            .and_then(Value::as_table)
            .into_iter()
            .flat_map(|table| table.keys().map(String::as_str))
            .collect();
        used.extend(
            ["postgres", "redis", "kafka"]
                .iter()
                .filter(|it| defaults.contains_key(**it)),
        );
        assert_eq!(used, service.uses.iter().copied().collect(), "{name}");
    }
}

#[test]
fn a_service_looks_for_another_where_that_listens() {
    for service in services() {
        let defaults = defaults(service);
        let used = service.uses.iter().map(|used| entry(used));
        for used in used.filter(|used| used.binary.is_some() && used.most == 1) {
            let expected = Value::from(format!("127.0.0.1:{}", used.port));
            let (name, key) = (service.name, used.name);
            assert_eq!(
                defaults["services"][key], expected,
                "services.{key} of {name}"
            );
        }
    }
}

/// The paths of keys that both tables have with the same value.
fn repeated(own: &Table, shared: &Table, path: &str, found: &mut Vec<String>) {
    for (key, value) in own {
        let path = format!("{path}.{key}");
        match (value, shared.get(key)) {
            (Value::Table(own), Some(Value::Table(shared))) => {
                repeated(own, shared, &path, found);
            }
            (value, Some(other)) if value == other => found.push(path),
            _ => {}
        }
    }
}

#[test]
fn a_shared_default_stands_in_one_file() {
    for service in services() {
        let mut found = Vec::new();
        repeated(&defaults(service), &shared(), service.name, &mut found);
        assert!(found.is_empty(), "in config.shared.toml as well: {found:?}");
    }
}

#[test]
fn a_section_that_services_have_in_common_is_shared() {
    // Every service calls others of its own.
    let own = ["services"];
    let shared = shared();
    let mut sections = BTreeSet::new();
    for service in services() {
        let tables = defaults(service).into_iter();
        for (section, _) in tables.filter(|(_, value)| value.is_table()) {
            let is_first = sections.insert(section.clone());
            let is_shared = shared.contains_key(&section) || own.contains(&section.as_str());
            assert!(is_first || is_shared, "{section} of {}", service.name);
        }
    }
}

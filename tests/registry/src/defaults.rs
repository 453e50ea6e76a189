//! The services' embedded defaults against the table.

use std::collections::BTreeSet;

use super::{Entry, entry, services};
use toml::{Table, Value};

fn defaults(service: &Entry) -> Table {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let path = format!("{root}/{}/config.default.toml", service.binary.unwrap());
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.parse()
        .unwrap_or_else(|error| panic!("{path}: {error}"))
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

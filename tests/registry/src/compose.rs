//! docker-compose.yml, deploy/dev/backends.yml and the nginx configuration against the table.
//!
//! The files stay written by hand; a name, port, address, secret or dependency that differs
//! from `deploy/services` fails here.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, backends, entries, entry, services};
use yaml_serde::{Mapping, Value};

/// Containers of a replicated service in docker-compose.yml.
const REPLICAS: u16 = 2;
/// Where the images of the backends listen.
const BACKEND_PORTS: [(&str, u16); 3] = [("postgres", 5432), ("redis", 6379), ("kafka", 9092)];

fn text(path: &str) -> String {
    let path = format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn containers(path: &str) -> Mapping {
    let mut file: Value = yaml_serde::from_str(&text(path)).unwrap();
    file.apply_merge().unwrap();
    file["services"].as_mapping().unwrap().clone()
}

fn names(containers: &Mapping) -> BTreeSet<String> {
    let names = containers.keys().map(|name| name.as_str().unwrap());
    names.map(str::to_owned).collect()
}

fn owned(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
    pairs.iter().map(owned).collect()
}

/// `host:port` of every container of a service, separated by commas.
fn addresses(service: &Entry) -> String {
    let containers = service.processes(REPLICAS);
    let addresses = containers
        .iter()
        .map(|name| format!("{name}:{}", service.port));
    addresses.collect::<Vec<_>>().join(",")
}

/// The environment that the table asks for.
fn expected_environment(service: &Entry) -> BTreeMap<String, String> {
    let mut environment = owned(&[("SERVICE_TOKEN", "${SERVICE_TOKEN:?}")]);
    let mut give = |key: &str, value: String| {
        environment.insert(service.variable(key), value);
    };
    let listen = match service.name {
        "gateway" => "HTTP__LISTEN",
        _ => "LISTEN",
    };
    give(listen, format!("0.0.0.0:{}", service.port));
    give(
        "ADMIN__LISTEN",
        format!("0.0.0.0:{}", service.admin.unwrap()),
    );
    give("LOG__LEVEL", "${LOG_LEVEL:-info}".to_owned());
    for used in &service.uses {
        let port = BACKEND_PORTS.iter().find(|(name, _)| name == used);
        match (*used, port) {
            ("kafka", Some((name, port))) => give("KAFKA__BROKERS", format!("{name}:{port}")),
            (_, Some((name, port))) => {
                let section = name.to_uppercase();
                give(&format!("{section}__HOST"), (*name).to_owned());
                give(&format!("{section}__PORT"), port.to_string());
            }
            (_, None) => {
                let key = format!("SERVICES__{}", used.to_uppercase());
                give(&key, addresses(entry(used)));
            }
        }
    }
    let mut secrets = service.secrets.clone();
    if service.uses.contains(&"postgres") {
        secrets.extend(["POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"]);
    }
    if service.uses.contains(&"redis") {
        secrets.push("REDIS_PASSWORD");
    }
    for secret in secrets {
        environment.insert(secret.to_owned(), format!("${{{secret}:?}}"));
    }
    environment
}

fn environment(container: &Value) -> BTreeMap<String, String> {
    let environment = container["environment"].as_mapping().unwrap();
    let pairs = environment.iter().map(|(key, value)| {
        let key = key.as_str().unwrap().to_owned();
        let value = value.as_str().unwrap_or_else(|| panic!("{key} is no text"));
        (key, value.to_owned())
    });
    pairs.collect()
}

#[test]
fn compose_has_every_process_and_nginx_before_them() {
    let mut expected: BTreeSet<String> = entries()
        .iter()
        .flat_map(|entry| entry.processes(REPLICAS))
        .collect();
    expected.insert("nginx".to_owned());
    assert_eq!(names(&containers("docker-compose.yml")), expected);
}

#[test]
fn every_container_runs_its_binary_from_the_dockerfile() {
    let containers = containers("docker-compose.yml");
    for service in services() {
        let binary = service.binary.unwrap();
        for name in service.processes(REPLICAS) {
            let container = &containers[name.as_str()];
            let build = &container["build"];
            assert_eq!(build["args"]["SERVICE"], binary, "{name}");
            assert_eq!(build["dockerfile"], "deploy/Dockerfile", "{name}");
            assert_eq!(container["image"], format!("parley/{binary}"), "{name}");
        }
    }
}

#[test]
fn every_container_has_the_environment_that_the_table_asks_for() {
    let containers = containers("docker-compose.yml");
    for service in services() {
        for name in service.processes(REPLICAS) {
            let mut has = environment(&containers[name.as_str()]);
            for (key, expected) in expected_environment(service) {
                let value = has.remove(&key);
                assert_eq!(value.as_ref(), Some(&expected), "{key} of {name}");
            }
            // What is left is this service's own: other keys, and secrets that came before.
            let own = service.variable("");
            let previous = |key: &str| {
                let secret = key.strip_suffix("_PREVIOUS");
                secret.is_some_and(|it| service.secrets.contains(&it))
            };
            for key in has.keys() {
                assert!(key.starts_with(&own) || previous(key), "{key} of {name}");
            }
        }
    }
}

#[test]
fn every_container_starts_after_what_it_uses() {
    let containers = containers("docker-compose.yml");
    for service in services() {
        let used = service.uses.iter().map(|used| entry(used));
        let expected: BTreeSet<String> = used.flat_map(|it| it.processes(REPLICAS)).collect();
        for name in service.processes(REPLICAS) {
            let depends = containers[name.as_str()].get("depends_on");
            let depends = depends.and_then(Value::as_mapping);
            let depends = depends.cloned().unwrap_or_default();
            assert_eq!(names(&depends), expected, "{name}");
            for (on, how) in depends {
                assert_eq!(how["condition"], "service_healthy", "{name} on {on:?}");
            }
        }
    }
}

#[test]
fn nginx_stands_before_every_gateway() {
    let configuration = text("deploy/nginx/nginx.conf");
    let servers: Vec<&str> = configuration
        .lines()
        .filter_map(|line| line.trim().strip_prefix("server ")?.split(' ').next())
        .filter(|server| server.contains(':'))
        .collect();
    let gateway = entry("gateway");
    assert_eq!(servers.join(","), addresses(gateway));
    let containers = containers("docker-compose.yml");
    let depends = containers["nginx"]["depends_on"].as_mapping().unwrap();
    let gateways: BTreeSet<String> = gateway.processes(REPLICAS).into_iter().collect();
    assert_eq!(names(depends), gateways);
}

#[test]
fn the_backends_of_the_development_system_are_those_of_the_table() {
    let expected: BTreeSet<String> = backends().map(|entry| entry.name.to_owned()).collect();
    assert_eq!(names(&containers("deploy/dev/backends.yml")), expected);
    let script = text("deploy/dev/backends.sh");
    for backend in backends() {
        for function in ["start", "ready"] {
            let function = format!("{function}_{}() ", backend.name);
            assert!(
                script.contains(&function),
                "deploy/dev/backends.sh has no {function}"
            );
        }
    }
}

#[test]
fn the_image_is_built_from_the_table() {
    let reads = "awk '/^[a-z]/ && $2 != \"-\" { print $2 }' deploy/services";
    assert!(text("deploy/Dockerfile").contains(reads));
    let ignored = text(".dockerignore");
    assert!(ignored.lines().any(|line| line == "!deploy/services"));
}

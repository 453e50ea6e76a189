//! The original's five configuration files, each read by the service that has its place.

use std::path::Path;

use runtime::config::{Environment, Loaded, ServiceConfig, load};
use tempfile::TempDir;

/// Writes a file and reads it the way the original's binaries found theirs, with another
/// named by `CONFIG_PATH` that does not count beside the service's own name.
fn read<C: ServiceConfig>(text: &str) -> Loaded<C> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("config.yaml");
    std::fs::write(&path, text).unwrap();
    let named = |name: &str, path: &Path| (name.to_owned(), path.display().to_string());
    let own = format!("{}_CONFIG_PATH", C::NAME.to_uppercase());
    let by_own_name = Environment::from([
        named(&own, &path),
        named("CONFIG_PATH", &dir.path().join("none.yaml")),
    ]);
    load::<C>(None, &by_own_name).unwrap();
    load::<C>(None, &Environment::from([named("CONFIG_PATH", &path)])).unwrap()
}

const DATABASES: &str = "
postgres: {host: db, port: 5432, user: chat, password: secret, dbname: chat, sslmode: disable}
redis: {host: cache, port: 6379, password: secret}
";

#[test]
fn the_gateways() {
    let text = "
log_level: info
http: {host: 0.0.0.0, port: 8080}
websocket: {read_buffer_size: 1024, write_buffer_size: 1024, queue: 9}
services:
  user: {host: user, port: 50051}
  session: {host: session, port: 50052}
  rooms: {host: rooms, port: 50053}
  message: {host: message, port: 50054}
kafka: {brokers: [kafka:9092], topic: messages, group_id: gateway}
";
    let loaded = read::<gateway::Config>(text);
    assert_eq!(loaded.config.http.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(loaded.config.websocket.queue, 9);
    assert_eq!(loaded.config.services.rooms.to_string(), "rooms:50053");
    assert_eq!(loaded.config.kafka.brokers.0[0].to_string(), "kafka:9092");
    let mut ignored = loaded.ignored;
    ignored.sort();
    let expected = [
        "kafka.group_id",
        "kafka.topic",
        "websocket.read_buffer_size",
        "websocket.write_buffer_size",
    ];
    assert_eq!(ignored, expected);
}

#[test]
fn the_user_services() {
    let loaded =
        read::<user_service::Config>(&format!("log_level: warning\nport: 50051{DATABASES}"));
    assert_eq!(loaded.config.listen.to_string(), "0.0.0.0:50051");
    let postgres = &loaded.config.postgres;
    assert_eq!((&*postgres.host, &*postgres.db), ("db", "chat"));
    assert_eq!(loaded.config.redis.host, "cache");
    assert_eq!(loaded.ignored, ["postgres.sslmode"]);
}

#[test]
fn the_session_services() {
    let text = format!("port: 50052\nexpire: 24h{DATABASES}");
    let loaded = read::<session_service::Config>(&text);
    assert_eq!(loaded.config.listen.port(), 50_052);
    assert_eq!(loaded.config.expire.0.as_secs(), 24 * 3_600);
    assert!(loaded.ignored.contains(&"redis.host".to_owned()));
}

#[test]
fn the_rooms_services() {
    let text = format!("port: 50053\nservices: {{message: 'message:50054'}}{DATABASES}");
    let loaded = read::<rooms_service::Config>(&text);
    assert_eq!(loaded.config.listen.port(), 50_053);
    let replicas = &loaded.config.services.message.0;
    assert_eq!(replicas[0].to_string(), "message:50054");
}

#[test]
fn the_message_services() {
    let text = "
port: 50054
postgres: {host: db, port: 5432, username: chat, dbname: chat}
kafka: {host: kafka, port: 9092, topic: messages}
";
    let loaded = read::<message_service::Config>(text);
    assert_eq!(loaded.config.listen.port(), 50_054);
    assert_eq!(loaded.config.kafka.brokers.0[0].to_string(), "kafka:9092");
    assert_eq!(loaded.ignored, ["kafka.topic"]);
}

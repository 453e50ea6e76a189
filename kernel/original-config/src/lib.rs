//! Reads what the original system's files and environment said, in our words.
//! `runtime::config` calls it; nothing else knows the original's names.
//!
//! Its five `config.yaml` files have the keys http, websocket, services, kafka,
//! postgres, redis, `log_level`, expire and port. What means something here is
//! moved to where it belongs; the rest is named in a warning and dropped.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

/// The environment names of the original, and where their values belong.
pub const ENVIRONMENT: [(&str, &[&str]); 7] = [
    ("POSTGRES_USER", &["postgres", "user"]),
    ("POSTGRES_PASSWORD", &["postgres", "password"]),
    ("POSTGRES_DB", &["postgres", "db"]),
    ("REDIS_PASSWORD", &["redis", "password"]),
    ("JWT_SECRET", &["jwt_secret"]),
    ("JWT_SECRET_PREVIOUS", &["jwt_secret_previous"]),
    ("SERVICE_TOKEN", &["process", "service_token"]),
];

/// Keys that the original's sections may have and that mean nothing here.
const WITHOUT_MEANING: [&str; 10] = [
    "websocket",
    "topic",
    "topics",
    "group_id",
    "groupid",
    "group",
    "sslmode",
    "driver",
    "timeout",
    "pool_size",
];

/// The file that the environment names for a service: `<NAME>_CONFIG_PATH`, else
/// `CONFIG_PATH`. An empty value names none.
pub fn file(name: &str, environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let named = |variable: &str| {
        environment
            .get(variable)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    };
    let own = format!("{}_CONFIG_PATH", name.to_uppercase());
    named(&own).or_else(|| named("CONFIG_PATH"))
}

/// What a file said.
#[derive(Debug, Default, PartialEq)]
pub struct Translated {
    /// Values with the paths of keys at which they belong, in the order of the file.
    pub settings: Vec<(Vec<String>, Value)>,
    /// Keys that mean nothing here.
    pub ignored: Vec<String>,
}

/// Translates the tree of one file. `known` says whether a path of keys exists in
/// this process's own configuration. A key is ignored when the original had it and this
/// process does not; in a `strict` file, which the original did not have, only when it has
/// no meaning in any process.
pub fn translate(
    file: Map<String, Value>,
    strict: bool,
    known: &dyn Fn(&[&str]) -> bool,
) -> Translated {
    let mut out = Translation {
        known,
        strict,
        translated: Translated::default(),
    };
    for (key, value) in file {
        out.top(&key, value);
    }
    out.translated
}

struct Translation<'a> {
    known: &'a dyn Fn(&[&str]) -> bool,
    strict: bool,
    translated: Translated,
}

impl Translation<'_> {
    fn top(&mut self, key: &str, value: Value) {
        let folded = key.to_lowercase();
        match (folded.as_str(), value) {
            // A section without a key.
            (_, Value::Null) => {}
            ("log_level" | "loglevel", level) => self.put(&["process", "log", "level"], level, key),
            ("expire", span) => self.put(&["expire"], span, key),
            ("port", port) => self.put(&["listen"], listen(&port), key),
            ("http", Value::Object(http)) => self.http(http),
            ("postgres", Value::Object(section)) => self.section("postgres", section),
            ("redis", Value::Object(section)) => self.section("redis", section),
            ("kafka", Value::Object(section)) => self.section("kafka", section),
            ("websocket", Value::Object(section)) => self.section("websocket", section),
            ("services", Value::Object(services)) => {
                for (service, address) in services {
                    self.service(&service, address);
                }
            }
            (_, value) => self.put(&[key], value, key),
        }
    }

    fn service(&mut self, service: &str, address: Value) {
        let name = service.to_lowercase();
        let name = name
            .trim_end_matches("service")
            .trim_end_matches(['-', '_']);
        let name = match name {
            "users" => "user",
            "sessions" => "session",
            "room" => "rooms",
            "messages" => "message",
            name => name,
        };
        let said = format!("services.{service}");
        let address = match address {
            Value::Object(parts) => self.one_address(parts, &said),
            address => Some(address),
        };
        if let Some(address) = address {
            self.put(&["services", name], address, &said);
        }
    }

    /// The address that `host` and `port`, or `address` alone, make; the rest is named.
    fn one_address(&mut self, parts: Map<String, Value>, said: &str) -> Option<Value> {
        let (mut host, mut port, mut whole) = (None, None, None);
        for (key, value) in parts {
            match key.to_lowercase().as_str() {
                "host" => host = Some(plain(&value)),
                "port" => port = Some(plain(&value)),
                "addr" | "address" => whole = Some(value),
                _ => self.translated.ignored.push(format!("{said}.{key}")),
            }
        }
        match (host, port) {
            (Some(host), Some(port)) => Some(json!(format!("{host}:{}", digits(&port)))),
            _ => whole,
        }
    }

    fn http(&mut self, section: Map<String, Value>) {
        let (mut host, mut port) = (None, None);
        for (key, value) in section {
            match key.to_lowercase().as_str() {
                "host" => host = value.as_str().map(str::to_owned),
                "port" => port = Some(value),
                "addr" | "address" => self.put(&["http", "listen"], value, "http.address"),
                _ => self.put(&["http", &key], value, &format!("http.{key}")),
            }
        }
        if let Some(port) = port {
            let listen = match host.as_deref() {
                None | Some("") => listen(&port),
                // Go resolves the name; an address is listened on here.
                Some("localhost") => json!(format!("127.0.0.1:{}", digits(&plain(&port)))),
                Some(host) => json!(format!("{host}:{}", digits(&plain(&port)))),
            };
            self.put(&["http", "listen"], listen, "http.port");
        }
    }

    fn section(&mut self, name: &str, mut section: Map<String, Value>) {
        if name == "kafka" && !section.contains_key("brokers") {
            let of_broker = |key: &String| matches!(key.to_lowercase().as_str(), "host" | "port");
            let parts = section.keys().filter(|key| of_broker(key)).cloned();
            let parts: Vec<String> = parts.collect();
            let parts = parts.iter().filter_map(|key| section.remove_entry(key));
            if let Some(broker) = self.one_address(parts.collect(), name) {
                section.insert("brokers".to_owned(), broker);
            }
        }
        for (key, value) in section {
            let whole = format!("{name}.{key}");
            let folded = key.to_lowercase();
            match (name, folded.as_str()) {
                ("postgres", "username") => self.put(&[name, "user"], value, &whole),
                ("postgres", "dbname" | "database" | "db_name" | "name") => {
                    self.put(&[name, "db"], value, &whole);
                }
                ("kafka", "broker" | "address" | "addr" | "addresses" | "hosts") => {
                    self.put(&[name, "brokers"], value, &whole);
                }
                ("postgres" | "redis", "addr" | "address") => {
                    let text = plain(&value);
                    let (host, port) = text.rsplit_once(':').unwrap_or((&text, ""));
                    self.put(&[name, "host"], json!(host), &whole);
                    if !port.is_empty() {
                        self.put(&[name, "port"], json!(port), &whole);
                    }
                }
                (_, folded) => self.put(&[name, folded], value, &whole),
            }
        }
    }

    /// Puts a value where it belongs. A key of the original that has no place here
    /// is warned about; any other goes through, for the typed reader to refuse.
    fn put(&mut self, path: &[&str], value: Value, said: &str) {
        let original = said.split('.').next().is_some_and(|top| {
            matches!(
                top.to_lowercase().as_str(),
                "http"
                    | "websocket"
                    | "services"
                    | "kafka"
                    | "postgres"
                    | "redis"
                    | "log_level"
                    | "loglevel"
                    | "expire"
                    | "port"
            )
        });
        let meaningless = said
            .split('.')
            .any(|part| WITHOUT_MEANING.contains(&part.to_lowercase().as_str()));
        if !(self.known)(path) && (original && !self.strict || meaningless) {
            self.translated.ignored.push(said.to_owned());
            return;
        }
        let path = path.iter().map(|&key| key.to_owned()).collect();
        self.translated.settings.push((path, value));
    }
}

fn listen(port: &Value) -> Value {
    json!(format!("0.0.0.0:{}", digits(&plain(port))))
}

/// The number of a port as Go writes it: `:8080`.
fn digits(port: &str) -> &str {
    port.trim_start_matches(':')
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that knows what the five processes know together.
    fn known(path: &[&str]) -> bool {
        matches!(
            path,
            ["process", "log", "level"]
                | ["expire" | "listen"]
                | ["http", "listen"]
                | ["services", "user" | "session" | "rooms" | "message"]
                | ["kafka", "brokers"]
                | ["postgres", "host" | "port" | "user" | "password" | "db"]
                | ["redis", "host" | "port" | "password"]
        )
    }

    /// The settings as `path.of.keys = value` in the order of their paths, and the keys
    /// that were ignored.
    fn translated(file: Value, strict: bool) -> (Vec<String>, Vec<String>) {
        let Value::Object(file) = file else {
            panic!("a file is an object");
        };
        let translated = translate(file, strict, &known);
        let settings = translated.settings.iter();
        let settings = settings.map(|(path, value)| format!("{} = {value}", path.join(".")));
        let mut settings: Vec<String> = settings.collect();
        settings.sort();
        (settings, translated.ignored)
    }

    #[test]
    fn a_services_own_file_counts_before_the_common_one() {
        let environment = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(name, path)| ((*name).to_owned(), (*path).to_owned()))
                .collect()
        };
        let both = environment(&[("USER_CONFIG_PATH", "own"), ("CONFIG_PATH", "common")]);
        assert_eq!(file("user", &both), Some("own".into()));
        assert_eq!(file("rooms", &both), Some("common".into()));
        let empty = environment(&[("USER_CONFIG_PATH", ""), ("CONFIG_PATH", "common")]);
        assert_eq!(file("user", &empty), Some("common".into()));
        assert_eq!(file("user", &environment(&[])), None);
    }

    #[test]
    fn the_originals_gateway_file_says_what_it_said() {
        let file = json!({
            "log_level": "debug",
            "http": {"host": "0.0.0.0", "port": 8080},
            "websocket": {"read_buffer_size": 1024},
            "services": {
                "user": "users:50051",
                "session_service": {"host": "sessions", "port": 50052},
                "rooms": "rooms:50053",
                "messages": "messages:50054",
            },
            "kafka": {"brokers": ["kafka:9092"], "topic": "messages", "group_id": "gateway"},
        });
        let (settings, ignored) = translated(file, false);
        let expected = [
            r#"http.listen = "0.0.0.0:8080""#,
            r#"kafka.brokers = ["kafka:9092"]"#,
            r#"process.log.level = "debug""#,
            r#"services.message = "messages:50054""#,
            r#"services.rooms = "rooms:50053""#,
            r#"services.session = "sessions:50052""#,
            r#"services.user = "users:50051""#,
        ];
        assert_eq!(settings, expected);
        assert_eq!(
            ignored,
            [
                "kafka.group_id",
                "kafka.topic",
                "websocket.read_buffer_size"
            ]
        );
    }

    #[test]
    fn the_originals_service_files_say_what_they_said() {
        let file = json!({
            "port": 50052,
            "expire": "24h",
            "postgres": {"host": "db", "port": 5432, "username": "chat", "dbname": "chat", "sslmode": "disable"},
            "redis": {"addr": "cache:6379"},
        });
        let (settings, ignored) = translated(file, false);
        let expected = [
            r#"expire = "24h""#,
            r#"listen = "0.0.0.0:50052""#,
            r#"postgres.db = "chat""#,
            r#"postgres.host = "db""#,
            "postgres.port = 5432",
            r#"postgres.user = "chat""#,
            r#"redis.host = "cache""#,
            r#"redis.port = "6379""#,
        ];
        assert_eq!(settings, expected);
        assert_eq!(ignored, ["postgres.sslmode"]);
    }

    #[test]
    fn an_address_may_be_written_in_parts_as_go_writes_it() {
        let file = json!({
            "http": {"host": "localhost", "port": ":8080"},
            "services": {"user": {"port": ":50051", "host": "users", "timeout": "5s"}},
            "kafka": {"Host": "kafka", "Port": 9092, "topic": "messages"},
            "websocket": null,
            "redis": null,
        });
        let (settings, ignored) = translated(file, false);
        let expected = [
            r#"http.listen = "127.0.0.1:8080""#,
            r#"kafka.brokers = "kafka:9092""#,
            r#"services.user = "users:50051""#,
        ];
        assert_eq!(settings, expected);
        assert_eq!(ignored, ["kafka.topic", "services.user.timeout"]);
    }

    #[test]
    fn a_strict_file_has_no_unknown_key_but_the_originals() {
        let file = json!({"postgres": {"conections": 50, "sslmode": "disable"}});
        let (settings, ignored) = translated(file, true);
        assert_eq!(settings, ["postgres.conections = 50"]);
        assert_eq!(ignored, ["postgres.sslmode"]);
    }

    #[test]
    fn a_key_of_nobodys_is_left_for_the_typed_reader_to_refuse() {
        let (settings, ignored) = translated(json!({"limitz": {"enabled": false}}), false);
        assert_eq!(settings, [r#"limitz = {"enabled":false}"#]);
        assert!(ignored.is_empty());
    }
}

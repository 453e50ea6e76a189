//! Defaults, then a file, then the environment, into one typed value.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base::Error;
use config::{Config, File, FileFormat};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::ServiceConfig;
use crate::levels;

/// The defaults of the sections that several services have.
const SHARED: &str = include_str!("../../config.shared.toml");

/// The environment as a value, so that tests bring their own.
pub type Environment = BTreeMap<String, String>;

/// This process's environment. What is no Unicode is nobody's setting here.
pub fn environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// A configuration, and what is to be said about how it came to be.
#[derive(Debug)]
pub struct Loaded<C> {
    /// The configuration.
    pub config: C,
    /// Keys of the original's file that mean nothing here.
    pub ignored: Vec<String>,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

/// Reads the configuration of a process. The file is `file`, else the one named by
/// `<NAME>_CONFIG_PATH`, else by `CONFIG_PATH`.
///
/// # Errors
/// Names the key at fault and says what is wrong with it.
pub fn load<C: ServiceConfig>(
    file: Option<&Path>,
    environment: &Environment,
) -> base::Result<Loaded<C>> {
    let defaults = defaults(C::DEFAULTS)?;
    let name = C::NAME.to_uppercase();
    let file = file
        .map(Path::to_path_buf)
        .or_else(|| original_config::file(C::NAME, environment));

    let known = |path: &[&str]| knows(&defaults, path);
    let mut ignored = Vec::new();
    let mut builder = Config::builder().add_source(source(&defaults)?);
    if let Some(path) = &file {
        let tree: Map<_, _> =
            parse(Config::builder().add_source(read(path)?)).map_err(|error| {
                Error::invalid("configuration", format!("{}: {error}", path.display()))
            })?;
        let translated = original_config::translate(tree, is_toml(path), &known);
        ignored = translated.ignored;
        let mut tree = Map::new();
        for (path, value) in translated.settings {
            insert(&mut tree, &path, value);
        }
        builder = builder.add_source(source(&Value::Object(tree))?);
    }
    let overlay = from_environment(&name, environment, &defaults);
    let tree = parse(builder.add_source(source(&overlay)?))
        .map_err(|error| Error::invalid("configuration", error))?;
    let config = Config::builder()
        .add_source(source(&without_unset(tree))?)
        .build()
        .and_then(Config::try_deserialize::<C>)
        .map_err(|error| Error::invalid("configuration", error))?;
    config.check()?;
    levels::filter(&config.process().log.level)?;
    Ok(Loaded {
        config,
        ignored,
        file,
    })
}

/// A service's own defaults over those of the shared sections that it names.
fn defaults(own: &str) -> base::Result<Value> {
    let read = |text| parse(Config::builder().add_source(File::from_str(text, FileFormat::Toml)));
    let wrong = |error| Error::internal(format!("embedded defaults: {error}"));
    let own: Map<String, Value> = read(own).map_err(wrong)?;
    let mut shared: Map<String, Value> = read(SHARED).map_err(wrong)?;
    shared.retain(|section, _| own.contains_key(section));
    let layers = Config::builder()
        .add_source(source(&Value::Object(shared))?)
        .add_source(source(&Value::Object(own))?);
    parse(layers).map_err(wrong)
}

fn parse<T: DeserializeOwned>(
    builder: config::ConfigBuilder<config::builder::DefaultState>,
) -> Result<T, config::ConfigError> {
    builder.build()?.try_deserialize()
}

/// A file by its ending: `.toml`, else YAML, as the original had it.
fn read(path: &Path) -> base::Result<File<config::FileSourceString, FileFormat>> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::invalid(
            "configuration",
            format!("cannot read {}: {error}", path.display()),
        )
    })?;
    let format = if is_toml(path) {
        FileFormat::Toml
    } else {
        FileFormat::Yaml
    };
    Ok(File::from_str(&text, format))
}

fn is_toml(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("toml"))
}

fn source(tree: &Value) -> base::Result<File<config::FileSourceString, FileFormat>> {
    // JSON is YAML (YAML 1.2, section 1.3), so the tree needs no reader of its own.
    let text = serde_json::to_string(tree).map_err(Error::internal)?;
    Ok(File::from_str(&text, FileFormat::Yaml))
}

/// `PARLEY_<NAME>__SECTION__KEY`, and the original's names where this process has
/// such a key. Nothing else is read: container platforms put much there. An empty value
/// unsets an optional key, empties a list, and leaves any other as it is.
fn from_environment(name: &str, environment: &Environment, defaults: &Value) -> Value {
    let known = |path: &[&str]| knows(defaults, path);
    let mut tree = Map::new();
    for (key, path) in original_config::ENVIRONMENT {
        if let Some(value) = environment.get(key).filter(|value| !value.is_empty())
            && known(path)
        {
            insert(&mut tree, path, json!(value));
        }
    }
    let prefix = format!("PARLEY_{name}__");
    for (key, value) in environment {
        if let Some(rest) = key.strip_prefix(&prefix) {
            let lower = rest.to_lowercase();
            let mut path: Vec<&str> = lower.split("__").collect();
            // The process section is implied for the names that people use most.
            if matches!(path[0], "service_token" | "admin" | "log" | "grace" | "tls")
                && !known(&path[..1])
            {
                path.insert(0, "process");
            }
            match find(defaults, &path) {
                Some(Value::Array(_)) if value.is_empty() => {
                    insert(&mut tree, &path, json!([]));
                }
                Some(default) if value.is_empty() && default.as_str() != Some("") => {}
                _ => insert(&mut tree, &path, json!(value)),
            }
        }
    }
    Value::Object(tree)
}

/// The tree without keys whose value is an empty string: that is how an optional
/// key says that it is not set.
fn without_unset(tree: Value) -> Value {
    match tree {
        Value::Object(keys) => keys
            .into_iter()
            .filter(|(_, value)| value.as_str() != Some(""))
            .map(|(key, value)| (key, without_unset(value)))
            .collect(),
        tree => tree,
    }
}

/// Whether the defaults have this path. An optional key stands there as an empty string.
fn knows(defaults: &Value, path: &[&str]) -> bool {
    find(defaults, path).is_some()
}

fn find<'a>(tree: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(tree, |at, key| at.get(key))
}

/// Sets the value at a path of keys, making the objects on the way.
fn insert<K: AsRef<str>>(tree: &mut Map<String, Value>, path: &[K], value: Value) {
    match path {
        [] => {}
        [key] => {
            tree.insert(key.as_ref().to_owned(), value);
        }
        [key, rest @ ..] => {
            let inner = tree.entry(key.as_ref()).or_insert_with(|| json!({}));
            if !inner.is_object() {
                *inner = json!({});
            }
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_the_shared_sections_that_it_names_and_its_own_values_count() {
        let own =
            "[process.admin]\nlisten = \"127.0.0.1:1\"\n[postgres]\nconnections = 3\n[redis]\n";
        let defaults = defaults(own).unwrap();
        assert_eq!(
            find(&defaults, &["process", "admin", "listen"]),
            Some(&json!("127.0.0.1:1"))
        );
        assert_eq!(
            find(&defaults, &["process", "log", "level"]),
            Some(&json!("info"))
        );
        assert_eq!(
            find(&defaults, &["postgres", "connections"]),
            Some(&json!(3))
        );
        assert_eq!(find(&defaults, &["postgres", "port"]), Some(&json!(5432)));
        assert_eq!(find(&defaults, &["redis", "port"]), Some(&json!(6379)));
        assert!(!knows(&defaults, &["kafka"]));
    }
}

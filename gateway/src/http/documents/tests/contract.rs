//! The structure of the OpenAPI document, beside the one that was reviewed last.
//!
//! `contract.txt` has a line for each operation and each component: paths, methods, parameters,
//! bodies, answers, codes and schemas, without descriptions and summaries. A change to the public
//! contract therefore shows in its diff. `PARLEY_UPDATE=1 cargo test -p gateway contract` writes
//! it anew.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use super::super::openapi;
use crate::http::router;

const KEPT: &str = "src/http/documents/tests/contract.txt";

/// A value without what is only words.
fn structure(value: &Value, is_map_of_names: bool) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, inner)| {
                // A property may be called `description`; its value is an object then.
                let words = ["description", "summary"].contains(&key.as_str());
                is_map_of_names || !(words && inner.is_string())
            });
            let kept =
                kept.map(|(key, inner)| (key.clone(), structure(inner, key == "properties")));
            Value::Object(kept.collect())
        }
        Value::Array(list) => list.iter().map(|inner| structure(inner, false)).collect(),
        _ => value.clone(),
    }
}

/// The lines of the document, in its order.
fn lines() -> String {
    let root = serde_json::to_value(openapi::document(router::routes())).unwrap();
    let mut lines = String::new();
    for (path, item) in root["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let mut operation = structure(operation, false);
            without_reasons(&mut operation);
            writeln!(lines, "{method} {path} {operation}").unwrap();
        }
    }
    for (kind, components) in root["components"].as_object().unwrap() {
        for (name, component) in components.as_object().unwrap() {
            let mut component = structure(component, false);
            without_reasons(&mut component);
            writeln!(lines, "{kind} {name} {component}").unwrap();
        }
    }
    lines
}

/// Takes the reason in words out of examples of problems.
fn without_reasons(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.contains_key("detail") && map.contains_key("Code") {
                map.remove("detail");
            }
            map.values_mut().for_each(without_reasons);
        }
        Value::Array(list) => list.iter_mut().for_each(without_reasons),
        _ => {}
    }
}

#[test]
fn the_contract_is_the_one_that_was_reviewed() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(KEPT);
    let now = lines();
    if std::env::var_os("PARLEY_UPDATE").is_some() {
        std::fs::write(&file, &now).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap();
    let (mut kept, mut now) = (kept.lines(), now.lines());
    loop {
        match (kept.next(), now.next()) {
            (None, None) => break,
            (kept, now) => assert_eq!(kept, now, "the contract changed; see this file's head"),
        }
    }
}

//! The documents against the code: wire's parsers and types, and the
//! limits of the contract.

mod asyncapi;
mod contract;
mod openapi;
mod serving;

use serde_json::Value;

/// What a document's `$ref`, if it is one, stands for.
fn resolved<'a>(root: &'a Value, node: &'a Value) -> &'a Value {
    let Some(reference) = node.get("$ref").and_then(Value::as_str) else {
        return node;
    };
    let found = root.pointer(reference.trim_start_matches('#'));
    resolved(
        root,
        found.unwrap_or_else(|| panic!("{reference} leads nowhere")),
    )
}

/// Follows every `$ref` of the document.
fn follow_all(root: &Value, node: &Value) {
    resolved(root, node);
    match node {
        Value::Object(map) => map.values().for_each(|inner| follow_all(root, inner)),
        Value::Array(list) => list.iter().for_each(|inner| follow_all(root, inner)),
        _ => {}
    }
}

/// Asserts that a value is what a schema says, as far as these documents say it; an object
/// has no keys besides.
fn conforms(root: &Value, schema: &Value, value: &Value, at: &str) {
    let schema = resolved(root, schema);
    for alternatives in ["oneOf", "anyOf"] {
        if let Some(some) = schema.get(alternatives).and_then(Value::as_array) {
            let fits = |one| std::panic::catch_unwind(|| conforms(root, one, value, at)).is_ok();
            assert!(some.iter().any(fits), "{at}: {value} is none of {schema}");
            return;
        }
    }
    for part in schema
        .get("allOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        conforms(root, part, value, at);
    }
    if let Some(one) = schema.get("const") {
        assert_eq!(value, one, "{at}");
    }
    if let Some(some) = schema.get("enum").and_then(Value::as_array) {
        assert!(some.contains(value), "{at}: {value}");
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => object_conforms(root, schema, value, at),
        Some("array") => {
            for item in value.as_array().expect(at) {
                conforms(root, &schema["items"], item, at);
            }
        }
        Some("string") => within(
            schema,
            ["minLength", "maxLength"],
            value.as_str().expect(at).chars().count() as u64,
            at,
        ),
        Some("integer") => within(
            schema,
            ["minimum", "maximum"],
            value.as_u64().expect(at),
            at,
        ),
        Some("boolean") => assert!(value.is_boolean(), "{at}: {value}"),
        Some(other) => panic!("{at}: {other}"),
        // An answer has no key that may be null; a body's may.
        None => assert!(
            schema.get("type").is_none() || value.is_string() || value.is_u64(),
            "{at}: {schema}"
        ),
    }
}

fn object_conforms(root: &Value, schema: &Value, value: &Value, at: &str) {
    let value = value.as_object().expect(at);
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    for key in schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        assert!(
            value.contains_key(key.as_str().unwrap()),
            "{at}: {key} is missing"
        );
    }
    let open = schema.get("additionalProperties").is_some();
    for (key, inner) in value {
        match properties.get(key) {
            Some(schema) => conforms(root, schema, inner, &format!("{at}/{key}")),
            None => assert!(open, "{at}: {key} is not documented"),
        }
    }
}

fn within(schema: &Value, [least, most]: [&str; 2], size: u64, at: &str) {
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
    assert!(
        bound(least).is_none_or(|least| size >= least),
        "{at}: {size}"
    );
    assert!(bound(most).is_none_or(|most| size <= most), "{at}: {size}");
}

/// The strings of an array.
fn strings(array: &Value) -> Vec<String> {
    let strings = array.as_array().into_iter().flatten();
    strings
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

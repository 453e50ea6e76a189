//! The table of promises in docs/reliability.md names tests that exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The names of tests in the table: whole sentences in backquotes.
fn named() -> BTreeSet<String> {
    let page = std::fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with('|'));
    let quoted = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    let is_name = |text: &&str| {
        text.matches('_').count() > 2 && text.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    quoted.filter(is_name).map(str::to_owned).collect()
}

/// The text of all sources under `folder`.
fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|it| it == "rs") {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_promise_names_tests_that_exist() {
    let named = named();
    assert!(named.len() > 20, "{named:?}");
    let mut text = String::new();
    for folder in ["tests/e2e/src", "gateway/src"] {
        sources(&root().join(folder), &mut text);
    }
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !text.contains(&format!("fn {name}(")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

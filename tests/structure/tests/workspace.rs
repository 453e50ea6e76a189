//! The workspace keeps the rules that the crate describes.
//!
//! Each list of exceptions is held to the sources as well: an entry that excuses nothing
//! fails, so no list is longer than it must be.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;

use structure::Sources;
use structure::circles::{self, Circle};
use structure::lengths;
use structure::macros::{self, Logic};

/// Macros that may hold logic: the package's folder, the macro, why.
const MACROS: &[(&str, &str, &str)] = &[(
    "kernel/base",
    "id",
    "an id type and its conversions; a `const fn` cannot map an Option, so it has a `match`",
)];

/// Macros whose logic has still to move into functions: the package's folder, the macro.
const MACROS_LEFT: &[(&str, &str)] = &[
    ("tests/e2e", "disruptive_scenarios"),
    ("tests/e2e", "distributed_scenarios"),
    ("tests/e2e", "scenarios"),
];

/// Files that have still to be split.
const LONG: &[&str] = &[
    "gateway/asyncapi.yaml",
    "web/style.css",
    "wire/src/request.rs",
];

#[test]
fn modules_import_each_other_one_way() {
    let found = circles::circles(&sources().unwrap()).unwrap();
    let circles: Vec<String> = found.circles.iter().map(Circle::to_string).collect();
    assert!(circles.is_empty(), "\n{}", circles.join("\n"));
    // A file that is not read cannot be found wrong.
    assert_eq!(found.unread, [""; 0], "files that belong to no crate");
}

#[test]
fn macros_hold_no_logic() {
    let found = macros::logic(&sources().unwrap()).unwrap();
    let found = found.iter().map(|logic| {
        let Logic {
            file,
            line,
            name,
            what,
        } = logic;
        let (package, _) = file.split_once("/src/").unwrap_or((file, ""));
        let text = format!("{file}:{line}: {name}!: {what}");
        ((package, &**name), text)
    });
    let allowed = MACROS.iter().map(|&(package, name, _)| (package, name));
    check(found, allowed.chain(MACROS_LEFT.iter().copied()));
}

#[test]
fn no_file_is_too_long() {
    let sources = sources().unwrap();
    let found = lengths::too_long(&sources).into_iter();
    let found = found.map(|(path, lines)| (path, format!("{path}: {lines} lines")));
    check(found, LONG.iter().copied());
}

fn sources() -> Result<Sources, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Sources::read(&root)
}

/// Holds what was found, each with its key and a text, to the keys that are excused.
fn check<K: Ord + Debug>(
    found: impl IntoIterator<Item = (K, String)>,
    excused: impl IntoIterator<Item = K>,
) {
    let excused: BTreeSet<K> = excused.into_iter().collect();
    let mut unused: BTreeSet<&K> = excused.iter().collect();
    let mut new = Vec::new();
    for (key, text) in found {
        unused.remove(&key);
        if !excused.contains(&key) {
            new.push(text);
        }
    }
    assert!(new.is_empty(), "\n{}", new.join("\n"));
    assert!(unused.is_empty(), "these excuse nothing: {unused:?}");
}

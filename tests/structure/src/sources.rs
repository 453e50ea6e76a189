//! The source files of a workspace, and the crates that they make.

use std::collections::BTreeMap;
use std::path::Path;

/// The kinds of files that people write code in.
const KINDS: [&str; 11] = [
    "css", "html", "js", "mjs", "proto", "py", "rs", "sh", "sql", "toml", "yaml",
];
/// Folders whose files nobody writes by hand.
const GENERATED: [&str; 2] = ["target", "node_modules"];
/// Hidden folders that hold sources all the same.
const HIDDEN: [&str; 2] = [".ci", ".github"];

/// The text of every source file, under its path from the workspace's root.
#[derive(Debug, Default, Clone)]
pub struct Sources(BTreeMap<String, String>);

/// One crate: a package's library, program, integration test or example.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Crate {
    /// The name of its package.
    pub(crate) package: String,
    /// The file that its modules begin in.
    pub(crate) root: String,
}

impl Sources {
    /// Reads all source files below `root`.
    ///
    /// # Errors
    /// When a file or a folder cannot be read.
    pub fn read(root: &Path) -> Result<Self, String> {
        let mut sources = Self::default();
        sources.read_folder(root, "")?;
        Ok(sources)
    }

    /// Makes sources of paths and texts.
    pub fn from_texts<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let own = |(path, text): (&str, &str)| (path.to_owned(), text.to_owned());
        Self(files.into_iter().map(own).collect())
    }

    /// Returns the text of a file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Returns all paths and texts, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, text)| (&**path, &**text))
    }

    /// Returns the paths and texts of Rust files.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().filter(|(path, _)| is_rust(path))
    }

    /// Returns the crates, where Cargo looks for them when a manifest says nothing else.
    pub(crate) fn crates(&self) -> Vec<Crate> {
        let manifests = self.iter().filter_map(|(path, text)| {
            let folder = path.strip_suffix("Cargo.toml")?;
            Some((folder, package_name(text)?))
        });
        let crates = manifests.flat_map(|(folder, package)| {
            let is_root = move |path: &&str| path.strip_prefix(folder).is_some_and(is_crate_root);
            let of_package = move |root: &str| Crate {
                package: package.to_owned(),
                root: root.to_owned(),
            };
            let paths = self.0.keys().map(String::as_str);
            paths.filter(is_root).map(of_package)
        });
        crates.collect()
    }

    fn read_folder(&mut self, root: &Path, prefix: &str) -> Result<(), String> {
        let folder = root.join(prefix);
        let failed = |error| format!("{}: {error}", folder.display());
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            if entry.file_type().map_err(failed)?.is_dir() {
                let is_hidden = name.starts_with('.') && !HIDDEN.contains(&&*name);
                if !is_hidden && !GENERATED.contains(&&*name) {
                    self.read_folder(root, &format!("{path}/"))?;
                }
            } else if is_source(&name) {
                let text = std::fs::read_to_string(entry.path()).map_err(failed)?;
                self.0.insert(path, text);
            }
        }
        Ok(())
    }
}

fn is_source(name: &str) -> bool {
    let kind = Path::new(name).extension();
    kind.is_some_and(|kind| KINDS.iter().any(|it| kind == *it))
}

/// The name in a manifest's `[package]` section, which a workspace's own has not.
fn package_name(manifest: &str) -> Option<&str> {
    let (_, package) = manifest.split_once("[package]")?;
    let names = package.lines().filter_map(|line| line.strip_prefix("name"));
    let value = names.map(|it| it.trim_start().trim_start_matches('=').trim());
    value.map(|it| it.trim_matches('"')).next()
}

/// Whether Cargo makes a crate of this file of a package.
fn is_crate_root(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match parts[..] {
        ["build.rs"] | ["src", "lib.rs" | "main.rs"] => true,
        ["tests" | "examples" | "benches", name] | ["src", "bin", name] => is_rust(name),
        ["tests" | "examples" | "benches", _, name] | ["src", "bin", _, name] => name == "main.rs",
        _ => false,
    }
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|kind| kind == "rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_are_found_where_cargo_looks_for_them() {
        let sources = Sources::from_texts([
            ("Cargo.toml", "[workspace]\nmembers = []"),
            ("a/Cargo.toml", "[package]\nname = \"alpha\"\n"),
            ("a/src/lib.rs", ""),
            ("a/src/inside.rs", ""),
            ("a/src/bin/tool.rs", ""),
            ("a/tests/outside.rs", ""),
            ("a/tests/outside/part.rs", ""),
            ("b/src/lib.rs", ""),
        ]);
        let found = sources.crates();
        let found: Vec<_> = found.iter().map(|it| (&*it.package, &*it.root)).collect();
        let roots = ["a/src/bin/tool.rs", "a/src/lib.rs", "a/tests/outside.rs"];
        assert_eq!(found, roots.map(|root| ("alpha", root)));
    }

    #[test]
    fn what_is_generated_or_hidden_is_not_read() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["src", "target/debug", ".git", ".ci", "web/node_modules"] {
            let folder = root.path().join(folder);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("file.rs"), "").unwrap();
            std::fs::write(folder.join("notes.md"), "").unwrap();
        }
        let sources = Sources::read(root.path()).unwrap();
        let paths: Vec<_> = sources.iter().map(|(path, _)| path).collect();
        assert_eq!(paths, [".ci/file.rs", "src/file.rs"]);
    }
}

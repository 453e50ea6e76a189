//! The modules of a crate: which there are, what each defines and what its code names.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Attribute, Expr, ExprLit, Item, ItemMod, Lit, Meta};

use crate::conditions::only_in_tests;
use crate::names::{self, Import, Mention};
use crate::sources::Sources;

/// A module; the crate's root is the first of its crate.
#[derive(Debug)]
pub(crate) struct Module {
    /// Its path from the root; empty at the root.
    pub(crate) path: Vec<String>,
    /// The file that its text is in.
    pub(crate) file: String,
    /// The module that it is declared in.
    pub(crate) parent: Option<usize>,
    /// The modules declared in it.
    pub(crate) children: BTreeMap<String, usize>,
    /// The names of its own items.
    pub(crate) defines: BTreeSet<String>,
    /// Its `use` declarations, one for each name.
    pub(crate) imports: Vec<Import>,
    /// All other paths in its code.
    pub(crate) mentions: Vec<Mention>,
}

/// Where the files of a module's children are looked for.
#[derive(Clone)]
struct Folders {
    /// The folder of the file itself, for `#[path]`.
    of_file: String,
    /// The folder of its children.
    of_children: String,
    /// Whether the module stands inside the file of another.
    inline: bool,
}

/// Reads the crate whose modules begin in `root`; `read` collects the files it consists of.
///
/// # Errors
/// When a file is missing or is not Rust.
pub(crate) fn modules(
    sources: &Sources,
    root: &str,
    read: &mut BTreeSet<String>,
) -> Result<Vec<Module>, String> {
    let mut reader = Reader {
        sources,
        read,
        modules: Vec::new(),
    };
    let items = reader.items(root)?;
    let folder = folder_of(root);
    let folders = Folders {
        of_file: folder.clone(),
        of_children: folder,
        inline: false,
    };
    reader.add(None, String::new(), root, items, &folders)?;
    Ok(reader.modules)
}

struct Reader<'a> {
    sources: &'a Sources,
    read: &'a mut BTreeSet<String>,
    modules: Vec<Module>,
}

impl Reader<'_> {
    fn items(&mut self, file: &str) -> Result<Vec<Item>, String> {
        let text = self.sources.text(file);
        let text = text.ok_or_else(|| format!("{file}: there is no such file"))?;
        self.read.insert(file.to_owned());
        let parsed = syn::parse_file(text).map_err(|error| format!("{file}: {error}"))?;
        Ok(parsed.items)
    }

    fn add(
        &mut self,
        parent: Option<usize>,
        name: String,
        file: &str,
        items: Vec<Item>,
        folders: &Folders,
    ) -> Result<(), String> {
        let index = self.modules.len();
        let mut path = parent.map_or_else(Vec::new, |parent| self.modules[parent].path.clone());
        if let Some(parent) = parent {
            path.push(name.clone());
            self.modules[parent].children.insert(name, index);
        }
        let (imports, mentions) = names::named(&items);
        self.modules.push(Module {
            path,
            file: file.to_owned(),
            parent,
            children: BTreeMap::new(),
            defines: items.iter().filter_map(names::defined).collect(),
            imports,
            mentions,
        });
        for item in items {
            match item {
                Item::Mod(child) if only_in_tests(&child.attrs) => {
                    self.note_files(file, child, folders)?;
                }
                Item::Mod(child) => self.add_child(index, file, child, folders)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn add_child(
        &mut self,
        parent: usize,
        file: &str,
        child: ItemMod,
        folders: &Folders,
    ) -> Result<(), String> {
        let name = child.ident.to_string();
        if let Some((_, items)) = child.content {
            return self.add(
                Some(parent),
                name.clone(),
                file,
                items,
                &folders.inside(&name),
            );
        }
        let (file, folders) = self.find(&child, file, folders)?;
        let items = self.items(&file)?;
        self.add(Some(parent), name, &file, items, &folders)
    }

    /// Notes the files of a module of tests as read.
    fn note_files(&mut self, file: &str, child: ItemMod, folders: &Folders) -> Result<(), String> {
        let (items, file, folders) = if let Some((_, items)) = child.content {
            let folders = folders.inside(&child.ident.to_string());
            (items, file.to_owned(), folders)
        } else {
            let (file, folders) = self.find(&child, file, folders)?;
            (self.items(&file)?, file, folders)
        };
        for item in items {
            if let Item::Mod(child) = item {
                self.note_files(&file, child, &folders)?;
            }
        }
        Ok(())
    }

    /// Returns the file of `mod child;`, and where the files of its own children are.
    fn find(
        &self,
        child: &ItemMod,
        file: &str,
        folders: &Folders,
    ) -> Result<(String, Folders), String> {
        let name = child.ident.to_string();
        let given = child.attrs.iter().find_map(path_attribute);
        let given = given.map(|given| {
            let folder = if folders.inline {
                &folders.of_children
            } else {
                &folders.of_file
            };
            (joined(folder, &given), true)
        });
        let candidates = given.map_or_else(
            || {
                let beside = joined(&folders.of_children, &format!("{name}.rs"));
                let within = joined(&folders.of_children, &format!("{name}/mod.rs"));
                vec![(beside, false), (within, true)]
            },
            |given| vec![given],
        );
        let found = candidates
            .into_iter()
            .find(|(path, _)| self.sources.text(path).is_some());
        let Some((found, owns_folder)) = found else {
            return Err(format!("{file}: the file of `mod {name}` is not found"));
        };
        let of_file = folder_of(&found);
        let of_children = if owns_folder {
            of_file.clone()
        } else {
            format!("{}/", found.trim_end_matches(".rs"))
        };
        let folders = Folders {
            of_file,
            of_children,
            inline: false,
        };
        Ok((found, folders))
    }
}

impl Folders {
    /// The folders of a module inside the same file.
    fn inside(&self, name: &str) -> Self {
        Self {
            of_file: self.of_file.clone(),
            of_children: format!("{}{name}/", self.of_children),
            inline: true,
        }
    }
}

fn folder_of(path: &str) -> String {
    let end = path.rfind('/').map_or(0, |slash| slash + 1);
    path[..end].to_owned()
}

/// Joins a folder and a path relative to it.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|it| !it.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

fn path_attribute(attribute: &Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("path") => match &meta.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(path),
                ..
            }) => Some(path.value()),
            _ => None,
        },
        _ => None,
    }
}

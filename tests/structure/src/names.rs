//! What a module's code names: its imports, and every other path in it.

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, ItemMod, ItemUse, Lit, Macro, Path, TraitItem, UseTree};

use crate::conditions::only_in_tests;

/// One name of a `use` declaration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Import {
    /// What is imported; of `use a::*`, the path of `a`.
    pub(crate) path: Vec<String>,
    /// The name it has from there on; `None`: all names inside it.
    pub(crate) name: Option<String>,
}

/// A path in the code.
pub(crate) type Mention = Vec<String>;

/// Returns the imports and the paths in these items, without their inner modules.
pub(crate) fn named(items: &[Item]) -> (Vec<Import>, Vec<Mention>) {
    let mut names = Names::default();
    for item in items {
        names.visit_item(item);
    }
    (names.imports, names.mentions)
}

/// Returns the name that an item defines.
pub(crate) fn defined(item: &Item) -> Option<String> {
    if only_in_tests(attributes(item)) {
        return None;
    }
    let name = match item {
        Item::Const(it) => &it.ident,
        Item::Enum(it) => &it.ident,
        Item::ExternCrate(it) => &it.ident,
        Item::Fn(it) => &it.sig.ident,
        Item::Macro(it) => it.ident.as_ref()?,
        Item::Static(it) => &it.ident,
        Item::Struct(it) => &it.ident,
        Item::Trait(it) => &it.ident,
        Item::TraitAlias(it) => &it.ident,
        Item::Type(it) => &it.ident,
        Item::Union(it) => &it.ident,
        _ => return None,
    };
    Some(name.to_string())
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(it) => &it.attrs,
        Item::Enum(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Macro(it) => &it.attrs,
        Item::Mod(it) => &it.attrs,
        Item::Static(it) => &it.attrs,
        Item::Struct(it) => &it.attrs,
        Item::Trait(it) => &it.attrs,
        Item::Type(it) => &it.attrs,
        Item::Union(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        _ => &[],
    }
}

#[derive(Default)]
struct Names {
    imports: Vec<Import>,
    mentions: Vec<Mention>,
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast Item) {
        if !only_in_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, _: &'ast ItemMod) {}

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes: &[Attribute] = match item {
            ImplItem::Fn(it) => &it.attrs,
            ImplItem::Const(it) => &it.attrs,
            _ => &[],
        };
        if !only_in_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        let attributes: &[Attribute] = match item {
            TraitItem::Fn(it) => &it.attrs,
            _ => &[],
        };
        if !only_in_tests(attributes) {
            visit::visit_trait_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        // `use ::name` is another crate's.
        if item.leading_colon.is_none() {
            self.import(&mut Vec::new(), &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.leading_colon.is_none() {
            let segments = path.segments.iter().map(|it| it.ident.to_string());
            self.mentions.push(segments.collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        visit::visit_macro(self, call);
        self.scan(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        visit::visit_attribute(self, attribute);
        if let syn::Meta::List(list) = &attribute.meta {
            self.scan(list.tokens.clone());
        }
    }
}

impl Names {
    fn import(&mut self, prefix: &mut Vec<String>, tree: &UseTree) {
        let (path, name) = match tree {
            UseTree::Path(inner) => {
                prefix.push(inner.ident.to_string());
                self.import(prefix, &inner.tree);
                prefix.pop();
                return;
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(prefix, tree);
                }
                return;
            }
            UseTree::Name(it) if it.ident == "self" => (prefix.clone(), prefix.last().cloned()),
            UseTree::Name(it) => (with(prefix, &it.ident), Some(it.ident.to_string())),
            UseTree::Rename(it) if it.ident == "self" => {
                (prefix.clone(), Some(it.rename.to_string()))
            }
            UseTree::Rename(it) => (with(prefix, &it.ident), Some(it.rename.to_string())),
            UseTree::Glob(_) => (prefix.clone(), None),
        };
        self.imports.push(Import { path, name });
    }

    /// Finds paths where no parser goes: in the arguments of macros and attributes.
    fn scan(&mut self, tokens: TokenStream) {
        let mut path = Vec::new();
        // How many colons stand behind the last name; a name behind two goes on with it.
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Ident(name) => {
                    if colons != 2 || path.is_empty() {
                        self.mention(&mut path);
                        // `::name` begins in another crate.
                        if colons == 2 {
                            colons = 0;
                            continue;
                        }
                    }
                    path.push(name.to_string());
                }
                TokenTree::Group(group) => {
                    self.mention(&mut path);
                    self.scan(group.stream());
                }
                TokenTree::Literal(literal) => {
                    self.mention(&mut path);
                    self.text(literal);
                }
                TokenTree::Punct(_) => self.mention(&mut path),
            }
            colons = 0;
        }
        self.mention(&mut path);
    }

    fn mention(&mut self, path: &mut Mention) {
        if !path.is_empty() {
            self.mentions.push(std::mem::take(path));
        }
    }

    /// A path in a string, as `serde` has them.
    fn text(&mut self, literal: proc_macro2::Literal) {
        if let Lit::Str(text) = Lit::new(literal)
            && let Ok(path) = text.parse::<Path>()
            && path.segments.len() > 1
        {
            self.visit_path_of_text(&path);
        }
    }

    fn visit_path_of_text(&mut self, path: &Path) {
        let segments = path.segments.iter().map(|it| it.ident.to_string());
        self.mentions.push(segments.collect());
    }
}

fn with(prefix: &[String], name: &syn::Ident) -> Vec<String> {
    let name = std::iter::once(name.to_string());
    prefix.iter().cloned().chain(name).collect()
}

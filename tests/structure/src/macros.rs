//! Logic inside macros, where no formatter and no "go to definition" reaches.
//!
//! A macro may write items: a type with its conversions, a test for each law. What those do
//! stands in functions. So no expansion of a `macro_rules!` has
//!
//! - a statement, a branch or a loop: none of the words `let`, `if`, `match`, `while`,
//!   `loop`, `in`, `return`, `break`, and no `?`;
//! - more than [`MOST_LINES`] lines.
//!
//! And nobody hands a function to a macro of the workspace: its body would be formatted by
//! nobody.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use syn::ItemMacro;
use syn::visit::{self, Visit};

use crate::sources::Sources;

/// Lines that the expansion of a macro has at most.
pub const MOST_LINES: usize = 60;

/// Words of statements, branches and loops; every `for` has its `in`.
const WORDS: [&str; 8] = [
    "let", "if", "match", "while", "loop", "in", "return", "break",
];

/// Logic inside a macro.
#[derive(Debug, PartialEq, Eq)]
pub struct Logic {
    /// The file.
    pub file: String,
    /// The line at which it begins.
    pub line: usize,
    /// The macro's name.
    pub name: String,
    /// What is wrong with it.
    pub what: String,
}

/// Looks for logic inside the macros of the workspace.
///
/// # Errors
/// When a file is not Rust.
pub fn logic(sources: &Sources) -> Result<Vec<Logic>, String> {
    let mut found = Vec::new();
    let mut calls = Vec::new();
    let mut defined = BTreeSet::new();
    for (file, text) in sources.rust() {
        let parsed = syn::parse_file(text).map_err(|error| format!("{file}: {error}"))?;
        let mut macros = Macros::default();
        macros.visit_file(&parsed);
        for definition in macros.definitions {
            defined.insert(
                definition
                    .ident
                    .as_ref()
                    .map_or_else(String::new, Ident::to_string),
            );
            found.extend(in_definition(file, &definition));
        }
        calls.extend(macros.calls.into_iter().map(|call| (file, call)));
    }
    let of_the_workspace = calls.iter().filter_map(|(file, call)| {
        let name = call.mac.path.segments.last()?.ident.to_string();
        let holds_functions = has_word(call.mac.tokens.clone(), "fn");
        (defined.contains(&name) && holds_functions).then(|| Logic {
            file: (*file).to_owned(),
            line: call.mac.delimiter.span().open().start().line,
            name,
            what: "a function is handed to it".to_owned(),
        })
    });
    found.extend(of_the_workspace);
    Ok(found)
}

/// The macros that a file defines, and those that it calls for items.
#[derive(Default)]
struct Macros {
    definitions: Vec<ItemMacro>,
    calls: Vec<ItemMacro>,
}

impl<'ast> Visit<'ast> for Macros {
    fn visit_item_macro(&mut self, item: &'ast ItemMacro) {
        let list = if item.mac.path.is_ident("macro_rules") {
            &mut self.definitions
        } else {
            &mut self.calls
        };
        list.push(item.clone());
        visit::visit_item_macro(self, item);
    }
}

fn in_definition(file: &str, definition: &ItemMacro) -> Vec<Logic> {
    let name = definition
        .ident
        .as_ref()
        .map_or_else(String::new, Ident::to_string);
    let logic = |(line, what)| Logic {
        file: file.to_owned(),
        line,
        name: name.clone(),
        what,
    };
    let expansions = expansions(definition.mac.tokens.clone());
    expansions
        .iter()
        .filter_map(in_expansion)
        .map(logic)
        .collect()
}

/// The groups behind the arrows of `(what matches) => { what it becomes };`.
fn expansions(rules: TokenStream) -> Vec<Group> {
    let groups = rules.into_iter().filter_map(|token| match token {
        TokenTree::Group(group) => Some(group),
        _ => None,
    });
    groups.skip(1).step_by(2).collect()
}

/// What is wrong with an expansion, and the line.
fn in_expansion(expansion: &Group) -> Option<(usize, String)> {
    let begins = expansion.span_open().start().line;
    let lines = expansion
        .span_close()
        .start()
        .line
        .saturating_sub(begins + 1);
    if lines > MOST_LINES {
        return Some((begins, format!("an expansion of {lines} lines")));
    }
    statement(expansion.stream())
}

/// The first word or sign of a statement in these tokens.
fn statement(tokens: TokenStream) -> Option<(usize, String)> {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let line = token.span().start().line;
        match token {
            TokenTree::Ident(word) if WORDS.iter().any(|it| word == it) => {
                return Some((line, format!("it has `{word}`")));
            }
            TokenTree::Punct(sign) if sign.as_char() == '?' => {
                return Some((line, "it has `?`".to_owned()));
            }
            TokenTree::Punct(sign) if sign.as_char() == '$' => match tokens.next() {
                // `$( … ),*`: what is repeated, what stands between, and how often.
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => {
                    let found = statement(group.stream());
                    if found.is_some() {
                        return found;
                    }
                    while let Some(TokenTree::Punct(sign)) = tokens.next() {
                        if matches!(sign.as_char(), '*' | '+' | '?') {
                            break;
                        }
                    }
                }
                // `$name`, whatever its name.
                _ => {}
            },
            TokenTree::Group(group) => {
                let found = statement(group.stream());
                if found.is_some() {
                    return found;
                }
            }
            _ => {}
        }
    }
    None
}

fn has_word(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(it) => it == word,
        TokenTree::Group(group) => has_word(group.stream(), word),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a file, as `name: what`.
    fn found(text: &str) -> Vec<String> {
        let sources = Sources::from_texts([("src/lib.rs", text)]);
        let found = logic(&sources).unwrap();
        let in_words = found.iter().map(|it| format!("{}: {}", it.name, it.what));
        in_words.collect()
    }

    #[test]
    fn a_macro_may_write_items_and_hand_names_on() {
        let text = r"
            macro_rules! laws {
                ($adapter:ident, $make:expr, [$($law:ident),* $(,)?]) => {
                    mod $adapter {
                        $(#[tokio::test] async fn $law() { super::$law($make.await).await })*
                    }
                };
                ($adapter:ident, $make:expr) => {
                    laws!($adapter, $make, [one, another $(, more)?]);
                };
            }
            macro_rules! text {
                ($(#[$doc:meta])* $name:ident, $match:expr) => {
                    $(#[$doc])*
                    pub struct $name(String);
                    impl $name {
                        /// Where there is a `let` or a match in words, it is no logic.
                        pub fn get(&self) -> &str { &self.0 }
                        pub fn made() -> bool { $match }
                    }
                };
            }
        ";
        assert_eq!(found(text), [""; 0]);
    }

    #[test]
    fn a_statement_a_branch_and_a_loop_are_logic() {
        for (body, what) in [
            ("let x = 1; x", "let"),
            ("if a { b } else { c }", "if"),
            ("match a { _ => b }", "match"),
            ("for x in y { z(x) }", "in"),
            ("f(|| { while true {} })", "while"),
            ("a()?", "?"),
        ] {
            let text = format!("macro_rules! m {{ ($n:ident) => {{ fn $n() {{ {body} }} }}; }}");
            assert_eq!(found(&text), [format!("m: it has `{what}`")], "{body}");
        }
        let in_a_function = "fn f() { macro_rules! m { () => {{ return 1 }} } }";
        assert_eq!(found(in_a_function), ["m: it has `return`"]);
    }

    #[test]
    fn logic_in_one_long_expression_is_found_by_its_length() {
        let of = |lines: usize| {
            let calls = ".and()\n".repeat(lines);
            format!("macro_rules! m {{ () => {{\n{calls}}}; }}")
        };
        assert_eq!(found(&of(MOST_LINES)), [""; 0]);
        assert_eq!(found(&of(MOST_LINES + 1)), ["m: an expansion of 61 lines"]);
    }

    #[test]
    fn a_function_is_handed_to_no_macro_of_the_workspace() {
        let text = "
            macro_rules! all { ($($item:item)*) => { $($item)* }; }
            all! { fn inside() { if true {} } }
            all!(struct Plain;);
            proptest! { fn elsewhere(x in 1..2) {} }
        ";
        assert_eq!(found(text), ["all: a function is handed to it"]);
    }
}

//! Holds the sources of the workspace to three rules that neither Cargo nor clippy knows.
//! `tests/workspace.rs` runs them on the workspace itself.
//!
//! 1. **No import circle inside a crate** ([`circles`]). Modules form floors, as crates do.
//! 2. **No logic inside `macro_rules!`** ([`macros`]), where neither the formatter nor the
//!    editor's "go to definition" reaches.
//! 3. **No source file over 600 lines** ([`lengths`]).
//!
//! # What a circle is
//!
//! Module A *uses* module B if its code names something that B defines: in a `use`, in a
//! path such as `crate::ws::serve` in an expression, a type, a macro's arguments, or a string
//! such as `#[serde(with = "crate::json::id")]`. A name that B only re-exports is followed to
//! the module that defines it, and A uses both. Calling a method needs no import and is no
//! use, as between crates.
//!
//! A module and all modules inside it are one unit to everybody outside. For each module, the
//! units directly inside it must not use each other in a circle. What a child takes from a
//! module that contains it (`super::Room`, `crate::Gateway`), and what a module takes from
//! those inside it, is within one unit, and no circle: children implement their parent, and
//! may see its private fields. So `mod child;` and `pub use child::Thing;` are free.
//!
//! Code that exists only in tests (`#[cfg(test)]`, `#[test]`) is not read: tests may look at
//! everything. A `cfg` that may hold without `test` is read, whatever the features.

pub mod circles;
pub mod lengths;
pub mod macros;

mod conditions;
mod modules;
mod names;
mod resolve;
mod sources;

pub use sources::Sources;

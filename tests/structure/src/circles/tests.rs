//! Planted circles are found, and what is none is not.

use super::*;

/// The circles of a crate with these files in `src`, each as `inside: modules`.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let circles = read(files).circles;
    let in_words = circles.iter().map(|circle| {
        let modules = circle.modules.join(" ");
        format!("{}: {modules}", circle.inside)
    });
    in_words.collect()
}

fn read(files: &[(&str, &str)]) -> Found {
    let manifest = ("Cargo.toml", "[package]\nname = \"planted\"\n");
    let paths: Vec<String> = files
        .iter()
        .map(|(path, _)| format!("src/{path}"))
        .collect();
    let files = paths
        .iter()
        .zip(files)
        .map(|(path, (_, text))| (path.as_str(), *text));
    circles(&Sources::from_texts(files.chain([manifest]))).unwrap()
}

const NONE: [&str; 0] = [];

#[test]
fn two_modules_that_import_each_other_are_a_circle() {
    let circles = read(&[
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "use crate::a::A; pub struct B;"),
    ])
    .circles;
    let [circle] = &circles[..] else {
        panic!("{circles:?}")
    };
    assert_eq!((&*circle.package, &*circle.inside), ("planted", ""));
    assert_eq!(
        circle.to_string(),
        "planted, inside `crate`: a, b\n  src/a.rs -> src/b.rs: B\n  src/b.rs -> src/a.rs: A\n"
    );
}

#[test]
fn one_way_is_no_circle_however_often() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; pub use a::A;"),
        (
            "a.rs",
            "use crate::b::{self, B}; use crate::c::*; pub struct A(B, b::B);",
        ),
        ("b.rs", "use crate::c::C; pub struct B(C);"),
        ("c.rs", "pub struct C;"),
    ];
    assert_eq!(found(&files), NONE);
}

#[test]
fn a_circle_through_three_is_found_beside_modules_that_are_in_none() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; mod above; mod below;"),
        ("above.rs", "use crate::a::A;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "use crate::c::C; pub struct B;"),
        ("c.rs", "use crate::{a::A, below::D}; pub struct C;"),
        ("below.rs", "pub struct D;"),
    ];
    assert_eq!(found(&files), [": a b c"]);
}

#[test]
fn a_path_in_code_is_an_import_wherever_it_stands() {
    for uses in [
        "fn f() { crate::b::g(); }",
        "struct S(Vec<crate::b::B>);",
        "impl super::b::T for u8 {}",
        "fn f() -> impl self::super::b::T {}",
        "fn f() { use crate::b::g; g() }",
        "fn f() { tokio::select! { x = crate::b::g() => {} } }",
        "fn f() { assert_eq!(1, [crate::b::N, 2][0]); }",
        "#[derive(Debug, crate::b::Make)] struct S;",
        "struct S { #[serde(with = \"crate::b::text\")] field: u8 }",
        "macro_rules! m { () => { $crate::b::g() }; }",
        "use crate as root; fn f() { root::b::g() }",
        "use super::{b as other}; fn f() { other::g() }",
        "#[cfg(any(test, feature = \"bench\"))] use crate::b::B;",
        "#[cfg(feature = \"more\")] mod inner { use crate::b::B; }",
    ] {
        let b = "use crate::a::A; pub struct B;";
        let files = [("lib.rs", "mod a; mod b;"), ("a.rs", uses), ("b.rs", b)];
        assert_eq!(found(&files), [": a b"], "{uses}");
    }
}

#[test]
fn what_is_no_import_is_none() {
    for uses in [
        "#[cfg(test)] use crate::b::B;",
        "#[cfg(test)] mod tests { use crate::b::B; }",
        "#[test] fn f() { crate::b::g() }",
        "impl A { #[cfg(test)] fn f() { crate::b::g() } }",
        "use ::b::B; use b::C; fn f() { b::g(); ::b::g() }",
        "/// See [`crate::b::B`].\nfn f() { \"crate of b\"; }",
        "fn f(b: u8) { b.g(); }",
    ] {
        let b = "use crate::a::A; pub struct B;";
        let files = [("lib.rs", "mod a; mod b;"), ("a.rs", uses), ("b.rs", b)];
        assert_eq!(found(&files), NONE, "{uses}");
    }
}

#[test]
fn a_child_may_use_its_parent_and_a_parent_its_children() {
    let files = [
        (
            "lib.rs",
            "mod room; use room::Room; pub struct Gateway(Room);",
        ),
        (
            "room.rs",
            "mod ring; pub use ring::Ring; pub struct Room(Ring);",
        ),
        (
            "room/ring.rs",
            "use super::Room; use crate::Gateway; pub struct Ring;",
        ),
    ];
    assert_eq!(found(&files), NONE);
}

#[test]
fn a_name_is_followed_to_the_module_that_defines_it() {
    // `queue` takes Ending from its parent, which has it from `link`, which uses `queue`.
    let siblings = [
        ("lib.rs", "mod ws;"),
        ("ws.rs", "mod link; mod queue; pub use link::Ending;"),
        ("ws/link.rs", "use super::queue::Queue; pub enum Ending {}"),
        ("ws/queue.rs", "use super::Ending; pub struct Queue;"),
    ];
    assert_eq!(found(&siblings), ["ws: link queue"]);
    // Renamed, and by a glob.
    let far = [
        ("lib.rs", "mod a; mod face; mod b; use face::*;"),
        ("a.rs", "use crate::Shown; pub struct A;"),
        ("face.rs", "pub use crate::b::{Hidden as Shown};"),
        ("b.rs", "use crate::a::A; pub struct Hidden;"),
    ];
    assert_eq!(found(&far), [": a b face"]);
}

#[test]
fn who_hands_a_name_on_is_used_too() {
    let files = [
        ("lib.rs", "mod a; mod face; mod b;"),
        ("a.rs", "use crate::face::B; pub struct A;"),
        ("face.rs", "pub use crate::b::B; use crate::a::A;"),
        ("b.rs", "pub struct B;"),
    ];
    assert_eq!(found(&files), [": a face"]);
}

#[test]
fn a_module_and_those_inside_it_are_one_to_others() {
    // No two files use each other: config -> telemetry -> config/values.
    let files = [
        ("lib.rs", "mod config; mod telemetry;"),
        ("config.rs", "mod load; mod values; pub use values::Log;"),
        ("config/load.rs", "use crate::telemetry::filter;"),
        ("config/values.rs", "pub struct Log;"),
        ("telemetry.rs", "use crate::config::Log; pub fn filter() {}"),
    ];
    assert_eq!(found(&files), [": config telemetry"]);
}

#[test]
fn modules_inside_one_file_form_floors_too() {
    let text = "
        mod outer {
            mod one { use super::two::T; pub struct O; }
            mod two { use super::one::O; pub struct T; }
        }";
    assert_eq!(found(&[("lib.rs", text)]), ["outer: one two"]);
}

#[test]
fn files_are_found_where_rustc_finds_them() {
    let files = [
        (
            "lib.rs",
            "mod a; mod b; mod outer { mod inner; #[path = \"named.rs\"] mod other; }",
        ),
        (
            "a/mod.rs",
            "mod deep; #[path = \"laws.rs\"] mod own; #[cfg(test)] mod tests;",
        ),
        ("a/deep.rs", "use crate::b::B;"),
        ("a/laws.rs", "mod part;"),
        ("a/part.rs", "use crate::outer::inner::I;"),
        ("a/tests.rs", "mod world;"),
        ("a/tests/world.rs", ""),
        ("b.rs", "#[path = \"b_laws.rs\"] mod laws; pub struct B;"),
        ("b_laws.rs", "use crate::a::A;"),
        ("outer/inner.rs", "use crate::b::B; pub struct I;"),
        ("outer/named.rs", ""),
        ("forgotten.rs", ""),
    ];
    assert_eq!(found(&files), [": a b outer"]);
    assert_eq!(read(&files).unread, ["src/forgotten.rs"]);
}

#[test]
fn a_module_without_a_file_is_told() {
    let sources = Sources::from_texts([
        ("Cargo.toml", "[package]\nname = \"planted\"\n"),
        ("src/lib.rs", "mod missing;"),
    ]);
    let error = circles(&sources).unwrap_err();
    assert_eq!(error, "src/lib.rs: the file of `mod missing` is not found");
}

//! Circles of imports between the modules of a crate; what that means is said at the crate.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::modules::{Module, modules};
use crate::resolve::used;
use crate::sources::{Crate, Sources};

/// Modules that use each other in a circle.
#[derive(Debug)]
pub struct Circle {
    /// The package that they belong to.
    pub package: String,
    /// The path of the module that they are all directly inside of; empty: the crate's root.
    pub inside: String,
    /// Their names, sorted.
    pub modules: Vec<String>,
    /// What ties them.
    pub ties: Vec<Tie>,
}

/// A file that uses another.
#[derive(Debug, PartialEq, Eq)]
pub struct Tie {
    /// The file.
    pub from: String,
    /// The file it uses.
    pub to: String,
    /// What it takes from it.
    pub names: BTreeSet<String>,
}

/// The circles of all crates, and the files that no crate consists of.
#[derive(Debug)]
pub struct Found {
    /// The circles.
    pub circles: Vec<Circle>,
    /// Rust files that were not read.
    pub unread: Vec<String>,
}

/// Looks for circles in every crate.
///
/// # Errors
/// When a file of a crate is missing or is not Rust.
pub fn circles(sources: &Sources) -> Result<Found, String> {
    let mut read = BTreeSet::new();
    let mut circles = Vec::new();
    for Crate { package, root } in sources.crates() {
        let modules = modules(sources, &root, &mut read)?;
        circles.extend(of_crate(&package, &modules));
    }
    let files = sources.rust().map(|(path, _)| path);
    let unread = files.filter(|path| !read.contains(*path));
    Ok(Found {
        circles,
        unread: unread.map(str::to_owned).collect(),
    })
}

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inside = match &*self.inside {
            "" => "crate",
            inside => inside,
        };
        let modules = self.modules.join(", ");
        writeln!(f, "{}, inside `{inside}`: {modules}", self.package)?;
        for Tie { from, to, names } in &self.ties {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            writeln!(f, "  {from} -> {to}: {}", names.join(", "))?;
        }
        Ok(())
    }
}

/// Which module uses which, and the names that it takes from it.
type Uses = BTreeMap<(usize, usize), BTreeSet<String>>;

/// The uses between the units directly inside one module.
#[derive(Default)]
struct Floor {
    /// Which unit uses which: the modules in them that do, and the names.
    uses: BTreeMap<(usize, usize), Uses>,
}

fn of_crate(package: &str, modules: &[Module]) -> Vec<Circle> {
    let mut floors: BTreeMap<usize, Floor> = BTreeMap::new();
    for (from, module) in modules.iter().enumerate() {
        let imported = module.imports.iter().map(|import| &import.path);
        for path in imported.chain(&module.mentions) {
            for to in used(modules, from, path) {
                if let Some((inside, units)) = units(modules, from, to) {
                    let floor = floors.entry(inside).or_default();
                    let uses = floor.uses.entry(units).or_default();
                    let names = uses.entry((from, to)).or_default();
                    names.insert(label(path));
                }
            }
        }
    }
    let mut circles = Vec::new();
    for (inside, floor) in floors {
        for (units, uses) in floor.circles() {
            circles.push(Circle::new(package, modules, inside, &units, uses));
        }
    }
    circles
}

impl Circle {
    fn new(
        package: &str,
        modules: &[Module],
        inside: usize,
        units: &BTreeSet<usize>,
        uses: Uses,
    ) -> Self {
        let names = units.iter().filter_map(|&unit| modules[unit].path.last());
        let mut names: Vec<String> = names.cloned().collect();
        names.sort();
        let tie = |((from, to), names): ((usize, usize), _)| Tie {
            from: modules[from].file.clone(),
            to: modules[to].file.clone(),
            names,
        };
        Self {
            package: package.to_owned(),
            inside: modules[inside].path.join("::"),
            modules: names,
            ties: uses.into_iter().map(tie).collect(),
        }
    }
}

/// The name of a type in a path, or else its last.
fn label(path: &[String]) -> String {
    let mut names = path.iter();
    let name = names.find(|name| name.starts_with(char::is_uppercase));
    name.or(path.last()).cloned().unwrap_or_default()
}

/// The innermost module around two, and the units directly inside it that they belong to;
/// `None` when one is around the other.
fn units(modules: &[Module], one: usize, two: usize) -> Option<(usize, (usize, usize))> {
    let (one, two) = (lineage(modules, one), lineage(modules, two));
    let shared = one.iter().zip(&two).take_while(|(a, b)| a == b).count();
    Some((one[shared - 1], (*one.get(shared)?, *two.get(shared)?)))
}

/// A module and all around it, from the root.
fn lineage(modules: &[Module], module: usize) -> Vec<usize> {
    let mut lineage: Vec<usize> =
        std::iter::successors(Some(module), |&it| modules[it].parent).collect();
    lineage.reverse();
    lineage
}

impl Floor {
    /// The sets of units that all reach each other, with the uses among them.
    fn circles(self) -> Vec<(BTreeSet<usize>, Uses)> {
        let units: BTreeSet<usize> = self.uses.keys().map(|(from, _)| *from).collect();
        let reached: BTreeMap<usize, BTreeSet<usize>> =
            units.iter().map(|&unit| (unit, self.reach(unit))).collect();
        let circle_of = |unit: usize| -> BTreeSet<usize> {
            let mutual = |other: &&usize| reached.get(other).is_some_and(|it| it.contains(&unit));
            reached[&unit].iter().filter(mutual).copied().collect()
        };
        let circles: BTreeSet<BTreeSet<usize>> = units.iter().map(|&it| circle_of(it)).collect();
        let mut ties = self.uses;
        let circles = circles.into_iter().filter(|circle| !circle.is_empty());
        let with_ties = circles.map(|circle| {
            let within = ties.extract_if(.., |(from, to), _| {
                circle.contains(from) && circle.contains(to)
            });
            let within = within.flat_map(|(_, ties)| ties).collect();
            (circle, within)
        });
        with_ties.collect()
    }

    /// The units that one uses, straight or through others.
    fn reach(&self, unit: usize) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut ahead = vec![unit];
        while let Some(unit) = ahead.pop() {
            for (_, to) in self.uses.keys().filter(|(from, _)| *from == unit) {
                if reached.insert(*to) {
                    ahead.push(*to);
                }
            }
        }
        reached
    }
}

#[cfg(test)]
mod tests;

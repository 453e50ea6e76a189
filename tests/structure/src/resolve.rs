//! Which modules of its crate a path leads to.

use crate::modules::Module;

/// What a path leads to, and through whom.
#[derive(Debug, Clone)]
struct Target {
    module: usize,
    /// It is the module itself, not something in it.
    is_module: bool,
    /// Modules that only hand the name on.
    through: Vec<usize>,
}

/// Returns the modules that a path in `from` uses: the one that defines what it names, and
/// those that re-export it. None when it is another crate's, or a local name.
pub(crate) fn used(modules: &[Module], from: usize, path: &[String]) -> Vec<usize> {
    let mut seen = Vec::new();
    let target = Names { modules }.resolve(from, path, &mut seen);
    target.map_or_else(Vec::new, |target| {
        let mut used = target.through;
        used.push(target.module);
        used
    })
}

struct Names<'a> {
    modules: &'a [Module],
}

impl Names<'_> {
    fn resolve(
        &self,
        from: usize,
        path: &[String],
        seen: &mut Vec<(usize, String)>,
    ) -> Option<Target> {
        let module = |module| {
            Some(Target {
                module,
                is_module: true,
                through: Vec::new(),
            })
        };
        let (first, rest) = path.split_first()?;
        let mut target = match first.as_str() {
            "crate" => module(0),
            "self" => module(from),
            "super" => module(self.modules[from].parent?),
            "Self" => None,
            name => self.look_up(from, name, seen),
        }?;
        for name in rest {
            if !target.is_module {
                break;
            }
            let next = match name.as_str() {
                "super" => module(self.modules[target.module].parent?),
                name => self.look_up(target.module, name, seen),
            };
            let Some(next) = next else {
                // Made by a macro, most likely: in this module, as far as can be seen.
                target.is_module = false;
                break;
            };
            let mut through = target.through;
            through.extend(next.through);
            target = Target { through, ..next };
        }
        Some(target)
    }

    /// What a name means inside a module.
    fn look_up(
        &self,
        inside: usize,
        name: &str,
        seen: &mut Vec<(usize, String)>,
    ) -> Option<Target> {
        let module = &self.modules[inside];
        let found = |module, is_module| {
            Some(Target {
                module,
                is_module,
                through: Vec::new(),
            })
        };
        if let Some(&child) = module.children.get(name) {
            return found(child, true);
        }
        if module.defines.contains(name) {
            return found(inside, false);
        }
        // `use http::http` looks a name up that it defines itself.
        let key = (inside, name.to_owned());
        if seen.contains(&key) {
            return None;
        }
        seen.push(key);
        let hand_on = |mut target: Target| {
            target.through.push(inside);
            target
        };
        let mut imports = module.imports.iter();
        let found = imports
            .find(|import| import.name.as_deref() == Some(name))
            .and_then(|import| self.resolve(inside, &import.path, seen));
        let found = found.or_else(|| {
            let mut globs = module.imports.iter().filter(|it| it.name.is_none());
            globs.find_map(|glob| {
                let all = self.resolve(inside, &glob.path, seen)?;
                (all.is_module && all.module != inside)
                    .then(|| self.look_up(all.module, name, seen))
                    .flatten()
            })
        });
        seen.pop();
        found.map(hand_on)
    }
}

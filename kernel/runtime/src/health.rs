//! What must be there for this process to serve, and whether it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The parts a process needs. It is ready when each of them is up.
#[derive(Debug, Clone, Default)]
pub struct Health {
    parts: Arc<Mutex<BTreeMap<String, Option<String>>>>,
}

impl Health {
    /// Names a part; it is down until it says otherwise.
    pub fn part(&self, name: impl Into<String>) -> Part {
        let part = Part {
            health: self.clone(),
            name: name.into(),
        };
        part.down("not yet up");
        part
    }

    /// What is not up, and why. Empty: ready.
    pub fn missing(&self) -> BTreeMap<String, String> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let down = |(name, why): (&String, &Option<String>)| Some((name.clone(), why.clone()?));
        parts.iter().filter_map(down).collect()
    }

    /// Whether every part is up.
    pub fn ready(&self) -> bool {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.values().all(Option::is_none)
    }

    fn set(&self, name: &str, why: Option<String>) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let before = parts.insert(name.to_owned(), why.clone());
        drop(parts);
        match (before, why) {
            (Some(Some(_)), None) => tracing::info!(part = name, "up"),
            (Some(None), Some(why)) => tracing::warn!(part = name, why, "down"),
            _ => {}
        }
    }
}

/// The word of one part on itself.
#[derive(Debug, Clone)]
pub struct Part {
    health: Health,
    name: String,
}

impl Part {
    /// It is there.
    pub fn up(&self) {
        self.health.set(&self.name, None);
    }

    /// It is not, and why; the words reach operators alone.
    pub fn down(&self, why: impl std::fmt::Display) {
        self.health.set(&self.name, Some(why.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_every_part_is_up() {
        let health = Health::default();
        assert!(health.ready());
        let (a, b) = (health.part("a"), health.part("b"));
        a.up();
        assert_eq!(health.missing().into_keys().collect::<Vec<_>>(), ["b"]);
        b.up();
        assert!(health.ready());
        a.down("gone");
        assert_eq!(health.missing().get("a").map(String::as_str), Some("gone"));
    }
}

//! What this process serves with, and whether it is there.
//!
//! Without a part it is not ready. An aid it can do without, more slowly: that one is
//! gone is told to operators and takes no process out of service.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::Error;

/// Why a part is down of which nothing has been heard yet.
const NOT_YET: &str = "not yet up";
/// How often it is looked whether all is there.
const LOOK: Duration = Duration::from_millis(5);

/// The parts a process needs, and its aids. It is ready when each part is up.
#[derive(Debug, Clone, Default)]
pub struct Health {
    parts: Arc<Mutex<BTreeMap<String, State>>>,
}

#[derive(Debug)]
struct State {
    needed: bool,
    /// Why it is down.
    why: Option<String>,
}

impl Health {
    /// Waits until everything that is needed is there.
    ///
    /// # Errors
    /// `unavailable`, naming what is missing, when that takes longer than `patience`.
    pub async fn await_ready(&self, patience: Duration) -> base::Result<()> {
        let looking = async {
            let mut look = tokio::time::interval(LOOK);
            while !self.ready() {
                look.tick().await;
            }
        };
        tokio::time::timeout(patience, looking).await.map_err(|_| {
            let missing = format!("{:?}", self.missing());
            Error::unavailable("a part did not come up in time", missing)
        })
    }

    /// Names a part, without which the process is not ready; it is down until it says
    /// otherwise.
    pub fn part(&self, name: impl Into<String>) -> Part {
        self.name(name.into(), true)
    }

    /// Names an aid, without which the process is ready all the same; it is down until
    /// it says otherwise.
    pub fn aid(&self, name: impl Into<String>) -> Part {
        self.name(name.into(), false)
    }

    /// The process ends: it is not ready again.
    pub(crate) fn end(&self) {
        let state = State {
            needed: true,
            why: Some("it ends".to_owned()),
        };
        self.lock().insert("process".to_owned(), state);
    }

    fn name(&self, name: String, needed: bool) -> Part {
        let why = Some(NOT_YET.to_owned());
        self.lock().insert(name.clone(), State { needed, why });
        Part {
            health: self.clone(),
            name,
        }
    }

    /// What is not up, and why. Empty: ready.
    pub fn missing(&self) -> BTreeMap<String, String> {
        self.down(true)
    }

    /// The aids that are not up, and why.
    pub fn degraded(&self) -> BTreeMap<String, String> {
        self.down(false)
    }

    fn down(&self, needed: bool) -> BTreeMap<String, String> {
        let parts = self.lock();
        let of_kind = parts.iter().filter(|(_, state)| state.needed == needed);
        of_kind
            .filter_map(|(name, state)| Some((name.clone(), state.why.clone()?)))
            .collect()
    }

    /// Whether every part is up.
    pub fn ready(&self) -> bool {
        let parts = self.lock();
        parts.values().all(|it| !it.needed || it.why.is_none())
    }

    fn set(&self, name: &str, why: Option<String>) {
        let mut parts = self.lock();
        let Some(state) = parts.get_mut(name) else {
            return;
        };
        let before = std::mem::replace(&mut state.why, why.clone());
        drop(parts);
        match (before, why) {
            (Some(_), None) => tracing::info!(part = name, "up"),
            (None, Some(why)) => tracing::warn!(part = name, why, "down"),
            (Some(before), Some(why)) if before == NOT_YET => {
                tracing::warn!(part = name, why, "not there yet");
            }
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, State>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The word of one part, or aid, on itself.
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
    #[test]
    fn without_an_aid_the_process_is_ready_and_says_what_it_does_without() {
        let health = Health::default();
        let aid = health.aid("aid");
        assert!(health.ready() && health.missing().is_empty());
        assert_eq!(health.degraded().into_keys().collect::<Vec<_>>(), ["aid"]);
        aid.up();
        assert!(health.degraded().is_empty());
    }
}

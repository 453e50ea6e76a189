//! How long clients had to do without.

use serde::Serialize;

use crate::ledger::Micros;

/// Shorter ones are how a system under load is.
pub(super) const WORTH_TELLING: Micros = 500_000;

/// Who had to do without what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// A writer, answers: from the first that was due to the first that came.
    Writer,
    /// A reader, events: from when one was written down until it arrived.
    Reader,
}

/// A time without answers or events.
#[derive(Debug, Clone, Serialize)]
pub struct Outage {
    /// Whose kind.
    pub who: Who,
    /// Which client.
    pub client: String,
    /// When it began.
    pub from: Micros,
    /// How long it was, in microseconds.
    pub lasted: Micros,
}

/// A client that was connected to a gateway when that was killed: how long until it was
/// resumed and had all that had been acknowledged before it came back.
#[derive(Debug, Clone, Serialize)]
pub struct CatchUp {
    /// Which client.
    pub client: String,
    /// When the gateway was killed.
    pub killed: Micros,
    /// How long it took, in microseconds.
    pub took: Micros,
}

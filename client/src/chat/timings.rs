//! How long things may take in a [`Chat`](super::Chat).

use std::time::Duration;

/// How long things may take. The defaults fit the server's.
#[derive(Debug, Clone)]
pub struct Timings {
    /// How long a call over HTTP, and the opening of a connection, may take.
    pub call: Duration,
    /// A connection from which nothing comes for so long is dead: two of the server's
    /// pings, which come every 25 s, and a little.
    pub silence: Duration,
    /// A connection on which an answer takes so long is dead, too.
    pub answer: Duration,
    /// The first pause after a failure …
    pub retry_least: Duration,
    /// … and the longest, when pauses have doubled often enough.
    pub retry_most: Duration,
    /// A connection that held for so long was a good one: pauses begin small again.
    pub settled: Duration,
    /// The pause, at least, after the server said that this client floods it.
    pub flood_pause: Duration,
    /// How long before its end a token is replaced.
    pub refresh_before: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(10),
            silence: Duration::from_secs(55),
            answer: Duration::from_secs(20),
            retry_least: Duration::from_millis(200),
            retry_most: Duration::from_secs(30),
            settled: Duration::from_secs(10),
            flood_pause: Duration::from_mins(1),
            refresh_before: Duration::from_mins(1),
        }
    }
}

//! Nonces for messages that came without one: they make the retries inside the system
//! safe.

use std::sync::atomic::{AtomicU64, Ordering};

use base::Nonce;

/// Gives nonces that nobody else gives, each greater than the one before. The log keeps
/// its nonces sorted: ascending ones are written side by side, where random ones cost a
/// page of the database each.
pub(crate) struct Nonces {
    name: String,
    given: AtomicU64,
}

impl Nonces {
    /// Those of the gateway called `name`, which no gateway was called before.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.chars().take(16).collect(),
            given: AtomicU64::new(0),
        }
    }

    /// The next one.
    pub(crate) fn next(&self) -> base::Result<Nonce> {
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        Nonce::parse("Nonce", &format!("{}-{number:012x}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_ascend() {
        let nonces = Nonces::new("0123456789abcdef0123456789abcdef");
        let given: Vec<_> = (0..300).map(|_| nonces.next().unwrap()).collect();
        assert!(given.is_sorted_by(|a, b| a.as_str() < b.as_str()));
        assert_eq!(given[0].as_str(), "0123456789abcdef-000000000000");
    }
}

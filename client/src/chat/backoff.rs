//! How long to wait before another try: twice as long each time, up to a bound, and never
//! the same for two clients that lost the same server.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The longest pause that a server may ask for. Ours asks for seconds; what stands in front
/// of it may say hours, or more than a clock can count.
const ASKED_MOST: Duration = Duration::from_mins(5);

/// Pauses that grow.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    least: Duration,
    most: Duration,
    tries: u32,
}

impl Backoff {
    pub(super) fn new(least: Duration, most: Duration) -> Self {
        Self {
            least,
            most,
            tries: 0,
        }
    }

    /// The pause before the next try: between half and all of `least`, doubled with each
    /// try, and at least what the server asked for, within reason.
    pub(super) fn next(&mut self, random: &mut Random, asked: Option<Duration>) -> Duration {
        let whole = self.least.saturating_mul(2_u32.saturating_pow(self.tries));
        let whole = whole.min(self.most);
        self.tries = self.tries.saturating_add(1);
        let pause = whole / 2 + random.up_to(whole / 2);
        match asked {
            // All who were asked to wait come back spread, too.
            Some(asked) => pause.max(asked.min(ASKED_MOST) + random.up_to(self.least)),
            None => pause,
        }
    }

    /// Whether nothing has failed since the last success.
    pub(super) fn is_fresh(&self) -> bool {
        self.tries == 0
    }

    /// It worked.
    pub(super) fn reset(&mut self) {
        self.tries = 0;
    }
}

/// Random numbers that need not be secret (`SplitMix64`, Steele et al. 2014).
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// Another sequence each time.
    pub(super) fn new() -> Self {
        Self::seeded(RandomState::new().hash_one(0_u8))
    }

    pub(super) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Any duration from nothing to `most`, to the microsecond.
    fn up_to(&mut self, most: Duration) -> Duration {
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros(self.next() % (micros + 1))
    }
}

/// 128 random bits in hexadecimal: what two clients never share.
pub(super) fn unique_name() -> String {
    let part = || RandomState::new().hash_one(0_u8);
    format!("{:016x}{:016x}", part(), part())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_secs(3);

    #[test]
    fn pauses_double_up_to_the_bound_and_begin_again_after_a_success() {
        let mut random = Random::seeded(1);
        let mut backoff = Backoff::new(LEAST, MOST);
        for whole in [100, 200, 400, 800, 1_600, 3_000, 3_000, 3_000] {
            let whole = Duration::from_millis(whole);
            let pause = backoff.next(&mut random, None);
            assert!(
                pause >= whole / 2 && pause <= whole,
                "{pause:?} of {whole:?}"
            );
        }
        for _ in 0..100 {
            assert!(backoff.next(&mut random, None) <= MOST);
        }
        backoff.reset();
        assert!(backoff.next(&mut random, None) <= LEAST);
    }

    #[test]
    fn what_the_server_asks_for_is_kept() {
        let mut backoff = Backoff::new(LEAST, MOST);
        let asked = Duration::from_secs(7);
        let pause = backoff.next(&mut Random::seeded(2), Some(asked));
        assert!(pause >= asked && pause <= asked + LEAST);
    }

    #[test]
    fn what_is_asked_for_without_reason_is_bounded() {
        let mut backoff = Backoff::new(LEAST, MOST);
        let pause = backoff.next(&mut Random::seeded(3), Some(Duration::from_secs(u64::MAX)));
        assert!(pause >= ASKED_MOST && pause <= ASKED_MOST + LEAST);
    }

    #[test]
    fn two_clients_do_not_come_back_together() {
        let pause = |seed| Backoff::new(MOST, MOST).next(&mut Random::seeded(seed), None);
        let pauses: std::collections::BTreeSet<_> = (0..50).map(pause).collect();
        assert!(pauses.len() > 45, "{}", pauses.len());
        assert_ne!(unique_name(), unique_name());
    }
}

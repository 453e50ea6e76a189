//! How often something may be done that costs by the time it is done.

use std::time::Duration;

use tokio::time::Instant;

/// Some at once after a pause, and evenly where there is no end of them: the generic cell
/// rate algorithm, ITU-T I.371.
pub(crate) struct Rhythm {
    interval: Duration,
    at_once: u32,
    /// When as many as may be may come at once.
    full_at: Instant,
}

impl Rhythm {
    /// `per_second` where there is no end of them, 1 or more, and `at_once` after a pause.
    pub(crate) fn new(per_second: u32, at_once: u32) -> Self {
        Self {
            interval: Duration::from_secs(1) / per_second,
            at_once,
            full_at: Instant::now(),
        }
    }

    /// Waits until the next may begin.
    pub(crate) async fn next(&mut self) {
        let wait = self.count();
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Counts one that happens now in any case; says whether it comes too early. After many
    /// of those it takes a pause until one is in time again.
    pub(crate) fn is_early(&mut self) -> bool {
        let is_early = !self.count().is_zero();
        let most = Instant::now() + self.interval * self.at_once * 2;
        self.full_at = self.full_at.min(most);
        is_early
    }

    /// Counts one more. How much too early it is.
    fn count(&mut self) -> Duration {
        let now = Instant::now();
        self.full_at = self.full_at.max(now) + self.interval;
        (self.full_at - now).saturating_sub(self.interval * self.at_once)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn some_come_at_once_and_the_rest_evenly() {
        let mut rhythm = Rhythm::new(100, 4);
        let began = Instant::now();
        for _ in 0..4 {
            rhythm.next().await;
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        for _ in 0..10 {
            rhythm.next().await;
        }
        let took = began.elapsed().as_millis();
        assert!((99..=111).contains(&took), "{took} ms");
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_too_often_is_early_until_there_is_a_pause() {
        let mut rhythm = Rhythm::new(100, 4);
        assert!((0..4).all(|_| !rhythm.is_early()));
        for _ in 0..100 {
            assert!(rhythm.is_early());
            tokio::time::advance(Duration::from_millis(5)).await;
        }
        tokio::time::advance(Duration::from_millis(60)).await;
        assert!(!rhythm.is_early());
    }
}

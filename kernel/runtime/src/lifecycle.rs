//! Who owns the tasks of a process and how it ends.
//!
//! First it drains: nothing new is taken in, what was taken in is finished. Then
//! it stops: every task ends. A task that fails ends the process, so that whoever
//! started it can start it again, whole.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Health;

/// The life of one process or, in tests and standalone, of one system.
#[derive(Clone)]
pub struct Lifecycle {
    drain: CancellationToken,
    stop: CancellationToken,
    /// Drains the whole process, when a task failed.
    alarm: CancellationToken,
    tasks: TaskTracker,
    /// Those tasks that end by themselves once the process drains.
    drains: TaskTracker,
    health: Health,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

impl Lifecycle {
    /// A life that has just begun.
    pub fn new() -> Self {
        let drain = CancellationToken::new();
        Self {
            alarm: drain.clone(),
            drain,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            drains: TaskTracker::new(),
            health: Health::default(),
        }
    }

    /// The same life for what others in this process stand on: it takes things in until
    /// all else has drained, and ends with the stop.
    #[must_use]
    pub fn foundation(&self) -> Self {
        Self {
            drain: self.stop.clone(),
            drains: TaskTracker::new(),
            ..self.clone()
        }
    }

    /// Runs `task` until it ends; it must end soon after [`Lifecycle::stopping`].
    /// One that panics takes the process down.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let alarm = self.alarm.clone();
        let task = self.tasks.spawn(task);
        self.tasks.spawn(async move {
            if let Err(error) = task.await
                && error.is_panic()
            {
                tracing::error!(task = name, "a task panicked; the process goes down");
                alarm.cancel();
            }
        });
    }

    /// As [`Lifecycle::spawn`], for a task that ends by itself soon after
    /// [`Lifecycle::draining`], when it has finished what it took in.
    pub fn spawn_draining(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.spawn(name, self.drains.track_future(task));
    }

    /// Runs what one client brought: there are many, each ends by itself soon after
    /// [`Lifecycle::draining`], and a panic in one is the end of that one alone.
    pub fn spawn_guest(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(self.drains.track_future(task));
    }

    /// Waits until everything that was taken in is finished.
    pub async fn drained(&self) {
        self.drains.close();
        self.drains.wait().await;
    }

    /// Where tasks are counted whose failure is their caller's business.
    pub fn tasks(&self) -> TaskTracker {
        self.tasks.clone()
    }

    /// Fires when nothing new may be taken in.
    pub fn draining(&self) -> &CancellationToken {
        &self.drain
    }

    /// Fires when every task must end.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    /// What this process needs, and whether it is there.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Begins the end: nothing new is taken in from here on.
    pub fn drain(&self) {
        self.health.end();
        self.drain.cancel();
    }

    /// Ends every task, and waits for them no longer than `grace`. Says whether
    /// all ended in time.
    pub async fn stop(&self, grace: Duration) -> bool {
        self.drain();
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(grace, self.tasks.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_drains_the_process() {
        let lifecycle = Lifecycle::new();
        lifecycle.spawn("faulty", async { panic!("on purpose") });
        let drained = lifecycle.draining().cancelled();
        tokio::time::timeout(Duration::from_secs(5), drained)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_foundation_drains_with_the_stop_and_its_failure_drains_the_process() {
        let lifecycle = Lifecycle::new();
        let foundation = lifecycle.foundation();
        lifecycle.drain();
        assert!(!foundation.draining().is_cancelled());
        assert!(lifecycle.stop(Duration::from_secs(5)).await);
        assert!(foundation.draining().is_cancelled());

        let lifecycle = Lifecycle::new();
        let foundation = lifecycle.foundation();
        foundation.spawn("faulty", async { panic!("on purpose") });
        let drained = lifecycle.draining().cancelled();
        tokio::time::timeout(Duration::from_secs(5), drained)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn stop_waits_for_tasks_and_tells_when_one_hangs() {
        let lifecycle = Lifecycle::new();
        let stopping = lifecycle.stopping().clone();
        lifecycle.spawn("good", async move { stopping.cancelled().await });
        assert!(lifecycle.stop(Duration::from_secs(5)).await);

        let lifecycle = Lifecycle::new();
        lifecycle.spawn("deaf", std::future::pending());
        assert!(!lifecycle.stop(Duration::from_millis(20)).await);
    }
}

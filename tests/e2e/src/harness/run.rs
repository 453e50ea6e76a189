//! One runtime for all scenarios of the process: connections that are kept open
//! between calls belong to a runtime, and the embedded system to one as well.

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::World;
#[cfg(feature = "distributed")]
use super::distributed::Dev;

/// No scenario takes longer, but those that stop parts of the system.
const PATIENCE: Duration = Duration::from_mins(3);

/// Makes two tests of each scenario: `embedded::name`, and with the feature
/// `distributed` also `distributed::name`.
macro_rules! scenarios {
    ($($(#[$meta:meta])* async fn $name:ident($world:ident: World) $body:block)+) => {
        $($(#[$meta])* async fn $name($world: $crate::harness::World) $body)+

        mod embedded {
            $(#[test] fn $name() { $crate::harness::run_embedded(super::$name); })+
        }

        #[cfg(feature = "distributed")]
        mod distributed {
            $(#[test] fn $name() { $crate::harness::run_distributed(super::$name); })+
        }
    };
}

/// Makes a test `distributed::name` of each scenario, for what one process cannot show.
#[cfg(feature = "distributed")]
macro_rules! distributed_scenarios {
    ($($(#[$meta:meta])* async fn $name:ident($world:ident: World) $body:block)+) => {
        $($(#[$meta])* async fn $name($world: $crate::harness::World) $body)+

        mod distributed {
            $(#[test] fn $name() { $crate::harness::run_distributed(super::$name); })+
        }
    };
}

/// Makes a test `distributed::name` of each scenario. These stop parts of the system,
/// so nothing else runs beside them.
#[cfg(feature = "distributed")]
macro_rules! disruptive_scenarios {
    ($($(#[$meta:meta])* async fn $name:ident($world:ident: World) $body:block)+) => {
        $($(#[$meta])* async fn $name($world: $crate::harness::World) $body)+

        mod distributed {
            $(#[test] fn $name() { $crate::harness::run_alone(super::$name); })+
        }
    };
}

pub(crate) fn run_embedded<F: Future<Output = ()>>(scenario: impl FnOnce(World) -> F) {
    runtime().block_on(async { within(PATIENCE, scenario(World::embedded().await)).await });
}

#[cfg(feature = "distributed")]
pub(crate) fn run_distributed<F: Future<Output = ()>>(scenario: impl FnOnce(World) -> F) {
    runtime().block_on(async {
        let _side_by_side = DISRUPTION.read().await;
        within(PATIENCE, scenario(World::distributed())).await;
    });
}

#[cfg(feature = "distributed")]
pub(crate) fn run_alone<F: Future<Output = ()>>(scenario: impl FnOnce(World) -> F) {
    run_alone_for(PATIENCE * 2, scenario);
}

#[cfg(feature = "distributed")]
pub(crate) fn run_alone_for<F: Future<Output = ()>>(
    patience: Duration,
    scenario: impl FnOnce(World) -> F,
) {
    runtime().block_on(async {
        let _alone = DISRUPTION.write().await;
        let _whole = WholeAgain(Dev::from_env());
        within(patience, scenario(World::distributed())).await;
    });
}

/// Makes the system whole again for others when a scenario fails in the middle.
#[cfg(feature = "distributed")]
struct WholeAgain(Dev);

#[cfg(feature = "distributed")]
impl Drop for WholeAgain {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.make_whole();
        }
    }
}

/// Held for writing by a scenario that stops parts of the system.
#[cfg(feature = "distributed")]
static DISRUPTION: tokio::sync::RwLock<()> = tokio::sync::RwLock::const_new(());

async fn within(patience: Duration, scenario: impl Future<Output = ()>) {
    let ended = tokio::time::timeout(patience, scenario).await;
    assert!(ended.is_ok(), "the scenario takes longer than {patience:?}");
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap())
}

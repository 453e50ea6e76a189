//! A replica of message-service that is one release ahead (`tests/next-release`).

use std::process::Stdio;

use tokio::process::Child;

use super::distributed::{Dev, end};

/// The next release, in the place of one of a system's replicas, which is down. It ends
/// with the scenario.
pub(crate) struct NextRelease(Child);

impl NextRelease {
    /// Starts it where replica `number` was, and waits until it is ready.
    pub(crate) async fn in_place_of(number: u16, dev: &Dev) -> Self {
        let name = format!("message-{number}");
        let process = dev
            .message_service("message-service-next")
            .env("PARLEY_MESSAGE__LISTEN", dev.address(&name))
            .env("PARLEY_MESSAGE__ADMIN__LISTEN", dev.admin_address(&name))
            .stdin(Stdio::null())
            .stdout(dev.log(&format!("message-next-{number}.log")))
            .stderr(dev.log(&format!("message-next-{number}.log")))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let replica = Self(process);
        dev.well_again().await;
        replica
    }

    /// Ends it in good order.
    pub(crate) async fn end(mut self) {
        end(&mut self.0).await;
    }
}

//! A replica of message-service of a scenario's own beside those of a system, on the same
//! backends.

use std::process::Stdio;
use std::time::Duration;

use client::Api;
use tokio::process::Child;
use tokio::time::{interval, timeout};

use super::distributed::{Dev, appended, ask_ready};
use super::ports::free_port;

/// A replica that no gateway knows but who is told of it. It ends with the scenario.
pub(crate) struct ExtraMessages {
    address: String,
    _process: Child,
}

impl ExtraMessages {
    /// Starts one that writes so many entries in one transaction, most, and waits until it
    /// is ready.
    pub(crate) async fn start(dev: &Dev, batch: usize) -> Self {
        let local = |port: u16| format!("127.0.0.1:{port}");
        let (address, admin) = (local(free_port()), local(free_port()));
        let log = dev.folder.join("log");
        let log = log.join(format!("message-{address}.log"));
        let process = dev
            .message_service("message-service")
            .env("PARLEY_MESSAGE__LISTEN", &address)
            .env("PARLEY_MESSAGE__ADMIN__LISTEN", &admin)
            .env("PARLEY_MESSAGE__WRITING__BATCH", batch.to_string())
            .stdin(Stdio::null())
            .stdout(appended(&log))
            .stderr(appended(&log))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let admin = Api::new(&format!("http://{admin}")).unwrap();
        let asking = async {
            // The process has no other way to tell.
            let mut again = interval(Duration::from_millis(50));
            loop {
                again.tick().await;
                if ask_ready(&admin)
                    .await
                    .is_ok_and(|ready| ready["Ready"] == true)
                {
                    return;
                }
            }
        };
        let in_time = timeout(Duration::from_secs(30), asking).await.is_ok();
        assert!(in_time, "not ready: {:?}", ask_ready(&admin).await);
        Self {
            address,
            _process: process,
        }
    }

    /// Where it answers, host:port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

//! Gateways of a scenario's own beside those of a system.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use client::Api;
use tokio::process::{Child, Command};
use tokio::time::{interval, timeout};

use super::distributed::{Dev, Memory, appended, ask_ready, end};
use super::extra_messages::ExtraMessages;
use super::own::LoneKafka;
use super::ports::free_port;
use super::relay::Relay;

/// A gateway beside those of the system, which ends with the scenario.
pub(crate) struct ExtraGateway {
    address: String,
    admin: String,
    environment: Vec<(String, String)>,
    binary: PathBuf,
    /// What it finds in place of /etc/hosts.
    hosts: Option<PathBuf>,
    log: PathBuf,
    process: Child,
}

impl ExtraGateway {
    /// Starts it as `deploy/dev/up` starts its own, and waits until it is ready.
    pub(crate) async fn start(dev: &Dev, limits: bool) -> Self {
        let other = ("PARLEY_GATEWAY__LIMITS__ENABLED", limits.to_string());
        Self::launch(dev, vec![other], None).await
    }

    /// As [`ExtraGateway::start`], with another way to session-service.
    pub(crate) async fn start_behind(dev: &Dev, way: &Relay) -> Self {
        let sessions = way.address().to_string();
        let other = ("PARLEY_GATEWAY__SERVICES__SESSION", sessions);
        Self::launch(dev, vec![other], None).await
    }

    /// As [`ExtraGateway::start`], without limits and with that replica of message-service
    /// alone.
    pub(crate) async fn start_before(dev: &Dev, messages: &ExtraMessages) -> Self {
        let messages = messages.address().to_owned();
        let other = ("PARLEY_GATEWAY__SERVICES__MESSAGE", messages);
        Self::launch(dev, vec![other], None).await
    }

    /// As [`ExtraGateway::start`], with message-service at `messages`, host:port, whose
    /// host is to be found in the file `hosts`.
    pub(crate) async fn start_with_hosts(dev: &Dev, messages: String, hosts: &Path) -> Self {
        let other = ("PARLEY_GATEWAY__SERVICES__MESSAGE", messages);
        Self::launch(dev, vec![other], Some(hosts.to_owned())).await
    }

    /// As [`ExtraGateway::start`], reading a bus on which nobody writes, with a replica of
    /// message-service to which nobody else posts: what happens it hears by asking alone.
    pub(crate) async fn start_deaf(dev: &Dev, bus: &LoneKafka, messages: &ExtraMessages) -> Self {
        let messages = messages.address().to_owned();
        let others = vec![
            ("PARLEY_GATEWAY__KAFKA__BROKERS", bus.dev.address("kafka")),
            ("PARLEY_GATEWAY__SERVICES__MESSAGE", messages),
        ];
        Self::launch(dev, others, None).await
    }

    async fn launch(
        dev: &Dev,
        others: Vec<(&'static str, String)>,
        hosts: Option<PathBuf>,
    ) -> Self {
        let local = |port: u16| format!("127.0.0.1:{port}");
        let (address, admin) = (local(free_port()), local(free_port()));
        let own = [
            ("PARLEY_GATEWAY__HTTP__LISTEN", address.clone()),
            ("PARLEY_GATEWAY__ADMIN__LISTEN", admin.clone()),
            ("PARLEY_GATEWAY__LIMITS__ENABLED", false.to_string()),
        ];
        let mut environment = dev.environment("gateway");
        // What comes later counts.
        let own = own.into_iter().chain(others);
        environment.extend(own.map(|(name, value)| (name.to_owned(), value)));
        let binary = dev.binaries().join("gateway");
        let log = dev
            .folder
            .join("log")
            .join(format!("gateway-{address}.log"));
        let process = spawn(&binary, &environment, hosts.as_deref(), &log);
        let mut gateway = Self {
            address,
            admin,
            environment,
            binary,
            hosts,
            log,
            process,
        };
        gateway.ready().await;
        gateway
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// See [`Memory`].
    pub(crate) fn memory(&self) -> Memory {
        Memory::of(self.process.id().expect("a process that runs"))
    }

    /// Ends it in good order.
    pub(crate) async fn end(mut self) {
        end(&mut self.process).await;
    }

    /// Kills it and starts it again.
    pub(crate) async fn restart(&mut self) {
        self.process.kill().await.unwrap();
        self.process = spawn(
            &self.binary,
            &self.environment,
            self.hosts.as_deref(),
            &self.log,
        );
        self.ready().await;
    }

    async fn ready(&mut self) {
        let public = Api::new(&format!("http://{}", self.address)).unwrap();
        let admin = Api::new(&format!("http://{}", self.admin)).unwrap();
        let asking = async {
            // The process has no other way to tell.
            let mut again = interval(Duration::from_millis(50));
            loop {
                again.tick().await;
                if ask_ready(&public)
                    .await
                    .is_ok_and(|ready| ready["Ready"] == true)
                {
                    return;
                }
            }
        };
        if timeout(Duration::from_secs(30), asking).await.is_err() {
            let ended = self.process.try_wait();
            panic!("not ready: {:?}, ended: {ended:?}", ask_ready(&admin).await);
        }
    }
}

/// Whether a process may be given another /etc/hosts than its own here.
pub(crate) async fn may_have_hosts() -> bool {
    let mut trying = with_hosts(Path::new("true"), Path::new("/dev/null"));
    trying.status().await.is_ok_and(|status| status.success())
}

/// A command that finds the file `hosts` in place of /etc/hosts, in a file system of its own.
fn with_hosts(binary: &Path, hosts: &Path) -> Command {
    let mut command = Command::new("unshare");
    let script = r#"mount --bind "$1" /etc/hosts && exec "$0""#;
    command.args(["--mount", "sh", "-c", script]);
    command.arg(binary).arg(hosts);
    command
}

fn spawn(
    binary: &Path,
    environment: &[(String, String)],
    hosts: Option<&Path>,
    log: &Path,
) -> Child {
    let mut command = match hosts {
        Some(hosts) => with_hosts(binary, hosts),
        None => Command::new(binary),
    };
    command
        .envs(environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(appended(log))
        .stderr(appended(log))
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

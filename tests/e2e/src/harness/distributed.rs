//! A distributed system that `deploy/dev/up` started on this machine, and its processes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use client::{Api, Method};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{interval, timeout};

/// How long a process may take to end: its configured grace period.
const GRACE: Duration = Duration::from_secs(15);

/// A system that `deploy/dev/up` started, by the folder with its state.
pub(crate) struct Dev {
    pub(super) folder: PathBuf,
}

impl Dev {
    /// # Panics
    /// When `PARLEY_TEST_DEV_DIR` does not name the folder.
    pub(crate) fn from_env() -> Self {
        let folder = std::env::var("PARLEY_TEST_DEV_DIR")
            .expect("PARLEY_TEST_DEV_DIR has to name the state folder of deploy/dev/up");
        Self::at(Path::new(&folder))
    }

    /// The system whose state is in `folder`.
    pub(crate) fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Where the data of a backend are.
    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.folder.join("data").join(name)
    }

    /// The folder with the binaries that its services run.
    pub(crate) fn binaries(&self) -> PathBuf {
        PathBuf::from(self.kept("settings", "BIN_DIR"))
    }

    pub(crate) fn secrets_file(&self) -> PathBuf {
        self.folder.join("conf/secrets")
    }

    /// Whether there is a process of this name in the system.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.folder.join("pid").join(name).exists()
    }

    /// Whether the process of this name lives.
    pub(crate) fn has_live(&self, name: &str) -> bool {
        self.has(name) && alive(&self.pid(name))
    }

    /// Stops the process `name` where it stands, until [`Dev::thaw`].
    pub(crate) async fn freeze(&self, name: &str) {
        run(Command::new("kill").args(["-STOP", &self.pid(name)])).await;
    }

    /// Lets a frozen process go on.
    pub(crate) async fn thaw(&self, name: &str) {
        run(Command::new("kill").args(["-CONT", &self.pid(name)])).await;
    }

    /// Kills the process `name` without a warning and waits until it is dead.
    pub(crate) async fn kill(&self, name: &str) {
        let pid = self.pid(name);
        run(Command::new("kill").args(["-KILL", &pid])).await;
        let dying = async {
            // It is no child of this process, so there is nothing to wait on but its entry.
            let mut again = interval(Duration::from_millis(20));
            while alive(&pid) {
                again.tick().await;
            }
        };
        timeout(Duration::from_secs(10), dying)
            .await
            .expect("dead in time");
    }

    fn pid(&self, name: &str) -> String {
        pid_in(&self.folder.join("pid").join(name)).unwrap()
    }

    /// Starts the process `name` again and waits until it is ready.
    pub(crate) async fn up(&self, name: &str) {
        self.deploy("up", name).await;
    }

    /// As [`Dev::up`], as the first of a system, on this machine and with its ports moved.
    pub(super) async fn up_at(&self, name: &str, offset: u16) {
        let mut up = self.script("up", name);
        up.env("PARLEY_DEV_PORT_OFFSET", offset.to_string());
        run(up.env("PARLEY_DEV_BACKENDS", "native")).await;
    }

    /// Starts the process `name`, which lacks something that it needs to be ready.
    pub(crate) async fn begin(&self, name: &str) {
        let mut up = self.script("up", name);
        up.env("PARLEY_DEV_TIMEOUT", "0").stdin(Stdio::null());
        let output = up.output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("not ready in time"), "{name}: {said}");
    }

    /// Stops the process `name` in good order.
    pub(crate) async fn down(&self, name: &str) {
        self.deploy("down", name).await;
    }

    /// Begins a new life of the logs, as an operator does after a restore.
    pub(crate) async fn new_epoch(&self) {
        run(self.message_service("message-service").arg("--new-epoch")).await;
    }

    /// Where a process of this name writes what it has to say.
    pub(super) fn log(&self, name: &str) -> Stdio {
        let path = self.folder.join("log").join(name);
        appended(&path)
    }

    /// A message-service that is to use this system's backends.
    pub(super) fn message_service(&self, binary: &str) -> Command {
        let mut command = Command::new(self.binaries().join(binary));
        command.envs(self.environment("message"));
        command
    }

    /// What `deploy/dev/up` tells a process of this service of the rest of the system.
    pub(super) fn environment(&self, service: &str) -> Vec<(String, String)> {
        let service = registry::entry(service);
        let mut environment = Vec::new();
        let mut secrets = vec!["SERVICE_TOKEN"];
        secrets.extend(&service.secrets);
        for used in &service.uses {
            let variable = |key: &str| service.variable(key);
            match *used {
                "postgres" => {
                    secrets.push("POSTGRES_PASSWORD");
                    environment.extend([
                        ("POSTGRES_USER".to_owned(), "parley".to_owned()),
                        ("POSTGRES_DB".to_owned(), "parley".to_owned()),
                        (variable("POSTGRES__HOST"), "127.0.0.1".to_owned()),
                        (variable("POSTGRES__PORT"), self.port(used).to_string()),
                    ]);
                }
                "redis" => {
                    secrets.push("REDIS_PASSWORD");
                    environment.extend([
                        (variable("REDIS__HOST"), "127.0.0.1".to_owned()),
                        (variable("REDIS__PORT"), self.port(used).to_string()),
                    ]);
                }
                "kafka" => environment.push((variable("KAFKA__BROKERS"), self.address(used))),
                used => {
                    let key = format!("SERVICES__{}", used.to_uppercase());
                    environment.push((variable(&key), self.addresses(used).join(",")));
                }
            }
        }
        let kept = |secret: &str| (secret.to_owned(), self.kept("secrets", secret));
        environment.extend(secrets.into_iter().map(kept));
        environment
    }

    /// Waits until every process is ready and does without nothing, on its own word.
    ///
    /// # Panics
    /// When it takes longer than 30 s: a system recovers by itself.
    pub(crate) async fn well_again(&self) {
        for service in registry::services() {
            for name in self.processes(service) {
                self.says(&name, is_well).await;
            }
        }
    }

    /// Waits until a process says so of its readiness, which has no other way to tell.
    ///
    /// # Panics
    /// When it takes longer than 30 s.
    pub(crate) async fn says(&self, name: &str, so: impl Fn(&Value) -> bool) {
        let mut last = String::new();
        let asking = async {
            let mut again = interval(Duration::from_millis(50));
            loop {
                again.tick().await;
                match ask_ready(&self.admin(name)).await {
                    Ok(answer) if so(&answer) => return,
                    answer => last = format!("{answer:?}"),
                }
            }
        };
        let in_time = timeout(Duration::from_secs(30), asking).await.is_ok();
        assert!(in_time, "{name}: {last}");
    }

    /// The sum of a counter of a process over all its labels that have `label` among them.
    pub(crate) async fn counter(&self, name: &str, counter: &str, label: &str) -> f64 {
        let admin = self.admin(name);
        let headers = http::HeaderMap::new();
        let answer = admin.raw(Method::GET, "/metrics", headers, "").await;
        let text = String::from_utf8(answer.unwrap().body.to_vec()).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix(counter));
        let named = lines.filter(|rest| rest.starts_with([' ', '{']) && rest.contains(label));
        named
            .map(|rest| rest.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }

    /// See [`Memory`].
    pub(crate) fn memory(&self, name: &str) -> Memory {
        Memory::of(self.pid(name).parse().unwrap())
    }

    /// Waits until PostgreSQL takes a connection: one that starts says no to it.
    pub(crate) async fn postgres_accepts(&self) {
        let asks_for_password = async || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port("postgres"))).await?;
            // StartupMessage, version 3.0.
            let message = b"\0\0\0\x15\0\x03\0\0user\0parley\0\0";
            stream.write_all(message).await?;
            Ok::<_, std::io::Error>(stream.read_u8().await? == b'R')
        };
        let asking = async {
            let mut again = interval(Duration::from_millis(10));
            while !asks_for_password().await.unwrap_or(false) {
                again.tick().await;
            }
        };
        timeout(Duration::from_mins(1), asking)
            .await
            .expect("PostgreSQL in time");
    }

    fn admin(&self, name: &str) -> Api {
        Api::new(&format!("http://{}", self.admin_address(name))).unwrap()
    }

    /// Where a process serves health and metrics.
    pub(super) fn admin_address(&self, name: &str) -> String {
        let port = registry::admin_port(name);
        let port = port.unwrap_or_else(|| panic!("{name} has no admin port"));
        format!("127.0.0.1:{}", port + self.offset())
    }

    /// The names of a service's processes.
    fn processes(&self, service: &registry::Entry) -> Vec<String> {
        let count = service.count_key().map(|key| self.kept("settings", &key));
        service.processes(count.map_or(1, |count| count.parse().unwrap()))
    }

    /// Where the processes of a service answer.
    pub(crate) fn addresses(&self, service: &str) -> Vec<String> {
        let processes = self.processes(registry::entry(service));
        processes.iter().map(|name| self.address(name)).collect()
    }

    /// Where a process answers.
    pub(crate) fn address(&self, name: &str) -> String {
        format!("127.0.0.1:{}", self.port(name))
    }

    /// Lets go on whatever is frozen, and starts whatever is down. The scenario has failed
    /// already, so that this may fail too is no news.
    pub(super) fn make_whole(&self) {
        let records = std::fs::read_dir(self.folder.join("pid"));
        for record in records.into_iter().flatten().flatten() {
            // A second panic would end the tests that come after, too.
            if let Ok(pid) = pid_in(&record.path()) {
                let mut thaw = std::process::Command::new("kill");
                let _ = thaw.args(["-CONT", &pid]).status();
            }
        }
        let mut up = std::process::Command::new(script("up"));
        let _ = up.env("PARLEY_DEV_DIR", &self.folder).status();
    }

    async fn deploy(&self, script: &str, name: &str) {
        run(&mut self.script(script, name)).await;
    }

    fn script(&self, script: &str, name: &str) -> Command {
        let mut command = Command::new(self::script(script));
        command.arg(name).env("PARLEY_DEV_DIR", &self.folder);
        // Beside a load everything takes longer to start.
        command.env("PARLEY_DEV_TIMEOUT", "100");
        command
    }

    /// The value of `key` in one of the files that keep what the system was started with.
    pub(super) fn kept(&self, file: &str, key: &str) -> String {
        let kept = std::fs::read_to_string(self.folder.join("conf").join(file)).unwrap();
        let value = kept
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        value
            .unwrap_or_else(|| panic!("{file} has no {key}"))
            .to_owned()
    }

    fn port(&self, name: &str) -> u16 {
        registry::port(name) + self.offset()
    }

    /// What is added to every port of this system.
    fn offset(&self) -> u16 {
        self.kept("settings", "PORT_OFFSET").parse().unwrap()
    }
}

/// What a process has in memory, and the most that it had, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) now: u64,
    pub(crate) most: u64,
}

impl Memory {
    pub(super) fn of(pid: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            1024 * kib.unwrap_or_else(|| panic!("{name} of {status}"))
        };
        Self {
            now: field("VmRSS:"),
            most: field("VmHWM:"),
        }
    }
}

/// Where one of the scripts that start and stop a system is.
pub(super) fn script(name: &str) -> String {
    format!("{}/../../deploy/dev/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// What a process says of its readiness; the public port says less.
pub(super) async fn ask_ready(api: &Api) -> client::Result<Value> {
    let asked = api.raw(Method::GET, "/health/ready", http::HeaderMap::new(), "");
    Ok(serde_json::from_slice(&asked.await?.body).unwrap_or_default())
}

/// The process that a record of `deploy/dev/up` is about.
fn pid_in(record: &Path) -> std::io::Result<String> {
    let record = std::fs::read_to_string(record)?;
    Ok(record.split(' ').next().unwrap_or_default().to_owned())
}

fn is_well(ready: &Value) -> bool {
    ready["Ready"] == true && ready["Degraded"] == serde_json::json!({})
}

/// Whether there is a process that is no zombie. Its name, in parentheses, may hold anything.
fn alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, fields)| !fields.trim_start().starts_with(['Z', 'X']))
}

/// Tells a process to end, and waits until it has, in good order and within [`GRACE`].
pub(super) async fn end(process: &mut Child) {
    let pid = process.id().expect("a process that runs").to_string();
    run(Command::new("kill").args(["-TERM", &pid])).await;
    let ended = timeout(GRACE, process.wait())
        .await
        .expect("an end in time");
    let status = ended.unwrap();
    assert!(status.success(), "{status}");
}

async fn run(command: &mut Command) {
    let running = command.stdin(Stdio::null()).output();
    let output = timeout(Duration::from_mins(2), running)
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{said}",
        output.status
    );
}

pub(super) fn appended(log: &Path) -> Stdio {
    let file = File::options().append(true).create(true).open(log);
    file.unwrap().into()
}

//! What every service binary does, so that its `main` is a table of contents.

use std::future::Future;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use base::Error;
use clap::{CommandFactory, FromArgMatches, Parser};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{self, Loaded, Process, ServiceConfig};
use crate::{Lifecycle, admin, telemetry};

/// The command line of a service.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file (YAML or TOML).
    #[arg(long)]
    config: Option<PathBuf>,
    /// Print the effective configuration, secrets masked, and exit.
    #[arg(long)]
    check_config: bool,
    /// Ask the running process whether it is ready; exit 0 or 1.
    #[arg(long)]
    health: bool,
}

/// What a service starts: it takes its configuration and its life, and has
/// everything under way when it returns.
pub trait Startup<C>: FnOnce(C, Lifecycle) -> Self::Starting {
    /// The start under way.
    type Starting: Future<Output = base::Result<()>> + Send;
}

impl<C, F, S> Startup<C> for F
where
    F: FnOnce(C, Lifecycle) -> S,
    S: Future<Output = base::Result<()>> + Send,
{
    type Starting = S;
}

/// Something that an operator has a service do once, instead of serving.
pub struct Task<C> {
    /// What asks for it on the command line, without the dashes.
    pub flag: &'static str,
    /// What `--help` says of it.
    pub help: &'static str,
    /// Does it, and says in words what came of it.
    pub perform: fn(C, Lifecycle) -> BoxFuture<'static, base::Result<String>>,
}

/// Runs a service from its command line to its end.
pub fn service<C: ServiceConfig>(start: impl Startup<C>) -> ExitCode {
    service_with(None, start)
}

/// As [`service`], for one that can be asked for a task too.
pub fn service_with<C: ServiceConfig>(
    task: impl Into<Option<Task<C>>>,
    start: impl Startup<C>,
) -> ExitCode {
    let mut command = Arguments::command();
    let task = task.into();
    if let Some(task) = &task {
        let flag = clap::Arg::new(task.flag).long(task.flag).help(task.help);
        command = command.arg(flag.action(clap::ArgAction::SetTrue));
    }
    let matches = command.get_matches();
    let task = task.filter(|task| matches.get_flag(task.flag));
    let arguments = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    let environment = config::environment();
    let outcome =
        config::load::<C>(arguments.config.as_deref(), &environment).and_then(
            |loaded| match task {
                _ if arguments.check_config => show(&loaded),
                _ if arguments.health => health(loaded.config.process().admin.listen),
                Some(task) => telemetry::start_logs(&loaded.config.process().log).and_then(|()| {
                    finish_task(async move |lifecycle| {
                        (task.perform)(loaded.config, lifecycle).await
                    })
                }),
                None => serve(loaded, start),
            },
        );
    exit(C::NAME, outcome)
}

/// Has a process do one thing, whose words go to standard output, and end.
pub fn perform(
    name: &'static str,
    task: impl AsyncFnOnce(Lifecycle) -> base::Result<String>,
) -> ExitCode {
    exit(name, finish_task(task))
}

fn finish_task(task: impl AsyncFnOnce(Lifecycle) -> base::Result<String>) -> base::Result<()> {
    on_runtime(async move {
        let lifecycle = Lifecycle::new();
        let said = task(lifecycle.clone()).await?;
        lifecycle.stop(Duration::from_secs(1)).await;
        writeln!(std::io::stdout(), "{said}").map_err(Error::internal)
    })
}

fn exit(name: &str, outcome: base::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = error
                .cause()
                .map(|cause| format!(" ({cause})"))
                .unwrap_or_default();
            let _ = writeln!(std::io::stderr(), "{name}: {}{cause}", error.detail());
            ExitCode::FAILURE
        }
    }
}

/// `--check-config`
fn show<C: ServiceConfig>(loaded: &Loaded<C>) -> base::Result<()> {
    let text = serde_json::to_string_pretty(&loaded.config).map_err(Error::internal)?;
    for key in &loaded.ignored {
        let _ = writeln!(std::io::stderr(), "{}: {key} means nothing here", C::NAME);
    }
    if let Err(error) = loaded.config.process().service_token() {
        let _ = writeln!(std::io::stderr(), "{}: {}", C::NAME, error.detail());
    }
    writeln!(std::io::stdout(), "{text}").map_err(Error::internal)
}

fn serve<C: ServiceConfig>(loaded: Loaded<C>, start: impl Startup<C>) -> base::Result<()> {
    let process = loaded.config.process().clone();
    process.service_token()?;
    live(C::NAME, &process, async move |lifecycle| {
        for key in &loaded.ignored {
            tracing::warn!(key, "this key of the configuration file means nothing here");
        }
        start(loaded.config, lifecycle).await
    })
}

/// Runs a process that `start` gets under way, from its logs to its last task; says
/// on standard error what went wrong.
pub fn run(
    name: &'static str,
    process: &Process,
    start: impl AsyncFnOnce(Lifecycle) -> base::Result<()>,
) -> ExitCode {
    exit(name, live(name, process, start))
}

/// Asks a running process on its admin port whether it is ready.
pub fn ask_health(name: &'static str, admin: SocketAddr) -> ExitCode {
    exit(name, health(admin))
}

fn live(
    name: &'static str,
    process: &Process,
    start: impl AsyncFnOnce(Lifecycle) -> base::Result<()>,
) -> base::Result<()> {
    telemetry::start_logs(&process.log)?;
    let metrics = telemetry::start_metrics()?;
    on_runtime(async move {
        let told = told_to_end()?;
        let lifecycle = Lifecycle::new();
        let living = async {
            let started = CancellationToken::new();
            let admin = process.admin.listen;
            admin::serve(admin, metrics, &lifecycle, started.clone()).await?;
            start(lifecycle.clone()).await?;
            started.cancel();
            tracing::info!(
                service = name,
                version = env!("CARGO_PKG_VERSION"),
                "started"
            );
            lifecycle.draining().cancelled().await;
            Err(Error::internal("a task failed; see the log"))
        };
        tokio::select! {
            () = told => {}
            failed = living => return failed,
        }
        tracing::info!("ending");
        finish(&lifecycle, process.grace.0).await;
        Ok(())
    })
}

fn on_runtime<T>(work: impl Future<Output = base::Result<T>>) -> base::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(Error::internal)?;
    let outcome = runtime.block_on(work);
    // A blocking task that hangs (a password hash, say) must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// Listens for SIGTERM and SIGINT from here on; the wait ends with the first.
fn told_to_end() -> base::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::internal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::internal)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Drains for at most two thirds of the grace period, then stops.
async fn finish(lifecycle: &Lifecycle, grace: Duration) {
    lifecycle.drain();
    let drained = lifecycle.drained();
    if tokio::time::timeout(grace * 2 / 3, drained).await.is_err() {
        tracing::warn!("draining took too long; what is left is cut off");
    }
    if !lifecycle.stop(grace / 3).await {
        tracing::warn!("tasks were left running");
    }
}

/// `--health`: one request to the process's own admin port.
fn health(admin: SocketAddr) -> base::Result<()> {
    on_runtime(async move {
        let unreachable = |error: std::io::Error| Error::unavailable("not reachable", error);
        let ask = async {
            let mut stream = TcpStream::connect(admin).await.map_err(unreachable)?;
            let request = "GET /health/ready HTTP/1.0\r\nHost: localhost\r\n\r\n";
            stream
                .write_all(request.as_bytes())
                .await
                .map_err(unreachable)?;
            let mut answer = String::new();
            stream
                .read_to_string(&mut answer)
                .await
                .map_err(unreachable)?;
            let status = answer.split(' ').nth(1).unwrap_or_default();
            if status == "200" {
                Ok(())
            } else {
                Err(Error::new(base::Code::Unavailable, "not ready"))
            }
        };
        let answer = tokio::time::timeout(Duration::from_secs(2), ask).await;
        answer.unwrap_or_else(|_| Err(Error::deadline_exceeded()))
    })
}

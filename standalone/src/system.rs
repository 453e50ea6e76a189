//! Puts the services together.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::{Entropy, Error, OsEntropy};
use bus::memory::MemoryBus;
use message_service::Writing;
use message_service::store::Store as LogStore;
use message_service::store::postgres::PostgresStore;
use message_service::store::sqlite::SqliteStore;
use runtime::config::{self, Environment, Postgres, Secret, ServiceConfig};
use runtime::{Channel, Lifecycle, Replicas};

use crate::arguments::Options;
use crate::lock;

/// How long the parts may take to end.
const GRACE: Duration = Duration::from_secs(10);
/// How long a database may take to be ready.
const READY: Duration = Duration::from_mins(1);

/// A system that runs.
pub struct Running {
    addr: SocketAddr,
    lifecycle: Lifecycle,
    _lock: Option<lock::Folder>,
}

impl Running {
    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Ends it in good order.
    pub async fn stop(self) {
        self.lifecycle.drain();
        // What does not end in time is cut off by the stop.
        let _ = tokio::time::timeout(GRACE, self.lifecycle.drained()).await;
        self.lifecycle.stop(GRACE).await;
    }

    /// Keeps it until its life ends elsewhere.
    pub async fn until_stopped(self) {
        self.lifecycle.stopping().cancelled().await;
    }
}

/// Starts everything; it is ready to be asked when this returns.
///
/// # Errors
/// When the data cannot be used, another process uses it, or the address is taken.
pub async fn start(options: &Options, lifecycle: &Lifecycle) -> base::Result<Running> {
    make_folder(&options.data)?;
    let lock = match &options.database {
        Some(url) => {
            lock::postgres(url, &random_name()?, lifecycle).await?;
            None
        }
        None => Some(lock::folder(&options.data)?),
    };
    let token = own_token()?;
    let mut environment = config::environment();
    if environment.get("JWT_SECRET").is_none_or(String::is_empty) {
        let secret = session_service::secret_in(&options.data)?;
        environment.insert("JWT_SECRET".to_owned(), secret.expose().to_owned());
    }
    // The services answer until the gateway has nothing more to ask.
    let foundation = lifecycle.foundation();
    let system = Parts {
        options,
        environment,
        token,
        lifecycle: &foundation,
    };
    // Side by side: each waits for the disk a dozen times before its file is there.
    let ((messages, bus), sessions) = tokio::try_join!(system.messages(), system.sessions())?;
    let messages = Replicas::from(messages);
    let (users, rooms) = tokio::try_join!(
        system.users(sessions.clone()),
        system.rooms(messages.clone())
    )?;
    let ports = gateway::Ports {
        users,
        sessions,
        rooms,
        messages,
        bus,
    };
    lifecycle.health().await_ready(READY).await?;
    let mut config: gateway::Config = system.config()?;
    config.http.listen = options.listen;
    config.limits.enabled &= options.limits;
    let addr = gateway::start(config, ports, lifecycle).await?;
    Ok(Running {
        addr,
        lifecycle: lifecycle.clone(),
        _lock: lock,
    })
}

/// Begins a new life of all logs, after a restore from backup; see
/// [`message_service::new_epoch`]. Nothing else may run on the data.
///
/// # Errors
/// When the data cannot be used, or another process uses it.
pub async fn new_epoch(options: &Options, lifecycle: &Lifecycle) -> base::Result<String> {
    make_folder(&options.data)?;
    let _lock = match &options.database {
        Some(url) => {
            lock::postgres(url, &random_name()?, lifecycle).await?;
            None
        }
        None => Some(lock::folder(&options.data)?),
    };
    let system = Parts {
        options,
        environment: config::environment(),
        token: own_token()?,
        lifecycle,
    };
    let store = system.log_store().await?;
    message_service::new_epoch(store.as_ref(), lifecycle).await
}

struct Parts<'a> {
    options: &'a Options,
    environment: Environment,
    token: Secret,
    lifecycle: &'a Lifecycle,
}

impl Parts<'_> {
    async fn messages(&self) -> base::Result<(Channel, Arc<dyn bus::Bus>)> {
        let config: message_service::Config = self.config()?;
        let bus: Arc<dyn bus::Bus> = MemoryBus::new();
        let writing = if self.options.database.is_some() {
            config.writing
        } else {
            Writing::single()
        };
        let ports = message_service::Ports::new(self.log_store().await?, Arc::clone(&bus));
        let routes = message_service::build(&writing, ports, self.lifecycle);
        Ok((
            Channel::in_process(routes, &self.token, self.lifecycle)?,
            bus,
        ))
    }

    async fn log_store(&self) -> base::Result<Arc<dyn LogStore>> {
        Ok(match self.database() {
            Some(postgres) => {
                let store = PostgresStore::connect(&postgres, "message", self.lifecycle)?;
                Arc::new(store)
            }
            None => Arc::new(SqliteStore::open(&self.options.data.join("message.db")).await?),
        })
    }

    async fn users(&self, sessions: Channel) -> base::Result<Channel> {
        let cache = Arc::new(cache::Memory::new());
        let ports = if let Some(postgres) = self.database() {
            user_service::Ports::on_postgres(&postgres, cache, sessions, self.lifecycle)?
        } else {
            let path = self.options.data.join("user.db");
            user_service::Ports::embedded(&path, cache, sessions).await?
        };
        let routes = user_service::build(&self.config()?, ports, self.lifecycle)?;
        Channel::in_process(routes, &self.token, self.lifecycle)
    }

    async fn sessions(&self) -> base::Result<Channel> {
        let ports = match self.database() {
            Some(postgres) => session_service::Ports::on_postgres(&postgres, self.lifecycle)?,
            None => session_service::Ports::embedded(&self.options.data.join("session.db")).await?,
        };
        let routes = session_service::build(&self.config()?, ports, self.lifecycle)?;
        Channel::in_process(routes, &self.token, self.lifecycle)
    }

    async fn rooms(&self, messages: Replicas) -> base::Result<Channel> {
        let cache = Arc::new(cache::Memory::new());
        let ports = if let Some(postgres) = self.database() {
            rooms_service::Ports::on_postgres(&postgres, cache, messages, self.lifecycle)?
        } else {
            let path = self.options.data.join("rooms.db");
            rooms_service::Ports::embedded(&path, cache, messages).await?
        };
        let routes = rooms_service::build(&self.config()?, ports, self.lifecycle);
        Channel::in_process(routes, &self.token, self.lifecycle)
    }

    /// A service's configuration: its defaults, and what the environment says.
    fn config<C: ServiceConfig>(&self) -> base::Result<C> {
        Ok(config::load::<C>(None, &self.environment)?.config)
    }

    fn database(&self) -> Option<Postgres> {
        let url = self.options.database.clone()?;
        Some(Postgres {
            url: Some(url),
            host: String::new(),
            port: 0,
            user: String::new(),
            password: None,
            db: String::new(),
            connections: 8,
        })
    }
}

/// Within one process nobody else can call; the token keeps the law the same.
fn own_token() -> base::Result<Secret> {
    random_name().map(Secret::new)
}

fn random_name() -> base::Result<String> {
    let mut bits = [0; 16];
    OsEntropy.fill(&mut bits).map_err(Error::internal)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bits)))
}

fn make_folder(data: &Path) -> base::Result<()> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data);
    made.map_err(|error| Error::invalid("data", format!("{}: {error}", data.display())))
}

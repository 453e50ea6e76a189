//! Many processes, with proxies in the links between them.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{interval, sleep, timeout};

use super::dev::Dev;
use super::signal::{self, Signal};
use super::{Binaries, Error, Profile, Result, Settings};
use crate::links::{Links, Pids, State};
use crate::plan::{Act, Fault, Link, Process, links};

/// A killed process is gone at once, but for what the kernel has to give back.
const DYING: Duration = Duration::from_secs(20);

/// A distributed system. Dropping it takes it down.
pub struct Distributed {
    dev: Dev,
    links: Links,
    gateways: usize,
    messages: usize,
    /// Who stands still now: they would not hear that they are to end.
    frozen: Mutex<Vec<u32>>,
    keep: bool,
}

impl Distributed {
    pub(super) async fn start(
        gateways: usize,
        messages: usize,
        settings: &Settings,
    ) -> Result<Self> {
        let dev = Dev::new(&settings.folder)?;
        let pids: Arc<dyn Pids> = Arc::new(dev.clone());
        let links = Links::open(&links(gateways, messages), |to| dev.port(to), &pids)
            .map_err(|error| Error::Io("opening the proxies", error))?;
        let mut system = Self {
            dev,
            links,
            gateways,
            messages,
            frozen: Mutex::new(Vec::new()),
            keep: false,
        };
        system.route_through_proxies()?;
        let profile = system.choose_binaries(settings)?;
        let (gateways, messages) = (gateways.to_string(), messages.to_string());
        let mut arguments = vec!["--no-limits", "--gateways", &gateways];
        arguments.extend(["--message", &messages]);
        arguments.extend(["--profile", profile.folder()]);
        // What an earlier run left when it was killed.
        system.dev.down(&["--wipe"]).await?;
        system.dev.up(&arguments).await?;
        Ok(system)
    }

    /// Every process finds its peers where the proxies are.
    fn route_through_proxies(&mut self) -> Result<()> {
        let port = |process: Process| {
            let port = self.links.port(process);
            port.ok_or_else(|| Error::NoSuch(process.to_string()))
        };
        let address = |process| Ok(format!("127.0.0.1:{}", port(process)?));
        let messages: Result<Vec<_>> = (1..=self.messages)
            .map(|number| address(Process::Message(number)))
            .collect();
        let messages = messages?.join(",");
        let (session, kafka) = (address(Process::SESSION)?, address(Process::KAFKA)?);
        let postgres = port(Process::POSTGRES)?.to_string();
        for (name, value) in [
            ("PARLEY_GATEWAY__SERVICES__MESSAGE", messages.clone()),
            ("PARLEY_ROOMS__SERVICES__MESSAGE", messages),
            ("PARLEY_GATEWAY__SERVICES__SESSION", session),
            ("PARLEY_GATEWAY__KAFKA__BROKERS", kafka.clone()),
            ("PARLEY_MESSAGE__KAFKA__BROKERS", kafka.clone()),
            ("PARLEY_MESSAGE__POSTGRES__PORT", postgres),
            ("PARLEY_DEV_KAFKA_ADVERTISED", kafka),
        ] {
            self.dev.tell(name, value);
        }
        Ok(())
    }

    /// What `up` has to be told to take the binaries that are wanted.
    fn choose_binaries(&mut self, settings: &Settings) -> Result<Profile> {
        let folder = match &settings.binaries {
            Binaries::Build(profile) => return Ok(*profile),
            Binaries::Folder(folder) => folder,
        };
        // `up` would build what is missing, and nothing of it would be what was asked for.
        let missing = registry::services()
            .filter_map(|service| Some(folder.join(service.binary?)))
            .find(|binary| !binary.is_file());
        if let Some(missing) = missing {
            return Err(Error::NoSuch(missing.display().to_string()));
        }
        let name = folder.file_name().and_then(|name| name.to_str());
        let profile = name.and_then(Profile::of_folder).ok_or_else(|| {
            let reason = "a folder of binaries is called debug, release or dist, as cargo's are";
            Error::NoSuch(reason.to_owned())
        })?;
        let target = folder.parent();
        let target = target.ok_or_else(|| Error::NoSuch(folder.display().to_string()))?;
        let target = target.to_string_lossy().into_owned();
        self.dev.tell("CARGO_TARGET_DIR", target);
        Ok(profile)
    }

    pub(super) fn gateways(&self) -> Vec<String> {
        let port = |number| self.links.port(Process::Gateway(number));
        (1..=self.gateways)
            .filter_map(port)
            .map(|port| format!("http://127.0.0.1:{port}"))
            .collect()
    }

    pub(super) fn admins(&self) -> Vec<(String, String)> {
        let mut processes: Vec<_> = Process::singles().collect();
        processes.extend((1..=self.messages).map(Process::Message));
        processes.extend((1..=self.gateways).map(Process::Gateway));
        let admin = |process: Process| {
            let port = self.dev.admin_port(process)?;
            Some((process.to_string(), format!("http://127.0.0.1:{port}")))
        };
        processes.into_iter().filter_map(admin).collect()
    }

    pub(super) async fn perform(&self, fault: &Fault, killed: impl Fn(Process)) -> Result<()> {
        sleep(fault.after).await;
        match fault.act {
            Act::Kill(process) => {
                self.kill(process, killed).await?;
                sleep(fault.lasts).await;
                self.dev.up(&[&process.to_string()]).await
            }
            Act::Restart(process) => {
                self.dev.down(&[&process.to_string()]).await?;
                sleep(fault.lasts).await;
                self.dev.up(&[&process.to_string()]).await
            }
            Act::Freeze(process) => {
                let pids = self.freeze(process)?;
                sleep(fault.lasts).await;
                self.thaw(&pids)
            }
            Act::Silence(link) => {
                self.cut(link, State::Silent, fault.lasts).await;
                Ok(())
            }
            Act::Reset(link) => {
                self.cut(link, State::Reset, fault.lasts).await;
                Ok(())
            }
        }
    }

    async fn cut(&self, link: Link, state: State, lasts: Duration) {
        self.links.set(link, state);
        sleep(lasts).await;
        self.links.set(link, State::Open);
    }

    async fn kill(&self, process: Process, killed: impl Fn(Process)) -> Result<()> {
        let pids = self.pids(process)?;
        // Clients hear of the end before it can be told here.
        killed(process);
        signal::send(Signal::Kill, &pids)?;
        let dying = async {
            // They are no children of this process, so there is nothing else to wait on.
            let mut again = interval(Duration::from_millis(20));
            while pids.iter().any(|pid| signal::alive(*pid)) {
                again.tick().await;
            }
        };
        timeout(DYING, dying).await.map_err(|_| Error::Program {
            program: "kill -KILL".to_owned(),
            reason: format!("{process} does not die"),
        })
    }

    /// Who stands still now, for [`Distributed::thaw`].
    fn freeze(&self, process: Process) -> Result<Vec<u32>> {
        // The first makes no more children while they are looked for.
        let first = self.pids(process)?;
        self.frozen().extend(&first);
        signal::send(Signal::Stop, &first[..1])?;
        let all = self.pids(process)?;
        self.frozen().extend(&all);
        signal::send(Signal::Stop, &all)?;
        Ok(all)
    }

    fn thaw(&self, pids: &[u32]) -> Result<()> {
        signal::send(Signal::Continue, pids)?;
        self.frozen().retain(|pid| !pids.contains(pid));
        Ok(())
    }

    fn frozen(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.frozen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pid of a process, and PostgreSQL's children after it.
    fn pids(&self, process: Process) -> Result<Vec<u32>> {
        let pid = self.dev.pid(process);
        let mut pids = vec![pid.ok_or_else(|| Error::NoSuch(process.to_string()))?];
        if process == Process::POSTGRES {
            pids.extend(signal::children(pids[0]));
        }
        Ok(pids)
    }

    pub(super) fn keep_state(&mut self) -> &Path {
        self.keep = true;
        self.dev.folder()
    }
}

impl Drop for Distributed {
    fn drop(&mut self) {
        // In a drop there is nobody to tell of a failure but the reader of the terminal,
        // whom the script itself tells.
        let frozen = self.frozen().split_off(0);
        let _ = signal::send(Signal::Continue, &frozen);
        let _ = self.dev.down_for_good(!self.keep);
    }
}

//! Hashes passwords with argon2id (RFC 9106).
//!
//! A hash takes a core for some milliseconds and megabytes of memory, so only so
//! many run at once, only so many wait, and none waits long: what is beyond is
//! refused at once, before it has cost anything. The memory is kept from one hash to
//! the next: a process holds as much as runs at once, and does not ask the system for
//! it with every login.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, PasswordHash, Version};
use base::{Code, Entropy, Error, Password};
use runtime::Lifecycle;
use tokio::sync::{Semaphore, TryAcquireError};

use crate::config::{self, OUTPUT_BYTES};
use crate::domain::Hash;

/// The scheme of this release: the password's bytes through argon2id.
const SCHEME: i16 = 1;
/// Bytes of a salt (RFC 9106, section 3.1, recommends 16).
const SALT_BYTES: usize = 16;
/// When a refused caller should come back.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The place where passwords are hashed; cheap to clone.
#[derive(Clone)]
pub(crate) struct Hashing {
    params: Params,
    /// Whoever is in here runs or waits.
    inside: Arc<Semaphore>,
    running: Arc<Semaphore>,
    max_wait: Duration,
    entropy: Arc<dyn Entropy>,
    lifecycle: Lifecycle,
    /// A hash that no password has, as costly to try as any.
    nobodys: Arc<str>,
    memory: Memory,
}

/// How a password was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Wrong,
    Right,
    /// Right, and its hash should be replaced by this one, made as one is now.
    Outdated(Hash),
}

impl Hashing {
    pub(crate) fn new(
        argon2: &config::Argon2,
        entropy: Arc<dyn Entropy>,
        lifecycle: &Lifecycle,
    ) -> base::Result<Self> {
        let params = argon2.params()?;
        let running = match argon2.running {
            0 => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            running => running,
        };
        let nobodys = nobodys(&params, &*entropy)?.into();
        Ok(Self {
            params,
            inside: Arc::new(Semaphore::new(running + argon2.waiting)),
            running: Arc::new(Semaphore::new(running)),
            max_wait: argon2.max_wait.0,
            entropy,
            lifecycle: lifecycle.clone(),
            nobodys,
            memory: Memory::default(),
        })
    }

    /// The hash of a new password.
    ///
    /// # Errors
    /// `unavailable` when there are too many.
    pub(crate) async fn hash(&self, password: Password) -> base::Result<Hash> {
        let salt = salt(&*self.entropy)?;
        let (params, memory) = (self.params.clone(), self.memory.clone());
        self.run(move || memory.hash(&params, password.as_bytes(), &salt))
            .await?
    }

    /// Tries `password` against `stored`, or against nobody's hash at the same cost.
    ///
    /// # Errors
    /// `unavailable` when there are too many.
    pub(crate) async fn verify(
        &self,
        password: String,
        stored: Option<Hash>,
    ) -> base::Result<Verdict> {
        let salt = salt(&*self.entropy)?;
        let (params, memory) = (self.params.clone(), self.memory.clone());
        let nobodys = Arc::clone(&self.nobodys);
        let work = move || {
            let known = stored.is_some();
            let (phc, scheme) = stored.as_ref().map_or((&*nobodys, SCHEME), |hash| {
                (hash.phc.as_str(), hash.version)
            });
            if scheme != SCHEME {
                return Err(Error::internal(format!("hash version {scheme} is unknown")));
            }
            let phc = PasswordHash::new(phc).map_err(Error::internal)?;
            let right = memory.is_hash_of(&phc, password.as_bytes())?;
            if !(right && known) {
                return Ok(Verdict::Wrong);
            }
            if is_current(&phc, &params) {
                return Ok(Verdict::Right);
            }
            let renewed = memory.hash(&params, password.as_bytes(), &salt)?;
            Ok(Verdict::Outdated(renewed))
        };
        self.run(work).await?
    }

    /// Runs `work` on a blocking thread when its turn has come. A caller who gives
    /// up does not free the place: the core is still taken.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> base::Result<T> {
        let busy = |why| {
            metrics::counter!("parley_hashing_refused_total", "why" => why).increment(1);
            Error::new(Code::Unavailable, "too many logins at once").retry_after(RETRY_AFTER)
        };
        let inside = match Arc::clone(&self.inside).try_acquire_owned() {
            Ok(inside) => inside,
            Err(TryAcquireError::NoPermits) => return Err(busy("full")),
            Err(TryAcquireError::Closed) => return Err(Error::internal("hashing is closed")),
        };
        let turn = Arc::clone(&self.running).acquire_owned();
        let running = tokio::time::timeout(self.max_wait, turn)
            .await
            .map_err(|_| busy("slow"))?
            .map_err(Error::internal)?;
        let task = self.lifecycle.tasks().spawn_blocking(move || {
            let _places = (inside, running);
            work()
        });
        task.await.map_err(Error::internal)
    }
}

/// What hashes work in, as many blocks as run at once; cheap to clone.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<Vec<Block>>>>);

impl Memory {
    fn hash(&self, params: &Params, password: &[u8], salt: &[u8]) -> base::Result<Hash> {
        let version = Version::V0x13;
        let argon2 = Argon2::new(Algorithm::Argon2id, version, params.clone());
        let phc = PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(version.into()),
            params: ParamsString::try_from(params).map_err(Error::internal)?,
            salt: Some(Salt::new(salt).map_err(Error::internal)?),
            hash: Some(self.output(&argon2, password, salt, OUTPUT_BYTES)?),
        };
        Ok(Hash {
            phc: phc.to_string(),
            version: SCHEME,
        })
    }

    /// Whether `phc` is the hash of `password`, found in constant time.
    fn is_hash_of(&self, phc: &PasswordHash, password: &[u8]) -> base::Result<bool> {
        let (Some(salt), Some(expected)) = (&phc.salt, &phc.hash) else {
            return Err(Error::internal("a stored hash has no salt or no output"));
        };
        let algorithm = Algorithm::try_from(phc.algorithm.as_str()).map_err(Error::internal)?;
        let version = phc.version.map(Version::try_from).transpose();
        let version = version.map_err(Error::internal)?.unwrap_or_default();
        let params = Params::try_from(phc).map_err(Error::internal)?;
        let argon2 = Argon2::new(algorithm, version, params);
        Ok(self.output(&argon2, password, salt, expected.len())? == *expected)
    }

    fn output(
        &self,
        argon2: &Argon2<'_>,
        password: &[u8],
        salt: &[u8],
        bytes: usize,
    ) -> base::Result<Output> {
        let mut output = [0; Output::MAX_LENGTH];
        let output = &mut output[..bytes.min(Output::MAX_LENGTH)];
        let mut blocks = self.kept().pop().unwrap_or_default();
        let needed = argon2.params().block_count();
        // Another cost than the last time: in size alone, for what was in there is
        // written over.
        if blocks.len() != needed {
            blocks = vec![Block::new(); needed];
        }
        let hashed = argon2.hash_password_into_with_memory(password, salt, output, &mut blocks[..]);
        self.kept().push(blocks);
        hashed.map_err(Error::internal)?;
        Output::new(output).map_err(Error::internal)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Block>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_current(phc: &PasswordHash, params: &Params) -> bool {
    let cost = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
    phc.algorithm == ARGON2ID_IDENT
        && phc.version == Some(Version::V0x13.into())
        && Params::try_from(phc).is_ok_and(|stored| cost(&stored) == cost(params))
}

fn salt(entropy: &dyn Entropy) -> base::Result<[u8; SALT_BYTES]> {
    let mut salt = [0; SALT_BYTES];
    entropy.fill(&mut salt).map_err(Error::internal)?;
    Ok(salt)
}

/// A hash with a random output: finding its password would be breaking argon2.
fn nobodys(params: &Params, entropy: &dyn Entropy) -> base::Result<String> {
    let mut output = [0; OUTPUT_BYTES];
    entropy.fill(&mut output).map_err(Error::internal)?;
    let phc = PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params).map_err(Error::internal)?,
        salt: Some(Salt::new(&salt(entropy)?).map_err(Error::internal)?),
        hash: Some(Output::new(&output).map_err(Error::internal)?),
    };
    Ok(phc.to_string())
}

#[cfg(test)]
mod tests {
    use base::OsEntropy;
    use runtime::config::Span;

    use super::*;

    fn cheap() -> config::Argon2 {
        config::Argon2 {
            memory_kib: 64,
            passes: 1,
            lanes: 1,
            running: 1,
            waiting: 1,
            max_wait: Span(Duration::from_mins(1)),
        }
    }

    fn hashing(argon2: &config::Argon2) -> Hashing {
        Hashing::new(argon2, Arc::new(OsEntropy), &Lifecycle::new()).unwrap()
    }

    fn password() -> Password {
        Password::parse("Password", "correct horse").unwrap()
    }

    #[tokio::test]
    async fn the_right_password_is_right_and_no_other() {
        let hashing = hashing(&cheap());
        let hash = hashing.hash(password()).await.unwrap();
        assert!(hash.phc.starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        let verify = async |text: &str, hash| hashing.verify(text.to_owned(), hash).await.unwrap();
        assert_eq!(
            verify("correct horse", Some(hash.clone())).await,
            Verdict::Right
        );
        assert_eq!(verify("Correct horse", Some(hash)).await, Verdict::Wrong);
        assert_eq!(verify("correct horse", None).await, Verdict::Wrong);
    }

    /// The vector is of the reference implementation's own tests (phc-winner-argon2,
    /// src/test.c). Tried twice: the second time the memory is not fresh.
    #[tokio::test]
    async fn a_hash_of_the_reference_implementation_is_understood() {
        let phc =
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let hash = Hash {
            phc: phc.to_owned(),
            version: SCHEME,
        };
        let hashing = hashing(&config::Argon2 {
            memory_kib: 256,
            passes: 2,
            ..cheap()
        });
        for (password, verdict) in [
            ("password", Verdict::Right),
            ("passwort", Verdict::Wrong),
            ("password", Verdict::Right),
        ] {
            let found = hashing.verify(password.to_owned(), Some(hash.clone()));
            assert_eq!(found.await.unwrap(), verdict);
        }
        assert_eq!(hashing.memory.kept().len(), 1);
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_is_right_and_outdated() {
        let hash = hashing(&cheap()).hash(password()).await.unwrap();
        let dearer = hashing(&config::Argon2 {
            passes: 2,
            ..cheap()
        });
        let verdict = dearer.verify("correct horse".to_owned(), Some(hash)).await;
        let Verdict::Outdated(renewed) = verdict.unwrap() else {
            panic!("it was made at another cost")
        };
        let verdict = dearer
            .verify("correct horse".to_owned(), Some(renewed))
            .await;
        assert_eq!(verdict.unwrap(), Verdict::Right);
    }

    #[tokio::test]
    async fn nobodys_hash_costs_what_anybodys_does() {
        let hashing = hashing(&cheap());
        let nobodys = PasswordHash::new(&hashing.nobodys).unwrap();
        assert!(is_current(&nobodys, &hashing.params));
    }

    #[tokio::test]
    async fn one_too_many_is_refused_at_once_and_told_when_to_come_back() {
        let hashing = hashing(&cheap());
        let (go, hold) = std::sync::mpsc::channel::<()>();
        let running = hashing.run(move || hold.recv().is_ok());
        let waiting = hashing.run(|| true);
        let (mut running, mut waiting) = (Box::pin(running), Box::pin(waiting));
        assert!(poll_once(&mut running).await.is_none());
        assert!(poll_once(&mut waiting).await.is_none());
        let error = hashing.run(|| true).await.unwrap_err();
        assert_eq!(error.code(), Code::Unavailable);
        assert_eq!(error.wait(), Some(RETRY_AFTER));
        go.send(()).unwrap();
        assert!(running.await.unwrap() && waiting.await.unwrap());
        assert!(hashing.run(|| true).await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_waited_too_long_is_refused() {
        let hashing = hashing(&cheap());
        let _taken = hashing.running.acquire().await.unwrap();
        let error = hashing.run(|| true).await.unwrap_err();
        assert_eq!(error.code(), Code::Unavailable);
    }

    #[tokio::test]
    async fn a_caller_who_gave_up_keeps_his_place_until_the_work_is_done() {
        let hashing = hashing(&cheap());
        let (go, hold) = std::sync::mpsc::channel::<()>();
        let mut abandoned = Box::pin(hashing.run(move || hold.recv().is_ok()));
        assert!(poll_once(&mut abandoned).await.is_none());
        drop(abandoned);
        assert_eq!(hashing.running.available_permits(), 0);
        go.send(()).unwrap();
        assert!(hashing.run(|| true).await.unwrap());
    }

    /// Polls once: what it gave, if it is done.
    async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}

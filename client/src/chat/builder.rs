//! What a [`Chat`] is made of, and how it starts.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use wire::{Clock, SystemClock};

use super::backoff::{Random, unique_name};
use super::core::Core;
use super::driver::{Driver, Ends};
use super::timings::Timings;
use super::tokens::Credentials;
use super::{Chat, Events, Shared, Status, Tokens};
#[cfg(doc)]
use crate::Error;
use crate::{Api, Result};

/// What a [`Chat`] is made of.
#[derive(Clone)]
pub struct ChatBuilder {
    tokens: Tokens,
    gateways: Vec<String>,
    timings: Timings,
    queue: usize,
    outbox: usize,
    window: usize,
    clock: Arc<dyn Clock>,
    #[cfg(feature = "tls")]
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl ChatBuilder {
    pub(super) fn new(base: String, tokens: Tokens) -> Self {
        Self {
            tokens,
            gateways: vec![base],
            timings: Timings::default(),
            queue: 1024,
            outbox: 256,
            window: 64,
            clock: Arc::new(SystemClock),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// One more address of the same system; another is tried when one fails.
    #[must_use]
    pub fn gateway(mut self, base: impl Into<String>) -> Self {
        self.gateways.push(base.into());
        self
    }

    /// Other timings.
    #[must_use]
    pub fn timings(mut self, timings: Timings) -> Self {
        self.timings = timings;
        self
    }

    /// How many items may wait for the user (1,024).
    #[must_use]
    pub fn queue(mut self, items: usize) -> Self {
        self.queue = items.max(1);
        self
    }

    /// How many messages may wait for their answer (256), and in how many rooms at once
    /// one may be under way (64). [`Chat::send`] waits for a place.
    #[must_use]
    pub fn outbox(mut self, messages: usize, window: usize) -> Self {
        self.outbox = messages.max(1);
        self.window = window.max(1);
        self
    }

    /// Another clock, by which tokens end.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Trusts servers as `config` says, and not as the system does.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    #[cfg_attr(
        not(feature = "tls"),
        expect(clippy::unused_self, reason = "every server is spoken to alike")
    )]
    fn api(&self, base: &str) -> Result<Api> {
        #[cfg(feature = "tls")]
        if let Some(config) = &self.tls {
            return Api::new_with_tls(base, Arc::clone(config));
        }
        Api::new(base)
    }

    /// Starts. This does not wait for a connection: [`Chat::status`] tells.
    ///
    /// # Errors
    /// [`Error::Usage`] when an address is none.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(self) -> Result<(Chat, Events)> {
        let gateways: Result<Vec<Api>> = self.gateways.iter().map(|base| self.api(base)).collect();
        let gateways: Vec<Api> = gateways?
            .into_iter()
            .map(|api| api.with_deadline(self.timings.call))
            .collect();
        let (queue, items) = mpsc::channel(self.queue);
        let (wishes, to_follow) = mpsc::channel(16);
        let (posts, to_send) = mpsc::channel(1);
        let status = watch::Sender::new(Status::Connecting);
        let uid = watch::Sender::new(None);
        let closing = watch::Sender::new(false);
        let (at, given_up) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let now = Instant::now();
        let credentials = Credentials::new(self.tokens, &self.timings, now, self.clock.now());
        let tokens = credentials.watch();
        let core = Core::new(&self.timings, self.outbox, self.window, Random::new());
        let (status_of, uid_of) = (status.subscribe(), uid.subscribe());
        let ends = Ends {
            wishes: to_follow,
            posts: to_send,
            given_up: Arc::clone(&given_up),
            items: queue,
            status,
            uid,
            at: Arc::clone(&at),
            closing: closing.subscribe(),
        };
        let driver = Driver::new(
            core,
            credentials,
            gateways.clone(),
            self.timings,
            self.clock,
            ends,
        );
        let mut tasks = JoinSet::new();
        tasks.spawn(driver.run());
        let shared = Shared {
            gateways,
            at,
            wishes,
            posts,
            given_up,
            status: status_of,
            uid: uid_of,
            tokens,
            closing,
            name: unique_name(),
            sent: AtomicUsize::new(0),
            tasks: Mutex::new(tasks),
        };
        Ok((Chat(Arc::new(shared)), Events { items }))
    }
}

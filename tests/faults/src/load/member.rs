//! One who leaves and comes back, again and again: by himself to a public room, by
//! invitation to a private one. While he is outside nothing lets him in.

use std::sync::Arc;
use std::time::Duration;

use client::wire::{Code, RoomId, Uid};
use client::{Api, Error};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::http::{Outcome, Poster, deadline};
use super::users::User;
use super::{Kept, Phase, Phases, word_for};
use crate::check::Kind;
use crate::random::Random;

pub(super) struct Guest {
    pub(super) poster: Poster,
    pub(super) room: RoomId,
    /// Who invites, where that is needed.
    pub(super) host: Option<Arc<User>>,
    pub(super) random: Random,
    pub(super) settled: watch::Sender<usize>,
}

impl Guest {
    /// Comes and goes until he is told to settle; he is inside then.
    pub(super) async fn run(mut self, mut phases: Phases) -> Kept {
        while matches!(*phases.borrow(), Phase::Work { .. }) {
            self.stay(&mut phases).await;
            self.say(&phases).await;
            if self.leave(&phases).await {
                self.knock(&phases).await;
                self.come_back(&phases).await;
            }
        }
        self.settled.send_modify(|count| *count += 1);
        self.poster.kept
    }

    async fn stay(&mut self, phases: &mut Phases) {
        let stay = Duration::from_millis(self.random.between(200, 2_500));
        let told = phases.wait_for(|phase| !matches!(phase, Phase::Work { .. }));
        // Whichever comes first.
        let _ = timeout(stay, told).await;
    }

    async fn say(&mut self, phases: &Phases) {
        for _ in 0..self.random.between(0, 2) {
            let outcome = self.poster.post(|| deadline(phases)).await;
            match outcome {
                Outcome::Acknowledged => {}
                Outcome::Refused(code) => {
                    let words = format!("a message of one who has come in: {code}");
                    self.poster.violation(Kind::Refused, self.room, &words);
                }
                Outcome::Unknown => {
                    let words = "a message has no answer";
                    self.poster.violation(Kind::Stuck, self.room, words);
                }
            }
        }
    }

    async fn leave(&mut self, phases: &Phases) -> bool {
        let own = Arc::clone(&self.poster.user);
        self.insist(&own, Wish::Leave, phases).await
    }

    async fn come_back(&mut self, phases: &Phases) -> bool {
        let own = Arc::clone(&self.poster.user);
        match self.host.clone() {
            Some(host) => self.insist(&host, Wish::Invite(own.uid), phases).await,
            None => self.insist(&own, Wish::Join, phases).await,
        }
    }

    /// Asks until there is an answer. That it is so already is one too, but not to the
    /// first try: a later one finds that an earlier one was heard.
    async fn insist(&mut self, who: &User, wish: Wish, phases: &Phases) -> bool {
        let mut tries = 0;
        loop {
            let api = &who.apis[tries % who.apis.len()];
            tries += 1;
            let error = match wish.ask(api, self.room).await {
                Ok(()) => return true,
                Err(error) => error,
            };
            if error.code() == Some(Code::Conflict) && tries > 1 {
                return true;
            }
            if !error.retryable() {
                let words = format!("{wish:?}, try {tries}: {error}");
                self.poster.violation(Kind::Refused, self.room, &words);
                return false;
            }
            let word = word_for(&error);
            self.poster.kept.meet(format!("{}: {word}", wish.word()));
            if deadline(phases).is_some_and(|until| Instant::now() >= until) {
                let words = format!("{wish:?} has no answer after {tries} tries");
                self.poster.violation(Kind::Stuck, self.room, &words);
                return false;
            }
            sleep(Duration::from_millis(150)).await;
        }
    }

    /// Tries to read and to write from outside.
    async fn knock(&mut self, phases: &Phases) {
        let pause = Duration::from_millis(self.random.between(0, 600));
        sleep(pause).await;
        let api = self.poster.user.apis[0].clone();
        match api.messages(self.room, None, 5).await {
            Ok(page) => {
                let words = format!("{} events read from outside", page.len());
                self.poster.violation(Kind::OutsiderIn, self.room, &words);
            }
            Err(error) => self.note(&error),
        }
        // Until there is an answer: one that took its time must not be let in later.
        let outcome = self.poster.post(|| deadline(phases)).await;
        match outcome {
            Outcome::Refused(Code::PermissionDenied) | Outcome::Unknown => {}
            Outcome::Acknowledged => {
                let words = "a message taken from outside";
                self.poster.violation(Kind::OutsiderIn, self.room, words);
            }
            Outcome::Refused(code) => {
                let words = format!("a message from outside: {code}");
                self.poster.violation(Kind::Refused, self.room, &words);
            }
        }
    }

    fn note(&mut self, error: &Error) {
        let word = word_for(error);
        self.poster.kept.meet(format!("from outside: {word}"));
    }
}

/// What is asked of the rooms.
#[derive(Debug, Clone, Copy)]
enum Wish {
    Leave,
    Join,
    Invite(Uid),
}

impl Wish {
    async fn ask(self, api: &Api, room: RoomId) -> client::Result<()> {
        match self {
            Self::Leave => api.leave(room).await,
            Self::Join => api.join(room).await,
            Self::Invite(uid) => api.invite(room, uid).await,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Leave => "leave",
            Self::Join => "join",
            Self::Invite(_) => "invite",
        }
    }
}

//! A bot that counts words: it answers `!ping` with `pong`, and `!words` with how many
//! words the asker has said in the room.
//!
//! ```sh
//! PARLEY_PASSWORD=... cargo run -p client --example bot -- \
//!     http://127.0.0.1:8080 USERNAME ROOM bot.json
//! ```
//!
//! Several addresses of one system are separated by commas. What it has is in `bot.json`:
//! its tokens, its place in the room's log, and its counts. So it misses no word and
//! answers each question once, whether the server or the bot itself is killed in between.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use client::wire::frame::{Event, EventKind};
use client::wire::{Code, RoomId, Uid};
use client::{Api, Chat, Ended, Error, Events, Item, Position, Result, Start, Tokens};
use serde::{Deserialize, Serialize};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [gateways, username, room, file] = arguments.as_slice() else {
        let usage = "usage: bot URL[,URL...] USERNAME ROOM FILE";
        return Err(Error::Usage(usage.to_owned()));
    };
    let gateways: Vec<&str> = gateways.split(',').collect();
    let room = client::wire::room_id(room).map_err(|error| Error::Usage(error.to_string()))?;
    let store = Store::open(file.into()).map_err(storing)?;
    loop {
        let tokens = match store.tokens() {
            Some(tokens) => tokens,
            None => log_in(gateways[0], username, room).await?,
        };
        store.keep(|state| state.tokens = Some(tokens.clone()))?;
        let mut chat = Chat::builder(gateways[0], tokens);
        for gateway in &gateways[1..] {
            chat = chat.gateway(*gateway);
        }
        let (chat, events) = chat.start()?;
        let outcome = tokio::select! {
            outcome = answer(&chat, events, room, &store) => outcome,
            outcome = keep_tokens(&chat, &store) => outcome,
        };
        chat.close().await;
        match outcome {
            Err(Error::Ended(Ended::Session)) => store.keep(|state| state.tokens = None)?,
            outcome => return outcome,
        }
    }
}

/// Begins a session, and is in the room then.
async fn log_in(gateway: &str, username: &str, room: RoomId) -> Result<Tokens> {
    let password = std::env::var("PARLEY_PASSWORD")
        .map_err(|_| Error::Usage("PARLEY_PASSWORD is not set".to_owned()))?;
    let api = Api::new(gateway)?;
    let login = api.login_by_name(username, &password).await?;
    match api.with_token(&login.token).join(room).await {
        // Being in already is as good.
        Err(error) if error.code() != Some(Code::Conflict) => Err(error),
        _ => Ok(login.into()),
    }
}

/// Stores every new pair as soon as it is there.
async fn keep_tokens(chat: &Chat, store: &Store) -> Result<()> {
    let mut tokens = chat.tokens();
    while tokens.changed().await.is_ok() {
        let tokens = tokens.borrow_and_update().clone();
        store.keep(|state| state.tokens = Some(tokens))?;
    }
    std::future::pending().await
}

/// Deals with one event after the other, and stores each only when it is dealt with.
async fn answer(chat: &Chat, mut events: Events, room: RoomId, store: &Store) -> Result<()> {
    let start = store.position().map_or(Start::Now, Start::After);
    let begins = chat.subscribe(room, start).await?;
    store.keep(|state| state.position = Some(begins))?;
    let own = chat.uid().await?;
    while let Some(item) = events.next().await {
        let position = item.position();
        let mut said = None;
        match item {
            Item::Event { event, position } if event.uid != own => {
                if let Some(answer) = answer_to(&event, store) {
                    reply(chat, &event, position, &answer).await?;
                } else if event.kind == EventKind::Message {
                    said = Some((event.uid, event.text.split_whitespace().count()));
                }
            }
            Item::Reset(reset) => eprintln!("the log begins afresh: {reset:?}"),
            Item::Gone { why, .. } => {
                eprintln!("the room is gone: {why:?}");
                return Ok(());
            }
            Item::Ended(ended) => return Err(Error::Ended(ended)),
            _ => {}
        }
        // The words and their place in one write, so that no word counts twice.
        store.keep(|state| {
            if let Some((uid, words)) = said {
                *state.words.entry(uid.get()).or_default() += words;
            }
            state.position = position.or(state.position);
        })?;
    }
    Ok(())
}

fn answer_to(event: &Event, store: &Store) -> Option<String> {
    match event.text.trim() {
        "!ping" => Some("pong".to_owned()),
        "!words" => Some(format!("{} words so far", store.words_of(event.uid))),
        _ => None,
    }
}

async fn reply(chat: &Chat, event: &Event, position: Position, answer: &str) -> Result<()> {
    // The question's place makes the nonce: whoever was killed and asks himself whether he
    // has answered answers again, and is in the log once.
    let life = position.epoch.map_or(0, |epoch| epoch.0);
    let nonce = format!("answer-{life}-{}", event.seq);
    let sent = chat.send_as(event.room, answer, &nonce).await?;
    eprintln!(
        "message {}: answered by message {}",
        event.seq, sent.message_id
    );
    Ok(())
}

/// What the bot must not lose.
#[derive(Default, Serialize, Deserialize)]
struct State {
    tokens: Option<Tokens>,
    position: Option<Position>,
    /// Words said, by user.
    words: BTreeMap<u64, usize>,
}

/// The file with the state.
struct Store {
    path: PathBuf,
    state: RefCell<State>,
}

impl Store {
    fn open(path: PathBuf) -> std::io::Result<Self> {
        let state = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(error),
        };
        let state = RefCell::new(state);
        Ok(Self { path, state })
    }

    fn tokens(&self) -> Option<Tokens> {
        self.state.borrow().tokens.clone()
    }

    fn position(&self) -> Option<Position> {
        self.state.borrow().position
    }

    fn words_of(&self, uid: Uid) -> usize {
        let state = self.state.borrow();
        state.words.get(&uid.get()).copied().unwrap_or_default()
    }

    /// Changes the state, and has it on the disk then: all of it, or the old one.
    fn keep(&self, change: impl FnOnce(&mut State)) -> Result<()> {
        change(&mut self.state.borrow_mut());
        self.write().map_err(storing)
    }

    fn write(&self) -> std::io::Result<()> {
        let new = self.path.with_extension("new");
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        // The tokens are worth a password.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&new)?;
        file.write_all(&serde_json::to_vec(&*self.state.borrow())?)?;
        file.sync_all()?;
        std::fs::rename(&new, &self.path)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn storing(error: std::io::Error) -> Error {
    Error::Usage(format!("the file: {error}"))
}

//! A bot that repeats what others say in a room.
//!
//! `cargo run -p client --example echo_bot -- http://127.0.0.1:8080 bot@example.org PASSWORD 1`

use std::time::Duration;

use client::wire::frame::{EventKind, ServerFrame};
use client::{Api, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, email, password, room] = arguments.as_slice() else {
        return Err(Error::Usage(
            "usage: echo_bot URL EMAIL PASSWORD ROOM".to_owned(),
        ));
    };
    let room = client::wire::room_id(room).map_err(|error| Error::Usage(error.to_string()))?;
    let api = Api::new(base)?.login(email, password).await?;
    let own = api.profile().await?.uid;
    // Being in already is as good.
    match api.join(room).await {
        Err(error) if error.code() != Some(client::wire::Code::Conflict) => return Err(error),
        _ => {}
    }
    let mut socket = api.connect().await?;
    socket.enter(room).await?;
    loop {
        match socket.next_within(Duration::from_hours(1)).await {
            Ok(ServerFrame::Event(event))
                if event.kind == EventKind::Message && event.uid != own =>
            {
                socket.say(&event.text).await?;
            }
            Ok(_) | Err(Error::Deadline) => {}
            Err(error) => return Err(error),
        }
    }
}

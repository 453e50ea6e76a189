//! A client of the original contract: it knows neither Seq nor Ref nor any Type but those
//! of the Go system, and takes each frame at its word.

use client::Api;
use client::wire::{RoomId, Timestamp};
use serde_json::Value;

use super::raw::{Frame, RawSocket, opcode};

/// What the original has in each frame, by its Type.
const FORMS: [(&str, &[&str]); 6] = [
    ("enter", &["RoomID"]),
    ("message", &["ID", "RoomID", "UID", "Text", "Timestamp"]),
    ("join", &["ID", "RoomID", "UID", "Text", "Timestamp"]),
    ("leave", &["ID", "RoomID", "UID", "Text", "Timestamp"]),
    ("sent", &["MessageID", "RoomID", "Timestamp"]),
    ("error", &["Error"]),
];

/// An original client's connection.
pub(crate) struct Original(RawSocket);

impl Original {
    /// A connection in no room.
    pub(crate) async fn connect(api: &Api) -> Self {
        Self(RawSocket::open(api).await)
    }

    /// Switches to `room`.
    pub(crate) async fn enter(&mut self, room: RoomId) {
        self.send(&format!(r#"{{"Type":"enter","RoomID":{room}}}"#))
            .await;
        let entered = self.next().await;
        assert_eq!(
            (&entered["Type"], &entered["RoomID"]),
            (&"enter".into(), &room.get().into())
        );
    }

    /// Says `text` in the room it is in, without waiting for the answer.
    pub(crate) async fn say(&mut self, text: &str) {
        let text = Value::from(text);
        self.send(&format!(r#"{{"Type":"message","Text":{text}}}"#))
            .await;
    }

    /// Sends a frame as it is.
    pub(crate) async fn send(&mut self, frame: &str) {
        self.0.send_text(frame).await;
    }

    /// The next frame, which has to be one that the original knows, with all that it has
    /// in the original. Further keys are passed over.
    pub(crate) async fn next(&mut self) -> Value {
        let text = loop {
            match self.0.read().await.expect("a frame, not the end") {
                (opcode::TEXT, text) => break text,
                (opcode::PING, payload) => {
                    self.0.send(Frame::whole(opcode::PONG, &payload)).await;
                }
                (opcode, _) => panic!("opcode {opcode}"),
            }
        };
        let frame: Value = serde_json::from_slice(&text).unwrap();
        let form = FORMS.iter().find(|(name, _)| frame["Type"] == *name);
        let Some((_, keys)) = form else {
            panic!("no frame of the original: {frame}");
        };
        for key in *keys {
            let value = &frame[key];
            let sound = match *key {
                "Text" | "Error" => value.is_string(),
                "Timestamp" => value
                    .as_str()
                    .is_some_and(|at| at.parse::<Timestamp>().is_ok()),
                _ => value.is_u64(),
            };
            assert!(sound, "{key} of {frame}");
        }
        frame
    }
}

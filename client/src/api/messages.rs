//! What is in rooms: messages, events, and how far one has read.

use reqwest::Method;
use serde_json::json;
use wire::event::EventsPage;
use wire::frame::ServerFrame;
use wire::response::{Entry, Posted, ReadMarker};
use wire::{Epoch, RoomId, Seq};

use super::Api;
use crate::Result;

impl Api {
    /// `GET /messages/{RoomID}`: up to `limit` (1–100) entries from `last_id`
    /// (inclusive; `None`: from the newest) backwards, newest first.
    ///
    /// # Errors
    /// `permission_denied` when not a member, `not_found`.
    pub async fn messages(
        &self,
        room: RoomId,
        last_id: Option<Seq>,
        limit: u32,
    ) -> Result<Vec<Entry>> {
        let last_id = last_id.unwrap_or_default();
        let path = format!("/messages/{room}?LastID={last_id}&Limit={limit}");
        self.call(Method::GET, &path, None).await
    }

    /// `GET /rooms/{RoomID}/events`: the log after event `after` of its life `epoch`,
    /// up to `limit` events (1–1,000) and 256 KiB; ask again after the last of them until
    /// that is `head`.
    ///
    /// # Errors
    /// `permission_denied` when not a member, `not_found`, `invalid_argument` when `after`
    /// is beyond the newest event.
    pub async fn events(
        &self,
        room: RoomId,
        after: Seq,
        epoch: Option<Epoch>,
        limit: u32,
    ) -> Result<EventsPage<ServerFrame>> {
        let epoch = epoch.map_or_else(String::new, |epoch| format!("&Epoch={}", epoch.0));
        let path = format!("/rooms/{room}/events?After={after}&Limit={limit}{epoch}");
        self.call(Method::GET, &path, None).await
    }

    /// `GET /messages/{RoomID}?After=`: up to `limit` (1–100) entries after `after`, oldest
    /// first.
    ///
    /// # Errors
    /// As [`Api::messages`].
    pub async fn messages_after(&self, room: RoomId, after: Seq, limit: u32) -> Result<Vec<Entry>> {
        let path = format!("/messages/{room}?After={after}&Limit={limit}");
        self.call(Method::GET, &path, None).await
    }

    /// `GET /messages/{RoomID}?Around=`: up to `limit` (1–100) entries, half of them up to
    /// `pivot`, newest first.
    ///
    /// # Errors
    /// As [`Api::messages`].
    pub async fn messages_around(
        &self,
        room: RoomId,
        pivot: Seq,
        limit: u32,
    ) -> Result<Vec<Entry>> {
        let path = format!("/messages/{room}?Around={pivot}&Limit={limit}");
        self.call(Method::GET, &path, None).await
    }

    /// `POST /messages/{RoomID}`. With a nonce it is safe to repeat.
    ///
    /// # Errors
    /// `permission_denied` when not a member, `not_found`, `nonce_reused`.
    pub async fn post(&self, room: RoomId, text: &str, nonce: Option<&str>) -> Result<Posted> {
        let body = json!({ "Text": text, "Nonce": nonce });
        self.call(Method::POST, &format!("/messages/{room}"), Some(body))
            .await
    }

    /// `PUT /rooms/{RoomID}/read`: moves the caller's read marker up to event `id`, and never
    /// back; where it is then.
    ///
    /// # Errors
    /// `permission_denied` when not a member, `not_found`, `invalid_argument` when `id` is
    /// beyond the newest event.
    pub async fn mark_read(&self, room: RoomId, id: Seq) -> Result<Seq> {
        let path = format!("/rooms/{room}/read");
        let body = json!({ "ID": id });
        let answer: ReadMarker = self.call(Method::PUT, &path, Some(body)).await?;
        Ok(answer.id)
    }
}

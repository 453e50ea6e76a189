//! A user's rooms and how he stands in them: what rooms-service knows of a room, and
//! message-service of its log.

use std::collections::HashMap;

use base::{Epoch, Error, RoomId, Seq, limits};
use proto::message::messages_client::MessagesClient;
use proto::message::{Standing, StandingsRequest};
use proto::rooms::{Kind, Mine, MineRequest};
use runtime::Call;
use wire::response::{RoomDetails, RoomKind, RoomList};

use super::super::messages;
use crate::Gateway;

/// The acting user's rooms, ascending.
pub(super) async fn mine(gateway: &Gateway, call: &Call) -> base::Result<RoomList> {
    let request = call.request(MineRequest {});
    let mine = call.wait(super::rooms(gateway).mine(request)).await?.rooms;
    let ids = mine
        .iter()
        .filter_map(|mine| Some(mine.room.as_ref()?.room_id));
    let mut standings = standings(gateway, call, &ids.collect::<Vec<_>>()).await?;
    // Whose log has no standing of him has not begun, or he just left it.
    let rooms = mine.into_iter().filter_map(|mine| {
        let standing = standings.remove(&mine.room.as_ref()?.room_id)?;
        Some(details(mine, standing))
    });
    let rooms: Vec<RoomDetails> = rooms.collect::<base::Result<_>>()?;
    let ids = rooms.iter().map(|room| room.room_id).collect();
    Ok(RoomList { ids, rooms })
}

async fn standings(
    gateway: &Gateway,
    call: &Call,
    rooms: &[u64],
) -> base::Result<HashMap<u64, Standing>> {
    let mut standings = HashMap::with_capacity(rooms.len());
    for rooms in rooms.chunks(limits::STANDINGS_ROOMS) {
        let ask = async |channel| {
            let request = call.request(StandingsRequest {
                room_ids: rooms.to_vec(),
            });
            let mut client = MessagesClient::new(channel).max_decoding_message_size(8 << 20);
            call.wait(client.standings(request)).await
        };
        let reply = gateway.ports.messages.ask(rooms[0], ask).await?;
        let found = reply.standings.into_iter();
        standings.extend(found.map(|standing| (standing.room_id, standing)));
    }
    Ok(standings)
}

fn details(mine: Mine, standing: Standing) -> base::Result<RoomDetails> {
    let role = super::role(mine.role())?;
    let room = mine.room.unwrap_or_default();
    let last_message = standing.last_message.and_then(messages::entry);
    Ok(RoomDetails {
        room_id: RoomId::try_from(room.room_id).map_err(Error::internal)?,
        kind: kind(room.kind())?,
        name: room.name,
        is_private: room.is_private,
        role,
        unread: standing.unread,
        last_read: Seq(standing.read),
        head: Seq(standing.head),
        epoch: Epoch(standing.epoch),
        first: Seq(standing.first),
        last_message: last_message.transpose().map_err(Error::internal)?,
    })
}

fn kind(kind: Kind) -> base::Result<RoomKind> {
    match kind {
        Kind::Room => Ok(RoomKind::Room),
        Kind::Direct => Ok(RoomKind::Direct),
        Kind::Unspecified => Err(Error::internal("a room of no kind")),
    }
}

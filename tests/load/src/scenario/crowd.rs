//! Many rooms of two members on few connections, each of which subscribes to many rooms.

use std::io::Result;
use std::sync::Arc;

use super::traffic::{Script, Show};
use crate::member::Member;
use crate::proc::Process;
use crate::report::Part;
use crate::room::Room;
use crate::world::{Place, User, World};

/// Rooms of a connection, as many as the contract allows.
const ROOMS: usize = 200;
/// Pairs of connections, where there are that many rooms.
const PAIRS: usize = 50;

/// How many pairs of connections share so many rooms.
pub(super) fn pairs(rooms: usize) -> usize {
    rooms.min(PAIRS).max(rooms.div_ceil(ROOMS))
}

/// `count` rooms, dealt out to the pairs of users.
pub(super) async fn rooms(world: &World, users: &[User], count: usize) -> Result<Vec<u64>> {
    let pairs = pairs(count);
    let members: Vec<Vec<&User>> = (0..count)
        .map(|room| room % pairs)
        .map(|pair| vec![&users[2 * pair], &users[2 * pair + 1]])
        .collect();
    world.rooms(&members).await
}

/// Lets one of each pair send to its rooms in turn, and both listen. They sit on
/// different gateways, or all on that at `gateway`.
pub(super) async fn play(
    world: &World,
    users: &[User],
    ids: &[u64],
    gateway: Option<usize>,
    script: Script,
    processes: &[Process],
) -> Result<Part> {
    let pairs = pairs(ids.len());
    let mut places = Vec::new();
    for pair in 0..pairs {
        let rooms: Vec<u64> = ids.iter().skip(pair).step_by(pairs).copied().collect();
        for side in 0..2 {
            places.push(Place {
                user: &users[2 * pair + side],
                rooms: rooms.clone(),
                gateway: gateway.unwrap_or(pair + side),
            });
        }
    }
    let connections = world.enter(&places).await?;
    let rooms: Vec<Arc<Room>> = ids.iter().map(|&id| Arc::new(Room::new(id, 2))).collect();
    let senders = u32::try_from(pairs).unwrap_or(u32::MAX);
    let mut show = Show::begin(script, &rooms, senders, processes)?;
    for (index, (socket, ledgers)) in connections.into_iter().enumerate() {
        let (pair, side) = (index / 2, index % 2);
        let seats = rooms.iter().skip(pair).step_by(pairs).cloned();
        let member = Member::new(socket, seats.zip(ledgers));
        if side == 0 {
            // Not all in step.
            show.add_from_turn(member, pair);
        } else {
            show.add(member, None);
        }
    }
    show.end().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_connection_has_more_rooms_than_the_contract_allows() {
        assert_eq!([10, 50, 10_000, 10_001].map(pairs), [10, 50, 50, 51]);
        assert!((1..30_000_usize).all(|rooms| rooms.div_ceil(pairs(rooms)) <= ROOMS));
    }
}

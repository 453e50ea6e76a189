//! Finding public rooms, and who is in a room.

use client::Api;
use client::wire::response::{Listed, Role};
use client::wire::{Code, MAX_ID, RoomId, Uid};

use crate::harness::{refused, unique};

async fn found(api: &Api, prefix: &str) -> Vec<String> {
    let rooms = api.directory(prefix, 50).await.unwrap();
    rooms.into_iter().map(|room| room.name).collect()
}

/// How many are in the one room of this name.
async fn members_of(api: &Api, name: &str) -> u64 {
    let rooms = api.directory(name, 50).await.unwrap();
    assert!(matches!(&rooms[..], [one] if one.name == name), "{rooms:?}");
    rooms[0].members
}

scenarios! {
    async fn public_rooms_are_found_by_how_their_names_begin_in_any_case(world: World) {
        let (ann, bob) = world.two_users().await;
        let begin = unique("d");
        for end in ["ö", "b", "A"] {
            ann.api().create_room(&format!("{begin}{end}"), false).await.unwrap();
        }
        let all = ["A", "b", "ö"].map(|end| format!("{begin}{end}"));
        for prefix in [begin.clone(), begin.to_uppercase()] {
            assert_eq!(found(bob.api_at(1), &prefix).await, all);
        }
        assert_eq!(found(bob.api(), &format!("{begin}a")).await, all[..1]);
        assert_eq!(found(bob.api(), &format!("{begin}Ö")).await, all[2..]);
        assert_eq!(found(bob.api(), &format!("{begin}c")).await, [""; 0]);
        assert_eq!(bob.api().directory(&begin, 2).await.unwrap().len(), 2);
        // Whatever the names, there are some.
        assert_eq!(bob.api().directory("", 3).await.unwrap().len(), 3);
    }

    async fn a_private_room_is_in_no_directory_not_even_its_members(world: World) {
        let ann = world.user().await;
        let name = unique("p");
        ann.api().create_room(&name, true).await.unwrap();
        assert_eq!(found(ann.api(), &name).await, [""; 0]);
    }

    async fn what_is_special_elsewhere_is_a_character_like_others_in_a_name(world: World) {
        let ann = world.user().await;
        let begin = unique("");
        for end in ["x", "_", "%", "*", "\\"] {
            ann.api().create_room(&format!("{begin}{end}"), false).await.unwrap();
        }
        for end in ["_", "%", "*", "\\"] {
            let name = format!("{begin}{end}");
            assert_eq!(found(ann.api(), &name).await, [name]);
        }
        for prefix in ["%%", "__", "'", "\\\\", "'; --"] {
            let names = found(ann.api(), &format!("{begin}{prefix}")).await;
            assert_eq!(names, [""; 0], "{prefix}");
        }
    }

    async fn the_directory_counts_who_is_in(world: World) {
        let (ann, bob, carl) = world.three_users().await;
        let name = unique("n");
        let room = ann.api().create_room(&name, false).await.unwrap();
        assert_eq!(members_of(carl.api_at(1), &name).await, 1);
        bob.api().join(room).await.unwrap();
        ann.api().invite(room, carl.uid).await.unwrap();
        assert_eq!(members_of(carl.api_at(1), &name).await, 3);
        refused(bob.api().join(room).await, Code::Conflict);
        ann.api().kick(room, carl.uid).await.unwrap();
        assert_eq!(members_of(carl.api_at(1), &name).await, 2);
        bob.api().leave(room).await.unwrap();
        assert_eq!(members_of(carl.api_at(1), &name).await, 1);
        let expected = Listed { room_id: room, name: name.clone(), members: 1 };
        assert_eq!(bob.api().directory(&name, 1).await.unwrap(), [expected]);
    }

    async fn who_is_in_a_room_is_told_in_pages(world: World) {
        let (ann, bob, carl) = world.three_users().await;
        let room = ann.room_with(&[&carl, &bob]).await;
        let told = async |after: Option<Uid>, limit| {
            let page = carl.api_at(1).members(room, after, limit).await.unwrap();
            let members: Vec<_> = page.members.into_iter().map(|it| (it.uid, it.username, it.role)).collect();
            (members, page.more)
        };
        let all = [(&ann, Role::Owner), (&bob, Role::Member), (&carl, Role::Member)]
            .map(|(user, role)| (user.uid, user.name.clone(), role));
        assert_eq!(told(None, 100).await, (all.to_vec(), false));
        assert_eq!(told(None, 3).await, (all.to_vec(), false));
        assert_eq!(told(None, 2).await, (all[..2].to_vec(), true));
        assert_eq!(told(Some(bob.uid), 2).await, (all[2..].to_vec(), false));
        assert_eq!(told(Some(carl.uid), 2).await, (Vec::new(), false));
        ann.api().kick(room, bob.uid).await.unwrap();
        assert_eq!(told(Some(ann.uid), 2).await, (all[2..].to_vec(), false));
    }

    async fn who_is_in_a_private_room_is_seen_from_inside_alone(world: World) {
        let (ann, bob) = world.two_users().await;
        let (open, private) = (ann.room().await, ann.private_room().await);
        assert_eq!(bob.api().members(open, None, 9).await.unwrap().members.len(), 1);
        refused(bob.api().members(private, None, 9).await, Code::NotFound);
        ann.api().invite(private, bob.uid).await.unwrap();
        assert_eq!(bob.api_at(1).members(private, None, 9).await.unwrap().members.len(), 2);
        ann.api().kick(private, bob.uid).await.unwrap();
        refused(bob.api_at(1).members(private, None, 9).await, Code::NotFound);
        let nowhere = RoomId::new(MAX_ID).unwrap();
        refused(bob.api().members(nowhere, None, 9).await, Code::NotFound);
    }

    async fn who_has_no_token_finds_neither(world: World) {
        let room = world.user().await.room().await;
        refused(world.gateway(0).directory("", 9).await, Code::Unauthenticated);
        refused(world.gateway(0).members(room, None, 9).await, Code::Unauthenticated);
    }
}

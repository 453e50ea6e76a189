//! Rooms, roles and membership changes, and the rules of who may change what.
//!
//! The rules are pure: a store gathers [`Facts`] under the room's lock and asks
//! [`decide`]. So all stores follow the same rules.

use base::{ChangeNo, RoomId, RoomName, Timestamp, Uid};

/// What a room is. The numbers are stored and are those of `rooms.proto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub enum Kind {
    /// A room with a name, which people join.
    Room = 1,
    /// Two people's conversation.
    Direct = 2,
}

impl Kind {
    /// The stored number.
    pub const fn number(self) -> i16 {
        self as i16
    }

    /// The kind of a stored number.
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            1 => Some(Self::Room),
            2 => Some(Self::Direct),
            _ => None,
        }
    }
}

/// What a member is in a room. The numbers are stored and are those of `rooms.proto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub enum Role {
    /// May read and write.
    Member = 1,
    /// May moderate too.
    Admin = 2,
    /// May everything.
    Owner = 3,
}

impl Role {
    /// The stored number.
    pub const fn number(self) -> i16 {
        self as i16
    }

    /// The role of a stored number.
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            1 => Some(Self::Member),
            2 => Some(Self::Admin),
            3 => Some(Self::Owner),
            _ => None,
        }
    }
}

/// A room, without its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Its id.
    pub id: RoomId,
    /// What it is.
    pub kind: Kind,
    /// Its name; none in a direct room.
    pub name: Option<RoomName>,
    /// Who made it.
    pub creator: Uid,
    /// Whether one has to be invited.
    pub is_private: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A public room as the directory shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: RoomId,
    /// Its name.
    pub name: RoomName,
    /// How many are in it.
    pub members: u64,
}

/// A room that someone asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRoom {
    /// Its name.
    pub name: RoomName,
    /// Whether one has to be invited.
    pub is_private: bool,
    /// Who makes it: its owner and first member.
    pub creator: Uid,
}

/// What a membership change does. The numbers are stored and are those of the
/// event kinds in `message.proto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub enum ChangeKind {
    /// Becomes a member.
    Join = 2,
    /// Is no member any more.
    Leave = 3,
}

impl ChangeKind {
    /// The stored number.
    pub const fn number(self) -> i16 {
        self as i16
    }

    /// The kind of a stored number.
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            2 => Some(Self::Join),
            3 => Some(Self::Leave),
            _ => None,
        }
    }
}

/// A membership change in a room's order of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Its place in that order.
    pub no: ChangeNo,
    /// What it does.
    pub kind: ChangeKind,
    /// To whom.
    pub uid: Uid,
    /// Who did it.
    pub by: Uid,
    /// The role afterwards.
    pub role: Option<Role>,
}

/// What is kept of an invitation's code: its SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeHash(pub [u8; 32]);

/// An invitation that someone makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewInvitation {
    /// What it is found by.
    pub code: CodeHash,
    /// Where it leads.
    pub room: RoomId,
    /// Who makes it.
    pub by: Uid,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// How many may come in by it; `None`: any number.
    pub uses: Option<u32>,
}

/// An invitation as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Where it leads.
    pub room: Room,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// How many may still come in by it; `None`: any number.
    pub uses_left: Option<u32>,
}

impl Invitation {
    /// Whether somebody may come in by it.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.expires_at > now && self.uses_left != Some(0)
    }
}

/// A membership change that someone asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// `uid` joins a room that is open to all.
    Join {
        /// Who joins.
        uid: Uid,
    },
    /// `by` makes `uid` a member.
    Invite {
        /// Who invites.
        by: Uid,
        /// Whom.
        uid: Uid,
    },
    /// `uid` joins by an invitation.
    Accept {
        /// Who joins.
        uid: Uid,
        /// By which.
        code: CodeHash,
    },
    /// `uid` leaves.
    Leave {
        /// Who leaves.
        uid: Uid,
    },
    /// `by` ends the membership of `uid`.
    Kick {
        /// Who kicks.
        by: Uid,
        /// Whom.
        uid: Uid,
    },
}

impl Wish {
    /// Whose membership it is about.
    pub const fn subject(self) -> Uid {
        match self {
            Self::Join { uid }
            | Self::Invite { uid, .. }
            | Self::Accept { uid, .. }
            | Self::Leave { uid }
            | Self::Kick { uid, .. } => uid,
        }
    }

    /// Whose doing it is.
    pub const fn actor(self) -> Uid {
        match self {
            Self::Join { uid } | Self::Accept { uid, .. } | Self::Leave { uid } => uid,
            Self::Invite { by, .. } | Self::Kick { by, .. } => by,
        }
    }

    /// What it does when it is granted.
    pub const fn kind(self) -> ChangeKind {
        match self {
            Self::Join { .. } | Self::Invite { .. } | Self::Accept { .. } => ChangeKind::Join,
            Self::Leave { .. } | Self::Kick { .. } => ChangeKind::Leave,
        }
    }
}

/// What is so when a wish is decided, all read under the room's lock.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Whether the subject may come in by himself: anybody may, or his code is good.
    pub is_open: bool,
    /// The role of who acts.
    pub actor: Option<Role>,
    /// The role of whom it is about.
    pub subject: Option<Role>,
    /// Whether there are members besides the subject.
    pub others: bool,
    /// Whether the subject made the room, and nobody owns it.
    pub heir: bool,
    /// The subject's newest change, if the room's log is not known to have it.
    pub pending: Option<Change>,
}

/// What comes of a wish that is not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It takes the room's next number, and the subject's role is this afterwards.
    Take(Option<Role>),
    /// It was granted before, as this change, which is not finished.
    Unfinished(ChangeNo),
}

/// Why a wish is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such room.
    #[error("no such room")]
    NoRoom,
    /// Nobody joins it by himself.
    #[error("the room is private")]
    Private,
    /// The code is none that is good.
    #[error("no such invitation, or it is good no more")]
    NoInvitation,
    /// The room has as many as it may have.
    #[error("a room has 100 invitations at once, most")]
    TooMany,
    /// The subject is in the room.
    #[error("already a member")]
    Already,
    /// The subject is not in the room.
    #[error("not a member")]
    NotMember,
    /// Only the owner may do this.
    #[error("only the room's owner may invite")]
    NotOwner,
    /// One kicks only who stands below oneself.
    #[error("only one who stands above a member may kick him")]
    NotAbove,
    /// The room would be left to members without an owner.
    #[error("the owner cannot leave while there are other members")]
    OwnerStays,
}

/// Decides a wish.
///
/// # Errors
/// The first rule that the wish breaks.
pub fn decide(wish: Wish, facts: &Facts) -> Result<Decision, Refusal> {
    let mine = facts
        .pending
        .filter(|change| change.kind == wish.kind() && change.by == wish.actor());
    let unfinished = mine.map(|change| Decision::Unfinished(change.no));
    match wish {
        Wish::Invite { .. } if facts.actor != Some(Role::Owner) => Err(Refusal::NotOwner),
        // Before the code is looked at: who came in by its last use and did not hear of it
        // asks once more.
        Wish::Join { .. } | Wish::Invite { .. } | Wish::Accept { .. }
            if facts.subject.is_some() =>
        {
            unfinished.ok_or(Refusal::Already)
        }
        Wish::Accept { .. } if !facts.is_open => Err(Refusal::NoInvitation),
        Wish::Join { .. } if !facts.is_open => Err(Refusal::Private),
        Wish::Kick { .. } if !may_kick(facts.actor, facts.subject) => Err(Refusal::NotAbove),
        Wish::Kick { .. } | Wish::Leave { .. } if facts.subject.is_none() => {
            unfinished.ok_or(Refusal::NotMember)
        }
        Wish::Leave { .. } if facts.subject == Some(Role::Owner) && facts.others => {
            Err(Refusal::OwnerStays)
        }
        Wish::Leave { .. } | Wish::Kick { .. } => Ok(Decision::Take(None)),
        // Who made a room and was the last to leave it comes back as its owner: nobody
        // else could ever invite.
        Wish::Join { .. } | Wish::Accept { .. } if facts.heir => {
            Ok(Decision::Take(Some(Role::Owner)))
        }
        Wish::Join { .. } | Wish::Invite { .. } | Wish::Accept { .. } => {
            Ok(Decision::Take(Some(Role::Member)))
        }
    }
}

/// Whether an actor stands above a subject, who may be no member any more.
fn may_kick(actor: Option<Role>, subject: Option<Role>) -> bool {
    match actor {
        Some(Role::Owner) => subject != Some(Role::Owner),
        Some(Role::Admin) => matches!(subject, Some(Role::Member) | None),
        Some(Role::Member) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Uid = Uid::new(1).unwrap();
    const BOB: Uid = Uid::new(2).unwrap();

    fn facts(actor: Option<Role>, subject: Option<Role>) -> Facts {
        Facts {
            is_open: true,
            actor,
            subject,
            others: true,
            heir: false,
            pending: None,
        }
    }

    fn pending(kind: ChangeKind, by: Uid) -> Change {
        Change {
            no: ChangeNo::new(7).unwrap(),
            kind,
            uid: BOB,
            by,
            role: None,
        }
    }

    #[test]
    fn a_private_room_is_entered_by_invitation_alone() {
        let private = |facts| Facts {
            is_open: false,
            ..facts
        };
        let (join, invite) = (Wish::Join { uid: BOB }, Wish::Invite { by: ANN, uid: BOB });
        assert_eq!(
            decide(join, &private(facts(None, None))),
            Err(Refusal::Private)
        );
        let by_owner = private(facts(Some(Role::Owner), None));
        let member = Decision::Take(Some(Role::Member));
        assert_eq!(decide(invite, &by_owner), Ok(member));
        for role in [None, Some(Role::Member), Some(Role::Admin)] {
            assert_eq!(
                decide(invite, &private(facts(role, None))),
                Err(Refusal::NotOwner)
            );
        }
    }

    #[test]
    fn an_invitation_lets_in_who_is_not_in_yet() {
        let accept = Wish::Accept {
            uid: BOB,
            code: CodeHash([7; 32]),
        };
        let member = Decision::Take(Some(Role::Member));
        assert_eq!(decide(accept, &facts(None, None)), Ok(member));
        let inside = Some(Role::Member);
        assert_eq!(
            decide(accept, &facts(inside, inside)),
            Err(Refusal::Already)
        );
        for (subject, refusal) in [(None, Refusal::NoInvitation), (inside, Refusal::Already)] {
            let mut uninvited = facts(subject, subject);
            uninvited.is_open = false;
            assert_eq!(decide(accept, &uninvited), Err(refusal));
        }
        // His own, by the last use.
        let mut unfinished = facts(inside, inside);
        unfinished.is_open = false;
        unfinished.pending = Some(pending(ChangeKind::Join, BOB));
        let found = Decision::Unfinished(ChangeNo::new(7).unwrap());
        assert_eq!(decide(accept, &unfinished), Ok(found));
    }

    #[test]
    fn an_invitation_is_good_up_to_its_end_and_its_last_use() {
        let at = Timestamp::from_micros;
        let invitation = |uses_left| Invitation {
            room: Room {
                id: RoomId::new(1).unwrap(),
                kind: Kind::Room,
                name: None,
                creator: ANN,
                is_private: true,
                created_at: at(0),
            },
            expires_at: at(10),
            uses_left,
        };
        assert!(invitation(None).is_good(at(9)));
        assert!(invitation(Some(1)).is_good(at(9)));
        assert!(!invitation(Some(0)).is_good(at(9)));
        assert!(!invitation(None).is_good(at(10)));
    }

    #[test]
    fn the_owner_leaves_last() {
        let leave = Wish::Leave { uid: ANN };
        let mut owner = facts(Some(Role::Owner), Some(Role::Owner));
        assert_eq!(decide(leave, &owner), Err(Refusal::OwnerStays));
        owner.others = false;
        assert_eq!(decide(leave, &owner), Ok(Decision::Take(None)));
    }

    #[test]
    fn who_made_a_room_that_nobody_owns_owns_it_again() {
        let join = Wish::Join { uid: ANN };
        for (heir, role) in [(true, Role::Owner), (false, Role::Member)] {
            let facts = Facts {
                heir,
                ..facts(None, None)
            };
            assert_eq!(decide(join, &facts), Ok(Decision::Take(Some(role))));
        }
    }

    #[test]
    fn one_kicks_who_stands_below() {
        let kick = Wish::Kick { by: ANN, uid: BOB };
        let roles = [
            None,
            Some(Role::Member),
            Some(Role::Admin),
            Some(Role::Owner),
        ];
        for (rank, actor) in roles.into_iter().enumerate() {
            for (below, subject) in roles.into_iter().enumerate() {
                let expected = match subject {
                    _ if rank < 2 || rank <= below => Err(Refusal::NotAbove),
                    None => Err(Refusal::NotMember),
                    Some(_) => Ok(Decision::Take(None)),
                };
                let decided = decide(kick, &facts(actor, subject));
                assert_eq!(decided, expected, "{actor:?} kicks {subject:?}");
            }
        }
        let mut gone = facts(Some(Role::Owner), None);
        gone.pending = Some(pending(ChangeKind::Leave, ANN));
        assert!(matches!(decide(kick, &gone), Ok(Decision::Unfinished(_))));
    }

    #[test]
    fn only_the_same_persons_unfinished_change_is_found_again() {
        let invite = Wish::Invite { by: ANN, uid: BOB };
        let mut joined = facts(Some(Role::Owner), Some(Role::Member));
        assert_eq!(decide(invite, &joined), Err(Refusal::Already));
        joined.pending = Some(pending(ChangeKind::Join, ANN));
        assert!(matches!(
            decide(invite, &joined),
            Ok(Decision::Unfinished(_))
        ));
        joined.pending = Some(pending(ChangeKind::Join, BOB));
        assert_eq!(decide(invite, &joined), Err(Refusal::Already));
        let mut gone = facts(None, None);
        gone.pending = Some(pending(ChangeKind::Leave, BOB));
        let leave = Wish::Leave { uid: BOB };
        assert!(matches!(decide(leave, &gone), Ok(Decision::Unfinished(_))));
    }
}

//! The limits of the contract, each in one place.

use std::time::Duration;

/// Characters (Unicode scalar values) of a username, least and most.
pub const USERNAME_CHARS: (usize, usize) = (3, 20);
/// Characters of a room's name, least and most.
pub const ROOM_NAME_CHARS: (usize, usize) = (3, 20);
/// Characters of a password, least and most.
pub const PASSWORD_CHARS: (usize, usize) = (8, 128);
/// Characters of an e-mail address, most (RFC 5321, section 4.5.3.1, less the brackets).
pub const EMAIL_CHARS: usize = 254;
/// Characters of a message, least and most.
pub const MESSAGE_CHARS: (usize, usize) = (1, 2_000);
/// Characters of a nonce, least and most.
pub const NONCE_CHARS: (usize, usize) = (1, 64);
/// Characters of a frame's `Ref`, most.
pub const REF_CHARS: usize = 64;
/// Bytes of an HTTP request body, most.
pub const BODY_BYTES: usize = 64 * 1024;
/// Bytes of a WebSocket frame from a client, most.
pub const FRAME_BYTES: usize = 32 * 1024;
/// Messages of one page of history, most.
pub const HISTORY_PAGE: u32 = 100;
/// Events of one page of a log, most.
pub const EVENTS_PAGE: u32 = 1_000;
/// Bytes of the events in one page of a log, about; a page has one event at least.
pub const EVENTS_PAGE_BYTES: usize = 256 * 1024;
/// Events that a resume replays, most; a client further behind pages the rest.
pub const REPLAY_EVENTS: u64 = 1_000;
/// The newest events of a room, among which unread messages are counted and the last one is
/// looked for.
pub const COUNTED: u32 = 1_000;
/// Rooms in one question for standings, most.
pub const STANDINGS_ROOMS: usize = 200;
/// Membership changes in one Append, most.
pub const APPEND_CHANGES: usize = 500;
/// Members of one page of a room's, most.
pub const MEMBERS_PAGE: u32 = 100;
/// Rooms of one page of the directory, most.
pub const DIRECTORY_PAGE: u32 = 50;
/// How many may come in by one invitation, least and most.
pub const INVITATION_USES: (u32, u32) = (1, 1_000_000);
/// Seconds that an invitation may be good for, least and most: a year.
pub const INVITATION_SECONDS: (u32, u32) = (1, 31_536_000);
/// How many it is good for where nobody said: a week's.
pub const INVITATION_SECONDS_USUAL: u32 = 604_800;
/// Invitations that are good for one room at once, most.
pub const INVITATIONS: u32 = 100;
/// Users whose profiles are asked for at once, most.
pub const PROFILES: usize = 100;
/// Rooms in one question for heads, most.
pub const HEADS_ROOMS: usize = 10_000;
/// What `Retry-After` says with `unavailable` when nothing better is known.
pub const RETRY_AFTER_UNAVAILABLE: Duration = Duration::from_secs(1);

-- Rooms, who is in them, and the membership changes that room logs must learn of.
-- Times are microseconds since the Unix epoch. Numbers of kinds and roles are
-- those of the .proto files.

CREATE TABLE rooms (
    room_id     INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        INTEGER NOT NULL,
    -- NULL in a direct room.
    name        TEXT,
    -- The name as names are compared.
    name_key    TEXT UNIQUE,
    creator_uid INTEGER NOT NULL,
    is_private  BOOLEAN NOT NULL,
    created_at  INTEGER NOT NULL,
    -- The newest membership change; taken in an immediate transaction.
    change_no   INTEGER NOT NULL
);

CREATE TABLE members (
    room_id INTEGER NOT NULL REFERENCES rooms,
    uid     INTEGER NOT NULL,
    role    INTEGER NOT NULL,
    -- The change that made him a member.
    since   INTEGER NOT NULL,
    PRIMARY KEY (room_id, uid)
) WITHOUT ROWID;

-- A user's rooms.
CREATE INDEX members_by_uid ON members (uid, room_id);

CREATE TABLE changes (
    room_id   INTEGER NOT NULL REFERENCES rooms,
    change_no INTEGER NOT NULL,
    kind      INTEGER NOT NULL,
    uid       INTEGER NOT NULL,
    by_uid    INTEGER NOT NULL,
    -- The role afterwards; 0: none.
    role      INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    -- Whether the room's log has it.
    applied   BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (room_id, change_no)
) WITHOUT ROWID;

-- What is still to be told to the logs; nearly always empty.
CREATE INDEX changes_pending ON changes (room_id, change_no) WHERE NOT applied;

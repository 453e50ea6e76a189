-- Rooms, who is in them, and the membership changes that room logs must learn of.
-- Times are microseconds since the Unix epoch. Numbers of kinds and roles are
-- those of the .proto files.

CREATE TABLE rooms (
    room_id     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        SMALLINT NOT NULL,
    -- NULL in a direct room.
    name        TEXT,
    -- The name as names are compared.
    name_key    TEXT UNIQUE,
    creator_uid BIGINT NOT NULL,
    is_private  BOOLEAN NOT NULL,
    created_at  BIGINT NOT NULL,
    -- The newest membership change; taken under this row's lock.
    change_no   BIGINT NOT NULL
);

CREATE TABLE members (
    room_id BIGINT NOT NULL REFERENCES rooms,
    uid     BIGINT NOT NULL,
    role    SMALLINT NOT NULL,
    -- The change that made him a member.
    since   BIGINT NOT NULL,
    PRIMARY KEY (room_id, uid)
);

-- A user's rooms.
CREATE INDEX members_by_uid ON members (uid, room_id);

CREATE TABLE changes (
    room_id   BIGINT NOT NULL REFERENCES rooms,
    change_no BIGINT NOT NULL,
    kind      SMALLINT NOT NULL,
    uid       BIGINT NOT NULL,
    by_uid    BIGINT NOT NULL,
    -- The role afterwards; 0: none.
    role      SMALLINT NOT NULL,
    at        BIGINT NOT NULL,
    -- Whether the room's log has it.
    applied   BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (room_id, change_no)
);

-- What is still to be told to the logs; nearly always empty.
CREATE INDEX changes_pending ON changes (room_id, change_no) WHERE NOT applied;

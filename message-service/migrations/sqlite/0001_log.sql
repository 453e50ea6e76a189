-- The event logs of rooms. What is in a room's log is decided under its row in heads.
CREATE TABLE heads (
    room_id   INTEGER PRIMARY KEY,
    head      INTEGER NOT NULL DEFAULT 0,
    published INTEGER NOT NULL DEFAULT 0,
    epoch     INTEGER NOT NULL DEFAULT 1,
    first     INTEGER NOT NULL DEFAULT 1,
    applied   INTEGER NOT NULL DEFAULT 0,
    last_at   INTEGER NOT NULL DEFAULT 0
);

-- What the relay looks for.
CREATE INDEX heads_behind ON heads (last_at) WHERE published < head;

CREATE TABLE events (
    room_id    INTEGER  NOT NULL,
    seq        INTEGER  NOT NULL,
    kind       INTEGER NOT NULL,
    uid        INTEGER  NOT NULL,
    target     INTEGER  NOT NULL,
    text       TEXT     NOT NULL,
    attrs      TEXT     NOT NULL,
    nonce      TEXT,
    nonce_hash BLOB,
    at         INTEGER  NOT NULL,
    PRIMARY KEY (room_id, seq)
);

CREATE UNIQUE INDEX events_nonce ON events (room_id, uid, nonce) WHERE nonce IS NOT NULL;

CREATE TABLE members (
    room_id INTEGER  NOT NULL,
    uid     INTEGER  NOT NULL,
    role    INTEGER NOT NULL,
    PRIMARY KEY (room_id, uid)
);

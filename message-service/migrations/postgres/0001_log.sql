-- The event logs of rooms. What is in a room's log is decided under its row in heads.
CREATE TABLE heads (
    room_id   BIGINT PRIMARY KEY,
    head      BIGINT NOT NULL DEFAULT 0,
    published BIGINT NOT NULL DEFAULT 0,
    epoch     BIGINT NOT NULL DEFAULT 1,
    first     BIGINT NOT NULL DEFAULT 1,
    applied   BIGINT NOT NULL DEFAULT 0,
    last_at   BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- What the relay looks for.
CREATE INDEX heads_behind ON heads (last_at) WHERE published < head;

CREATE TABLE events (
    room_id    BIGINT   NOT NULL,
    seq        BIGINT   NOT NULL,
    kind       SMALLINT NOT NULL,
    uid        BIGINT   NOT NULL,
    target     BIGINT   NOT NULL,
    text       TEXT     NOT NULL,
    attrs      TEXT     NOT NULL,
    nonce      TEXT,
    nonce_hash BYTEA,
    at         BIGINT   NOT NULL,
    PRIMARY KEY (room_id, seq)
);

CREATE UNIQUE INDEX events_nonce ON events (room_id, uid, nonce) WHERE nonce IS NOT NULL;

CREATE TABLE members (
    room_id BIGINT   NOT NULL,
    uid     BIGINT   NOT NULL,
    role    SMALLINT NOT NULL,
    PRIMARY KEY (room_id, uid)
);

-- The newest password of each user that is known here. Its row is locked by whatever
-- depends on it: a session being opened, a password being changed.
CREATE TABLE users (
    uid              INTEGER PRIMARY KEY,
    password_version INTEGER NOT NULL
) STRICT;

-- Refresh tokens that were used, as long as their sessions live.
CREATE TABLE spent (
    -- SHA-256 of the secret part of the token.
    hash       BLOB  PRIMARY KEY,
    session_id INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    -- SHA-256 of the Idempotency-Key it was used with; NULL: none.
    key_hash   BLOB,
    -- What the new secret was derived with.
    salt       BLOB  NOT NULL,
    at         INTEGER NOT NULL
) STRICT;

CREATE INDEX spent_by_session ON spent (session_id);

-- Sessions that ended, numbered without gaps in the order of their commits: whoever
-- ends one holds the only row of ended_head.
CREATE TABLE ended (
    no         INTEGER PRIMARY KEY,
    session_id INTEGER NOT NULL,
    at         INTEGER NOT NULL
) STRICT;

CREATE TABLE ended_head (
    one INTEGER PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    no  INTEGER NOT NULL
) STRICT;

INSERT INTO ended_head (no) VALUES (0);

-- Tickets that open one WebSocket.
CREATE TABLE tickets (
    -- SHA-256 of the ticket.
    hash       BLOB  PRIMARY KEY,
    session_id INTEGER NOT NULL,
    until      INTEGER NOT NULL
) STRICT;

CREATE INDEX tickets_by_until ON tickets (until);
CREATE INDEX sessions_living_by_use ON sessions (last_used) WHERE ended_at IS NULL;

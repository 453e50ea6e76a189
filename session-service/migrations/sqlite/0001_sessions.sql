-- Sessions. Times are microseconds since the Unix epoch.
CREATE TABLE sessions (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    uid              INTEGER NOT NULL,
    -- The version of the password that opened it.
    password_version INTEGER NOT NULL,
    -- What the client called itself, and where it came from.
    device           TEXT    NOT NULL,
    address          TEXT    NOT NULL,
    -- SHA-256 of the secret part of the refresh token.
    refresh_hash     BLOB    NOT NULL,
    created_at       INTEGER NOT NULL,
    last_used        INTEGER NOT NULL,
    -- NULL: it lives.
    ended_at         INTEGER
) STRICT;

CREATE INDEX sessions_living_by_uid ON sessions (uid) WHERE ended_at IS NULL;

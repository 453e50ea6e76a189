-- Sessions. Times are microseconds since the Unix epoch.
CREATE TABLE sessions (
    id               BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uid              BIGINT NOT NULL,
    -- The version of the password that opened it.
    password_version BIGINT NOT NULL,
    -- What the client called itself, and where it came from.
    device           TEXT   NOT NULL,
    address          TEXT   NOT NULL,
    -- SHA-256 of the secret part of the refresh token.
    refresh_hash     BYTEA  NOT NULL,
    created_at       BIGINT NOT NULL,
    last_used        BIGINT NOT NULL,
    -- NULL: it lives.
    ended_at         BIGINT
);

CREATE INDEX sessions_living_by_uid ON sessions (uid) WHERE ended_at IS NULL;

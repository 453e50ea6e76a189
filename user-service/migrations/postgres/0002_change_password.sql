-- The version of the password that session-service has been told of, and the session
-- that lives on after the newest change; 0: none does.
ALTER TABLE accounts
    ADD COLUMN told_version BIGINT NOT NULL DEFAULT 1,
    ADD COLUMN kept_session BIGINT NOT NULL DEFAULT 0,
    -- When the password was last changed, microseconds since the Unix epoch.
    ADD COLUMN changed_at   BIGINT NOT NULL DEFAULT 0;

CREATE INDEX accounts_to_tell ON accounts (uid) WHERE told_version < password_version;

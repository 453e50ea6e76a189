-- Accounts. The keys are what names and addresses are compared by: case folded, NFC.
CREATE TABLE accounts (
    uid              INTEGER PRIMARY KEY AUTOINCREMENT,
    username         TEXT    NOT NULL,
    username_key     TEXT    NOT NULL,
    email            TEXT    NOT NULL,
    email_key        TEXT    NOT NULL,
    -- A PHC string, and the number of the scheme that made it.
    hash             TEXT    NOT NULL,
    hash_version     INTEGER NOT NULL,
    -- Grows with each change of the password.
    password_version INTEGER NOT NULL DEFAULT 1,
    -- Microseconds since the Unix epoch.
    created_at       INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX accounts_by_username ON accounts (username_key);
CREATE UNIQUE INDEX accounts_by_email ON accounts (email_key);

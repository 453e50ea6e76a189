-- Accounts. The keys are what names and addresses are compared by: case folded, NFC.
CREATE TABLE accounts (
    uid              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username         TEXT     NOT NULL,
    username_key     TEXT     NOT NULL,
    email            TEXT     NOT NULL,
    email_key        TEXT     NOT NULL,
    -- A PHC string, and the number of the scheme that made it.
    hash             TEXT     NOT NULL,
    hash_version     SMALLINT NOT NULL,
    -- Grows with each change of the password.
    password_version BIGINT   NOT NULL DEFAULT 1,
    -- Microseconds since the Unix epoch.
    created_at       BIGINT   NOT NULL
);

CREATE UNIQUE INDEX accounts_by_username ON accounts (username_key);
CREATE UNIQUE INDEX accounts_by_email ON accounts (email_key);

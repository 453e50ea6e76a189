-- What lets whoever has its code into a room. Of the code its SHA-256 is kept.
CREATE TABLE invitations (
    code_hash  BLOB    PRIMARY KEY,
    room_id    INTEGER NOT NULL REFERENCES rooms,
    created_by INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    -- NULL: any number.
    uses_left  INTEGER
) WITHOUT ROWID;

-- A room's, to count them and to drop what is over.
CREATE INDEX invitations_by_room ON invitations (room_id);

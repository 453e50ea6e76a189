-- What lets whoever has its code into a room. Of the code its SHA-256 is kept.
CREATE TABLE invitations (
    code_hash  BYTEA  PRIMARY KEY,
    room_id    BIGINT NOT NULL REFERENCES rooms,
    created_by BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- NULL: any number.
    uses_left  BIGINT
);

-- A room's, to count them and to drop what is over.
CREATE INDEX invitations_by_room ON invitations (room_id);

-- How far a member has read; he begins at his join.
ALTER TABLE members
    ADD COLUMN read BIGINT NOT NULL DEFAULT 0;

-- Those who are there already have read what there is.
UPDATE members
SET read = heads.head
FROM heads
WHERE heads.room_id = members.room_id;

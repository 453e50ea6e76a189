-- What the relay looks for. An index on what changes with every event would keep
-- PostgreSQL from updating the head rows in place (HOT): each commit would leave a dead row
-- and a dead entry in every index behind. This changes only when a room falls behind and when
-- it is no more.
ALTER TABLE heads
    ADD COLUMN behind BOOLEAN NOT NULL GENERATED ALWAYS AS (published < head) STORED;

CREATE INDEX heads_unpublished ON heads (room_id) WHERE behind;

DROP INDEX heads_behind;

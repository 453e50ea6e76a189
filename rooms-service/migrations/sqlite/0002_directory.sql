-- How many are in a room, and the directory of those that all may join.
ALTER TABLE rooms
    ADD COLUMN members INTEGER NOT NULL DEFAULT 0;

UPDATE rooms
SET members = (SELECT COUNT(*) FROM members WHERE members.room_id = rooms.room_id);

-- Counted here, so that it is right whichever release makes the change.
CREATE TRIGGER count_join AFTER INSERT ON members
BEGIN
    UPDATE rooms SET members = members + 1 WHERE room_id = NEW.room_id;
END;

CREATE TRIGGER count_leave AFTER DELETE ON members
BEGIN
    UPDATE rooms SET members = members - 1 WHERE room_id = OLD.room_id;
END;

CREATE INDEX rooms_directory ON rooms (name_key) WHERE NOT is_private AND kind = 1;

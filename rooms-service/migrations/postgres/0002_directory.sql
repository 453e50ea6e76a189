-- How many are in a room, and the directory of those that all may join.
ALTER TABLE rooms
    ADD COLUMN members BIGINT NOT NULL DEFAULT 0;

UPDATE rooms
SET members = (SELECT COUNT(*) FROM members WHERE members.room_id = rooms.room_id);

-- Counted here, so that it is right whichever release makes the change.
CREATE FUNCTION count_members() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    UPDATE rooms
    SET members = members + CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END
    WHERE room_id = CASE TG_OP WHEN 'INSERT' THEN NEW.room_id ELSE OLD.room_id END;
    RETURN NULL;
END
$$;

CREATE TRIGGER count_members
AFTER INSERT OR DELETE ON members
FOR EACH ROW EXECUTE FUNCTION count_members();

-- By bytes, so that names that begin alike stand together whatever the database's language.
CREATE INDEX rooms_directory ON rooms (name_key COLLATE "C") WHERE NOT is_private AND kind = 1;

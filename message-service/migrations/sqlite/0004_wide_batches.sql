-- Cheaper batches of posts to many rooms.

-- A user's nonces beside each other, whatever rooms they are in: those of ours ascend, so a
-- batch writes few pages of the index instead of one for each room.
CREATE UNIQUE INDEX events_nonce_of_user ON events (uid, nonce, room_id) WHERE nonce IS NOT NULL;

DROP INDEX events_nonce;

-- As before, but for jsonb_each: json_each makes text of a row for every column that is asked
-- for, and that is read again.
DROP TRIGGER write_known_batch;

CREATE TRIGGER write_known_batch INSTEAD OF INSERT ON known_batch
BEGIN
    UPDATE heads
    SET head = known.value ->> 5, last_at = known.value ->> 6
    FROM jsonb_each(NEW.heads) AS known
    WHERE heads.room_id = known.value ->> 0
      AND heads.head = known.value ->> 1
      AND heads.applied = known.value ->> 2
      AND heads.last_at = known.value ->> 3
      AND heads.epoch = known.value ->> 4;

    SELECT RAISE(ABORT, 'a head is not as it was known')
    WHERE changes() <> json_array_length(NEW.heads);

    INSERT INTO events (room_id, seq, kind, uid, target, text, attrs, nonce, nonce_hash, at)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4,
           value ->> 5, value ->> 6, value ->> 7, unhex(value ->> 8), value ->> 9
    FROM jsonb_each(NEW.events);
END;

-- Writes a batch of posts where the heads are as the writer knows them, in one statement:
-- one row put into this view is the whole batch. A statement is a way to another thread and
-- back, and a lone message would go it four times in a transaction.
CREATE VIEW known_batch AS
SELECT
    -- [[room_id, head, applied, last_at, epoch, head then, last_at then], …]
    '' AS heads,
    -- [[room_id, seq, kind, uid, target, text, attrs, nonce, nonce_hash in hex, at], …]
    '' AS events;

CREATE TRIGGER write_known_batch INSTEAD OF INSERT ON known_batch
BEGIN
    UPDATE heads
    SET head = known.value ->> 5, last_at = known.value ->> 6
    FROM json_each(NEW.heads) AS known
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
    FROM json_each(NEW.events);
END;

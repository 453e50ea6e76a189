-- Which life of the logs this is, in one row: raised after a restore from backup, for
-- rooms that are made afterwards as well. A room's number may have been another's in
-- the life before.
CREATE TABLE life (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL
);

INSERT INTO life (one, epoch)
SELECT 1, COALESCE(MAX(epoch), 1)
FROM heads;

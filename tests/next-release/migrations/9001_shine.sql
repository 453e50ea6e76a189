-- What this release adds: how much an event shines. Whoever does not know of it writes
-- none, and reads all the rest. The number leaves room for the releases in between.
ALTER TABLE events ADD COLUMN shine SMALLINT;

-- The entry with which a hold began: its party alone ends it. Entries of holds never expire, so that of an older hold is
-- there: the newest one of its range from before it.
ALTER TABLE hold ADD COLUMN idx INTEGER REFERENCES leaf (idx);
UPDATE hold SET idx = (
    SELECT max(entry.idx) FROM entry
    WHERE json_extract(text, '$.action') = 'log-hold' AND json_extract(text, '$.result') = 'done'
      AND json_extract(text, '$.entries.from') = first AND json_extract(text, '$.entries.to') = beyond
      AND unixepoch(json_extract(text, '$.time')) <= held_at + 1
);

-- How often a load was read to be committed.
ALTER TABLE load ADD COLUMN readings INTEGER NOT NULL DEFAULT 0;

-- What parties were told nothing about, keyed, as long as the loads on which that rests; and rows that mean nothing.
CREATE TABLE mark (
    epoch         TEXT NOT NULL REFERENCES epoch (id),
    mark          BLOB NOT NULL CHECK (length(mark) = 16),
    rests_on_care INTEGER NOT NULL CHECK (rests_on_care IN (0, 1)),
    PRIMARY KEY (epoch, mark)
) STRICT, WITHOUT ROWID;

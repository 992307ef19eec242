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

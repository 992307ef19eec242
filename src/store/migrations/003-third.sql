-- How the tenants of questions were spelled, sealed, by party and place, as long as the loads on which the answer rests; and
-- rows that mean nothing.
CREATE TABLE spelling (
    id            INTEGER PRIMARY KEY,
    epoch         TEXT NOT NULL REFERENCES epoch (id),
    place         BLOB NOT NULL CHECK (length(place) = 16),
    rests_on_care INTEGER NOT NULL CHECK (rests_on_care IN (0, 1)),
    sealed        BLOB NOT NULL
) STRICT;
CREATE INDEX spelling_by_place ON spelling (epoch, place);

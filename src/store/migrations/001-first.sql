-- The access log. Leaf hashes stay for ever; the text of an entry may expire.
CREATE TABLE leaf (
    idx  INTEGER PRIMARY KEY,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TABLE entry (
    idx  INTEGER PRIMARY KEY REFERENCES leaf (idx),
    text TEXT NOT NULL
) STRICT;
-- Which entries a day's key opens: it stays as long as one of them.
CREATE INDEX entry_sealed_by ON entry (json_extract(text, '$.sealed.key'))
    WHERE json_extract(text, '$.sealed.key') IS NOT NULL;
-- How the log came to its key: each note is signed by both.
CREATE TABLE hand_over (
    n       INTEGER PRIMARY KEY,
    old_key TEXT NOT NULL,
    new_key TEXT NOT NULL,
    note    TEXT NOT NULL
) STRICT;
CREATE TABLE checkpoint (
    only INTEGER PRIMARY KEY CHECK (only = 0),
    note TEXT NOT NULL
) STRICT;

-- Times are seconds since 1970, UTC.
CREATE TABLE epoch (
    id             TEXT PRIMARY KEY,
    regulation     TEXT NOT NULL,
    profile        TEXT NOT NULL,
    schema_hash    TEXT NOT NULL,
    key_check      TEXT,
    data_key       BLOB,          -- wrapped; NULL once the epoch is destroyed
    data_key_check BLOB NOT NULL, -- tells a wrong data key from damaged data
    announced_at   INTEGER NOT NULL,
    contribute_by  TEXT NOT NULL, -- days, 2026-11-30
    load_by        TEXT NOT NULL,
    grace_days     INTEGER NOT NULL CHECK (grace_days >= 0)
) STRICT, WITHOUT ROWID;
-- The life of an epoch. Its state is that of the last step.
CREATE TABLE step (
    epoch         TEXT NOT NULL REFERENCES epoch (id),
    n             INTEGER NOT NULL CHECK (n >= 0),
    state         TEXT NOT NULL CHECK (state IN ('announced', 'loading', 'active', 'retiring', 'destroyed')),
    at            INTEGER NOT NULL,
    answers_until INTEGER, -- of a retiring epoch
    log_index     INTEGER NOT NULL, -- its entry in the access log
    PRIMARY KEY (epoch, n)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER step_is_not_changed BEFORE UPDATE ON step BEGIN SELECT RAISE(ABORT, 'steps are only added'); END;
CREATE TRIGGER step_is_not_deleted BEFORE DELETE ON step BEGIN SELECT RAISE(ABORT, 'steps are only added'); END;
-- Records of each source when the epoch began to answer.
CREATE TABLE opening (
    epoch   TEXT NOT NULL REFERENCES epoch (id),
    source  TEXT NOT NULL,
    records INTEGER NOT NULL CHECK (records >= 0),
    PRIMARY KEY (epoch, source)
) STRICT, WITHOUT ROWID;
CREATE TABLE participant (
    epoch       TEXT NOT NULL REFERENCES epoch (id),
    oin         TEXT NOT NULL,
    recipient   TEXT NOT NULL, -- age or ssh public key
    contributes INTEGER NOT NULL CHECK (contributes IN (0, 1)),
    contributed INTEGER NOT NULL DEFAULT 0 CHECK (contributed IN (0, 1)), -- its share may be gone with the epoch
    PRIMARY KEY (epoch, oin)
) STRICT, WITHOUT ROWID;
CREATE TABLE share (
    epoch    TEXT NOT NULL,
    from_oin TEXT NOT NULL,
    sealed   BLOB NOT NULL,
    PRIMARY KEY (epoch, from_oin),
    FOREIGN KEY (epoch, from_oin) REFERENCES participant (epoch, oin)
) STRICT;
-- A share sealed again, by some custodian, for a key of one participant that came later or has a new one.
CREATE TABLE resealed (
    epoch    TEXT NOT NULL,
    from_oin TEXT NOT NULL,
    for_oin  TEXT NOT NULL,
    by_oin   TEXT NOT NULL,
    recipient TEXT NOT NULL,
    sealed   BLOB NOT NULL,
    PRIMARY KEY (epoch, from_oin, for_oin, by_oin, recipient),
    FOREIGN KEY (epoch, from_oin) REFERENCES share (epoch, from_oin),
    FOREIGN KEY (epoch, for_oin) REFERENCES participant (epoch, oin)
) STRICT;
-- Signed records of destroyed epochs.
CREATE TABLE destruction (
    epoch TEXT PRIMARY KEY REFERENCES epoch (id),
    note  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE load (
    id             TEXT PRIMARY KEY,
    epoch          TEXT NOT NULL REFERENCES epoch (id),
    source         TEXT NOT NULL,
    header         TEXT NOT NULL,
    base           TEXT, -- the load that it changes; its chunks are needed as long
    lines          INTEGER NOT NULL CHECK (lines >= 0), -- as announced
    records        INTEGER NOT NULL CHECK (records >= 0), -- with those of the loads that it changes
    reference_date TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('staging', 'current', 'base', 'superseded')),
    begun_at       INTEGER NOT NULL,
    loaded_at      INTEGER,
    revision       INTEGER NOT NULL DEFAULT 0, -- counts the chunks that arrived, repeated ones too
    report         TEXT -- JSON, of one that is or was current
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX load_current ON load (epoch, source) WHERE state = 'current';
-- Of a load, or of a batch of questions.
CREATE TABLE chunk (
    upload  TEXT NOT NULL,
    n       INTEGER NOT NULL CHECK (n >= 0),
    records INTEGER NOT NULL CHECK (records >= 0),
    digest  BLOB NOT NULL CHECK (length(digest) = 32), -- SHA-256 of what is sealed
    sealed  BLOB NOT NULL,
    PRIMARY KEY (upload, n)
) STRICT;

-- Questions that are answered in the background. They and what became of them are sealed under the data key of their
-- epoch.
CREATE TABLE batch (
    id           TEXT PRIMARY KEY,
    epoch        TEXT NOT NULL REFERENCES epoch (id),
    oin          TEXT NOT NULL, -- whose it is
    plan         TEXT NOT NULL, -- JSON: what all its questions say
    questions    INTEGER NOT NULL CHECK (questions > 0), -- as announced
    state        TEXT NOT NULL CHECK (state IN ('open', 'answering', 'done', 'cancelled', 'refused')),
    revision     INTEGER NOT NULL DEFAULT 0, -- counts the chunks that arrived, repeated ones too
    households   INTEGER NOT NULL DEFAULT 0, -- different addresses; more than a minimum can ask for are not counted
    asker        TEXT NOT NULL DEFAULT '',   -- JSON: who committed it
    answered     INTEGER NOT NULL DEFAULT 0,
    refused      INTEGER NOT NULL DEFAULT 0,
    read         INTEGER NOT NULL DEFAULT 0, -- results from the first on that were handed out
    begun_at     INTEGER NOT NULL,
    ended_at     INTEGER,
    expires_at   INTEGER -- absent while it is answered
) STRICT, WITHOUT ROWID;
CREATE INDEX batch_oin ON batch (oin);
CREATE TABLE result (
    batch  TEXT NOT NULL REFERENCES batch (id),
    n      INTEGER NOT NULL CHECK (n >= 0), -- of the question, from 0
    idx    INTEGER NOT NULL REFERENCES leaf (idx), -- its entry
    sealed BLOB NOT NULL,
    PRIMARY KEY (batch, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE stock (
    epoch         TEXT NOT NULL REFERENCES epoch (id),
    oin           TEXT NOT NULL,
    dwellings     INTEGER NOT NULL CHECK (dwellings >= 0),
    filter        BLOB NOT NULL, -- sealed
    registered_at INTEGER NOT NULL,
    PRIMARY KEY (epoch, oin)
) STRICT;
CREATE TABLE budget (
    regulation TEXT NOT NULL,
    oin        TEXT NOT NULL,
    month      TEXT NOT NULL CHECK (month GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]'),
    questions  INTEGER NOT NULL,
    misses     INTEGER NOT NULL DEFAULT 0, -- of them, those that hit nobody
    alarmed    INTEGER NOT NULL DEFAULT 0 CHECK (alarmed IN (0, 1)), -- whether officers were told of their number
    day        INTEGER NOT NULL, -- of the month: the last with a question, and the counts of that day
    day_questions INTEGER NOT NULL,
    day_misses    INTEGER NOT NULL,
    PRIMARY KEY (regulation, oin, month)
) STRICT, WITHOUT ROWID;
CREATE TABLE household_questions (
    month     TEXT NOT NULL CHECK (month GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]'),
    oin       TEXT NOT NULL,
    object    TEXT NOT NULL, -- pseudonym of the household, or a case
    questions INTEGER NOT NULL,
    PRIMARY KEY (month, oin, object)
) STRICT, WITHOUT ROWID;

-- Requests that were answered under an Idempotency-Key. Neither key nor body stands here, and the answer opens only
-- for who sends both again.
CREATE TABLE repeat (
    id     TEXT PRIMARY KEY, -- keyed hash of the party and its key
    body   TEXT NOT NULL,    -- keyed hash of the request
    sealed BLOB NOT NULL,
    idx    INTEGER REFERENCES leaf (idx), -- where it has an entry
    at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX repeat_at ON repeat (at);

-- Entries of which a processing record has not reached its log yet.
CREATE TABLE outbox (
    idx     INTEGER PRIMARY KEY REFERENCES leaf (idx),
    refused INTEGER NOT NULL DEFAULT 0 CHECK (refused IN (0, 1)) -- by itself, by the collector
) STRICT;

-- Entries whose contents are kept beyond their time.
CREATE TABLE hold (
    id      INTEGER PRIMARY KEY,
    first   INTEGER NOT NULL CHECK (first >= 0),
    beyond  INTEGER NOT NULL CHECK (beyond > first),
    held_at INTEGER NOT NULL
) STRICT;
-- Taps that misses closed; officers open them.
CREATE TABLE tap (
    regulation TEXT NOT NULL,
    oin        TEXT NOT NULL,
    closed_at  INTEGER NOT NULL,
    PRIMARY KEY (regulation, oin)
) STRICT, WITHOUT ROWID;

-- Every version of a regulation that was activated, in the order of activation.
CREATE TABLE regulation (
    id           TEXT NOT NULL,
    digest       TEXT NOT NULL,
    toml         TEXT NOT NULL,
    cedar        TEXT NOT NULL,
    signatures   TEXT NOT NULL, -- signed note, a line a party
    activated_at INTEGER NOT NULL,
    PRIMARY KEY (id, digest)
) STRICT;
-- Acts that wait for a second person.
CREATE TABLE proposal (
    id          TEXT PRIMARY KEY,
    regulation  TEXT NOT NULL,
    body        TEXT NOT NULL,
    oin         TEXT NOT NULL,
    certificate TEXT NOT NULL, -- SHA-256 of its public key, hexadecimal
    made_at     INTEGER NOT NULL,
    sealed_in   TEXT REFERENCES epoch (id), -- a part of the body is sealed under its data key
    gone        TEXT CHECK (gone IN ('withdrawn', 'overtaken')) -- waits no more, and why; forgotten when it lapses
) STRICT, WITHOUT ROWID;

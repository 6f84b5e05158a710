-- One partition of the studies (by a hash of StudyInstanceUID) with the instances that were read.
CREATE TABLE IF NOT EXISTS journal (flush INTEGER NOT NULL, first_instance_id INTEGER NOT NULL);

CREATE TABLE IF NOT EXISTS studies (
    study_id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    touch INTEGER NOT NULL,              -- number of the wave that last changed it
    issued INTEGER NOT NULL DEFAULT -1,  -- `touch` when it was last handed out in this crawl
    revision TEXT,                       -- as stored by the flow
    is_dirty INTEGER NOT NULL DEFAULT 1, -- changed since `revision`
    n_files INTEGER NOT NULL DEFAULT 0,
    n_bytes INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS studies_open ON studies (touch, study_id) WHERE is_dirty AND issued < touch;

CREATE TABLE IF NOT EXISTS series (
    series_id INTEGER PRIMARY KEY,
    study_id INTEGER NOT NULL,
    uid TEXT NOT NULL,
    n_files INTEGER NOT NULL DEFAULT 0,
    UNIQUE (study_id, uid)
);

CREATE TABLE IF NOT EXISTS places (place_id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE);

-- Header values that all instances of a series share, stored once.
CREATE TABLE IF NOT EXISTS commons (
    common_id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    value TEXT NOT NULL  -- JSON list, fields in the order of tasks.index_codec.COMMON
);

CREATE TABLE IF NOT EXISTS instances (
    instance_id INTEGER PRIMARY KEY AUTOINCREMENT,
    study_id INTEGER NOT NULL,
    series_id INTEGER NOT NULL,
    sop_uid TEXT NOT NULL,
    place_id INTEGER NOT NULL,
    name BLOB NOT NULL,
    is_member INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    digest BLOB,          -- content digest; NULL: a broken file
    full_digest BLOB,     -- of all its bytes, once it had to be told from another file
    common_id INTEGER,    -- NULL: a broken file
    own TEXT NOT NULL,    -- JSON list: values of this instance (tasks.index_codec.OWN), or the issue of a broken file
    is_vanished INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS instances_of_study ON instances (study_id, sop_uid);
CREATE INDEX IF NOT EXISTS instances_vanished ON instances (instance_id) WHERE is_vanished;

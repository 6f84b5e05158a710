-- The stat cache: what the crawl decided about every name, so that the second crawl needs one stat per file.
-- `files` is counted by outcome as it is written; nothing ever scans it.
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS directories (
    directory_id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,  -- relative to the archive root; the path of the zip for members
    seen INTEGER NOT NULL       -- number of the crawl that last listed it
);

CREATE TABLE IF NOT EXISTS reasons (
    reason_id INTEGER PRIMARY KEY,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL UNIQUE,
    n_files INTEGER NOT NULL DEFAULT 0  -- files of no study
);

CREATE TABLE IF NOT EXISTS files (
    directory_id INTEGER NOT NULL,
    name BLOB NOT NULL,          -- file name, or locator of a zip member
    size_bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    reason_id INTEGER,           -- NULL: in a study, or a zip that was read
    part INTEGER,                -- partition of its study; NULL: in no study
    instance_id INTEGER,         -- row there
    is_vanished INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (directory_id, name)
) WITHOUT ROWID;

-- The name by which a file with several hard links is read: the first in the order of the walk.
CREATE TABLE IF NOT EXISTS claims (
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    directory_id INTEGER NOT NULL,
    name BLOB NOT NULL,
    crawl INTEGER NOT NULL,  -- number of the crawl in which it asked first
    PRIMARY KEY (device, inode)
) WITHOUT ROWID;

-- The ledger of drover. Times are UTC, in the form 2006-01-02 15:04:05.000000.
CREATE TABLE ledger (
	version INTEGER NOT NULL, -- of these tables; drover refuses a ledger whose version it does not know
	token   INTEGER NOT NULL  -- the last that was given to an attempt
) STRICT;

CREATE TABLE run (
	number      INTEGER PRIMARY KEY AUTOINCREMENT, -- grows with each run
	uid         TEXT NOT NULL UNIQUE, -- random; keys all that the run leaves in a target
	id          TEXT NOT NULL,        -- its name, unique within the job
	named       INTEGER NOT NULL,     -- 1 if the name was given by --run
	job         TEXT NOT NULL,
	fingerprint TEXT NOT NULL,        -- of the job's meaning
	state       TEXT NOT NULL CHECK (state IN ('planned', 'open', 'publishing', 'finished', 'failed', 'abandoned')),
	engine      TEXT NOT NULL,
	version     TEXT NOT NULL,        -- the drover that began it; no other version works on it
	started_at  TEXT NOT NULL,
	finished_at TEXT,
	message     TEXT,                 -- the last thing worth saying about it
	doc         TEXT,                 -- the frozen plan, as JSON
	holder      TEXT,                 -- the driver that plans or publishes it
	lease_until TEXT,                 -- when the holder loses it
	lease_us    INTEGER,              -- the length of that lease in microseconds
	UNIQUE (job, id)
) STRICT;
CREATE INDEX run_id ON run (id);

-- What drover prune keeps of a run that --run named: a machine that comes late with the name finds it over.
CREATE TABLE pruned (
	uid         TEXT NOT NULL,
	id          TEXT NOT NULL,
	job         TEXT NOT NULL,
	fingerprint TEXT NOT NULL,
	state       TEXT NOT NULL,
	engine      TEXT NOT NULL,
	version     TEXT NOT NULL,
	message     TEXT,
	started_at  TEXT NOT NULL,
	finished_at TEXT,
	pruned_at   TEXT NOT NULL,
	PRIMARY KEY (job, id)
) STRICT;
CREATE INDEX pruned_id ON pruned (id);

-- One row per chunk of a run. chunk.run_id = run.uid.
CREATE TABLE chunk (
	run_id            TEXT NOT NULL REFERENCES run (uid) ON DELETE CASCADE,
	stage             INTEGER NOT NULL,
	id                INTEGER NOT NULL,           -- its place in the stage, from 0
	key               TEXT NOT NULL,              -- names it to a person: a value, a path, a range
	state             TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'running', 'finished', 'error', 'split')),
	attempts          INTEGER NOT NULL DEFAULT 0, -- how often it failed alone
	losses            INTEGER NOT NULL DEFAULT 0, -- how often it lost its worker, or overran its memory, alone
	worker            TEXT,                       -- who has, or last had, it: HOST/PID/..., as in machine.driver
	rows_in           INTEGER NOT NULL DEFAULT 0,
	rows_out          INTEGER NOT NULL DEFAULT 0,
	bytes_in          INTEGER NOT NULL DEFAULT 0,
	bytes_out         INTEGER NOT NULL DEFAULT 0,
	rows_scanned      INTEGER,                    -- rows looked at before filters were pushed down; NULL where it is not known
	rows_rejected     INTEGER NOT NULL DEFAULT 0, -- of rows_in, those that went to the job's rejects
	peak_memory_bytes INTEGER NOT NULL DEFAULT 0, -- of the task that it was part of
	started_at        TEXT,                       -- of its last attempt
	finished_at       TEXT,
	error             TEXT,                       -- of its last failed attempt
	error_detail      TEXT,                       -- the same as JSON
	token             INTEGER,                    -- of its last attempt
	lease_until       TEXT,                       -- a running chunk may be taken over after it
	not_before        TEXT,                       -- a pending chunk is not tried before it
	pack_limit        INTEGER,                    -- at most so many chunks in a task with this one
	bounds            TEXT,                       -- what to read, as JSON
	estimated_rows    INTEGER NOT NULL DEFAULT 0,
	estimated_bytes   INTEGER NOT NULL DEFAULT 0,
	receipt           TEXT,                       -- what the accepted attempt left, as JSON
	PRIMARY KEY (run_id, stage, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX chunk_claimable ON chunk (run_id, stage, id) WHERE state IN ('pending', 'running');

-- Every try of every chunk. attempt.run_id = run.uid, attempt.chunk_id = chunk.id in the same stage.
CREATE TABLE attempt (
	run_id      TEXT NOT NULL,
	stage       INTEGER NOT NULL,
	chunk_id    INTEGER NOT NULL,
	token       INTEGER NOT NULL, -- chunks with one token were tried together; a later token fences an earlier one off
	worker      TEXT NOT NULL,
	started_at  TEXT NOT NULL,
	ended_at    TEXT,
	outcome     TEXT CHECK (outcome IN ('finished', 'failed', 'split', 'expired', 'released')), -- NULL while it runs
	error       TEXT,
	fingerprint TEXT NOT NULL,    -- of what it ran with
	PRIMARY KEY (run_id, token, stage, chunk_id)
) STRICT, WITHOUT ROWID;

-- One row per driver at work on a run that is not over. machine.run_id = run.uid.
CREATE TABLE machine (
	run_id    TEXT NOT NULL REFERENCES run (uid) ON DELETE CASCADE,
	driver    TEXT NOT NULL,    -- HOST/PID/..., as in chunk.worker
	workers   INTEGER NOT NULL, -- how many tasks it executes at once
	joined_at TEXT NOT NULL,    -- when it began to work
	seen_at   TEXT NOT NULL,    -- its last heartbeat
	PRIMARY KEY (run_id, driver)
) STRICT, WITHOUT ROWID;

-- What the planner of queries believes about sizes. Left alone it takes all chunks of a stage for a handful.
ANALYZE sqlite_schema;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
	('chunk', 'chunk', '100000 100000 100000 1'),
	('chunk', 'chunk_claimable', '10000 10000 10000 1'),
	('attempt', 'attempt', '100000 100000 10 10 1');
ANALYZE sqlite_schema;

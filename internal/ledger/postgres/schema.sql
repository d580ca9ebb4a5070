CREATE SEQUENCE @schema.token;
COMMENT ON SEQUENCE @schema.token IS 'Numbers attempts: a later token fences an earlier one off.';

CREATE TABLE @schema.ledger (version integer NOT NULL);
COMMENT ON COLUMN @schema.ledger.version IS 'Of these tables.';
COMMENT ON TABLE @schema.ledger IS 'The version of drover''s ledger tables. drover refuses a version that it does not know.';

CREATE TABLE @schema.run (
	number      bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
	uid         text PRIMARY KEY,
	id          text NOT NULL,
	named       boolean NOT NULL,
	job         text NOT NULL,
	fingerprint text NOT NULL,
	state       text NOT NULL CHECK (state IN ('planned', 'open', 'publishing', 'finished', 'failed', 'abandoned')),
	engine      text NOT NULL,
	version     text NOT NULL,
	started_at  timestamptz NOT NULL,
	finished_at timestamptz,
	message     text,
	doc         json,
	holder      text,
	lease_until timestamptz,
	lease_us    bigint,
	UNIQUE (job, id)
);
CREATE INDEX run_id ON @schema.run (id);
COMMENT ON SEQUENCE @schema.run_number_seq IS 'Gives run.number.';
COMMENT ON TABLE @schema.run IS 'One row per execution of a job.';
COMMENT ON COLUMN @schema.run.number IS 'Grows with each run.';
COMMENT ON COLUMN @schema.run.uid IS 'Random; keys all that the run leaves in a target.';
COMMENT ON COLUMN @schema.run.id IS 'Its name, unique within the job.';
COMMENT ON COLUMN @schema.run.named IS 'The name was given by --run.';
COMMENT ON COLUMN @schema.run.job IS 'The job''s name.';
COMMENT ON COLUMN @schema.run.fingerprint IS 'Of the job''s meaning.';
COMMENT ON COLUMN @schema.run.state IS 'planned, open, publishing, finished, failed or abandoned.';
COMMENT ON COLUMN @schema.run.engine IS 'Where its attempts execute.';
COMMENT ON COLUMN @schema.run.version IS 'The drover that began it; no other version works on it.';
COMMENT ON COLUMN @schema.run.started_at IS 'When it was created.';
COMMENT ON COLUMN @schema.run.finished_at IS 'When it was over, however it ended.';
COMMENT ON COLUMN @schema.run.message IS 'The last thing worth saying about it.';
COMMENT ON COLUMN @schema.run.doc IS 'The frozen plan.';
COMMENT ON COLUMN @schema.run.holder IS 'The driver that plans or publishes it.';
COMMENT ON COLUMN @schema.run.lease_until IS 'When the holder loses it.';
COMMENT ON COLUMN @schema.run.lease_us IS 'The length of that lease in microseconds.';

CREATE TABLE @schema.pruned (
	uid         text NOT NULL,
	id          text NOT NULL,
	job         text NOT NULL,
	fingerprint text NOT NULL,
	state       text NOT NULL,
	engine      text NOT NULL,
	version     text NOT NULL,
	message     text,
	started_at  timestamptz NOT NULL,
	finished_at timestamptz,
	pruned_at   timestamptz NOT NULL,
	PRIMARY KEY (job, id)
);
CREATE INDEX pruned_id ON @schema.pruned (id);
COMMENT ON TABLE @schema.pruned IS 'What drover prune keeps of a run that --run named: a machine that comes late with the name finds it over.';
COMMENT ON COLUMN @schema.pruned.uid IS 'run.uid as it was.';
COMMENT ON COLUMN @schema.pruned.id IS 'Its name, unique within the job.';
COMMENT ON COLUMN @schema.pruned.job IS 'The job''s name.';
COMMENT ON COLUMN @schema.pruned.fingerprint IS 'Of the job''s meaning.';
COMMENT ON COLUMN @schema.pruned.state IS 'finished or abandoned.';
COMMENT ON COLUMN @schema.pruned.engine IS 'Where its attempts executed.';
COMMENT ON COLUMN @schema.pruned.version IS 'The drover that began it.';
COMMENT ON COLUMN @schema.pruned.message IS 'The last thing worth saying about it.';
COMMENT ON COLUMN @schema.pruned.started_at IS 'When it was created.';
COMMENT ON COLUMN @schema.pruned.finished_at IS 'When it was over.';
COMMENT ON COLUMN @schema.pruned.pruned_at IS 'When it was removed.';

CREATE TABLE @schema.chunk (
	run_id            text NOT NULL REFERENCES @schema.run (uid) ON DELETE CASCADE,
	stage             integer NOT NULL,
	id                bigint NOT NULL,
	key               text NOT NULL,
	state             text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'running', 'finished', 'error', 'split')),
	attempts          integer NOT NULL DEFAULT 0,
	losses            integer NOT NULL DEFAULT 0,
	worker            text,
	rows_in           bigint NOT NULL DEFAULT 0,
	rows_out          bigint NOT NULL DEFAULT 0,
	bytes_in          bigint NOT NULL DEFAULT 0,
	bytes_out         bigint NOT NULL DEFAULT 0,
	rows_scanned      bigint,
	rows_rejected     bigint NOT NULL DEFAULT 0,
	peak_memory_bytes bigint NOT NULL DEFAULT 0,
	started_at        timestamptz,
	finished_at       timestamptz,
	error             text,
	error_detail      json,
	token             bigint,
	lease_until       timestamptz,
	not_before        timestamptz,
	pack_limit        integer,
	bounds            json,
	estimated_rows    bigint NOT NULL DEFAULT 0,
	estimated_bytes   bigint NOT NULL DEFAULT 0,
	receipt           json,
	PRIMARY KEY (run_id, stage, id)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX chunk_claimable ON @schema.chunk (run_id, stage, id) WHERE state IN ('pending', 'running');
COMMENT ON TABLE @schema.chunk IS 'One row per chunk of a run. chunk.run_id = run.uid.';
COMMENT ON COLUMN @schema.chunk.run_id IS 'run.uid.';
COMMENT ON COLUMN @schema.chunk.stage IS 'The stage of the plan, from 0.';
COMMENT ON COLUMN @schema.chunk.id IS 'Its place in the stage, from 0.';
COMMENT ON COLUMN @schema.chunk.key IS 'Names it to a person: a value, a path, a range.';
COMMENT ON COLUMN @schema.chunk.state IS 'pending, running, finished, error, or split (replaced by smaller chunks).';
COMMENT ON COLUMN @schema.chunk.attempts IS 'How often it failed alone.';
COMMENT ON COLUMN @schema.chunk.losses IS 'How often it lost its worker, or overran its memory, alone.';
COMMENT ON COLUMN @schema.chunk.worker IS 'Who has, or last had, it: HOST/PID/..., as in machine.driver.';
COMMENT ON COLUMN @schema.chunk.rows_in IS 'Rows read.';
COMMENT ON COLUMN @schema.chunk.rows_out IS 'Rows written.';
COMMENT ON COLUMN @schema.chunk.bytes_in IS 'Bytes read.';
COMMENT ON COLUMN @schema.chunk.bytes_out IS 'Bytes written.';
COMMENT ON COLUMN @schema.chunk.rows_scanned IS 'Rows looked at before filters were pushed down; NULL where it is not known.';
COMMENT ON COLUMN @schema.chunk.rows_rejected IS 'Of rows_in, those that went to the job''s rejects.';
COMMENT ON COLUMN @schema.chunk.peak_memory_bytes IS 'Peak memory of the task that it was part of.';
COMMENT ON COLUMN @schema.chunk.started_at IS 'When its last attempt began.';
COMMENT ON COLUMN @schema.chunk.finished_at IS 'When it was finished, split, or given up.';
COMMENT ON COLUMN @schema.chunk.error IS 'The error of its last failed attempt.';
COMMENT ON COLUMN @schema.chunk.error_detail IS 'The same with all its fields.';
COMMENT ON COLUMN @schema.chunk.token IS 'The token of its last attempt.';
COMMENT ON COLUMN @schema.chunk.lease_until IS 'A running chunk may be taken over after it.';
COMMENT ON COLUMN @schema.chunk.not_before IS 'A pending chunk is not tried before it.';
COMMENT ON COLUMN @schema.chunk.pack_limit IS 'At most so many chunks in a task with this one.';
COMMENT ON COLUMN @schema.chunk.bounds IS 'What to read, in the source''s own terms.';
COMMENT ON COLUMN @schema.chunk.estimated_rows IS 'How many rows it was planned to have; 0 when unknown.';
COMMENT ON COLUMN @schema.chunk.estimated_bytes IS 'How many bytes it was planned to have; 0 when unknown.';
COMMENT ON COLUMN @schema.chunk.receipt IS 'What the accepted attempt left.';

CREATE TABLE @schema.attempt (
	run_id      text NOT NULL,
	stage       integer NOT NULL,
	chunk_id    bigint NOT NULL,
	token       bigint NOT NULL,
	worker      text NOT NULL,
	started_at  timestamptz NOT NULL,
	ended_at    timestamptz,
	outcome     text CHECK (outcome IN ('finished', 'failed', 'split', 'expired', 'released')),
	error       text,
	fingerprint text NOT NULL,
	PRIMARY KEY (run_id, token, stage, chunk_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE @schema.attempt IS
	'Every try of every chunk. attempt.run_id = run.uid, attempt.chunk_id = chunk.id in the same stage.';
COMMENT ON COLUMN @schema.attempt.run_id IS 'run.uid.';
COMMENT ON COLUMN @schema.attempt.stage IS 'The chunk''s stage.';
COMMENT ON COLUMN @schema.attempt.chunk_id IS 'chunk.id.';
COMMENT ON COLUMN @schema.attempt.token IS 'Chunks with one token were tried together; a later token fences an earlier one off.';
COMMENT ON COLUMN @schema.attempt.worker IS 'Who tried.';
COMMENT ON COLUMN @schema.attempt.started_at IS 'When it was claimed.';
COMMENT ON COLUMN @schema.attempt.ended_at IS 'When it ended; NULL while it runs.';
COMMENT ON COLUMN @schema.attempt.outcome IS 'finished, failed, split, expired (its lease ran out) or released (given back untried); NULL while it runs.';
COMMENT ON COLUMN @schema.attempt.error IS 'Why it failed.';
COMMENT ON COLUMN @schema.attempt.fingerprint IS 'Of what it ran with.';

CREATE TABLE @schema.machine (
	run_id    text NOT NULL REFERENCES @schema.run (uid) ON DELETE CASCADE,
	driver    text NOT NULL,
	workers   integer NOT NULL,
	joined_at timestamptz NOT NULL,
	seen_at   timestamptz NOT NULL,
	PRIMARY KEY (run_id, driver)
);
COMMENT ON TABLE @schema.machine IS 'One row per driver at work on a run that is not over. machine.run_id = run.uid.';
COMMENT ON COLUMN @schema.machine.run_id IS 'run.uid.';
COMMENT ON COLUMN @schema.machine.driver IS 'HOST/PID/..., as in chunk.worker.';
COMMENT ON COLUMN @schema.machine.workers IS 'How many tasks it executes at once.';
COMMENT ON COLUMN @schema.machine.joined_at IS 'When it began to work.';
COMMENT ON COLUMN @schema.machine.seen_at IS 'Its last heartbeat.';

-- +goose Up

-- A row for each process that works for a runtime, or did.
CREATE TABLE runtimes (
	owner    text COLLATE "C" NOT NULL CHECK (owner <> ''),
	name     text COLLATE "C" NOT NULL CHECK (name <> ''),
	node     text COLLATE "C" NOT NULL CHECK (node <> ''),
	kind     text COLLATE "C" NOT NULL,
	since    timestamptz NOT NULL,
	beat_at  timestamptz NOT NULL,
	-- From here on it counts as dead: after the heartbeats that it may miss, or
	-- since it left.
	dead_at  timestamptz NOT NULL,
	stopped  boolean NOT NULL DEFAULT false,
	PRIMARY KEY (owner, name, node)
);

-- Tests of connections on a runtime. Checks and failure are JSON.
CREATE TABLE runs (
	id          text COLLATE "C" PRIMARY KEY,
	owner       text COLLATE "C" NOT NULL,
	connection  text COLLATE "C" NOT NULL,
	environment text COLLATE "C" NOT NULL,
	runtime     text COLLATE "C" NOT NULL,
	actor       text NOT NULL,
	scopes      text[] NOT NULL,
	state       text COLLATE "C" NOT NULL,
	node        text COLLATE "C" NOT NULL DEFAULT '',
	checks      text[] NOT NULL DEFAULT '{}',
	failure     text,
	created_at  timestamptz NOT NULL,
	expires_at  timestamptz NOT NULL
);

CREATE INDEX runs_expiry ON runs (expires_at);

-- +goose Down

DROP TABLE runs;
DROP TABLE runtimes;

-- +goose Up

-- Texts compare byte by byte (COLLATE "C"): two keys are the same only if
-- their bytes are.
CREATE TABLE connections (
	owner         text COLLATE "C" NOT NULL CHECK (owner <> ''),
	connection    text COLLATE "C" NOT NULL CHECK (connection <> ''),
	environment   text COLLATE "C" NOT NULL CHECK (environment <> ''),

	-- What records are found, compared and swapped by.
	state         text COLLATE "C" NOT NULL,
	name          text COLLATE "C" NOT NULL,
	base          text COLLATE "C" NOT NULL,
	revision      bigint NOT NULL,
	generation    bigint NOT NULL,
	created_at    timestamptz NOT NULL,
	updated_at    timestamptz NOT NULL,
	expires_at    timestamptz,
	due_at        timestamptz,
	lease         jsonb,
	interrupted   jsonb,

	-- The rest of the record. It is json and not jsonb, since jsonb can't hold
	-- every string.
	document      json NOT NULL,

	-- Ciphertext: the fields' names and, in the same order, their values.
	sealed_fields text[] NOT NULL,
	sealed_values bytea[] NOT NULL,

	PRIMARY KEY (owner, connection, environment),
	CHECK (cardinality(sealed_fields) = cardinality(sealed_values))
) WITH (
	-- Room in each page, so that a lease that comes and goes touches no index.
	fillfactor = 80,
	-- A row that is too long for PostgreSQL, from 2 kB on, is cut down to this.
	toast_tuple_target = 128,
	-- A due date that moved on is cleared away soon.
	autovacuum_vacuum_scale_factor = 0.02
);

-- It is the ciphertext that is then put elsewhere: whoever looks for what is due
-- or takes a lease neither reads nor copies it.
ALTER TABLE connections ALTER COLUMN sealed_values SET STORAGE EXTERNAL;
ALTER TABLE connections ALTER COLUMN document SET STORAGE MAIN;

CREATE UNIQUE INDEX connections_name ON connections (owner, environment, name) WHERE state = 'saved' AND name <> '';
CREATE INDEX connections_base ON connections (owner, base) WHERE base <> '';
CREATE INDEX connections_due ON connections (due_at, owner, connection, environment) WHERE due_at IS NOT NULL;
CREATE INDEX connections_draft ON connections (expires_at) WHERE state = 'draft';

CREATE TABLE flows (
	id          text COLLATE "C" PRIMARY KEY,
	owner       text COLLATE "C" NOT NULL,
	connection  text COLLATE "C" NOT NULL,
	environment text COLLATE "C" NOT NULL,
	expires_at  timestamptz NOT NULL,
	binding     bytea,
	sealed      bytea
);

CREATE INDEX flows_expiry ON flows (expires_at);

-- +goose Down

DROP TABLE flows;
DROP TABLE connections;

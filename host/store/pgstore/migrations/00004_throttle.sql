-- +goose Up

-- For how long a service doesn't want to be asked. It is advice, and written
-- while a service is overloaded: a crash of the server may empty it, and no
-- commit waits for a disk or a standby.
CREATE UNLOGGED TABLE waits (
	owner       text COLLATE "C" NOT NULL,
	connection  text COLLATE "C" NOT NULL,
	environment text COLLATE "C" NOT NULL,
	api_until   timestamptz,
	token_until timestamptz,

	PRIMARY KEY (owner, connection, environment)
);

-- +goose Down

DROP TABLE waits;

-- +goose Up

-- Where the store belongs (store.Place as JSON; NULL before its first use), and
-- how often it was adopted.
CREATE TABLE identity (
	only_one  boolean PRIMARY KEY DEFAULT true CHECK (only_one),
	place     json,
	adoptions bigint NOT NULL DEFAULT 0
);

INSERT INTO identity DEFAULT VALUES;

-- +goose Down

DROP TABLE identity;

-- One row for each record. `idem_record` and `idem_fence` are read and written; `idem_schema` is read.
CREATE TABLE idem_record (
    -- Counters: the last attempt's fence, and that of the record's first attempt.
    fence bigint NOT NULL,
    generation bigint NOT NULL,
    -- Until when the running attempt is believed alive.
    lease timestamptz NOT NULL,
    -- How long the record is kept once it is finished, freed or interrupted: microseconds.
    ttl bigint NOT NULL,
    first_at timestamptz NOT NULL,
    began_at timestamptz NOT NULL,
    -- NULL while the last attempt has not ended.
    ended_at timestamptz,
    -- From when on the record counts as gone; a running one only if its lease is over, too.
    expires timestamptz NOT NULL,
    -- When a purge is to look at the row: seldom changed, so that updates leave the indexes alone.
    purge_at timestamptz NOT NULL,
    -- How many attempts there were, and how many of them did not end.
    number integer NOT NULL,
    unended integer NOT NULL,
    -- Freed before its claim came.
    tombstone boolean NOT NULL,
    -- Somebody waits for the end of the attempt, and is to be notified.
    watched boolean NOT NULL DEFAULT false,
    -- running, free, interrupted, done
    state text COLLATE "C" NOT NULL,
    -- What the result is: none, value, error.
    kind text COLLATE "C" NOT NULL,
    -- retry, reject
    on_interrupt text COLLATE "C" NOT NULL,
    -- The application, and the call's token: SHA-256.
    namespace text COLLATE "C" NOT NULL,
    token bytea NOT NULL,
    attempt bytea NOT NULL,
    digest bytea NOT NULL,
    scope text NOT NULL,
    function text NOT NULL,
    -- CBOR.
    result bytea NOT NULL DEFAULT '',
    -- CBOR, if the function was told to record its arguments.
    key_arguments bytea,
    verified_arguments bytea,
    -- Who reopened or resolved it.
    decided_by text,
    PRIMARY KEY (namespace, token)
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX idem_record_purge_at ON idem_record (purge_at);
-- Fences outlive records.
CREATE SEQUENCE idem_fence;

-- The journal and what is projected from it: the same tables as on SQLite, so that the queries read the same. What is
-- only here: `writers`, `workers`, and progress lines in a table that is not logged.

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE deployments (
    -- Drawn while the scope's row is locked: within a scope it is the order of commits.
    created_seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          TEXT   NOT NULL UNIQUE,
    service     TEXT   NOT NULL,
    environment TEXT   NOT NULL,
    phase       TEXT   NOT NULL,
    ended       BIGINT NOT NULL,                   -- 0 or 1
    owner       TEXT,
    epoch       BIGINT NOT NULL,
    host        TEXT,                              -- whose workers may touch its target; absent: anyone's
    summary     TEXT   NOT NULL,
    head_seq    BIGINT NOT NULL,
    head_hash   TEXT   NOT NULL
);
CREATE INDEX deployments_scope ON deployments (service, environment, created_seq);
CREATE INDEX deployments_open ON deployments (service, environment, created_seq) WHERE ended = 0;

CREATE TABLE events (
    deployment TEXT   NOT NULL,
    seq        BIGINT NOT NULL,
    at_us      BIGINT NOT NULL,
    format     BIGINT NOT NULL,
    body       TEXT   NOT NULL,
    hash       TEXT   NOT NULL,
    PRIMARY KEY (deployment, seq)
);

-- One row per scope: the end of its stream, and what everyone who writes in the scope locks first.
CREATE TABLE environments (
    service     TEXT   NOT NULL,
    environment TEXT   NOT NULL,
    head_seq    BIGINT NOT NULL,
    head_hash   TEXT   NOT NULL,
    epoch       BIGINT NOT NULL DEFAULT 0,         -- of the last lease
    owner       TEXT,                              -- whose it is while that worker lives
    served_us   BIGINT NOT NULL DEFAULT 0,         -- when it was claimed last
    PRIMARY KEY (service, environment)
);
CREATE INDEX environments_held ON environments (owner) WHERE owner IS NOT NULL;

-- Who works, and until when unless it says so again. All leases of a worker live and end with its row.
CREATE TABLE workers (
    name  TEXT        NOT NULL PRIMARY KEY,
    host  TEXT        NOT NULL,
    until TIMESTAMPTZ NOT NULL
);

-- Clean-ups that are owed, projected from the streams.
CREATE TABLE cleanups (
    service     TEXT   NOT NULL,
    environment TEXT   NOT NULL,
    record      TEXT   NOT NULL,
    deployment  TEXT   NOT NULL,
    due_ms      BIGINT NOT NULL,
    PRIMARY KEY (service, environment, record)
);

CREATE TABLE environment_events (
    service     TEXT   NOT NULL,
    environment TEXT   NOT NULL,
    seq         BIGINT NOT NULL,
    at_us       BIGINT NOT NULL,
    format      BIGINT NOT NULL,
    body        TEXT   NOT NULL,
    hash        TEXT   NOT NULL,
    PRIMARY KEY (service, environment, seq)
);

CREATE TABLE releases (
    service TEXT   NOT NULL,
    number  BIGINT NOT NULL,
    content TEXT   NOT NULL,
    body    TEXT   NOT NULL,
    PRIMARY KEY (service, number),
    UNIQUE (service, content)
);

CREATE TABLE evidence (
    deployment TEXT   NOT NULL,
    seq        BIGINT NOT NULL,
    step       TEXT   NOT NULL,
    at_us      BIGINT NOT NULL,
    cursor     TEXT   NOT NULL,
    counts     TEXT   NOT NULL,
    PRIMARY KEY (deployment, seq)
);

CREATE TABLE blobs (
    id            TEXT   NOT NULL PRIMARY KEY,
    digest        TEXT   NOT NULL UNIQUE,          -- keyed: equal contents are kept once
    sealed        BYTEA  NOT NULL,
    created_at_us BIGINT NOT NULL
);

-- One row per connection that writes, with the number of its last commit: who lost the answer to a commit finds here
-- whether it happened, and who polls whether anyone committed.
CREATE TABLE writers (
    id      TEXT        NOT NULL PRIMARY KEY,
    journal BOOLEAN     NOT NULL,                  -- whether it appends; the others change nothing that is waited for
    commits BIGINT      NOT NULL,
    at      TIMESTAMPTZ NOT NULL
);

-- Helpful, never load-bearing: emptied by a crash of the server.
CREATE UNLOGGED TABLE progress (
    position   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment TEXT   NOT NULL,
    at_us      BIGINT NOT NULL,
    line       TEXT   NOT NULL
);
CREATE INDEX progress_deployment ON progress (deployment, position);

-- The journal is never rewritten in place, not by mistake either.
CREATE FUNCTION journal_is_never_rewritten() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is never rewritten';
END
$$;
CREATE TRIGGER events_no_change BEFORE UPDATE OR DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION journal_is_never_rewritten();
CREATE TRIGGER events_no_truncate BEFORE TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION journal_is_never_rewritten();
CREATE TRIGGER environment_events_no_change BEFORE UPDATE OR DELETE ON environment_events
    FOR EACH ROW EXECUTE FUNCTION journal_is_never_rewritten();
CREATE TRIGGER environment_events_no_truncate BEFORE TRUNCATE ON environment_events
    FOR EACH STATEMENT EXECUTE FUNCTION journal_is_never_rewritten();

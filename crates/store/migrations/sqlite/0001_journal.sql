-- The journal and what is projected from it. Only TEXT, BIGINT and BLOB, so that the queries read the same on
-- PostgreSQL.

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE deployments (
    created_seq INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of creation, also between processes
    id          TEXT   NOT NULL UNIQUE,
    service     TEXT   NOT NULL,
    environment TEXT   NOT NULL,
    phase       TEXT   NOT NULL,
    ended       BIGINT NOT NULL,                   -- 0 or 1
    owner       TEXT,
    epoch       BIGINT NOT NULL,
    summary     TEXT   NOT NULL,
    head_seq    BIGINT NOT NULL,
    head_hash   TEXT   NOT NULL
);
CREATE INDEX deployments_scope ON deployments (service, environment, created_seq);
CREATE INDEX deployments_open ON deployments (created_seq) WHERE ended = 0;

CREATE TABLE events (
    deployment TEXT   NOT NULL,
    seq        BIGINT NOT NULL,
    at_us      BIGINT NOT NULL,
    format     BIGINT NOT NULL,
    body       TEXT   NOT NULL,
    hash       TEXT   NOT NULL,
    PRIMARY KEY (deployment, seq)
);

CREATE TABLE environments (
    service     TEXT   NOT NULL,
    environment TEXT   NOT NULL,
    head_seq    BIGINT NOT NULL,
    head_hash   TEXT   NOT NULL,
    PRIMARY KEY (service, environment)
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
    sealed        BLOB   NOT NULL,
    created_at_us BIGINT NOT NULL
);

-- The journal is never rewritten in place, not by mistake either.
CREATE TRIGGER events_no_update BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'the journal is never rewritten'); END;
CREATE TRIGGER events_no_delete BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'the journal is never rewritten'); END;
CREATE TRIGGER environment_events_no_update BEFORE UPDATE ON environment_events
BEGIN SELECT RAISE(ABORT, 'the journal is never rewritten'); END;
CREATE TRIGGER environment_events_no_delete BEFORE DELETE ON environment_events
BEGIN SELECT RAISE(ABORT, 'the journal is never rewritten'); END;

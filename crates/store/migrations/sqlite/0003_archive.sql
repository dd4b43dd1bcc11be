-- Journals of deployments that ended long ago lie in a table of their own. Rows go there as they are, and an event leaves
-- the first table only when it is in the second.

CREATE TABLE archived_events (
    deployment TEXT   NOT NULL,
    seq        BIGINT NOT NULL,
    at_us      BIGINT NOT NULL,
    format     BIGINT NOT NULL,
    body       TEXT   NOT NULL,
    hash       TEXT   NOT NULL,
    PRIMARY KEY (deployment, seq)
);

-- What began long ago and is not archived is found without looking at the rest.
CREATE INDEX events_begun ON events (at_us, deployment) WHERE seq = 1;

CREATE TRIGGER archived_events_no_update BEFORE UPDATE ON archived_events
BEGIN SELECT RAISE(ABORT, 'the journal is never rewritten'); END;
CREATE TRIGGER archived_events_no_delete BEFORE DELETE ON archived_events
BEGIN SELECT RAISE(ABORT, 'the journal is never rewritten'); END;

DROP TRIGGER events_no_delete;
CREATE TRIGGER events_no_delete BEFORE DELETE ON events
WHEN NOT EXISTS (SELECT 1 FROM archived_events AS a WHERE a.deployment = OLD.deployment AND a.seq = OLD.seq
    AND a.at_us = OLD.at_us AND a.format = OLD.format AND a.body = OLD.body AND a.hash = OLD.hash)
BEGIN SELECT RAISE(ABORT, 'the journal is never rewritten'); END;

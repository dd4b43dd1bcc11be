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

CREATE TRIGGER archived_events_no_change BEFORE UPDATE OR DELETE ON archived_events
    FOR EACH ROW EXECUTE FUNCTION journal_is_never_rewritten();
CREATE TRIGGER archived_events_no_truncate BEFORE TRUNCATE ON archived_events
    FOR EACH STATEMENT EXECUTE FUNCTION journal_is_never_rewritten();

CREATE FUNCTION journal_only_moves_to_the_archive() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND EXISTS (SELECT 1 FROM archived_events AS a
        WHERE a.deployment = OLD.deployment AND a.seq = OLD.seq AND a.at_us = OLD.at_us
          AND a.format = OLD.format AND a.body = OLD.body AND a.hash = OLD.hash) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the journal is never rewritten';
END
$$;
DROP TRIGGER events_no_change ON events;
CREATE TRIGGER events_no_change BEFORE UPDATE OR DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION journal_only_moves_to_the_archive();

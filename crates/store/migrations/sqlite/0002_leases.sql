-- Leases: a worker's hold on a scope. And what a claim has to know without reading journals: clean-ups that are owed.

ALTER TABLE deployments ADD COLUMN host TEXT;        -- whose workers may touch its target; absent: anyone's

ALTER TABLE environments ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;      -- of the last lease
ALTER TABLE environments ADD COLUMN owner TEXT;                           -- whose it is, if anyone's
ALTER TABLE environments ADD COLUMN served_us BIGINT NOT NULL DEFAULT 0;  -- when it was claimed last

-- Every scope has a row from now on.
INSERT INTO environments (service, environment, head_seq, head_hash)
    SELECT DISTINCT service, environment, 0, '' FROM deployments WHERE TRUE
    ON CONFLICT (service, environment) DO NOTHING;
-- Epochs were counted per deployment before.
UPDATE environments SET epoch = (SELECT COALESCE(MAX(d.epoch), 0) FROM deployments d
    WHERE d.service = environments.service AND d.environment = environments.environment);

-- One worker at a time: the last one here.
CREATE TABLE workers (
    since INTEGER PRIMARY KEY AUTOINCREMENT,
    name  TEXT NOT NULL UNIQUE
);

CREATE TABLE cleanups (
    service     TEXT   NOT NULL,
    environment TEXT   NOT NULL,
    record      TEXT   NOT NULL,
    deployment  TEXT   NOT NULL,
    due_ms      BIGINT NOT NULL,
    PRIMARY KEY (service, environment, record)
);
INSERT INTO cleanups (service, environment, record, deployment, due_ms)
    SELECT service, environment, record, body ->> '$.cleanup_due.deployment', body ->> '$.cleanup_due.due_ms'
    FROM (SELECT service, environment, body, row_number() OVER (PARTITION BY service, environment, record ORDER BY seq DESC) AS nth, record
          FROM (SELECT *, COALESCE(body ->> '$.cleanup_due.record', body ->> '$.cleanup_done.record',
                    body ->> '$.cleanup_cancelled.record', body ->> '$.serves.record') AS record
                FROM environment_events)
          WHERE record IS NOT NULL)
    WHERE nth = 1 AND body ->> '$.cleanup_due' IS NOT NULL;

CREATE INDEX deployments_head ON deployments (service, environment, created_seq) WHERE ended = 0;

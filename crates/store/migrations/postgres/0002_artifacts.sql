-- What releases run, for all machines: packed and cut into chunks, so that nobody has to hold one in memory.

CREATE TABLE artifacts (
    digest     TEXT   NOT NULL PRIMARY KEY,
    manifest   TEXT   NOT NULL,                   -- the digest is its hash
    complete   BIGINT NOT NULL,                   -- 0 or 1: all chunks are there
    used_at_us BIGINT NOT NULL                    -- added last, by the server's clock
);

CREATE TABLE artifact_chunks (
    artifact TEXT   NOT NULL REFERENCES artifacts (digest) ON DELETE CASCADE,
    nth      BIGINT NOT NULL,                     -- from 0
    data     BYTEA  NOT NULL,
    PRIMARY KEY (artifact, nth)
);

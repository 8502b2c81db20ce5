-- Where results of evaluated programs lie: by a keyed digest of all that a result depends on
-- (genome, suite, seed, isolation; see doc/formats.md), the agent whose journal records it.

CREATE TABLE result (
    key    BYTEA PRIMARY KEY CHECK (octet_length(key) = 32),
    agent  BIGINT NOT NULL
);

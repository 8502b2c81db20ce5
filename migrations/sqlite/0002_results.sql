-- Where results of evaluated programs lie: by a keyed digest of all that a result depends on
-- (genome, suite, seed, isolation; see doc/formats.md), the agent whose journal records it.

CREATE TABLE result (
    key    BLOB PRIMARY KEY CHECK (length(key) = 32),
    agent  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

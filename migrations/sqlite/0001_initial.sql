-- The warm tier's first schema.
--
-- Clear columns: ids, edges, names of sessions, users, runs, objectives and operators, states
-- and reasons, seeds, counts, scores, verdicts, times, CIDs, keyed digests, public keys.
-- Sealed under the session's key: session.context, run_content.sealed, checkpoint.sealed.
-- Wrapped by the master key: session_key.wrapped; without that row nothing of the session
-- can be read again. Prompts, code, parameters and journals stand in no clear column.
--
-- Numbers of 64 bits without a sign are stored as their two's complement. Times are
-- milliseconds since the Unix epoch. `node` numbers rise in the order of commits, so that a
-- parent's is always below its child's.

CREATE TABLE store (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    id   BLOB NOT NULL CHECK (length(id) = 16)
) STRICT;

-- What the cold tier has acknowledged: bytes beyond were never promised to anybody.
CREATE TABLE segment (
    number  INTEGER PRIMARY KEY,
    length  INTEGER NOT NULL
) STRICT;

CREATE TABLE signing_key (
    id       BLOB PRIMARY KEY CHECK (length(id) = 32),
    public   BLOB NOT NULL CHECK (length(public) = 32),
    from_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    node        INTEGER PRIMARY KEY,
    id          BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    name        TEXT NOT NULL,
    user        TEXT NOT NULL,
    closed      INTEGER NOT NULL DEFAULT 0,
    created_ms  INTEGER NOT NULL,
    used_ms     INTEGER NOT NULL,
    context     BLOB NOT NULL
) STRICT;

CREATE TABLE session_key (
    session  INTEGER PRIMARY KEY REFERENCES session (node),
    wrapped  BLOB NOT NULL,
    master   BLOB NOT NULL CHECK (length(master) = 16)
) STRICT;

CREATE TABLE run (
    node              INTEGER PRIMARY KEY,
    id                BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    session           INTEGER NOT NULL REFERENCES session (node),
    name              TEXT NOT NULL,
    objective         TEXT NOT NULL,
    divisor           REAL NOT NULL,
    seed              INTEGER NOT NULL,
    workers           INTEGER NOT NULL,
    sandbox           TEXT NOT NULL,
    state             TEXT NOT NULL,
    reason            TEXT NOT NULL,
    started_ms        INTEGER NOT NULL,
    elapsed_ms        INTEGER NOT NULL,
    stop_generations  INTEGER,
    stop_evaluations  INTEGER,
    stop_time         REAL,
    stop_target       REAL,
    agents            INTEGER NOT NULL DEFAULT 0,
    failed            INTEGER NOT NULL DEFAULT 0,
    generation        INTEGER NOT NULL DEFAULT 0,
    best              REAL,
    best_agent        INTEGER,
    last_agent        INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX run_by_session ON run (session);

CREATE TABLE run_content (
    run     INTEGER PRIMARY KEY REFERENCES run (node),
    sealed  BLOB NOT NULL
) STRICT;

-- `after` is the last agent of the run that the snapshot knows.
CREATE TABLE checkpoint (
    run         INTEGER PRIMARY KEY REFERENCES run (node),
    generation  INTEGER NOT NULL,
    after       INTEGER NOT NULL,
    sealed      BLOB NOT NULL
) STRICT;

CREATE TABLE operators (
    node   INTEGER PRIMARY KEY,
    names  TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE agent (
    node        INTEGER PRIMARY KEY,
    id          BLOB NOT NULL,
    session     INTEGER NOT NULL,
    run         INTEGER,
    generation  INTEGER NOT NULL,
    slot        INTEGER NOT NULL,
    fitness     REAL,
    verdict     INTEGER NOT NULL,
    delta       REAL,
    operators   INTEGER NOT NULL,
    genome      BLOB NOT NULL,
    head        BLOB NOT NULL,
    seq         INTEGER NOT NULL,
    segment     INTEGER NOT NULL,
    at_ms       INTEGER NOT NULL
) STRICT;

-- Ids of one run rise with its generations: this index grows near its end.
CREATE UNIQUE INDEX agent_by_id ON agent (id);
CREATE INDEX agent_by_run ON agent (run);

CREATE TABLE edge (
    child   INTEGER NOT NULL,
    ord     INTEGER NOT NULL,
    parent  INTEGER NOT NULL,
    PRIMARY KEY (child, ord)
) STRICT, WITHOUT ROWID;

CREATE INDEX edge_by_parent ON edge (parent, child);

-- Where files that are stored already lie: by keyed digest, the CIDs of their blocks.
CREATE TABLE blob (
    mac   BLOB PRIMARY KEY CHECK (length(mac) = 32),
    cids  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

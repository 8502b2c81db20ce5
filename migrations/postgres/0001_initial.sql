-- The warm tier's first schema, as in SQLite: see there for which columns are clear, and which
-- are sealed. Numbers of 64 bits without a sign are stored as their two's complement. Times are
-- milliseconds since the Unix epoch. `node` numbers rise in the order of commits, so that a
-- parent's is always below its child's. One daemon writes: it gives them, not a sequence, which
-- would leave gaps.

-- `epoch` rises with each daemon that takes the store over: one that lost it without noticing
-- finds another number there, and stops.
CREATE TABLE store (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    id     UUID NOT NULL,
    epoch  BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE segment (
    number  BIGINT PRIMARY KEY,
    length  BIGINT NOT NULL
);

CREATE TABLE signing_key (
    id       BYTEA PRIMARY KEY CHECK (octet_length(id) = 32),
    public   BYTEA NOT NULL CHECK (octet_length(public) = 32),
    from_ms  BIGINT NOT NULL
);

CREATE TABLE session (
    node        BIGINT PRIMARY KEY,
    id          UUID NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    "user"      TEXT NOT NULL,
    closed      BOOLEAN NOT NULL DEFAULT false,
    created_ms  BIGINT NOT NULL,
    used_ms     BIGINT NOT NULL,
    context     BYTEA NOT NULL
);

CREATE TABLE session_key (
    session  BIGINT PRIMARY KEY REFERENCES session (node),
    wrapped  BYTEA NOT NULL,
    master   BYTEA NOT NULL CHECK (octet_length(master) = 16)
);

CREATE TABLE run (
    node              BIGINT PRIMARY KEY,
    id                UUID NOT NULL UNIQUE,
    session           BIGINT NOT NULL REFERENCES session (node),
    name              TEXT NOT NULL,
    objective         TEXT NOT NULL,
    divisor           DOUBLE PRECISION NOT NULL,
    seed              BIGINT NOT NULL,
    workers           BIGINT NOT NULL,
    sandbox           TEXT NOT NULL,
    state             TEXT NOT NULL,
    reason            TEXT NOT NULL,
    started_ms        BIGINT NOT NULL,
    elapsed_ms        BIGINT NOT NULL,
    stop_generations  BIGINT,
    stop_evaluations  BIGINT,
    stop_time         DOUBLE PRECISION,
    stop_target       DOUBLE PRECISION,
    agents            BIGINT NOT NULL DEFAULT 0,
    failed            BIGINT NOT NULL DEFAULT 0,
    generation        BIGINT NOT NULL DEFAULT 0,
    best              DOUBLE PRECISION,
    best_agent        BIGINT,
    last_agent        BIGINT NOT NULL DEFAULT 0
);

CREATE INDEX run_by_session ON run (session);

CREATE TABLE run_content (
    run     BIGINT PRIMARY KEY REFERENCES run (node),
    sealed  BYTEA NOT NULL
);

-- `after` is the last agent of the run that the snapshot knows.
CREATE TABLE checkpoint (
    run         BIGINT PRIMARY KEY REFERENCES run (node),
    generation  BIGINT NOT NULL,
    after       BIGINT NOT NULL,
    sealed      BYTEA NOT NULL
);

-- Sealed bytes don't compress: trying costs time.
ALTER TABLE run_content ALTER COLUMN sealed SET STORAGE EXTERNAL;
ALTER TABLE checkpoint ALTER COLUMN sealed SET STORAGE EXTERNAL;
ALTER TABLE session ALTER COLUMN context SET STORAGE EXTERNAL;

CREATE TABLE operators (
    node   BIGINT PRIMARY KEY,
    names  TEXT NOT NULL UNIQUE
);

CREATE TABLE agent (
    node        BIGINT PRIMARY KEY,
    session     BIGINT NOT NULL,
    run         BIGINT,
    generation  BIGINT NOT NULL,
    slot        BIGINT NOT NULL,
    fitness     DOUBLE PRECISION,
    delta       DOUBLE PRECISION,
    operators   BIGINT NOT NULL,
    seq         BIGINT NOT NULL,
    segment     BIGINT NOT NULL,
    at_ms       BIGINT NOT NULL,
    verdict     SMALLINT NOT NULL,
    id          UUID NOT NULL,
    genome      BYTEA NOT NULL,
    head        BYTEA NOT NULL
);

-- Ids of one run rise with its generations: this index grows near its end.
CREATE UNIQUE INDEX agent_by_id ON agent (id);
-- With the number: a run is read in the order of its agents.
CREATE INDEX agent_by_run ON agent (run, node);

CREATE TABLE edge (
    child   BIGINT NOT NULL,
    parent  BIGINT NOT NULL,
    ord     INTEGER NOT NULL,
    PRIMARY KEY (child, ord)
);

CREATE INDEX edge_by_parent ON edge (parent, child);

-- Where files that are stored already lie: by keyed digest, the CIDs of their blocks.
CREATE TABLE blob (
    mac   BYTEA PRIMARY KEY CHECK (octet_length(mac) = 32),
    cids  BYTEA NOT NULL
);

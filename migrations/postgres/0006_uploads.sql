-- Blobs of a session: weights and whatever else is too large for a message. They come in parts, each
-- a sealed block of its own, and are whole when `done` says so. The id is the keyed digest of the
-- content; its name and digest are sealed.

CREATE TABLE upload (
    node BIGINT PRIMARY KEY,
    id BYTEA NOT NULL UNIQUE CHECK (octet_length(id) = 32),
    session BIGINT NOT NULL REFERENCES session (node),
    size BIGINT NOT NULL CHECK (size >= 0),
    sealed BYTEA NOT NULL,
    begun_ms BIGINT NOT NULL,
    done BOOLEAN NOT NULL DEFAULT false
);

CREATE INDEX upload_by_session ON upload (session, node);

CREATE TABLE upload_part (
    upload BIGINT NOT NULL REFERENCES upload (node) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    cid BYTEA NOT NULL,
    PRIMARY KEY (upload, number)
);

-- Blobs of a session: weights and whatever else is too large for a message. They come in parts, each
-- a sealed block of its own, and are whole when `done` says so. The id is the keyed digest of the
-- content; its name and digest are sealed.

CREATE TABLE upload (
    node INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 32),
    session INTEGER NOT NULL REFERENCES session (node),
    size INTEGER NOT NULL CHECK (size >= 0),
    sealed BLOB NOT NULL,
    begun_ms INTEGER NOT NULL,
    done INTEGER NOT NULL DEFAULT 0 CHECK (done IN (0, 1))
) STRICT;

CREATE INDEX upload_by_session ON upload (session, node);

CREATE TABLE upload_part (
    upload INTEGER NOT NULL REFERENCES upload (node) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    cid BLOB NOT NULL,
    PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;

-- Calls for a change that were made, written with what they changed: whoever asks again with the
-- same idempotency key learns that it was. The last 100,000 are kept, each for a day.

CREATE TABLE once (
    node INTEGER PRIMARY KEY,
    sender BLOB NOT NULL CHECK (length(sender) = 32),
    key BLOB NOT NULL CHECK (length(key) = 16),
    request BLOB NOT NULL CHECK (length(request) = 32),
    subject BLOB NOT NULL CHECK (length(subject) = 16),
    at_ms INTEGER NOT NULL,
    UNIQUE (sender, key)
) STRICT;

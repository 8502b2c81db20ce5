-- Calls for a change that were made, written with what they changed: whoever asks again with the
-- same idempotency key learns that it was. The last 100,000 are kept, each for a day.

CREATE TABLE once (
    node BIGINT PRIMARY KEY,
    sender BYTEA NOT NULL CHECK (octet_length(sender) = 32),
    key UUID NOT NULL,
    request BYTEA NOT NULL CHECK (octet_length(request) = 32),
    subject UUID NOT NULL,
    at_ms BIGINT NOT NULL,
    UNIQUE (sender, key)
);

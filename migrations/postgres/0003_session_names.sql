-- Sessions are looked up by what their users call them: a user's own by both columns, anybody's
-- by the first.

CREATE INDEX session_by_name ON session (name, "user");

-- Sessions are looked up by what their users call them.

CREATE INDEX session_by_name ON session (name, user);

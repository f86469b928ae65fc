"""The session record: who was given a session, and what became of it."""
